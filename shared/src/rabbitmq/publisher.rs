//! Publishing with confirms, pipelined over a few channels of one connection.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc, oneshot},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    confirms::{Claim, Returned, Ticket, Unconfirmed, gather},
    link::{Link, State},
    trouble::{Trouble, in_time},
};

/// Channels that publish. A queue always uses the same: one that confirms nothing harms only those beside it.
const LANES: usize = 4;

/// Messages handed to a channel that are not begun, and messages begun that are not confirmed, at the most.
const LINE: usize = 1_024;

/// In-flight bytes are counted in pieces of this size.
const PIECE: usize = 1_024;

/// How often the time-out may pass without a confirm before a channel is given up and another opened.
const STUCK: u32 = 2;

/// Between two attempts to open a channel on a connection that serves.
const PAUSE: Duration = Duration::from_millis(500);

/// Something to publish.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// Where to; empty for the queue that `key` names.
    pub(crate) exchange: String,
    /// The routing key.
    pub(crate) key: String,
    /// Whether a message that no queue takes is to come back: then it is [`Unconfirmed::NotTaken`].
    pub(crate) mandatory: bool,
    /// The content.
    pub(crate) body: Bytes,
    /// Persistent, with a message id that names this message alone, or the same content.
    pub(crate) properties: BasicProperties,
    /// That id.
    pub(crate) id: String,
}

struct Job {
    message: Message,
    claim: Claim,
    ticket: Ticket,
}

/// Publishes over a link.
pub(super) struct Publisher {
    link: Link,
    lanes: Vec<mpsc::Sender<Job>>,
    room: Arc<Semaphore>,
    pieces: u32,
    patience: Duration,
}

impl Publisher {
    pub(super) fn start(
        link: Link,
        in_flight_bytes: u32,
        patience: Duration,
        runtime: &Handle,
        stop: &CancellationToken,
    ) -> Self {
        let pieces = in_flight_bytes.div_ceil(PIECE as u32).max(1);
        let lanes = (0..LANES).map(|_| {
            let (sender, jobs) = mpsc::channel(LINE);
            let lane = LaneTask { link: link.clone(), jobs, patience };
            let stop = stop.clone();
            drop(runtime.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = lane.run() => {}
                }
            }));
            sender
        });
        Self {
            lanes: lanes.collect(),
            room: Arc::new(Semaphore::new(pieces as usize)),
            pieces,
            patience,
            link,
        }
    }

    /// Publishes one message; `Ok` once every queue it belongs on has it on the disks of a majority.
    pub(super) async fn publish(&self, message: Message, until: Instant) -> Result<(), Unconfirmed> {
        let state = self.link.states().borrow().clone();
        match state {
            State::Up(up) if up.connection.status().blocked() => {
                return Err(Unconfirmed::NotTaken(Trouble::Blocked));
            }
            State::Down(trouble) => return Err(Unconfirmed::NotTaken(trouble)),
            State::Up(_) | State::Connecting => {}
        }
        let size = u32::try_from(message.body.len().div_ceil(PIECE) + 1).unwrap_or(u32::MAX).min(self.pieces);
        let room = match timeout_at(until, Arc::clone(&self.room).acquire_many_owned(size)).await {
            Ok(Ok(room)) => room,
            Ok(Err(_closed)) => return Err(Unconfirmed::NotTaken(Trouble::Ended)),
            Err(_elapsed) => return Err(Unconfirmed::NotTaken(Trouble::Full)),
        };
        let mut hasher = DefaultHasher::new();
        message.key.hash(&mut hasher);
        let lane = hasher.finish() as usize % self.lanes.len();
        let (reply, answer) = oneshot::channel();
        let claim = Claim::default();
        let ticket = Ticket { id: message.id.clone(), reply, room };
        let job = Job { message, claim: claim.clone(), ticket };
        match timeout_at(until, self.lanes[lane].send(job)).await {
            Ok(Ok(())) => {}
            Ok(Err(_closed)) => return Err(Unconfirmed::NotTaken(Trouble::Ended)),
            Err(_elapsed) => return Err(Unconfirmed::NotTaken(Trouble::Full)),
        }
        let trouble = match timeout_at(until, answer).await {
            Ok(Ok(result)) => return result,
            Ok(Err(_dropped)) => Trouble::Ended,
            Err(_elapsed) => {
                self.link.suspect();
                Trouble::Silent(self.patience)
            }
        };
        Err(if claim.give_up() { Unconfirmed::NotTaken(trouble) } else { Unconfirmed::InDoubt(trouble) })
    }
}

/// One channel, opened again and again.
struct LaneTask {
    link: Link,
    jobs: mpsc::Receiver<Job>,
    patience: Duration,
}

/// Whether whoever hands over jobs has gone.
struct Gone;

impl LaneTask {
    async fn run(mut self) {
        while let Ok(channel) = self.open().await {
            if self.serve(channel).await.is_err() {
                return;
            }
            self.link.suspect();
        }
    }

    /// A channel in confirm mode, as soon as there can be one. Meanwhile nothing is kept that cannot be written.
    async fn open(&mut self) -> Result<Channel, Gone> {
        let mut states = self.link.states();
        loop {
            let state = states.borrow_and_update().clone();
            match state {
                State::Up(up) => {
                    let opening = async {
                        let channel = in_time(self.patience, up.connection.create_channel()).await?;
                        let options = ConfirmSelectOptions::default();
                        in_time(self.patience, channel.confirm_select(options)).await.map(|()| channel)
                    };
                    match opening.await {
                        Ok(channel) => return Ok(channel),
                        Err(trouble) => {
                            self.link.suspect();
                            self.refuse(&trouble);
                            sleep(PAUSE).await;
                        }
                    }
                }
                State::Connecting => states.changed().await.map_err(|_| Gone)?,
                State::Down(trouble) => tokio::select! {
                    changed = states.changed() => changed.map_err(|_| Gone)?,
                    job = self.jobs.recv() => not_written(job.ok_or(Gone)?, trouble),
                },
            }
        }
    }

    fn refuse(&mut self, trouble: &Trouble) {
        while let Ok(job) = self.jobs.try_recv() {
            not_written(job, trouble.clone());
        }
    }

    /// Publishes and gathers confirms until the channel no longer serves. After a message came back its queue is made
    /// again, and a channel that knew the queue before it was deleted may confirm what the new one never got (seen with
    /// RabbitMQ 3.10): so that channel takes nothing more.
    async fn serve(&mut self, channel: Channel) -> Result<(), Gone> {
        let mut pending = FuturesUnordered::new();
        let mut since = BTreeSet::new();
        let mut returned = Returned::default();
        let (mut number, mut ending) = (0_u64, false);
        while channel.status().connected() && !(ending && pending.is_empty()) {
            let stuck = since.first().map_or_else(Instant::now, |(begun, _)| *begun + self.patience * STUCK);
            tokio::select! {
                job = self.jobs.recv(), if !ending && pending.len() < LINE => {
                    let job = job.ok_or(Gone)?;
                    if !channel.status().connected() {
                        not_written(job, Trouble::Away("its channel was closed".into()));
                    } else if job.claim.begin() {
                        number += 1;
                        let begun = (Instant::now(), number);
                        since.insert(begun);
                        pending.push(publish(channel.clone(), job.message).map(move |answer| (begun, job.ticket, answer)));
                    }
                }
                Some(first) = pending.next(), if !pending.is_empty() => {
                    let told = gather(&mut pending, first).into_iter().map(|(begun, ticket, answer)| {
                        since.remove(&begun);
                        (ticket, answer)
                    });
                    ending |= returned.settle(told.collect());
                }
                () = tokio::time::sleep_until(stuck), if !since.is_empty() => {
                    tracing::warn!(unconfirmed = since.len(), "RabbitMQ confirms nothing on a channel; another is opened");
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

async fn publish(channel: Channel, message: Message) -> lapin::Result<Confirmation> {
    let options = BasicPublishOptions { mandatory: message.mandatory, immediate: false };
    let (exchange, key) = (message.exchange.into(), message.key.into());
    channel.basic_publish(exchange, key, options, &message.body, message.properties).await?.await
}

fn not_written(job: Job, trouble: Trouble) {
    let result = if job.claim.give_up() {
        Err(Unconfirmed::NotTaken(trouble))
    } else {
        Err(Unconfirmed::InDoubt(trouble))
    };
    // A caller that waited no longer has said so already.
    drop(job.ticket.reply.send(result));
}
