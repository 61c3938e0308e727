//! The port `denials`: how many calls were denied, of whom and why, kept for a while for the operator.
//!
//! Processes count in memory and write once a minute what they counted, beside the calls. Counts are bounded where they are made,
//! so that whoever is denied a million times makes no more rows than who is denied once.

mod postgres;
mod sqlite;

use std::time::Duration;

use async_trait::async_trait;
pub(crate) use sqlite::TABLE;

use crate::{domain::Timestamp, ledger::LedgerError};

/// How long counts are kept.
pub const KEPT: Duration = Duration::from_secs(14 * 24 * 3_600);

/// Rows that are kept at the most: beyond them the oldest go, however young.
pub const MOST: u64 = 200_000;

/// Rows that go in one step.
pub(crate) const TOGETHER: usize = 5_000;

/// So many calls were denied.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Denied {
    /// Whose credential was named, or a word in brackets, which no customer's name has: `(unknown)`, `(others)`.
    pub customer: String,
    /// The problem's code.
    pub code: String,
    /// How often.
    pub times: u64,
}

/// What a process counted, to be kept once however often it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Up to when: the end of a minute of that process.
    pub at: Timestamp,
    /// Which process, by a name that no other has.
    pub process: String,
    /// The counts.
    pub denied: Vec<Denied>,
}

/// Which counts an operator asks for; all that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct DenialSearch {
    /// Whose, or a word in brackets.
    pub customer: Option<String>,
    /// With which code.
    pub code: Option<String>,
    /// Counted then or later.
    pub since: Option<Timestamp>,
}

/// Counts of a minute, of all processes together.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DeniedMinute {
    /// The minute in which they were written; what they count came within the minute before that moment.
    pub minute: Timestamp,
    /// What.
    #[serde(flatten)]
    pub denied: Denied,
}

/// Keeps counts of denials.
#[async_trait]
pub trait Denials: Send + Sync + 'static {
    /// Adds what was counted. `Ok` promises durability; repeated, it adds nothing.
    async fn add(&self, counted: Counted) -> Result<(), LedgerError>;

    /// Counts that match, the latest minutes first, up to `max`.
    async fn denied(&self, search: DenialSearch, max: usize) -> Result<Vec<DeniedMinute>, LedgerError>;

    /// Forgets counts from before a moment, and beyond `most` the oldest, a bounded number at once; whether more are left that go.
    async fn forget_denied(&self, before: Timestamp, most: u64) -> Result<bool, LedgerError>;
}
