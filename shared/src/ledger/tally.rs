//! Counting messages after the fact, for bills: from the rows themselves, so that nothing is counted on their way.

use crate::domain::{Account, ChannelName, RouteName, Timestamp};

/// Steps of time by which is counted: every time zone in use differs from UTC by a multiple of it.
pub const TALLY_STEP_MS: i64 = 900_000;

/// Which messages are counted: accepted from one moment on, until before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TallyRange {
    /// From then on.
    pub from: Timestamp,
    /// Until before then.
    pub until: Timestamp,
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Messages answered `202` that a worker has seen.
    pub submitted: u64,
    /// Of these, those that were not refused afterwards (`rejected`).
    pub accepted: u64,
    /// Those that have ended, each with a report.
    pub reported: u64,
    /// Those whose newest report was acknowledged.
    pub acknowledged: u64,
    /// Units of messages that have not ended.
    pub units_reserved: u64,
    /// Units that are to be paid for.
    pub units_captured: u64,
    /// Units given back within their period.
    pub units_released: u64,
    /// Units given back after their period had closed.
    pub units_credited: u64,
}

impl Tally {
    /// Another's counts as well.
    pub fn add(&mut self, more: &Self) {
        self.submitted += more.submitted;
        self.accepted += more.accepted;
        self.reported += more.reported;
        self.acknowledged += more.acknowledged;
        self.units_reserved += more.units_reserved;
        self.units_captured += more.units_captured;
        self.units_released += more.units_released;
        self.units_credited += more.units_credited;
    }
}

/// What was counted in one place within a step of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TallyCell {
    /// Whose.
    pub account: Account,
    /// By which channel.
    pub channel: ChannelName,
    /// On which route.
    pub route: RouteName,
    /// In which class of prices; `None`: in none.
    pub class: Option<String>,
    /// When the step began in which they were accepted.
    pub at: Timestamp,
    /// How many.
    pub tally: Tally,
}

/// What one step counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TallyPage {
    /// By place; a place may come again with another step.
    pub cells: Vec<TallyCell>,
    /// Where to go on; `None`: everything was counted.
    pub next: Option<TallyCursor>,
}

/// Where a count goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TallyCursor {
    /// Rows up to this number were counted.
    pub(in crate::ledger) row: i64,
    /// What ended then or later is left to the last step, in UTC milliseconds; 0 where rows stay where they are.
    pub(in crate::ledger) divide: i64,
}
