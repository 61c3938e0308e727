//! The port `watch`: what an operator keeps an eye on. It lies in the ledger's database: what came and what ended lately, what has
//! waited longest, and which alarms are raised. Nothing of it decides about a message.

mod postgres;
mod sqlite;

use std::time::Duration;

use async_trait::async_trait;
pub(crate) use postgres::{FLOW, FORGET_FLOW, NOTE, NOTE_LAST, OLDEST_READY, OLDEST_RETRYING};

use crate::{
    domain::{CustomerId, Event, Lane, RouteName, State, Timestamp},
    ledger::LedgerError,
};

/// Steps of time in which what came and ended is counted, in milliseconds.
pub const STEP_MS: i64 = 10_000;

/// How long these counts are kept: no window of an alarm is longer.
pub const FLOW_KEPT: Duration = Duration::from_secs(3_600);

/// How long without anybody who looks at alarms is a gap: nobody knows whether nothing came meanwhile.
const GAP: Duration = Duration::from_secs(300);

/// Messages that came and ended, of live accounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Flow {
    /// Recorded by intake.
    pub taken_in: u64,
    /// Ended as `delivered`, corrections included.
    pub delivered: u64,
    /// Ended as `failed` or `expired`: by a backend's word, by time, or in doubt.
    pub failed: u64,
    /// Ended as `rejected` or `cancelled`: no backend has to do with it.
    pub other: u64,
}

impl Flow {
    /// Another's counts as well.
    pub fn add(&mut self, more: &Self) {
        self.taken_in += more.taken_in;
        self.delivered += more.delivered;
        self.failed += more.failed;
        self.other += more.other;
    }

    /// One ended in this state.
    pub(crate) const fn end(&mut self, state: State) {
        match state {
            State::Delivered => self.delivered += 1,
            State::Failed | State::Expired => self.failed += 1,
            _ => self.other += 1,
        }
    }

    /// Outcomes that backends answer for.
    #[must_use]
    pub const fn outcomes(&self) -> u64 {
        self.delivered + self.failed
    }
}

/// What came and ended of a customer on a route within a step of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowStep {
    /// When the step began.
    pub at: Timestamp,
    /// Where.
    pub route: RouteName,
    /// Whose.
    pub customer: CustomerId,
    /// How many.
    pub flow: Flow,
}

/// When something last came of a customer on a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastCame {
    /// Where.
    pub route: RouteName,
    /// Whose.
    pub customer: CustomerId,
    /// When intake recorded it.
    pub at: Timestamp,
}

/// What has waited longest of a customer on a route's lane.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Oldest {
    /// Where.
    pub route: RouteName,
    /// In which lane.
    pub lane: Lane,
    /// Whose.
    pub customer: CustomerId,
    /// When it could first have been sent: its acceptance, or its `send_at`.
    pub since: Timestamp,
}

/// An alarm that is raised.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Raised {
    /// Which.
    pub alarm: String,
    /// About what: `route/carrier-a`.
    pub subject: String,
    /// Since when.
    pub raised_at: Timestamp,
    /// Since when what it is about is well again; `None`: it is not.
    pub calm_since: Option<Timestamp>,
    /// What was seen when it was raised.
    pub data: serde_json::Value,
}

/// What becomes of an alarm.
#[derive(Debug, Clone)]
pub enum AlarmChange {
    /// It is raised, unless it is already.
    Raise(Raised, Event),
    /// What it is about is well, or not (`None`).
    Calm(Raised, Option<Timestamp>),
    /// It is cleared, if it is still the one that was raised then.
    Clear(Raised, Event),
}

/// What an operator keeps an eye on.
#[async_trait]
pub trait Watch: Send + Sync + 'static {
    /// Writes down what commits of this process brought and ended since the last call; whether there was anything. Counts of a call
    /// that fails are written by the next.
    async fn note_flow(&self) -> Result<bool, LedgerError>;

    /// What came and ended since a moment, of all processes, as far as they wrote it; the oldest first.
    async fn flow(&self, since: Timestamp) -> Result<Vec<FlowStep>, LedgerError>;

    /// When something last came, for each customer on each route of whom anything ever came.
    async fn last_came(&self) -> Result<Vec<LastCame>, LedgerError>;

    /// What has waited longest to be sent, by route, lane and customer: what is ready, and what is tried again. Of each one
    /// look at an index; of what is tried again the first ten thousand in the order of their next attempts.
    async fn oldest(&self) -> Result<Vec<Oldest>, LedgerError>;

    /// Takes the turn to look at alarms for so long, unless another has it: since when somebody has looked without a gap.
    /// Forgets counts whose time is over.
    async fn take_turn(&self, period: Duration) -> Result<Option<Timestamp>, LedgerError>;

    /// Alarms that are raised.
    async fn raised(&self) -> Result<Vec<Raised>, LedgerError>;

    /// Writes changes, each with its event if `emit` says that events are wanted, in one transaction. Those that took effect:
    /// nothing is raised twice, and what is cleared must be the one that was raised.
    async fn change(&self, changes: Vec<AlarmChange>, emit: bool) -> Result<Vec<AlarmChange>, LedgerError>;
}

/// The step of time in which a moment lies.
const fn step(at: Timestamp) -> i64 {
    at.as_millis() / STEP_MS * STEP_MS
}
