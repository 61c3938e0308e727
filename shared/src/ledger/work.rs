//! The workers' face: intake, take, outcome, recovery.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use super::{IntakeBatch, IntakeDone, LedgerError, RowRef};
use crate::domain::{
    Account, CustomerId, IncarnationId, Lane, Lifetime, Message, Next, Notice, QuietRules, RouteName, State,
    Timestamp,
};

/// A customer's share among others that wait: 1 to 100.
pub type Weights = Arc<dyn Fn(&CustomerId) -> u32 + Send + Sync>;

/// Customers whose messages are left to wait (they are suspended), as of the call. A set, so that an engine can hand it
/// to its query.
pub type PassedOver = Arc<BTreeSet<CustomerId>>;

/// Customers with quiet hours, as of the call.
pub type Quiet = Arc<BTreeMap<CustomerId, Arc<QuietRules>>>;

/// How the couriers of whoever takes are shared out among customers.
#[derive(Debug, Clone)]
pub struct Shares {
    /// So many attempts each may have under way while others have something ready who have fewer.
    pub each: usize,
    /// What they have under way.
    pub held: Arc<BTreeMap<CustomerId, usize>>,
    /// Of what is given, so much may go to customers beyond their share, where nobody else has anything ready.
    pub beyond: usize,
}

impl Default for Shares {
    /// Nobody has too much.
    fn default() -> Self {
        Self { each: usize::MAX, held: Arc::default(), beyond: usize::MAX }
    }
}

/// What is to go on to another route.
#[derive(Debug, Clone)]
pub struct Reroute {
    /// Where it waits.
    pub from: RouteName,
    /// Where it goes.
    pub to: RouteName,
    /// Only what was accepted by then.
    pub accepted_by: Timestamp,
    /// How many at the most.
    pub max: usize,
}

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
    /// Of whom nothing is taken.
    pub passed_over: PassedOver,
    /// How much each may be given.
    pub shares: Shares,
    /// Whose messages wait at some hours: what is found in them is put off until they end.
    pub quiet: Quiet,
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

impl Work {
    /// The time within which its attempts may begin.
    #[must_use]
    pub fn life(&self) -> Lifetime {
        let from = self.message.again.map_or(self.message.opens_at(), |again| again.at);
        Lifetime { from, until: self.expires_at }
    }

    /// The number of this attempt since the message was last begun anew: what a route's limit counts.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.attempt.saturating_sub(self.message.again.map_or(0, |again| again.after))
    }
}

/// The answer to a take.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// Now `sending` in the taker's name, in the order in which to start them.
    pub work: Vec<Work>,
    /// Rows that were found expired and ended.
    pub expired: usize,
    /// Whether the route had more that is ready, of customers who are not passed over.
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
    /// It was late and said `delivered`: it settled a waiting message, or corrected a failed one by a new revision. Or it was a
    /// report of a message that had ended for want of one.
    Corrected,
    /// It was late and said nothing better than what is known: kept as evidence.
    Evidence,
    /// The row is not there.
    Unknown,
}

/// What a notice speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpokenOf {
    /// The message.
    pub row: RowRef,
    /// The attempt that it speaks of: the fence. Of what was sent again, a word about an earlier time names an earlier attempt.
    pub attempt: u32,
    /// How it stands.
    pub state: State,
}

/// A notice that is kept, since nothing is known of its message yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedNotice {
    /// The route whose provider told it.
    pub route: RouteName,
    /// What it told.
    pub notice: Notice,
    /// Since when it is kept.
    pub since: Timestamp,
    /// Until when it is kept.
    pub until: Timestamp,
}

impl ParkedNotice {
    /// When it is looked at again.
    pub(super) fn look_at(&self, now: Timestamp) -> Timestamp {
        let age = u64::try_from(now.as_millis() - self.since.as_millis()).unwrap_or(0);
        now.plus(Duration::from_millis(age.clamp(1_000, 60_000)))
    }

    /// Its text, and the digest by which the same one is told.
    pub(super) fn written(&self) -> (String, String) {
        let text = serde_json::to_string(&self.notice).unwrap_or_default();
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
        (text, digest)
    }
}

/// What the sweeper woke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Woken {
    /// Rows whose time had come, now `ready`.
    pub ready: usize,
    /// Rows whose time was over, ended.
    pub expired: usize,
}

/// How long what has ended is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// For how long after its acceptance a message's id stays known, at the least.
    pub horizon: Duration,
    /// For how long after its end a message's text and recipient are kept.
    pub texts: Duration,
}

/// What was let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forgotten {
    /// Messages that are unknown from now on.
    pub removed: usize,
    /// Messages without their text and recipient from now on.
    pub masked: usize,
    /// Whether the step ended before it had looked at everything that is old enough.
    pub more: bool,
}

/// What differs between engines, in words that matter to callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// `None`: each message is forgotten by itself, when its time has come. Else many are forgotten together, in one step
    /// whatever its size, when the time of all of them has come: the first of them at most so long after its own.
    pub forgets_together: Option<Duration>,
    /// How long transactions under load had better be apart, so that each serves more. Zero if the engine gathers by itself.
    pub pace: Duration,
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
    /// What this engine does in its own way.
    fn capabilities(&self) -> Capabilities;

    /// Records a group, in one transaction: new ids with their charge, refusals with their reports.
    ///
    /// `Ok` promises that it is durable. Idempotent for the same token. Charges are exact: units are reserved only
    /// while every matching quota holds them, in the order of the entries; else the message is `rejected`.
    async fn intake(&self, batch: IntakeBatch) -> Result<IntakeDone, LedgerError>;

    /// Takes up to `max` ready rows: customers by weighted turns, `express` before `bulk` without starving it.
    /// What has expired is ended on the way, and what would begin in quiet hours is `scheduled` until they end.
    ///
    /// While anybody has something ready who holds less than its share, nobody is given more than its own; beyond that, at most
    /// `shares.beyond` rows.
    ///
    /// What customers have waiting who are passed over is not read, however much it is, and holds up nobody else.
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

    /// Ready rows go on to another route: customers in turn, `express` before `bulk`, only those of which no attempt can have been
    /// taken. Both routes' backlogs and the timeline of each row tell it; its charge and its number of attempts stay. Says how
    /// many. What another holds is passed over.
    async fn reroute(&self, order: Reroute, now: Timestamp) -> Result<usize, LedgerError>;

    /// How much each account has ready on a route's lane, counted among the first `max` rows.
    async fn ready(
        &self,
        route: &RouteName,
        lane: Lane,
        max: usize,
    ) -> Result<Vec<(Account, u64)>, LedgerError>;

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

    /// Which attempts notices of a route's provider speak of; one answer for each, in order. What the provider's own id names comes
    /// before what ours names, and of several the newest; messages of other routes are not found. What has ended is found as long as it
    /// is known.
    ///
    /// A message that was sent again is found by what it was called before as well, on the route over which it went then. The
    /// answer then names an attempt of that time, so that the word is a late one; so does an id of ours that is not the key by which the
    /// backend knows it now. While a later attempt of one time is under way the answer names the one before: the word may be about either.
    async fn spoken_of(
        &self,
        route: &RouteName,
        notices: &[Notice],
    ) -> Result<Vec<Option<SpokenOf>>, LedgerError>;

    /// Keeps notices of which nothing is known yet until a moment; one answer for each: whether it is kept. Of a route at most `most` are.
    /// The same notice is kept once.
    async fn park(
        &self,
        notices: Vec<ParkedNotice>,
        now: Timestamp,
        most: u64,
    ) -> Result<Vec<bool>, LedgerError>;

    /// Up to `max` notices that are kept and due to be looked at, each handed out again only after as long as it has been kept, but at
    /// least a second and at most a minute.
    async fn parked(&self, now: Timestamp, max: usize) -> Result<Vec<ParkedNotice>, LedgerError>;

    /// Keeps them no more. Idempotent.
    async fn unpark(&self, notices: Vec<ParkedNotice>) -> Result<(), LedgerError>;

    /// Returns `true` when a row is due by time (see [`Ledger::wake`], [`Ledger::due_reports`]), at once if one is; `false`
    /// after `wait`. What this process makes due earlier meanwhile counts; what another does is seen with the next call.
    async fn await_due(&self, now: Timestamp, wait: Duration) -> bool;

    /// Returns `true` when the route may have something ready of customers who are not passed over, at once if it has;
    /// `false` after `wait`. What another process made ready is seen with the next call.
    async fn await_ready(&self, route: &RouteName, passed_over: &PassedOver, wait: Duration) -> bool;

    /// What waits, by route, lane and account.
    async fn waiting(&self) -> Result<Vec<Waiting>, LedgerError>;

    /// Lets go of what was kept long enough, in one small step that looks at up to `max` messages (twice: at their age and at
    /// their texts'). Called again and again, it comes by everything; `Forgotten` says whether more is waiting now.
    ///
    /// Removed is what has ended, was accepted more than `keep.horizon` ago, and whose report was read or lies as long ago:
    /// its id is unknown from then on. Of what ended more than `keep.texts` ago the text is removed and the recipient
    /// masked; everything else of it stays. Neither changes what [`LedgerReads::used`](super::LedgerReads::used) says of
    /// any period, and what has not ended is never touched.
    async fn forget(&self, now: Timestamp, keep: Keep, max: usize) -> Result<Forgotten, LedgerError>;

    /// When the copy was made that was restored, the latest if there were several: what was accepted before that moment
    /// and is new to the ledger lay on the queue of the copy, and may have been sent after it was made.
    async fn restored_before(&self) -> Result<Option<Timestamp>, LedgerError>;
}
