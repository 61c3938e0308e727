//! Questions and orders besides publishing and consuming, one at a time, on a channel of their own.

use std::time::Duration;

use lapin::{
    Channel,
    options::{QueueDeclareOptions, QueueDeleteOptions},
    types::FieldTable,
};
use tokio::{sync::Mutex, time::Instant};

use super::{
    link::Link,
    trouble::{Trouble, in_time, is_missing},
};

/// The channel, and the number of its connection.
pub(super) struct Control {
    link: Link,
    channel: Mutex<Option<(u64, Channel)>>,
    patience: Duration,
}

impl Control {
    pub(super) fn new(link: Link, patience: Duration) -> Self {
        Self { link, channel: Mutex::new(None), patience }
    }

    /// Messages that wait on a queue and are in nobody's hands; [`Trouble::Missing`] if there is no such queue.
    pub(super) async fn waiting(&self, queue: &str) -> Result<u64, Trouble> {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let found = self
            .ask(async |channel: &Channel| {
                channel.queue_declare(queue.into(), options, FieldTable::default()).await
            })
            .await?;
        Ok(found.message_count().into())
    }

    /// Removes a queue with all that is on it; one that is not there is removed already.
    pub(super) async fn delete(&self, queue: &str) -> Result<(), Trouble> {
        let options = QueueDeleteOptions::default();
        let deleted =
            self.ask(async |channel: &Channel| channel.queue_delete(queue.into(), options).await).await;
        match deleted {
            Ok(_) | Err(Trouble::Missing) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }

    async fn ask<T>(&self, call: impl AsyncFnOnce(&Channel) -> lapin::Result<T>) -> Result<T, Trouble> {
        let asking = async {
            let up = self.link.up(self.patience).await?;
            let mut held = self.channel.lock().await;
            // Taken out for the call: whatever ends it early leaves no channel in an unknown state.
            let channel = match held.take().filter(|(number, _)| *number == up.number) {
                Some((_, channel)) if channel.status().connected() => channel,
                _ => in_time(self.patience, up.connection.create_channel()).await?,
            };
            match in_time(self.patience, call(&channel)).await {
                Ok(answer) => {
                    *held = Some((up.number, channel));
                    Ok(answer)
                }
                Err(Trouble::Said(error)) if is_missing(&error) => Err(Trouble::Missing),
                Err(trouble) => {
                    self.link.suspect();
                    Err(trouble)
                }
            }
        };
        let until = Instant::now() + self.patience;
        tokio::time::timeout_at(until, asking).await.map_err(|_elapsed| Trouble::Silent(self.patience))?
    }
}
