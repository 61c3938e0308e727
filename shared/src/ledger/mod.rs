//! The port `ledger`: the relational database of truth, where everything waits.
//!
//! Three faces of one engine, so that nobody holds more than it needs: [`Ledger`] for workers, [`LedgerReads`] for
//! ingress (a narrow role and a small pool), [`LedgerDesk`] for the operator.

mod sqlite;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::domain::{
    Account, Code, CustomerId, Day, IncarnationId, IntakeToken, Lane, Message, MessageId, MessageView, Next,
    Quota, Report, RouteName, State, Timestamp,
};
pub(crate) use sqlite::MIGRATIONS;
pub use sqlite::{RESTORED_BEFORE, SqliteLedger, mark_restored};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// What the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The engine is away, or its disk is full. Whether the change took effect is not known: try the same call again.
    #[error("the ledger is not available")]
    Unavailable(#[source] Source),
    /// The data itself was refused (a data or constraint error) and nothing of the call changed: find the row by
    /// bisection.
    #[error("the ledger cannot digest what it was given")]
    Indigestible(#[source] Source),
}

/// A row of the ledger: the id, and the number by which the engine finds it fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowRef {
    /// The engine's own number.
    pub row: i64,
    /// The message.
    pub id: MessageId,
}

/// What intake decided about a message before the ledger sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Waits for a courier.
    Ready,
    /// A courier of this process is free: its first attempt begins at once (`sending`, attempt 1).
    Start,
    /// Waits until its `send_at`.
    Schedule,
    /// Restored from a copy, may have been sent: waits for a person.
    Hold(Code),
    /// Ends here, refused; never charged.
    Finish(State, Code),
}

/// One message of an intake.
#[derive(Debug, Clone)]
pub struct IntakeEntry {
    /// Whose.
    pub account: Account,
    /// Where it goes.
    pub route: RouteName,
    /// How soon.
    pub lane: Lane,
    /// The day of its charge, in the customer's time zone.
    pub day: Day,
    /// What was decided.
    pub disposition: Disposition,
    /// The message; `Arc`, since the courier that starts it keeps it too.
    pub message: Arc<Message>,
}

/// A group of messages recorded in one transaction.
#[derive(Debug, Clone)]
pub struct IntakeBatch {
    /// Marks the rows, so that a second call after a lost answer knows its own. Another batch, another token.
    pub token: IntakeToken,
    /// Who starts what is started.
    pub incarnation: IncarnationId,
    /// The present moment.
    pub now: Timestamp,
    /// Whether events are wanted of what ends here.
    pub emit: bool,
    /// The messages; an id may come twice.
    pub entries: Vec<IntakeEntry>,
    /// The limits in force of every customer in the batch that has any.
    pub quotas: Vec<Arc<Quota>>,
}

/// What became of one message of an intake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntakeVerdict {
    /// It is new (or a row of this very token) and stands in this state. Units are reserved unless it ended.
    Recorded(RowRef, State),
    /// It was known, with the same fingerprint: nothing changed.
    Duplicate,
    /// It was known with another fingerprint: nothing changed; tell the operator.
    Conflict,
    /// It was cancelled before it came: recorded as `cancelled`, with a report, not charged.
    Cancelled,
}

/// How much of a limit is used, as of an intake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaUse {
    /// The limit.
    pub quota: Arc<Quota>,
    /// The day as of which it was read.
    pub day: Day,
    /// Units of this quota that the intake saw, whether charged or refused.
    pub seen: u64,
    /// Units reserved or captured in the period.
    pub used: u64,
}

/// The result of an intake.
#[derive(Debug, Clone, Default)]
pub struct IntakeDone {
    /// One for each entry, in order.
    pub verdicts: Vec<IntakeVerdict>,
    /// For every quota of every live account of the batch.
    pub used: Vec<QuotaUse>,
}

/// A customer's share among others that wait: 1 to 100.
pub type Weights = Arc<dyn Fn(&CustomerId) -> u32 + Send + Sync>;

/// What a worker asks to be given.
#[derive(Clone)]
pub struct TakeRequest {
    /// Of which route.
    pub route: RouteName,
    /// Who takes it.
    pub incarnation: IncarnationId,
    /// How many at the most.
    pub max: usize,
    /// The present moment.
    pub now: Timestamp,
    /// Whether events are wanted of what is found expired.
    pub emit: bool,
    /// The customers' shares.
    pub weights: Weights,
}

/// A message in the hands of a courier.
#[derive(Debug, Clone)]
pub struct Work {
    /// Its row.
    pub row: RowRef,
    /// Whose.
    pub account: Account,
    /// Where it goes.
    pub route: RouteName,
    /// How soon.
    pub lane: Lane,
    /// The number of this attempt, from 1: the fence.
    pub attempt: u32,
    /// An earlier attempt may have been taken by the backend.
    pub possible_duplicate: bool,
    /// The last moment at which an attempt may begin.
    pub expires_at: Timestamp,
    /// What the backend calls it, once it told.
    pub backend_id: Option<String>,
    /// The message.
    pub message: Arc<Message>,
}

/// The answer to a take.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// Now `sending` in the taker's name, in the order in which to start them.
    pub work: Vec<Work>,
    /// Rows that were found expired and ended.
    pub expired: usize,
    /// Whether the route had more that is ready.
    pub more: bool,
}

/// The end of an attempt, or a late word about one.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The message.
    pub row: RowRef,
    /// Which attempt it speaks of: the fence.
    pub attempt: u32,
    /// What becomes of the message if the attempt is still the current one.
    pub next: Next,
}

/// What a settlement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It was of the current attempt, and is in force.
    Applied,
    /// It was late and said `delivered`: it settled a waiting message, or corrected a failed one by a new revision.
    Corrected,
    /// It was late and said nothing better than what is known: kept as evidence.
    Evidence,
    /// The row is not there.
    Unknown,
}

/// What the sweeper woke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Woken {
    /// Rows whose time had come, now `ready`.
    pub ready: usize,
    /// Rows whose time was over, ended.
    pub expired: usize,
}

/// How much of a customer waits on a route's lane (`ready`, `scheduled`, `retrying`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Where.
    pub route: RouteName,
    /// In which lane.
    pub lane: Lane,
    /// Whose.
    pub account: Account,
    /// Messages.
    pub messages: u64,
}

/// The workers' face: intake, take, outcome, recovery.
///
/// Locks are taken in one order: messages by id, then usage rows by customer, last.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Records a group, in one transaction: new ids with their charge, refusals with their reports.
    ///
    /// `Ok` promises that it is durable. Idempotent for the same token. Charges are exact: units are reserved only
    /// while every matching quota holds them, in the order of the entries; else the message is `rejected`.
    async fn intake(&self, batch: IntakeBatch) -> Result<IntakeDone, LedgerError>;

    /// Takes up to `max` ready rows: customers by weighted turns, `express` before `bulk` without starving it.
    /// What has expired is ended on the way.
    async fn take(&self, request: TakeRequest) -> Result<Taken, LedgerError>;

    /// Commits outcomes, in one transaction: state, charge, report, outbox row, fenced by the attempt's number.
    /// One answer for each, in order. Idempotent. A later truth is a new revision.
    async fn settle(
        &self,
        batch: Vec<Settlement>,
        now: Timestamp,
        emit: bool,
    ) -> Result<Vec<Settled>, LedgerError>;

    /// Gives rows back whose attempt was taken and never begun: `ready` again, the attempt not counted.
    async fn give_back(&self, rows: Vec<(RowRef, u32)>) -> Result<(), LedgerError>;

    /// Says that this incarnation lives; its first beat makes its row.
    async fn beat(&self, incarnation: IncarnationId) -> Result<(), LedgerError>;

    /// Every incarnation that has a row, with a number that changes with each beat.
    async fn incarnations(&self) -> Result<Vec<(IncarnationId, i64)>, LedgerError>;

    /// Up to `max` rows that this (dead) incarnation left in `sending`; they stay so until settled.
    async fn lost(&self, incarnation: IncarnationId, max: usize) -> Result<Vec<Work>, LedgerError>;

    /// Forgets an incarnation that holds nothing any more; `false` if it still holds rows. Idempotent.
    async fn bury(&self, incarnation: IncarnationId) -> Result<bool, LedgerError>;

    /// Makes ready what is due, ends what has expired, up to `max` rows. Says in `Woken` how many.
    async fn wake(&self, now: Timestamp, max: usize, emit: bool) -> Result<Woken, LedgerError>;

    /// Up to `max` `sent` rows whose report is due, each handed out again only after `lease`.
    async fn due_reports(
        &self,
        now: Timestamp,
        max: usize,
        lease: Duration,
    ) -> Result<Vec<Work>, LedgerError>;

    /// Returns when the route may have something ready, at the latest after `wait`.
    async fn await_ready(&self, route: &RouteName, wait: Duration);

    /// What waits, by route, lane and account.
    async fn waiting(&self) -> Result<Vec<Waiting>, LedgerError>;

    /// When the copy was made that was restored, the latest if there were several: what was accepted before that moment
    /// and is new to the ledger lay on the queue of the copy, and may have been sent after it was made.
    async fn restored_before(&self) -> Result<Option<Timestamp>, LedgerError>;
}

/// What became of a call to cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancelled {
    /// It is cancelled; this is how it stands.
    Done(Box<MessageView>),
    /// No worker has seen it: a tombstone stands, and it will be cancelled when it comes.
    Tombstone,
    /// It was, or may have been, taken: this is how it stands.
    TooLate(Box<MessageView>),
}

/// Ingress's face: what a customer may ask of its own.
#[async_trait]
pub trait LedgerReads: Send + Sync + 'static {
    /// How a message of this account stands; `None` if no worker has seen it (or it is another's).
    async fn view(&self, account: &Account, id: MessageId) -> Result<Option<MessageView>, LedgerError>;

    /// Unread reports, oldest first, up to `limit`, each handed out again after `lease`; and whether there are more.
    /// Waits up to `wait` for the first.
    async fn reports(
        &self,
        account: &Account,
        limit: usize,
        wait: Duration,
        lease: Duration,
    ) -> Result<(Vec<Report>, bool), LedgerError>;

    /// Marks revisions as read; how many were unread until now. A newer revision stays unread. Idempotent.
    async fn acknowledge(
        &self,
        account: &Account,
        reports: Vec<(MessageId, u32)>,
    ) -> Result<usize, LedgerError>;

    /// Cancels what was certainly not taken and is not under way.
    async fn cancel(
        &self,
        account: &Account,
        id: MessageId,
        now: Timestamp,
        emit: bool,
    ) -> Result<Cancelled, LedgerError>;

    /// Units reserved or captured under this quota in the period of `day`.
    async fn used(&self, quota: &Quota, day: Day) -> Result<u64, LedgerError>;
}

/// Which messages an operator looks for; all that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Whose.
    pub customer: Option<CustomerId>,
    /// To whom.
    pub recipient: Option<String>,
    /// The customer's reference.
    pub reference: Option<String>,
    /// The customer's idempotency key.
    pub key: Option<String>,
    /// On which route.
    pub route: Option<RouteName>,
    /// In which state.
    pub state: Option<State>,
    /// At the most.
    pub limit: usize,
}

/// One message as the operator sees it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Dossier {
    /// Whose.
    #[serde(flatten)]
    pub account: Account,
    /// How it stands.
    #[serde(flatten)]
    pub view: MessageView,
    /// Attempts and late words worth keeping, oldest first.
    pub attempts_log: Vec<AttemptNote>,
    /// Reports that a later revision replaced, oldest first.
    pub earlier_reports: Vec<Report>,
}

/// What is remembered of an attempt that was not simply the first and the last.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AttemptNote {
    /// Its number.
    pub attempt: u32,
    /// When it was written down.
    pub at: Timestamp,
    /// What it came to, in a word.
    pub outcome: String,
    /// The backend's words.
    pub detail: String,
    /// It came after the message had moved on.
    pub late: bool,
}

/// How a person decides about a message of which it cannot be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// It arrived: charged.
    Delivered,
    /// It did not: released.
    Failed,
    /// Send it again, labelled as a possible duplicate.
    Retry,
}

/// What waits on a route's lane, and since when.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LaneStatus {
    /// Where.
    pub route: RouteName,
    /// In which lane.
    pub lane: Lane,
    /// In which state.
    pub state: State,
    /// Messages.
    pub messages: u64,
    /// When the oldest of them was accepted.
    pub oldest: Option<Timestamp>,
}

/// The operator's face.
#[async_trait]
pub trait LedgerDesk: Send + Sync + 'static {
    /// Everything about a message.
    async fn dossier(&self, id: MessageId) -> Result<Option<Dossier>, LedgerError>;

    /// Messages that match, newest first.
    async fn find(&self, search: Search) -> Result<Vec<(Account, MessageView)>, LedgerError>;

    /// Decides about `held` messages; those that were held and are decided now.
    async fn resolve(
        &self,
        ids: Vec<MessageId>,
        resolution: Resolution,
        now: Timestamp,
        emit: bool,
    ) -> Result<Vec<MessageId>, LedgerError>;

    /// Counts of what has not ended, by route, lane and state.
    async fn lanes(&self) -> Result<Vec<LaneStatus>, LedgerError>;

    /// Proves that used units equal what is reserved or captured; customers for which they do not.
    async fn audit_usage(&self) -> Result<Vec<CustomerId>, LedgerError>;
}
