//! What an intake brings to the ledger, and what it is told.

use std::{sync::Arc, time::Duration};

use super::RowRef;
use crate::domain::{
    Account, Code, Day, IncarnationId, IntakeToken, Lane, Message, PriceClass, Quota, RouteName, State,
    Timestamp,
};

/// What intake decided about a message before the ledger sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Waits for a courier.
    Ready,
    /// A courier of this process is free: its first attempt begins at once (`sending`, attempt 1).
    Start,
    /// Waits until its `send_at`.
    Schedule,
    /// Waits until quiet hours end, at that moment.
    Quiet(Timestamp),
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
    /// The class of prices that holds for it.
    pub class: Option<PriceClass>,
    /// Quiet hours within its time, which do not count.
    pub quiet: Duration,
    /// The message; `Arc`, since the courier that starts it keeps it too.
    pub message: Arc<Message>,
}

impl IntakeEntry {
    /// The last moment at which an attempt may begin.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.message.expires_at(self.lane).plus(self.quiet)
    }
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
