//! A customer who pays and calls calmly, timed: alone, and beside whoever means harm.

use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;

use crate::{
    customer::basic,
    gateway::Gateway,
    load::{self, Call},
};

/// Calls a second, and the connections that they take.
const RATE: f64 = 100.0;
const CONNECTIONS: usize = 8;

/// How calls that arrive too late may count at the most, as a multiple of those without harm.
pub const MULTIPLE: f64 = 2.0;

/// Times in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Times {
    /// Calls that were timed; all were answered `202`.
    pub calls: u64,
    /// Half of them took no longer.
    pub p50: f64,
    /// Of a hundred, ninety-nine.
    pub p99: f64,
}

/// One round.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Round {
    /// Without harm.
    pub alone: Times,
    /// With it.
    pub beside: Times,
}

/// The median over the rounds of what p99 is with harm, for one without.
#[must_use]
pub fn ratio(rounds: &[Round]) -> f64 {
    median(rounds.iter().map(|round| round.beside.p99 / round.alone.p99.max(0.01)))
}

/// The median.
#[must_use]
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The first customer sends messages calmly for a while.
///
/// # Errors
/// If one is not accepted.
pub fn calm(gateway: &Gateway, span: Duration) -> anyhow::Result<Times> {
    let (target, body) = (gateway.listen(), |index| Call::message("sms", index).to_string());
    let authorization = basic(&gateway.users.live[0]);
    let call = |index| Call::post(&target.to_string(), "/v1.0/messages", Some(&authorization), &body(index));
    let told = load::run(&load::Plan {
        target,
        tls: None,
        calls: (0..256).map(call).collect(),
        connections: CONNECTIONS,
        rate: Some(RATE),
        warm_up: Duration::from_millis(500),
        duration: span,
        limit: None,
    })?;
    ensure!(told.statuses.keys().all(|status| *status == 202), "a customer was answered {:?}", told.statuses);
    ensure!(told.broken == 0 && told.calls > 0, "{} of a customer's calls were cut", told.broken);
    Ok(Times { calls: told.calls, p50: told.latency.p50 / 1e3, p99: told.latency.p99 / 1e3 })
}
