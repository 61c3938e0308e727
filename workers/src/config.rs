//! Settings of the workers.

use std::{collections::BTreeMap, time::Duration};

use naru_shared::{domain::ChannelName, ledger::Keep};
use serde::{Deserialize, Serialize};

/// A day.
const DAY_MS: u64 = 86_400_000;

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
    /// How long the sweeper sleeps at the most, in milliseconds; what is due wakes it before.
    pub sweep_ms: u64,
    /// How long an idle loop waits before it asks again unasked, in milliseconds.
    pub poll_ms: u64,
    /// How long a loop may make no progress before it is replaced, in milliseconds.
    pub stuck_ms: u64,
    /// How long a report is waited for before the message ends as `expired`, in milliseconds: from when an HTTP backend took it, else
    /// from the last moment at which an attempt could begin. A channel and a route may say it otherwise.
    pub report_window_ms: u64,
    /// Reports of providers of one route that may wait for their messages to be known; later ones are told as unmatched.
    pub early_reports: u64,
    /// How long such a report waits, in milliseconds.
    pub early_report_ms: u64,
    /// Consecutive attempts that were not taken, or uncertain, after which a route's attempts pause.
    pub breaker_failures: u32,
    /// How long a message is known after its acceptance, in milliseconds: so long the same key gives the same message. It is
    /// then removed once it has ended and its report was read, or is as old.
    pub horizon_ms: u64,
    /// How long after its end a message's text and recipient are kept, in milliseconds.
    pub texts_ms: u64,
    /// How often one of the workers looks whether an alarm is to be raised or cleared, in milliseconds.
    pub alarm_ms: u64,
    /// Calls of webhooks under way at once in this process.
    pub webhook_calls: usize,
    /// Of those, the most of one webhook whose last call was taken quickly; any other has one.
    pub webhook_calls_each: usize,
    /// Events that may wait for one webhook; later ones are not kept for it.
    pub webhook_waiting: u64,
    /// As `report_window_ms`, by channel.
    pub report_windows_ms: BTreeMap<ChannelName, u64>,
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
            sweep_ms: 5_000,
            poll_ms: 1_000,
            stuck_ms: 60_000,
            report_window_ms: 72 * 3_600_000,
            early_reports: 100_000,
            early_report_ms: 3_600_000,
            breaker_failures: 20,
            horizon_ms: 30 * DAY_MS,
            texts_ms: 30 * DAY_MS,
            alarm_ms: 10_000,
            webhook_calls: 256,
            webhook_calls_each: 16,
            webhook_waiting: 100_000,
            report_windows_ms: BTreeMap::new(),
        }
    }
}

/// A setting is outside its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`workers.{name}` is {value}; it must be within {least} and {most}")]
pub struct ConfigError {
    name: &'static str,
    value: u64,
    least: u64,
    most: u64,
}

impl WorkersConfig {
    /// Whether every setting is within its bounds.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wide = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        let bounds = [
            ("lease_ms", self.lease_ms, 1_000, 3_600_000),
            ("intake_group", wide(self.intake_group), 1, 10_000),
            ("take_group", wide(self.take_group), 1, 10_000),
            ("settle_group", wide(self.settle_group), 1, 10_000),
            ("settle_backlog", wide(self.settle_backlog), 1, 1_000_000),
            ("relay_group", wide(self.relay_group), 1, 10_000),
            ("sweep_ms", self.sweep_ms, 10, 60_000),
            ("poll_ms", self.poll_ms, 10, 60_000),
            ("stuck_ms", self.stuck_ms, 1_000, 3_600_000),
            ("report_window_ms", self.report_window_ms, 0, 90 * DAY_MS),
            ("early_reports", self.early_reports, 1, 10_000_000),
            ("early_report_ms", self.early_report_ms, 1_000, 30 * DAY_MS),
            ("breaker_failures", u64::from(self.breaker_failures), 1, 1_000_000),
            ("horizon_ms", self.horizon_ms, DAY_MS, 3_650 * DAY_MS),
            ("texts_ms", self.texts_ms, 0, 3_650 * DAY_MS),
            ("alarm_ms", self.alarm_ms, 100, 600_000),
            ("webhook_calls", wide(self.webhook_calls), 2, 4_096),
            ("webhook_calls_each", wide(self.webhook_calls_each), 1, 4_096),
            ("webhook_waiting", self.webhook_waiting, 10, 10_000_000),
        ];
        let outside = bounds.into_iter().find(|(_, value, least, most)| !(least..=most).contains(&value));
        let longest = self.report_windows_ms.values().copied().max().unwrap_or(0);
        let outside =
            outside.or((longest > 90 * DAY_MS).then_some(("report_windows_ms", longest, 0, 90 * DAY_MS)));
        outside.map_or(Ok(()), |(name, value, least, most)| Err(ConfigError { name, value, least, most }))
    }

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

    pub(crate) const fn keep(&self) -> Keep {
        Keep { horizon: Duration::from_millis(self.horizon_ms), texts: Duration::from_millis(self.texts_ms) }
    }

    pub(crate) const fn alarm(&self) -> Duration {
        Duration::from_millis(self.alarm_ms)
    }

    /// How long reports of a channel's messages are waited for, where their route does not say it.
    pub(crate) fn report_window(&self, channel: &ChannelName) -> Duration {
        Duration::from_millis(self.report_windows_ms.get(channel).copied().unwrap_or(self.report_window_ms))
    }

    pub(crate) const fn early_report(&self) -> Duration {
        Duration::from_millis(self.early_report_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_their_bounds_and_what_is_outside_is_named() {
        assert_eq!(WorkersConfig::default().check(), Ok(()));
        let wrong = WorkersConfig { lease_ms: 0, ..WorkersConfig::default() };
        assert_eq!(
            wrong.check().unwrap_err().to_string(),
            "`workers.lease_ms` is 0; it must be within 1000 and 3600000"
        );
    }
}
