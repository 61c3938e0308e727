//! A route's policy on the command line.

use std::num::NonZeroU32;

use clap::{Args, ValueEnum};
use naru_shared::domain::{OnUncertain, PriceClass, Route, RouteName, TextRule, Trade};

use crate::{exit::Failure, units::Span};

/// What happens when it cannot be known, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Doubt {
    /// Sent again, labelled as a possible duplicate
    Retry,
    /// Waits for a person, charge reserved
    Hold,
    /// Fails with code `uncertain`, charge released
    Fail,
}

/// What becomes of a charge, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum NoReport {
    /// What was sent is paid for
    Captured,
    /// What was not reported is not paid for
    Released,
}

/// The longest time that a report may be waited for.
const LONGEST_WINDOW_MS: u64 = 90 * 86_400_000;

/// A route's policy.
#[derive(Debug, Args)]
pub struct Policy {
    /// What happens to a message of which it cannot be known whether it was taken [default: fail]
    #[arg(long, value_enum)]
    on_uncertain: Option<Doubt>,
    /// Whether the backend ignores a second request with the same Idempotency-Key [default: false]
    #[arg(long)]
    idempotent: Option<bool>,
    /// Attempts under way at once in one worker process [default: 64]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4096))]
    concurrency: Option<u32>,
    /// The whole attempt, the answer's body included [default: 15s]
    #[arg(long)]
    attempt_timeout: Option<Span>,
    /// Attempts in all before a message that is never taken fails [default: 50]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    max_attempts: Option<u32>,
    /// Attempts that begin in a second, over all workers; 0: as many as may be [default: 0]
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    rate: Option<u32>,
    /// Messages that may be tried again, of a hundred that are tried for the first time, beside 10 in a second [default: 20]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=1000))]
    retry_budget: Option<u32>,
    /// How units are counted: message (each is one), segments (of sms), or korean (each is one, and must fit) [default: message]
    #[arg(long, value_parser = text_rule, value_name = "RULE")]
    count: Option<TextRule>,
    /// Units of each message, or of each segment [default: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(Trade::UNITS_EACH)))]
    units: Option<u32>,
    /// Segments that one sms may have [default: 10]
    #[arg(long, value_name = "SEGMENTS", value_parser = clap::value_parser!(u8).range(1..))]
    max_segments: Option<u8>,
    /// Which prices hold for its messages, in a word that bills know, such as domestic or ad; none: no word [default: none]
    #[arg(long, value_name = "WORD")]
    class: Option<PriceClass>,
    /// Another route that takes what this one cannot begin while it is paused, sick or full; may be given several times, the
    /// first that takes messages is taken
    #[arg(long = "fallback", value_name = "ROUTE")]
    fallback: Vec<RouteName>,
    /// No other route takes anything
    #[arg(long, conflicts_with = "fallback")]
    no_fallback: bool,
    /// How long a report that comes later is waited for; 0: as long as the workers' settings say for its channel [default: 0]
    #[arg(long, value_name = "SPAN")]
    report_window: Option<Span>,
    /// What becomes of the charge if no report comes within that time [default: released]
    #[arg(long, value_enum)]
    no_report: Option<NoReport>,
}

/// No class.
const NO_CLASS: &str = "none";

fn text_rule(word: &str) -> Result<TextRule, String> {
    let rule = TextRule::ALL.into_iter().find(|rule| rule.as_str() == word);
    rule.ok_or_else(|| "expected message, segments or korean".to_owned())
}

impl Policy {
    /// What is not given stays.
    pub(super) fn apply(&self, route: &mut Route) -> anyhow::Result<()> {
        if let Some(doubt) = self.on_uncertain {
            route.on_uncertain = match doubt {
                Doubt::Retry => OnUncertain::Retry,
                Doubt::Hold => OnUncertain::Hold,
                Doubt::Fail => OnUncertain::Fail,
            };
        }
        route.idempotent = self.idempotent.unwrap_or(route.idempotent);
        route.concurrency = self.concurrency.unwrap_or(route.concurrency);
        route.max_attempts = self.max_attempts.unwrap_or(route.max_attempts);
        route.pacing.retry_percent = self.retry_budget.unwrap_or(route.pacing.retry_percent);
        let trade = &mut route.trade;
        trade.rule = self.count.unwrap_or(trade.rule);
        trade.most_segments = self.max_segments.unwrap_or(trade.most_segments);
        trade.units_each = self.units.and_then(NonZeroU32::new).unwrap_or(trade.units_each);
        if let Some(class) = &self.class {
            trade.class = Some(class.clone()).filter(|class| class.as_str() != NO_CLASS);
        }
        if self.no_fallback {
            route.fallback.clear();
        } else if !self.fallback.is_empty() {
            route.fallback.clone_from(&self.fallback);
        }
        if let Some(no_report) = self.no_report {
            route.reports.captured_without = no_report == NoReport::Captured;
        }
        if let Some(span) = self.report_window {
            let millis = u64::try_from(span.0.as_millis()).ok().filter(|ms| *ms <= LONGEST_WINDOW_MS);
            let too = || Failure::Usage("--report-window is at most 90 days".to_owned());
            route.reports.window_ms = Some(millis.ok_or_else(too)?).filter(|ms| *ms > 0);
        }
        if let Some(rate) = self.rate {
            route.pacing.per_second = NonZeroU32::new(rate);
        }
        if let Some(span) = self.attempt_timeout {
            let millis = u32::try_from(span.0.as_millis()).ok().filter(|ms| *ms >= 100);
            let too = || Failure::Usage("--attempt-timeout must be between 100ms and the lease".to_owned());
            route.attempt_timeout_ms = millis.ok_or_else(too)?;
        }
        Ok(())
    }
}
