//! The port `outbox`: events written in the transaction of the state they tell of, until they are published. What is no
//! message's (a route rests, an envelope was set aside) is put there by whoever saw it.

mod postgres;
mod sqlite;

pub(crate) use postgres::{CLAIM, HAS_FREE_IN_POSTGRES, PUT};
#[cfg(test)]
pub(crate) use sqlite::{FREE, HAS_FREE};

use std::time::Duration;

use async_trait::async_trait;

use crate::{domain::Event, ledger::LedgerError};

/// An event that waits to be published.
#[derive(Debug, Clone)]
pub struct OutboxRow {
    /// To delete it with.
    pub row: i64,
    /// What happened.
    pub event: Event,
}

/// Hands out events by lease. Never by a moving id: rows may commit in another order than that of their numbers.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// Claims up to `max` events for `lease`; what is not deleted by then is claimed again. No lock is held meanwhile.
    async fn claim(&self, max: usize, lease: Duration) -> Result<Vec<OutboxRow>, LedgerError>;

    /// Deletes what was published. Idempotent.
    async fn delete(&self, rows: Vec<i64>) -> Result<(), LedgerError>;

    /// Writes events that are no message's, together. `Ok` promises durability. Idempotent by the event's id for as long as
    /// the event waits: one that was published already is published again, with its id.
    async fn put(&self, events: Vec<Event>) -> Result<(), LedgerError>;

    /// Returns when there may be something to claim, at the latest after `wait`.
    async fn await_events(&self, wait: Duration);
}
