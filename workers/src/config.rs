//! Settings of the workers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of the workers; every one has a default that works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkersConfig {
    /// How long a process may be silent before what it holds is taken for lost, in milliseconds. Every attempt's time-out
    /// must be shorter.
    pub lease_ms: u64,
    /// The most messages that intake records in one transaction.
    pub intake_group: usize,
    /// The most rows that a route's couriers take in one transaction.
    pub take_group: usize,
    /// The most outcomes in one commit.
    pub settle_group: usize,
    /// Outcomes that may wait for the next commit.
    pub settle_backlog: usize,
    /// The most events that are published together.
    pub relay_group: usize,
    /// How often the sweeper looks for what is due, in milliseconds.
    pub sweep_ms: u64,
    /// How long an idle loop waits before it asks again unasked, in milliseconds.
    pub poll_ms: u64,
    /// How long a loop may make no progress before it is replaced, in milliseconds.
    pub stuck_ms: u64,
    /// How long a report is waited for before the message ends as `expired`, in milliseconds; counted from the last moment
    /// at which an attempt could begin.
    pub report_window_ms: u64,
    /// Consecutive attempts that were not taken, or uncertain, after which a route's attempts pause.
    pub breaker_failures: u32,
}

impl Default for WorkersConfig {
    fn default() -> Self {
        Self {
            lease_ms: 30_000,
            intake_group: 512,
            take_group: 256,
            settle_group: 512,
            settle_backlog: 4_096,
            relay_group: 256,
            sweep_ms: 500,
            poll_ms: 1_000,
            stuck_ms: 60_000,
            report_window_ms: 72 * 3_600_000,
            breaker_failures: 20,
        }
    }
}

impl WorkersConfig {
    pub(crate) const fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    pub(crate) const fn sweep(&self) -> Duration {
        Duration::from_millis(self.sweep_ms)
    }

    pub(crate) const fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }

    pub(crate) const fn stuck(&self) -> Duration {
        Duration::from_millis(self.stuck_ms)
    }

    pub(crate) const fn report_window(&self) -> Duration {
        Duration::from_millis(self.report_window_ms)
    }
}
