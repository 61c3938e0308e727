//! A process's share of an account's rates while nobody can be asked: as many as there were fronts, each as much.
//!
//! It begins with its part of what was free when Redis was last asked, and is never the whole limit.

use std::time::Duration;

use crate::{
    domain::RatePolicy,
    gate::{RateStanding, RateVerdict, memory::gcra::Bucket},
};

/// The least parts, and the parts where it was never known how many fronts there are.
const PARTS: u32 = 2;
const UNKNOWN: u32 = 8;

/// The share of one account.
pub(super) struct Share {
    policies: Vec<RatePolicy>,
    buckets: Vec<Bucket>,
}

impl Share {
    /// One part of the policies, and of what was free of each; where that is not known, of the bursts.
    pub(super) fn new(policies: &[RatePolicy], free: &[RateStanding], fronts: u32, now: Duration) -> Self {
        let parts = if fronts == 0 { UNKNOWN } else { fronts.max(PARTS) };
        let part = |(index, policy): (usize, &RatePolicy)| {
            let free = free.get(index).map_or(policy.burst, |standing| standing.remaining) / parts;
            let window_seconds = policy.window_seconds.saturating_mul(parts);
            let burst = (policy.burst / parts).max(1);
            Bucket::with_free(RatePolicy { window_seconds, burst, ..policy.clone() }, free, nanos(now))
        };
        Self { policies: policies.to_vec(), buckets: policies.iter().enumerate().map(part).collect() }
    }

    /// Whether it is a part of these.
    pub(super) fn is_of(&self, policies: &[RatePolicy]) -> bool {
        self.policies == policies
    }

    /// Counts against every part or against none.
    pub(super) fn ask(&mut self, messages: u32, now: Duration) -> RateVerdict {
        let now = nanos(now);
        let wait = self.buckets.iter().map(|bucket| bucket.wait(messages, now)).max().unwrap_or_default();
        if wait.is_zero() {
            self.buckets.iter_mut().for_each(|bucket| bucket.take(messages, now));
            RateVerdict::Within(self.standings(now))
        } else {
            RateVerdict::Over(self.standings(now), wait)
        }
    }

    fn standings(&self, now: u64) -> Vec<RateStanding> {
        let standing = |(policy, bucket): (&RatePolicy, &Bucket)| RateStanding {
            policy: policy.clone(),
            remaining: bucket.remaining(now),
            reset: bucket.reset(now),
        };
        self.policies.iter().zip(&self.buckets).map(standing).collect()
    }
}

fn nanos(now: Duration) -> u64 {
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_shares_let_in_no_more_than_the_limit_and_none_is_the_whole() {
        let policies = [RatePolicy { name: "p".into(), limit: 100, window_seconds: 1, burst: 20 }];
        for (fronts, least, most) in [(0, 110, 130), (1, 480, 520), (2, 480, 520), (4, 230, 260)] {
            let standing =
                |remaining| RateStanding { policy: policies[0].clone(), remaining, reset: Duration::ZERO };
            let mut share = Share::new(&policies, &[standing(0)], fronts, Duration::ZERO);
            assert!(matches!(share.ask(1, Duration::ZERO), RateVerdict::Over(..)), "nothing was free");
            let mut share = Share::new(&policies, &[standing(16)], fronts, Duration::ZERO);
            assert!(matches!(share.ask(1, Duration::ZERO), RateVerdict::Within(_)), "a part of 16 was");
            let mut share = Share::new(&policies, &[], fronts, Duration::ZERO);
            let within = (0..10_000)
                .filter(|ms| matches!(share.ask(1, Duration::from_millis(*ms)), RateVerdict::Within(_)))
                .count();
            assert!((least..most).contains(&within), "{fronts}: {within}");
        }
    }
}
