//! The generic cell rate algorithm (ITU-T I.371, annex A): one number for each policy. Pure: the time is given.
//!
//! Asking and taking are apart, so that several policies hold together: all are asked before any is taken.

use std::time::Duration;

use crate::domain::RatePolicy;

/// A wait that says "not with this policy": a day.
pub(in crate::gate) const NEVER: Duration = Duration::from_secs(86_400);

/// How much of a policy is used. It knows when everything that was taken will have flowed off.
#[derive(Debug, Clone)]
pub(in crate::gate) struct Bucket {
    policy: RatePolicy,
    /// Nanoseconds that one message takes to flow off; `None`: nothing ever flows off.
    each: Option<u64>,
    /// When the bucket is empty again, in nanoseconds of the stopwatch.
    empty_at: u64,
    /// Where a change of the policy left less room than was used: how the bucket would stand without it, so that another change
    /// gives nothing back.
    former: Option<Box<Bucket>>,
}

impl Bucket {
    /// An empty one: the whole burst is free.
    pub(in crate::gate) fn new(policy: RatePolicy) -> Self {
        // Rounded up: never faster than the policy says.
        let each = u64::from(policy.window_seconds).saturating_mul(1_000_000_000);
        let each = each
            .checked_add(u64::from(policy.limit).saturating_sub(1))
            .and_then(|ns| ns.checked_div(policy.limit.into()));
        Self { policy, each, empty_at: 0, former: None }
    }

    /// One in which only so many messages are free.
    pub(in crate::gate) fn with_free(policy: RatePolicy, free: u32, now: u64) -> Self {
        let mut bucket = Self::new(policy);
        let owed = bucket.policy.burst.saturating_sub(free);
        bucket.empty_at = now.saturating_add(bucket.span(owed.into()));
        bucket
    }

    /// The policy it holds to.
    pub(in crate::gate) const fn policy(&self) -> &RatePolicy {
        &self.policy
    }

    /// The same use under a changed policy: as many messages are still to flow off.
    pub(in crate::gate) fn under(&self, policy: RatePolicy, now: u64) -> Self {
        let mut changed = Self::new(policy);
        let former = self.former.as_deref().filter(|former| former.owed(now) > self.owed(now));
        let last = former.unwrap_or(self);
        let (owed, burst) = (last.owed(now), u64::from(changed.policy.burst));
        changed.empty_at = now.saturating_add(changed.span(owed.min(burst)));
        if owed > burst || changed.each.is_none() {
            changed.former = Some(Box::new(Self { former: None, ..last.clone() }));
        }
        changed
    }

    /// How long until `messages` fit; zero if they do now. [`NEVER`] if they are more than the burst.
    pub(in crate::gate) fn wait(&self, messages: u32, now: u64) -> Duration {
        if messages > self.policy.burst || self.each.is_none_or(|each| each == 0) {
            return NEVER;
        }
        let full = self.span(self.policy.burst.into());
        let level = self.empty_at.saturating_sub(now).saturating_add(self.span(messages.into()));
        Duration::from_nanos(level.saturating_sub(full))
    }

    /// Takes them; ask first.
    pub(in crate::gate) fn take(&mut self, messages: u32, now: u64) {
        self.empty_at = self.empty_at.max(now).saturating_add(self.span(messages.into()));
        if let Some(former) = &mut self.former {
            former.take(messages, now);
        }
    }

    /// Messages that fit now.
    pub(in crate::gate) fn remaining(&self, now: u64) -> u32 {
        if self.each.is_none() {
            return 0;
        }
        u32::try_from(u64::from(self.policy.burst).saturating_sub(self.owed(now))).unwrap_or(u32::MAX)
    }

    /// Until the whole burst is free.
    pub(in crate::gate) fn reset(&self, now: u64) -> Duration {
        Duration::from_nanos(self.empty_at.saturating_sub(now))
    }

    /// Messages still to flow off, rounded up.
    fn owed(&self, now: u64) -> u64 {
        let level = self.empty_at.saturating_sub(now);
        self.each.and_then(|each| level.checked_add(each.saturating_sub(1))?.checked_div(each)).unwrap_or(0)
    }

    fn span(&self, messages: u64) -> u64 {
        self.each.unwrap_or(0).saturating_mul(messages)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, prop, proptest};

    use super::*;

    fn policy(limit: u32, window_seconds: u32, burst: u32) -> RatePolicy {
        RatePolicy { name: "p".into(), limit, window_seconds, burst }
    }

    #[test]
    fn a_burst_then_the_rate() {
        let mut bucket = Bucket::new(policy(10, 1, 5));
        assert_eq!(bucket.wait(5, 0), Duration::ZERO);
        bucket.take(5, 0);
        assert_eq!((bucket.remaining(0), bucket.reset(0)), (0, Duration::from_millis(500)));
        assert_eq!(bucket.wait(1, 0), Duration::from_millis(100));
        assert_eq!(bucket.wait(1, 100_000_000), Duration::ZERO);
        assert_eq!(bucket.wait(3, 0), Duration::from_millis(300));
        assert_eq!(bucket.wait(6, 0), NEVER);
        assert_eq!(Bucket::new(policy(0, 1, 5)).wait(1, 0), NEVER);
        assert_eq!(Bucket::new(policy(u32::MAX, u32::MAX, u32::MAX)).wait(u32::MAX, 0), Duration::ZERO);
    }

    #[test]
    fn a_changed_policy_forgives_nothing() {
        let mut bucket = Bucket::new(policy(10, 1, 5));
        bucket.take(4, 0);
        assert_eq!(bucket.under(policy(1, 1, 5), 0).remaining(0), 1);
        assert_eq!(bucket.under(policy(1, 1, 3), 0).remaining(0), 0);
    }

    #[test]
    fn a_policy_that_is_lowered_and_raised_again_is_where_it_was() {
        let wide = policy(10, 10, 100);
        let mut bucket = Bucket::new(wide.clone());
        bucket.take(100, 0);
        for narrow in [policy(1, 10, 5), policy(10, 10, 5), policy(0, 1, 5), policy(1_000, 1, 5)] {
            let lowered = bucket.under(narrow, 0).under(policy(3, 1, 2), 0);
            assert_eq!(lowered.remaining(0), 0);
            assert_eq!(lowered.under(wide.clone(), 0).remaining(0), 0);
            // Meanwhile it flows off as it would have, and what is taken meanwhile counts.
            let second = 1_000_000_000;
            assert_eq!(lowered.under(wide.clone(), 7 * second).remaining(7 * second), 7);
            let mut taken = lowered.clone();
            taken.take(2, 7 * second);
            assert_eq!(taken.under(wide.clone(), 7 * second).remaining(7 * second), 5);
        }
    }

    proptest! {
        #[test]
        fn in_any_window_no_more_than_rate_and_burst(
            (limit, window, burst) in (1_u32..500, 1_u32..100, 1_u32..300),
            calls in prop::collection::vec((0_u64..3_000_000_000, 1_u32..20).prop_map(|c| c), 1..200),
        ) {
            let mut bucket = Bucket::new(policy(limit, window, burst));
            let (mut now, mut taken) = (0, Vec::<(u64, u32)>::new());
            for (pause, messages) in calls {
                now += pause;
                if bucket.wait(messages, now).is_zero() {
                    bucket.take(messages, now);
                    taken.push((now, messages));
                }
            }
            for from in 0..taken.len() {
                let mut sum = 0_u128;
                for (at, messages) in &taken[from..] {
                    sum += u128::from(*messages);
                    let span = u128::from(at - taken[from].0);
                    let allowed = span * u128::from(limit) / (u128::from(window) * 1_000_000_000) + u128::from(burst);
                    assert!(sum <= allowed, "{sum} in {span} ns, allowed {allowed}");
                }
            }
        }
    }
}
