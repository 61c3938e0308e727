//! The retry budget of a route: a backend that takes only some messages is not tried again and again for all of them, which would be
//! more work for it than it had when it was well.
//!
//! Every message that is tried for the first time pays in a part of a retry, time pays in a few a second. What exceeds the
//! budget is not given up: it waits until the time to come has paid for it.

use std::time::{Duration, Instant};

use naru_shared::domain::Pacing;
use parking_lot::Mutex;

/// Thousandths of a retry: a percentage of one is ten of them.
const RETRY: i64 = 1_000;

/// What is saved at the most.
const SAVED: i64 = 1_000 * RETRY;

/// The longest wait that a budget asks for.
const LONGEST: Duration = Duration::from_secs(1_800);

/// See the module.
#[derive(Debug)]
pub(crate) struct Budget(Mutex<Account>);

#[derive(Debug)]
struct Account {
    /// In thousandths of a retry; less than nothing: owed to the time to come.
    balance: i64,
    paid_until: Option<Instant>,
}

impl Default for Budget {
    fn default() -> Self {
        Self(Mutex::new(Account { balance: SAVED, paid_until: None }))
    }
}

impl Budget {
    /// A message is tried for the first time.
    pub(crate) fn first(&self, percent: u32) {
        let mut account = self.0.lock();
        account.balance = (account.balance + i64::from(percent) * RETRY / 100).min(SAVED);
    }

    /// A message is to be tried again: not before so long.
    pub(crate) fn retry(&self) -> Duration {
        self.retry_at(Instant::now())
    }

    fn retry_at(&self, now: Instant) -> Duration {
        let a_second = i64::from(Pacing::RETRIES_PER_SECOND) * RETRY;
        let mut account = self.0.lock();
        let passed = account.paid_until.map_or(Duration::ZERO, |until| now.saturating_duration_since(until));
        let paid = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX).saturating_mul(a_second / 1_000);
        account.paid_until = Some(now);
        let longest = i64::try_from(LONGEST.as_secs()).unwrap_or(i64::MAX) * a_second;
        account.balance = (account.balance.saturating_add(paid).min(SAVED) - RETRY).max(-longest);
        let owed = u64::try_from(-account.balance).unwrap_or(0);
        Duration::from_millis(owed / (a_second.unsigned_abs() / 1_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retries(budget: &Budget, count: usize, now: Instant) -> Vec<Duration> {
        (0..count).map(|_| budget.retry_at(now)).collect()
    }

    #[test]
    fn what_exceeds_the_budget_waits_until_time_has_paid_for_it() {
        let (budget, now) = (Budget::default(), Instant::now());
        assert!(retries(&budget, 1_000, now).iter().all(Duration::is_zero), "saved from the beginning");
        let waits = retries(&budget, 20, now);
        assert_eq!((waits[0], waits[9], waits[19]), (secs(0.1), secs(1.0), secs(2.0)), "ten in a second");
        assert_eq!(budget.retry_at(now + secs(2.1)), Duration::ZERO, "time has paid");
    }

    #[test]
    fn first_attempts_pay_their_part_in_and_nobody_waits_for_ever() {
        let (budget, now) = (Budget::default(), Instant::now());
        retries(&budget, 1_000, now);
        (0..100).for_each(|_| budget.first(20));
        assert!(retries(&budget, 20, now).iter().all(Duration::is_zero));
        assert_eq!(budget.retry_at(now), secs(0.1));
        let waits = retries(&budget, 100_000, now);
        assert_eq!(waits.last(), Some(&LONGEST));
    }

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }
}
