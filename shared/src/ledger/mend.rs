//! The operator's hand where a mistake concerns many messages: they are stopped, sent again, or made to be forgotten.
//!
//! Each operation is a step of bounded size that can be repeated: whoever calls it is a command that may be killed at any
//! instant, and the next one goes on where it ended.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::LedgerError;
use crate::domain::{
    ChannelName, Code, CustomerId, IncarnationId, Lane, MessageId, MessageView, Quota, RouteName, State,
    TimeZone, Timestamp,
};

/// Which messages a rule stops; all that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopFilter {
    /// Whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// On which route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteName>,
    /// By which channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelName>,
    /// In which lane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<Lane>,
    /// The customer's reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Accepted then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// How far a rule has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum StopPhase {
    /// In force; what it found waiting is being stopped.
    Sweeping = 1,
    /// In force; nothing that matches waits any more, and what comes is stopped.
    Standing = 2,
    /// No more in force; what it stopped goes back.
    Undoing = 3,
    /// No more in force; what it stopped is being cancelled.
    Committing = 4,
    /// Over.
    Ended = 5,
}

impl StopPhase {
    /// Every phase.
    pub const ALL: [Self; 5] = [Self::Sweeping, Self::Standing, Self::Undoing, Self::Committing, Self::Ended];

    /// As stores keep it.
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        self as u8
    }

    /// As stores give it back.
    #[must_use]
    pub fn from_u8(value: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_u8() == value)
    }

    /// The word used in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sweeping => "sweeping",
            Self::Standing => "standing",
            Self::Undoing => "undoing",
            Self::Committing => "committing",
            Self::Ended => "ended",
        }
    }

    /// Whether what matches is stopped now.
    #[must_use]
    pub const fn is_in_force(self) -> bool {
        matches!(self, Self::Sweeping | Self::Standing)
    }
}

/// What is known of a rule besides its number and its phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopOrder {
    /// What it stops.
    pub filter: StopFilter,
    /// Who gave it.
    pub actor: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    pub made_at: Timestamp,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Its counts when it was over: the rows they were counted from are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<StopCounts>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StopRule {
    /// Its number.
    pub number: i64,
    /// How far it has come.
    pub phase: StopPhase,
    /// What was ordered.
    #[serde(flatten)]
    pub order: StopOrder,
}

/// What a rule did, to the row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopCounts {
    /// Messages that waited when it came, and were stopped.
    pub stopped: u64,
    /// Messages that were still on the queue when it came, counted as they arrived.
    pub arrived: u64,
    /// Messages of which an attempt was under way, or that waited for a person, and that would have gone on: stopped then.
    pub came_back: u64,
    /// Messages that another rule had stopped and gave up.
    pub taken_over: u64,
    /// Of all these: stopped now.
    pub stands: u64,
    /// Of all these: gone on, since it was undone.
    pub undone: u64,
    /// Of all these: cancelled, since it was committed.
    pub cancelled: u64,
    /// Of all these: ended otherwise, by their customer or by a late word of the backend.
    pub otherwise: u64,
    /// Messages of which an attempt was under way when the rule came.
    pub in_flight: u64,
    /// How those stand, by the word of their state; `sending` is under way still.
    pub in_flight_now: BTreeMap<String, u64>,
}

/// A step of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Messages stopped.
    pub stopped: usize,
    /// Messages that were found waiting; some may have been stopped by another, or begun, meanwhile.
    pub found: usize,
    /// Where to go on; `None`: the walk came to its end.
    pub next: Option<i64>,
}

/// How a rule ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopEnd {
    /// What it stopped goes on.
    Undo,
    /// What it stopped is cancelled.
    Commit,
}

impl StopEnd {
    /// The phase of a rule that ends so.
    pub(super) const fn phase(self) -> StopPhase {
        match self {
            Self::Undo => StopPhase::Undoing,
            Self::Commit => StopPhase::Committing,
        }
    }
}

impl StopCounts {
    /// So many messages that came to be stopped in this way have this fate, as stores keep both.
    pub(super) fn add(&mut self, how: u8, fate: u8, stands: bool, messages: u64) {
        *match how {
            1 => &mut self.stopped,
            2 => &mut self.arrived,
            3 => &mut self.came_back,
            _ => &mut self.taken_over,
        } += messages;
        *match fate {
            0 if stands => &mut self.stands,
            1 => &mut self.undone,
            2 => &mut self.cancelled,
            _ => &mut self.otherwise,
        } += messages;
    }

    /// So many messages that were under way stand so; `None`: they are forgotten.
    pub(super) fn add_flight(&mut self, state: Option<State>, messages: u64) {
        self.in_flight += messages;
        let word = state.map_or("forgotten", State::as_str);
        *self.in_flight_now.entry(word.to_owned()).or_default() += messages;
    }
}

/// Which messages that ended without being delivered an operator speaks of; all that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadFilter {
    /// Whose.
    pub customer: Option<CustomerId>,
    /// On which route.
    pub route: Option<RouteName>,
    /// With which code.
    pub code: Option<Code>,
    /// Ended then or later.
    pub since: Option<Timestamp>,
    /// Ended before that.
    pub until: Option<Timestamp>,
}

/// A message that ended without being delivered.
#[derive(Debug, Clone, Serialize)]
pub struct Dead {
    /// Whose.
    #[serde(flatten)]
    pub account: crate::domain::Account,
    /// How it stands.
    #[serde(flatten)]
    pub view: MessageView,
    /// It may have been delivered all the same.
    pub possible_duplicate: bool,
    /// Its text is there still, without which it cannot be sent again.
    pub has_text: bool,
}

/// A page of them, oldest first.
#[derive(Debug, Clone, Default)]
pub struct DeadPage {
    /// Messages.
    pub dead: Vec<Dead>,
    /// Where to go on; `None`: everything was looked at.
    pub next: Option<i64>,
}

/// A customer of which messages are sent again: by which day they are charged, and within which limits.
#[derive(Debug, Clone)]
pub struct Redrive {
    /// The messages.
    pub ids: Vec<MessageId>,
    /// Whose days those are.
    pub time_zone: TimeZone,
    /// The limits in force of their customer.
    pub quotas: Vec<std::sync::Arc<Quota>>,
    /// Those too that may have been delivered.
    pub uncertain: bool,
    /// The present moment.
    pub now: Timestamp,
}

/// What became of a message that was to be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Redriven {
    /// It waits for a courier, charged again.
    Ready,
    /// A rule stopped it.
    Stopped,
    /// It is not dead (any more).
    NotDead,
    /// It may have been delivered, and that was not to be risked: it stays as it was.
    InDoubt,
    /// Its text was removed.
    NoText,
    /// A limit does not hold it: it stays as it was.
    OverQuota,
    /// Its recipient wants no messages: it stays as it was.
    OptedOut,
}

/// To whom everything is to be forgotten.
#[derive(Debug, Clone)]
pub struct Erasure {
    /// To whom messages went.
    pub recipient: String,
    /// Whose messages; `None`: everybody's.
    pub customer: Option<CustomerId>,
    /// What stands in the recipient's place.
    pub pseudonym: String,
    /// Only tell, change nothing.
    pub dry_run: bool,
    /// What was certainly not taken is cancelled first.
    pub cancel: bool,
    /// The present moment.
    pub now: Timestamp,
    /// Whether events are wanted of what is cancelled.
    pub emit: bool,
}

/// A step of an erasure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// Messages that had ended: without text and recipient now.
    pub erased: u64,
    /// Messages that were cancelled first, and are among those.
    pub cancelled: u64,
    /// Messages that have not ended: nothing of them was touched.
    pub under_way: u64,
    /// Events and callbacks that waited: without the recipient now.
    pub told: u64,
    /// Where to go on; `None`: everything was looked at.
    #[serde(skip)]
    pub next: Option<i64>,
}

/// See the module.
#[async_trait]
pub trait LedgerMends: Send + Sync + 'static {
    /// Puts a rule in force: what arrives from now on and matches is stopped, whoever takes it in.
    async fn stop(&self, order: StopOrder) -> Result<StopRule, LedgerError>;

    /// Every rule, or that one, by number.
    async fn stops(&self, number: Option<i64>) -> Result<Vec<StopRule>, LedgerError>;

    /// A mark of this moment, for [`LedgerMends::is_past`].
    async fn mark(&self) -> Result<i64, LedgerError>;

    /// Whether every change that was under way at the mark has ended: what began since knows what was in force then.
    async fn is_past(&self, mark: i64) -> Result<bool, LedgerError>;

    /// Stops up to `max` messages that wait and match, from a place on. A rule is carried out when a walk from the
    /// beginning, begun after [`LedgerMends::is_past`] of its order, finds nothing.
    async fn sweep(
        &self,
        number: i64,
        from: Option<i64>,
        max: usize,
        now: Timestamp,
    ) -> Result<Swept, LedgerError>;

    /// Writes down which messages that match are under way, besides those that were written down before.
    async fn note_flights(&self, number: i64) -> Result<(), LedgerError>;

    /// Of the messages that were under way, those that still are in that attempt: how many, and in whose hands.
    async fn flights(&self, number: i64) -> Result<Vec<(IncarnationId, u64)>, LedgerError>;

    /// The rule is carried out: nothing that matches waits. Idempotent.
    async fn stand(&self, number: i64) -> Result<(), LedgerError>;

    /// What a rule did; of one that is over, what it had done then.
    async fn stop_counts(&self, number: i64) -> Result<StopCounts, LedgerError>;

    /// A rule is no more in force, and how it ends is decided: the phase in which it is now. Repeated it changes nothing.
    async fn stop_ends(&self, number: i64, end: StopEnd) -> Result<Option<StopPhase>, LedgerError>;

    /// Lets up to `max` messages go the way that was decided; how many were looked at. Zero: none is left.
    ///
    /// Undone they wait as before, with the time given back in which they were stopped; what matches another rule in force
    /// stays stopped by that one. Committed they are `cancelled`, their charge released, with a report; of which it cannot
    /// be known whether they were taken they are `failed` as uncertain.
    async fn release(
        &self,
        number: i64,
        max: usize,
        now: Timestamp,
        emit: bool,
    ) -> Result<usize, LedgerError>;

    /// A rule of which nothing is left is over: its counts are kept, its rows go. Idempotent.
    async fn stop_over(&self, number: i64, now: Timestamp) -> Result<(), LedgerError>;

    /// Up to `max` messages that ended as `failed` or `expired`, from a place on, oldest first.
    async fn dead(&self, filter: &DeadFilter, from: Option<i64>, max: usize)
    -> Result<DeadPage, LedgerError>;

    /// Sends messages of one customer again that are dead: one answer for each, in order. Whether one is in doubt is judged here, in the
    /// transaction that sends it again, not by what a list said before.
    ///
    /// Each is charged anew, on the present day, while every matching limit holds it. Its report so far becomes an earlier
    /// one, and its next is a higher revision. Attempts are counted on; time to live begins anew.
    async fn redrive(&self, redrive: Redrive) -> Result<Vec<Redriven>, LedgerError>;

    /// Removes what is known of a recipient from messages that ended, looking at a bounded number of messages from a place
    /// on. Charges, codes, times and counts stay.
    async fn erase(&self, erasure: &Erasure, from: Option<i64>) -> Result<Erased, LedgerError>;
}
