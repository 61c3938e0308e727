//! Rate limits of accounts.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;
use parking_lot::Mutex;

use super::gcra::Bucket;
use crate::{
    domain::{Account, RatePolicy},
    gate::{RateStanding, RateVerdict},
};

/// Accounts that are remembered; one that is forgotten begins with its whole burst.
const ACCOUNTS: u64 = 500_000;

/// How long an account that does not call is remembered; longer than any burst that is worth the name needs to refill.
const IDLE: Duration = Duration::from_secs(48 * 3_600);

pub(super) struct Rates(Cache<Account, Arc<Mutex<Vec<Bucket>>>>);

impl Rates {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(ACCOUNTS).time_to_idle(IDLE).build())
    }

    /// Counts against every policy or against none. More messages than a burst are over for ever, with a long wait.
    pub(super) fn ask(
        &self,
        account: &Account,
        policies: &[RatePolicy],
        messages: u32,
        now: Duration,
    ) -> RateVerdict {
        if policies.is_empty() {
            return RateVerdict::Within(Vec::new());
        }
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let known = self.0.get(account);
        let known = known.unwrap_or_else(|| self.0.get_with(account.clone(), Arc::default));
        let mut buckets = known.lock();
        follow(&mut buckets, policies, now);
        let wait = buckets.iter().map(|bucket| bucket.wait(messages, now)).max().unwrap_or_default();
        if wait.is_zero() {
            buckets.iter_mut().for_each(|bucket| bucket.take(messages, now));
            RateVerdict::Within(standings(&buckets, now))
        } else {
            RateVerdict::Over(standings(&buckets, now), wait)
        }
    }
}

/// Makes the buckets those of the policies: what is known of one by its name is kept when the policy changes.
fn follow(buckets: &mut Vec<Bucket>, policies: &[RatePolicy], now: u64) {
    if buckets.iter().map(Bucket::policy).eq(policies) {
        return;
    }
    let former = std::mem::take(buckets);
    let bucket = |policy: &RatePolicy| {
        let same = former.iter().find(|bucket| bucket.policy().name == policy.name);
        same.map_or_else(|| Bucket::new(policy.clone()), |bucket| bucket.under(policy.clone(), now))
    };
    *buckets = policies.iter().map(bucket).collect();
}

fn standings(buckets: &[Bucket], now: u64) -> Vec<RateStanding> {
    let standing = |bucket: &Bucket| RateStanding {
        policy: bucket.policy().clone(),
        remaining: bucket.remaining(now),
        reset: bucket.reset(now),
    };
    buckets.iter().map(standing).collect()
}
