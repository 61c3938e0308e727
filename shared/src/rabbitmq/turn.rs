//! Only one at a time makes a queue, or asks for one that may just be made, among all processes: RabbitMQ 3.10 answers
//! others with `INTERNAL_ERROR` and ends their connection, with all that is in flight on it.

use std::{sync::Arc, time::Duration};

use lapin::{
    Channel, Connection, Consumer, ErrorKind,
    options::{BasicConsumeOptions, QueueDeclareOptions},
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::FieldTable,
};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Instant, sleep},
};

use super::trouble::{Trouble, in_time};

/// The shortest and the longest pause between two looks whether the other has finished, in milliseconds.
const PAUSES_MS: (u64, u64) = (2, 15);

/// How long an orderly end may take; the turn is over either way.
const ENDING: Duration = Duration::from_secs(1);

/// Whose turn it is: within the process a lock, among processes who stands at a queue as its only consumer. That goes
/// with its channel, however that ends.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    name: String,
    patience: Duration,
    here: Arc<Mutex<()>>,
}

/// A turn; over when it is dropped, or sooner.
pub(super) struct Turn<'a> {
    channel: Channel,
    _standing: Consumer,
    _here: MutexGuard<'a, ()>,
}

impl Turns {
    pub(super) fn new(name: String, patience: Duration) -> Self {
        Self { name, patience, here: Arc::default() }
    }

    /// Waits for a turn, about as long as a call may take; `None` if it is no longer needed once it is this call's turn
    /// in this process.
    pub(super) async fn wait(
        &self,
        connection: &Connection,
        needed: impl FnOnce() -> bool,
    ) -> Result<Option<Turn<'_>>, Trouble> {
        let until = Instant::now() + self.patience;
        let here = in_time(self.patience, async { Ok(self.here.lock().await) }).await?;
        if !needed() {
            return Ok(None);
        }
        loop {
            let channel = in_time(self.patience, connection.create_channel()).await?;
            match in_time(self.patience, self.stand(&channel)).await {
                Ok(standing) => return Ok(Some(Turn { channel, _standing: standing, _here: here })),
                Err(Trouble::Said(error)) if is_refused(&error) && Instant::now() < until => {
                    sleep(Duration::from_millis(fastrand::u64(PAUSES_MS.0..PAUSES_MS.1))).await;
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }

    async fn stand(&self, channel: &Channel) -> lapin::Result<Consumer> {
        let name = self.name.as_str();
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(name.into(), options, FieldTable::default()).await?;
        let options = BasicConsumeOptions { exclusive: true, ..Default::default() };
        channel.basic_consume(name.into(), "".into(), options, FieldTable::default()).await
    }
}

impl Turn<'_> {
    pub(super) async fn end(self) {
        // Without an answer the channel is closed all the same, a little later.
        drop(tokio::time::timeout(ENDING, self.channel.close(200, "done".into())).await);
    }
}

/// Whether another stands there (AMQP 0-9-1, 1.2: `access-refused`).
fn is_refused(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(said)
        if matches!(said.kind(), AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)))
}
