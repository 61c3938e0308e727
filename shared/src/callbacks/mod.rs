//! The port `callbacks`: events on their way to customers' webhooks. They wait in the ledger's database, so that no queue's
//! visibility decides when they come again.

mod book;
mod postgres;
mod sqlite;

pub(crate) use postgres::{
    AGAIN, CLAIM_OF_OTHERS, CLAIM_OF_THESE, EARLIEST_OF_OTHERS, EARLIEST_OF_THESE, FORGET, GIVE_UP, KNOWN,
};

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    domain::{Timestamp, WebhookId},
    ledger::LedgerError,
};

/// An event for a webhook.
#[derive(Debug, Clone)]
pub struct NewCallback {
    /// Which webhook.
    pub webhook: WebhookId,
    /// The event's id.
    pub event: String,
    /// The event as it is posted.
    pub body: String,
}

/// What became of an event that was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It waits, and is due at once.
    New,
    /// It waits already.
    Known,
    /// As many wait for the webhook as may: it is not kept, and counted.
    Full,
}

/// What a call of [`Callbacks::put`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Put {
    /// For each event, in order.
    pub written: Vec<Written>,
    /// The webhooks for which something was not kept for the first time since they had room.
    pub newly_full: Vec<WebhookId>,
}

/// Among the rows of which webhooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Among {
    /// These, each so many at the most.
    Only(Vec<(WebhookId, usize)>),
    /// All but these, each so many at the most; those behind `after` go first, so that all have their turn.
    Others {
        /// Not these.
        except: Vec<WebhookId>,
        /// The most of one webhook.
        each: usize,
        /// The last that had its turn.
        after: Option<WebhookId>,
    },
}

/// A callback in the hands of who makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// To settle it with.
    pub row: i64,
    /// Which webhook.
    pub webhook: WebhookId,
    /// The event's id.
    pub event: String,
    /// The event as it is posted.
    pub body: String,
    /// Which attempt this is, from 1: the fence.
    pub attempt: u32,
    /// When it was written.
    pub first_at: Timestamp,
}

/// What becomes of a callback after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The target took it: it is forgotten, whoever has it in hand meanwhile.
    Delivered,
    /// It failed and is due again then.
    Again(Timestamp),
    /// It failed for the last time and is forgotten; counted.
    GivenUp,
}

/// An attempt that has ended.
#[derive(Debug, Clone)]
pub struct CallbackEnd {
    /// Which row.
    pub row: i64,
    /// Of which webhook.
    pub webhook: WebhookId,
    /// Which attempt.
    pub attempt: u32,
    /// What becomes of it.
    pub fate: Fate,
    /// What the target answered, in a few words.
    pub answer: String,
}

/// How a webhook fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackState {
    /// Which webhook.
    pub webhook: WebhookId,
    /// Events that wait for it.
    pub waiting: u64,
    /// Events that were given up, so far.
    pub given_up: u64,
    /// Events that were not kept because too many waited, so far.
    pub not_kept: u64,
    /// The first failure since the last success.
    pub failing_since: Option<Timestamp>,
    /// When the last attempt ended.
    pub last_at: Option<Timestamp>,
    /// What came of it.
    pub last_answer: Option<String>,
}

/// What waits for all webhooks together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Events, those in somebody's hands among them.
    pub waiting: u64,
    /// When the one that waits longest was written, give or take what was written at the same moment.
    pub oldest: Option<Timestamp>,
}

/// Hands out events for webhooks by lease. Ids of rows are never used to go on from: rows may commit in another order.
#[async_trait]
pub trait Callbacks: Send + Sync + 'static {
    /// Writes events, due at once, at most `bound` waiting for one webhook. Idempotent while an event waits. `Ok` promises
    /// durability.
    async fn put(&self, events: Vec<NewCallback>, bound: u64) -> Result<Put, LedgerError>;

    /// Claims up to `max` that are due for `lease`; what is not settled by then is claimed again, as its next attempt. No lock
    /// is held meanwhile.
    async fn claim(&self, among: &Among, max: usize, lease: Duration) -> Result<Vec<Callback>, LedgerError>;

    /// Says how attempts ended; for each, in order, since when its webhook has been failing (`None`: its last attempt
    /// succeeded). Of an attempt that is not the last one of its row only a delivery counts. Idempotent.
    async fn settle(&self, ends: Vec<CallbackEnd>) -> Result<Vec<Option<Timestamp>>, LedgerError>;

    /// Gives up to `max` events of a webhook up, whoever has them in hand; how many there were.
    async fn give_up(&self, webhook: &WebhookId, max: usize) -> Result<usize, LedgerError>;

    /// Returns when there may be something to claim among these, at the latest after `wait`.
    async fn await_due(&self, among: &[Among], wait: Duration);

    /// How these webhooks fare; nothing is said of one that never had an event.
    async fn states(&self, webhooks: &[WebhookId]) -> Result<Vec<CallbackState>, LedgerError>;

    /// How much waits. Reads a row for each webhook that something waits for, never each event.
    async fn backlog(&self) -> Result<Backlog, LedgerError>;
}
