//! Waiting until a row is due by time.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::rung;
use crate::domain::Timestamp;

/// Rings when a commit made something due earlier than whoever waits would look by himself. Other commits pass in
/// silence, so that under load nobody is woken in vain. One waits at a time; with several, one may sleep its whole wait.
#[derive(Debug)]
pub(in crate::ledger) struct DueBell {
    bell: Notify,
    /// Until when whoever waits will sleep; the latest moment there is while he looks.
    until: AtomicI64,
}

impl DueBell {
    pub(in crate::ledger) const fn new() -> Self {
        Self { bell: Notify::const_new(), until: AtomicI64::new(i64::MAX) }
    }

    /// A commit wrote this moment.
    pub(in crate::ledger) fn ring(&self, due: i64) {
        if due < self.until.load(Ordering::Acquire) {
            self.bell.notify_waiters();
        }
    }
}

/// Returns `true` when a row is due, `false` after `wait`, in which nothing became due that was known of. `now` is the present
/// moment by the caller's clock.
/// `earliest` looks for the earliest moment there is.
pub(in crate::ledger) async fn wait_for_due<F>(
    bell: &DueBell,
    now: Timestamp,
    wait: Duration,
    earliest: impl Fn() -> F + Send + Sync,
) -> bool
where
    F: Future<Output = Option<i64>> + Send,
{
    let begun = Instant::now();
    loop {
        let mut bell_rings = std::pin::pin!(bell.bell.notified());
        bell_rings.as_mut().enable();
        bell.until.store(i64::MAX, Ordering::Release);
        let earliest = earliest().await;
        let left = wait.saturating_sub(begun.elapsed());
        let until = earliest.map(|due| Timestamp::from_millis(due).since(now.plus(begun.elapsed())));
        if until.is_some_and(|until| until.is_zero()) {
            return true;
        }
        if left.is_zero() {
            return false;
        }
        // A moment is over only after its millisecond.
        let sleep = until.map_or(left, |until| left.min(until + Duration::from_millis(1)));
        bell.until.store(now.plus(begun.elapsed() + sleep).as_millis(), Ordering::Release);
        // Rung or not, it is looked at again; but whoever has only waited in vain looks when he asks again.
        if !rung(bell_rings, sleep).await && until.is_none_or(|until| until > left) {
            return false;
        }
    }
}
