//! What was set aside from a queue, as an operator looks at it: the other face of the queue.
//!
//! Nothing here decides whether a pack is ours: [`Verifier`] does, and whoever puts a pack back asks it first.

mod rabbitmq;
mod sqlite;
mod sqs;
mod verify;

use async_trait::async_trait;
pub use rabbitmq::RabbitMqQuarantine;
pub use sqlite::SqliteQuarantine;
pub use sqs::SqsQuarantine;
pub use verify::{Finding, Verifier};

use super::{QueueError, QueueName, Receipt};
use crate::{
    blobs::Sha256Sum,
    domain::{CustomerId, Envelope, Timestamp},
};

/// What was set aside, as it lies there.
#[derive(Debug, Clone)]
pub struct SetAside {
    /// Names it within its [`Aside`], and nowhere else.
    pub receipt: Receipt,
    /// What was published, unopened; of a large pack, the claim check.
    pub envelope: Envelope,
    /// Why, in the words of whoever set it aside.
    pub reason: String,
    /// When, if the engine tells.
    pub at: Option<Timestamp>,
}

impl SetAside {
    /// The digest of what lies there: the same on every engine, however often it is looked at.
    #[must_use]
    pub fn id(&self) -> Sha256Sum {
        Sha256Sum::of(&self.envelope.0)
    }
}

/// Looks at what was set aside, beside whoever works on the queue.
#[async_trait]
pub trait Quarantine: Send + Sync + 'static {
    /// What was set aside from a queue, nothing of it shown yet. A queue from which nothing ever was has nothing.
    async fn aside(&self, queue: &QueueName) -> Result<Box<dyn Aside>, QueueError>;
}

/// One look at what was set aside from one queue. What it has shown is in its hand, where the engine knows such a thing, until it
/// is closed or its process dies: others who look meanwhile may not see it. Every call is bounded by the adapter's time-outs.
#[async_trait]
pub trait Aside: Send {
    /// Up to `max` that were not shown yet. None: there is no more, as far as the engine tells.
    async fn next(&mut self, max: usize) -> Result<Vec<SetAside>, QueueError>;

    /// Puts a pack back on its queue, whose it is being known from the pack itself. `Ok(true)` promises that the queue has it, and
    /// that it is no longer here; `Ok(false)` that somebody else took it away meanwhile. After an error it may be in both
    /// places, and never in none.
    async fn readmit(&mut self, pack: &SetAside, group: &CustomerId) -> Result<bool, QueueError>;

    /// Removes one for ever. Idempotent.
    async fn discard(&mut self, pack: &SetAside) -> Result<(), QueueError>;

    /// Gives back what was shown and neither put back nor removed; whether whoever receives knows of what was put back, and does
    /// not only come upon it by itself.
    async fn close(self: Box<Self>) -> Result<bool, QueueError>;
}
