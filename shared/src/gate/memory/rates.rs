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

/// Policies of an account that were taken away, and are remembered in case they come back.
const RETIRED: usize = 8;

/// An account's buckets: those of its policies in their order, and those of policies that were taken away.
#[derive(Default)]
struct Buckets {
    held: Vec<Bucket>,
    retired: Vec<Bucket>,
}

pub(super) struct Rates(Cache<Account, Arc<Mutex<Buckets>>>);

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
        let mut known = known.lock();
        follow(&mut known, policies, now);
        let buckets = &mut known.held;
        let wait = buckets.iter().map(|bucket| bucket.wait(messages, now)).max().unwrap_or_default();
        if wait.is_zero() {
            buckets.iter_mut().for_each(|bucket| bucket.take(messages, now));
            RateVerdict::Within(standings(buckets, now))
        } else {
            RateVerdict::Over(standings(buckets, now), wait)
        }
    }
}

/// Makes the buckets those of the policies: what is known of one by its name is kept when the policy changes, or is taken away
/// and comes back.
fn follow(buckets: &mut Buckets, policies: &[RatePolicy], now: u64) {
    if buckets.held.iter().map(Bucket::policy).eq(policies) {
        return;
    }
    let mut former = std::mem::take(&mut buckets.held);
    former.append(&mut buckets.retired);
    let bucket = |policy: &RatePolicy| {
        let same = former.iter().find(|bucket| bucket.policy().name == policy.name);
        match same {
            Some(bucket) if bucket.policy() == policy => bucket.clone(),
            Some(bucket) => bucket.under(policy.clone(), now),
            None => Bucket::new(policy.clone()),
        }
    };
    buckets.held = policies.iter().map(bucket).collect();
    former.retain(|bucket| {
        let name = &bucket.policy().name;
        !bucket.reset(now).is_zero() && policies.iter().all(|policy| policy.name != *name)
    });
    former.truncate(RETIRED);
    buckets.retired = former;
}

fn standings(buckets: &[Bucket], now: u64) -> Vec<RateStanding> {
    let standing = |bucket: &Bucket| RateStanding {
        policy: bucket.policy().clone(),
        remaining: bucket.remaining(now),
        reset: bucket.reset(now),
    };
    buckets.iter().map(standing).collect()
}
