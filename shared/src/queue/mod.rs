//! The port `queue`: transport from ingress to intake. It holds what no worker has seen yet.

mod claim_check;
mod peek;
mod quarantine;
mod rabbitmq;
mod sqlite;
mod sqs;

use std::time::Duration;

use async_trait::async_trait;
pub use claim_check::ClaimChecks;
#[cfg(any(test, feature = "foreign"))]
pub(crate) use claim_check::again as claim_check_again;
pub use peek::{QueueStatus, ask, peek};
pub use quarantine::{
    Aside, Finding, Quarantine, RabbitMqQuarantine, SetAside, SqliteQuarantine, SqsQuarantine, Verifier,
};
pub use rabbitmq::RabbitMqQueue;
pub(crate) use sqlite::SCHEMA;
pub use sqlite::SqliteQueue;
pub use sqs::SqsQueue;

use crate::domain::{CustomerId, Envelope, Lane, RouteName, Timestamp};

/// The queue of one lane of one route.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueName {
    /// The route.
    pub route: RouteName,
    /// The lane.
    pub lane: Lane,
}

impl std::fmt::Display for QueueName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.route, self.lane.as_str())
    }
}

/// A pack on its way in.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Where it goes.
    pub queue: QueueName,
    /// Whose it is: engines that can, deliver fairly among groups.
    pub group: CustomerId,
    /// The sealed pack.
    pub envelope: Envelope,
}

/// Names one delivery of one pack to its receiver; opaque, and valid until it is acknowledged or comes back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt(pub Box<str>);

/// A pack on its way out.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// To acknowledge it with.
    pub receipt: Receipt,
    /// The sealed pack, not yet verified.
    pub envelope: Envelope,
    /// How often it has been delivered, this time included; 1 if the engine does not count.
    pub deliveries: u32,
}

/// How much lies on a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Packs waiting or in hand.
    pub packs: u64,
    /// Packs set aside because they could not be opened.
    pub quarantined: u64,
    /// When the oldest was published, if the engine tells.
    pub oldest: Option<Timestamp>,
}

/// What differs between engines, in words that matter to callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// One process owns the engine; others must not open it.
    pub exclusive: bool,
    /// A group that floods the queue does not delay another's packs.
    pub fair_groups: bool,
    /// What was in hand comes back after the visibility time even while its receiver lives.
    pub visibility: bool,
    /// How long publishes under load had better be apart, so that fewer and larger packs come about: what a pack costs, each
    /// message in it saves. Zero if the engine gathers by itself.
    pub pace: Duration,
    /// The largest envelope that it takes, in bytes; none if it takes any that is written.
    pub max_bytes: Option<usize>,
    /// How far apart questions about the depth had better be, since each costs something. Zero if it does not matter.
    pub look: Duration,
}

/// Why a pack was not confirmed; tells whether it can have been written.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Certainly not written: the call had no effect and may be refused as such.
    #[error("the queue did not take the pack")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It may have been written: the answer must say so.
    #[error("the queue did not confirm the pack")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The queue did not answer, or not as it should. Try again with back-off; nothing is lost by it.
#[derive(Debug, thiserror::Error)]
#[error("the queue is not available")]
pub struct QueueError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Publishes packs, delivers each at least once, forgets it when acknowledged.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// What this engine can do.
    fn capabilities(&self) -> Capabilities;

    /// Publishes packs together; one result for each, in order. `Ok` promises that the pack survives a crash of every
    /// process involved. Bounded by the adapter's own time-out, after which the rest is [`PublishError::Unknown`].
    async fn publish(&self, packs: Vec<Outgoing>) -> Vec<Result<(), PublishError>>;

    /// Receives up to `max` packs, waiting up to `wait` for the first. An empty answer means that none came.
    /// What is received is not given to another until its visibility time is over, it is released, or the receiver dies.
    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError>;

    /// Forgets packs for ever; one result for each, in order. Idempotent: a receipt acknowledged twice is `Ok`.
    async fn ack(&self, queue: &QueueName, receipts: Vec<Receipt>) -> Vec<Result<(), QueueError>>;

    /// Gives a pack back, to be delivered again after `after`.
    async fn release(&self, queue: &QueueName, receipt: Receipt, after: Duration) -> Result<(), QueueError>;

    /// Sets a pack aside for a person to look at, out of the way of those behind it. `Ok` promises that it is kept.
    async fn quarantine(&self, queue: &QueueName, receipt: Receipt, reason: &str) -> Result<(), QueueError>;

    /// How many calls have failed so far, as far as the adapter counts: while that stays the same, an answer of a while ago
    /// is good enough for whoever only wants to know whether the queue answers.
    fn failures(&self) -> u64 {
        0
    }

    /// How much lies on a queue.
    async fn depth(&self, queue: &QueueName) -> Result<Depth, QueueError>;

    /// Whoever received from this queue does so no more for now: what was received ahead for it goes back at once. Bounded by
    /// the adapter's own time-out; what does not go back by then comes back by itself.
    async fn leave(&self, queue: &QueueName);
}
