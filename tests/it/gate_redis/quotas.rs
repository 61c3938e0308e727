//! Quotas of several fronts, and of those that die.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use naru_shared::{
    domain::{Day, Period, Quota, Units},
    gate::{Gate, QuotaVerdict, Times},
    ledger::QuotaUse,
};
use naru_tests::engines::{redis_known_for_long, shared_redis};

use super::front::{Front, acme};

use crate::stage::beside_others;

pub(super) const DAY: Day = Day::from_i32(20_261_122);

pub(super) fn quota(limit: u64) -> anyhow::Result<Quota> {
    Ok(Quota { version: 1, ..Quota::new("acme".parse()?, None, Period::Month, limit) })
}

struct Bed {
    fronts: Vec<Arc<Front>>,
    elapsed: Arc<AtomicU64>,
    quotas: Vec<Arc<Quota>>,
}

impl Bed {
    async fn new(fronts: usize, limit: u64) -> anyhow::Result<Self> {
        let settings = shared_redis()?.settings(Duration::from_secs(5));
        redis_known_for_long(&settings).await?;
        let elapsed = Arc::new(AtomicU64::new(0));
        let mut bed = Self { fronts: Vec::new(), elapsed, quotas: vec![Arc::new(quota(limit)?)] };
        for _ in 0..fronts {
            let shown = Arc::clone(&bed.elapsed);
            let times = Times::given(Arc::new(move || Duration::from_secs(shown.load(Ordering::SeqCst))));
            bed.fronts.push(Front::start(&settings, times).await?);
        }
        Ok(bed)
    }

    fn advance(&self, seconds: u64) {
        self.elapsed.fetch_add(seconds, Ordering::SeqCst);
    }

    /// How many calls of a unit a front is let in for, until it is refused.
    async fn drain(&self, front: usize) -> anyhow::Result<u64> {
        let mut within = 0;
        while self.one(front).await? {
            within += 1;
        }
        Ok(within)
    }

    async fn one(&self, front: usize) -> anyhow::Result<bool> {
        let gate = &self.fronts[front].gate;
        let verdict = gate.reserve(&acme(), &"sms".parse()?, &self.quotas, DAY, Units::ONE).await?;
        Ok(verdict == QuotaVerdict::Within)
    }

    async fn observe(&self, front: usize, used: u64, seen: u64) -> anyhow::Result<()> {
        let quota = Arc::clone(&self.quotas[0]);
        Ok(self.fronts[front].gate.observe_quota(&[QuotaUse { quota, day: DAY, seen, used }]).await?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sum_of_fronts_is_never_over_a_quota() -> anyhow::Result<()> {
    let _beside = beside_others();
    let bed = Bed::new(3, 1_000).await?;
    // By turns, so that each has some in hand that the others must not have.
    let mut sum = 0;
    for round in 0..300 {
        sum += u64::from(bed.one(round % 3).await?);
    }
    for front in 0..3 {
        sum += bed.drain(front).await?;
    }
    assert!(sum <= 1_000, "{sum}");
    // What a front has in hand near the limit is little.
    assert!(sum >= 900, "{sum}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_whole_again_a_minute_after_a_front_was_killed() -> anyhow::Result<()> {
    let _beside = beside_others();
    let bed = Bed::new(2, 1_000).await?;
    for _ in 0..40 {
        assert!(bed.one(0).await?);
    }
    bed.fronts[0].kill();
    // Intake saw the 40; what else the dead one had in hand is nobody's for a while.
    bed.observe(1, 40, 40).await?;
    let before = bed.drain(1).await?;
    assert!((800..960).contains(&before), "{before}");
    bed.observe(1, 40 + before, before).await?;
    bed.advance(61);
    let rest = bed.drain(1).await?;
    assert_eq!(before + rest, 960, "every unit that was not used");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_ledger_saw_before_the_front_told_of_it_is_counted_once() -> anyhow::Result<()> {
    let _beside = beside_others();
    let bed = Bed::new(2, 10_000).await?;
    for _ in 0..50 {
        assert!(bed.one(0).await?);
    }
    // Seen by intake while the front still has the rest of its block, and has told of none.
    bed.observe(1, 50, 50).await?;
    for _ in 0..500 {
        assert!(bed.one(0).await?);
    }
    bed.observe(1, 550, 500).await?;
    let sum = 550 + bed.drain(1).await? + bed.drain(0).await? + bed.drain(1).await?;
    assert!((9_300..=10_000).contains(&sum), "{sum}");
    Ok(())
}
