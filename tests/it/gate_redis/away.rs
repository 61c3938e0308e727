//! A Redis that does not answer: nobody waits for it, and the policies decide.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use naru_shared::{
    domain::{Fingerprint, RatePolicy, Units},
    gate::{BEFORE, Gate, KeyVerdict, RateVerdict, Times, patiently},
};
use naru_tests::engines::{Redis, Stop, redis_known_for_long, until};

use super::{
    front::{Front, acme},
    quotas::{DAY, quota},
};

use crate::stage::beside_others;

/// As the default is.
const TIMEOUT: Duration = Duration::from_millis(25);

/// What a busy machine may add to a wait that ended in time.
const NOISE: Duration = Duration::from_millis(150);

fn policy() -> RatePolicy {
    RatePolicy { name: "p".into(), limit: 100, window_seconds: 1, burst: 100 }
}

/// Everything that an accept asks; how it ended, and how long it took.
async fn accept(front: &Front, number: u32) -> anyhow::Result<(RateVerdict, bool, Duration)> {
    let began = Instant::now();
    let (gate, acme) = (&front.gate, acme());
    let (key, quotas) = (format!("k{number}").parse()?, [Arc::new(quota(1_000_000)?)]);
    let (rate, key) = patiently(BEFORE, async {
        let rate = gate.rate(&acme, &[policy()], 1).await;
        let key = gate.begin(&acme, &key, Fingerprint([1; 16])).await;
        drop(gate.reserve(&acme, &"sms".parse()?, &quotas, DAY, Units::ONE).await);
        gate.waiting(&acme, &"r".parse()?).await?;
        anyhow::Ok((rate?, key.is_ok_and(|verdict| verdict == KeyVerdict::New)))
    })
    .await?;
    Ok((rate, key, began.elapsed()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_frozen_redis_and_all_is_well_when_it_thaws() -> anyhow::Result<()> {
    let _beside = beside_others();
    let redis = Redis::start()?;
    let settings = redis.settings(TIMEOUT);
    redis_known_for_long(&settings).await?;
    let front = Front::start(&settings, Times::of_the_server()).await?;
    accept(&front, 0).await?;
    redis.freeze()?;
    let frozen = Instant::now();
    let (mut within, mut longest, mut waited, mut calls) = (0_u64, Duration::ZERO, 0_u32, 0_u32);
    while frozen.elapsed() < Duration::from_secs(4) {
        calls += 1;
        let (verdict, _, took) = accept(&front, calls).await?;
        longest = longest.max(took);
        waited += u32::from(took > Duration::from_millis(10));
        match verdict {
            RateVerdict::Away(share) => within += u64::from(matches!(*share, RateVerdict::Within(_))),
            // What was in hand a moment ago.
            RateVerdict::Within(_) => within += 1,
            RateVerdict::Over(..) => {}
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    println!("{calls} calls while frozen, the longest {longest:?}, {waited} waited at all, {within} let in");
    assert!(longest <= Duration::from_millis(50) + NOISE, "{longest:?}");
    // Who waits is whoever was on the way when it froze, not everybody after.
    assert!(waited * 20 < calls, "{waited} of {calls} waited");
    // A share of one among two at least: half of 400, and of the burst; never the whole.
    assert!((100..=330).contains(&within), "{within}");
    redis.thaw()?;
    until(|| front.gate.is_up()).await?;
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let (verdict, key, _) = accept(&front, 1_000_000 + calls).await?;
        calls += 1;
        if key && !matches!(verdict, RateVerdict::Away(_)) {
            break;
        }
        assert!(Instant::now() < deadline, "it is not itself again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_starts_before_redis_is_connected_when_it_comes() -> anyhow::Result<()> {
    let _beside = beside_others();
    let mut redis = Redis::start()?;
    let settings = redis.settings(TIMEOUT);
    redis.stop(Stop::Kill)?;
    let runtime = tokio::runtime::Handle::current();
    let opened = naru_shared::gate::RedisGate::open(
        &settings,
        naru_shared::gate::ANSWERS,
        Times::of_the_server(),
        &runtime,
    )?;
    let keeping = tokio::spawn(opened.1);
    let gate = opened.0;
    let mut took = Vec::new();
    for _ in 0..101 {
        let began = Instant::now();
        let verdict = gate.rate(&acme(), &[policy()], 1).await?;
        assert!(matches!(verdict, RateVerdict::Away(_)), "{verdict:?}");
        assert!(gate.begin(&acme(), &"k".parse()?, Fingerprint([1; 16])).await.is_err());
        took.push(began.elapsed());
    }
    took.sort();
    assert!(took[50] < Duration::from_millis(2), "nobody waits for what is not there: {:?}", took[50]);
    redis.begin()?;
    until(|| gate.is_up()).await?;
    keeping.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_redis_is_found_again_and_has_its_keys() -> anyhow::Result<()> {
    let _beside = beside_others();
    let mut redis = Redis::start()?;
    let settings = redis.settings(Duration::from_millis(500));
    redis_known_for_long(&settings).await?;
    let front = Front::start(&settings, Times::of_the_server()).await?;
    let (acme, key) = (acme(), "k".parse()?);
    assert_eq!(front.gate.begin(&acme, &key, Fingerprint([1; 16])).await?, KeyVerdict::New);
    for _ in 0..3 {
        redis.stop(Stop::Orderly)?;
        redis.begin()?;
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            match front.gate.begin(&acme, &key, Fingerprint([1; 16])).await {
                Ok(verdict) => {
                    assert_eq!(verdict, KeyVerdict::InFlight);
                    break;
                }
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}
