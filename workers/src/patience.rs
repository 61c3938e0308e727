//! Waiting with a bound: time-outs around an engine's calls, and pauses that grow while it is away.

use std::{future::Future, time::Duration};

use naru_shared::{ledger::LedgerError, metrics};
use tokio_util::sync::CancellationToken;

/// The longest wait for one answer of the ledger; after it, whether the call took effect is not known.
const ANSWER: Duration = Duration::from_secs(20);

const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(3);

/// The ledger did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {ANSWER:?}")]
struct NoAnswer;

/// A call to the ledger with its time-out; failures are counted.
pub(crate) async fn ledger<T>(
    call: impl Future<Output = Result<T, LedgerError>> + Send,
) -> Result<T, LedgerError> {
    let result = tokio::time::timeout(ANSWER, call)
        .await
        .unwrap_or_else(|_elapsed| Err(LedgerError::Unavailable(Box::new(NoAnswer))));
    if result.is_err() {
        metrics::ENGINE_ERRORS.of(&[("port", "ledger")]).increment(1);
    }
    result
}

/// Says that a task of a loop could not be done; whether it could.
pub(crate) fn said<T>(what: &'static str, result: Result<T, LedgerError>) -> bool {
    if let Err(error) = &result {
        tracing::warn!(what, %error, "a task could not be done; it is tried again");
    }
    result.is_ok()
}

/// Pauses that double from 50 ms to 3 s, each shortened at random by up to a half.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// It works again.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }

    /// Whether this failure is worth a line in the log: the first, and then ever fewer.
    pub(crate) const fn is_news(&self) -> bool {
        self.failures.wrapping_add(1).is_power_of_two()
    }

    /// Waits after a failure, or until `stop`.
    pub(crate) async fn pause(&mut self, stop: &CancellationToken) {
        let step = SHORTEST.saturating_mul(1_u32 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        rest(step.mul_f64(fastrand::f64().mul_add(-0.5, 1.0)), stop).await;
    }
}

/// Waits, or until `stop`.
pub(crate) async fn rest(span: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(span) => {}
        () = stop.cancelled() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_told_and_then_ever_fewer() {
        let told: Vec<u32> = (0..20).filter(|failures| Backoff { failures: *failures }.is_news()).collect();
        assert_eq!(told, [0, 1, 3, 7, 15]);
    }
}
