//! The sum of several fronts.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use naru_shared::{
    domain::RatePolicy,
    gate::{Gate, RateVerdict, Times},
};
use naru_tests::engines::{Redis, redis_known_for_long};

use super::front::{Front, Journal, acme, assert_within};

use crate::stage::beside_others;

/// A call may wait this long in these tests: the machine is busy.
const TIMEOUT: Duration = Duration::from_secs(2);

fn policy(limit: u32, burst: u32) -> RatePolicy {
    RatePolicy { name: "p".into(), limit, window_seconds: 1, burst }
}

/// All of them leave at once when they are killed, or none is.
async fn hammered(limit: u32, burst: u32) -> anyhow::Result<()> {
    let redis = Redis::start()?;
    let settings = redis.settings(TIMEOUT);
    redis_known_for_long(&settings).await?;
    let (policy, journal) = (policy(limit, burst), Journal::default());
    let begun = Instant::now();
    let end = begun + Duration::from_millis(4_500);
    let start = async || Front::start(&settings, Times::of_the_server()).await;
    let (first, second) = (start().await?, start().await?);
    first.hammer(&policy, end, &journal);
    second.hammer(&policy, end, &journal);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let third = start().await?;
    third.hammer(&policy, end, &journal);
    tokio::time::sleep(Duration::from_millis(600)).await;
    first.kill();
    tokio::time::sleep(end.saturating_duration_since(Instant::now()) + Duration::from_millis(50)).await;
    let sum = assert_within(&policy, &journal);
    // And it is nearly all that may come: what the dead one had in hand is a small part of the burst.
    let allowed = u64::from(limit) * 9 / 2 + u64::from(burst);
    assert!(sum * 10 >= allowed * 8, "{sum} of {allowed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_fronts_and_a_third_and_one_that_dies_are_within_one_wide_limit() -> anyhow::Result<()> {
    let _beside = beside_others();
    hammered(2_000, 1_000).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_fronts_and_a_third_and_one_that_dies_are_within_one_narrow_limit() -> anyhow::Result<()> {
    let _beside = beside_others();
    hammered(20, 8).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_redis_gives_nobody_another_burst() -> anyhow::Result<()> {
    let _beside = beside_others();
    let redis = Redis::start()?;
    let settings = redis.settings(TIMEOUT);
    redis_known_for_long(&settings).await?;
    let (policy, journal) = (policy(300, 3_000), Journal::default());
    let end = Instant::now() + Duration::from_secs(6);
    let fronts = [
        Front::start(&settings, Times::of_the_server()).await?,
        Front::start(&settings, Times::of_the_server()).await?,
    ];
    // A part of the burst is in hand and unused when everything is forgotten.
    for front in &fronts {
        for _ in 0..200 {
            assert!(matches!(
                front.gate.rate(&acme(), std::slice::from_ref(&policy), 1).await?,
                RateVerdict::Within(_)
            ));
        }
    }
    redis.flush_all()?;
    fronts.iter().for_each(|front| front.hammer(&policy, end, &journal));
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    redis.flush_all()?;
    tokio::time::sleep(end.saturating_duration_since(Instant::now()) + Duration::from_millis(50)).await;
    let sum = assert_within(&RatePolicy { burst: 3_000 - 400, ..policy }, &journal);
    assert!(sum > 300, "{sum}: it goes on after a second");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_in_hand_when_redis_was_emptied_does_not_come_on_top_of_a_new_burst() -> anyhow::Result<()> {
    let _beside = beside_others();
    let redis = Redis::start()?;
    let settings = redis.settings(TIMEOUT);
    redis_known_for_long(&settings).await?;
    let (policy, journal) = (policy(2_000, 400), Journal::default());
    let holder = Front::start(&settings, Times::of_the_server()).await?;
    let other = Front::start(&settings, Times::of_the_server()).await?;
    for _ in 0..6 {
        // Full, and a block of it in one front's hands.
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        for _ in 0..3 {
            let began = Instant::now();
            let verdict = holder.gate.rate(&acme(), std::slice::from_ref(&policy), 33).await?;
            assert!(matches!(verdict, RateVerdict::Within(_)), "{verdict:?}");
            journal.lock().push((began, Instant::now(), 33));
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        redis.flush_all()?;
        // Somebody finds it emptied, and a burst's worth of time passes.
        other.gate.rate(&acme(), std::slice::from_ref(&policy), 1).await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let end = Instant::now() + Duration::from_millis(30);
        other.hammer(&policy, end, &journal);
        holder.hammer(&policy, end, &journal);
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert_within(&policy, &journal);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_steady_customer_costs_few_round_trips() -> anyhow::Result<()> {
    let _beside = beside_others();
    let redis = Redis::start()?;
    let settings = redis.settings(TIMEOUT);
    redis_known_for_long(&settings).await?;
    let front = Front::start(&settings, Times::of_the_server()).await?;
    let policies = [policy(10_000, 4_000), RatePolicy { window_seconds: 60, ..policy(600_000, 20_000) }];
    let policies = [policies[0].clone(), RatePolicy { name: "minute".into(), ..policies[1].clone() }];
    let quotas = [Arc::new(super::quotas::quota(1_000_000)?)];
    let (channel, day) = ("sms".parse()?, super::quotas::DAY);
    let units = naru_shared::domain::Units::ONE;
    let before = redis.calls("evalsha")? + redis.calls("eval")? + redis.calls("get")?;
    let calls = 10_000_u64;
    for call in 0..calls {
        let verdict = front.gate.rate(&acme(), &policies, 1).await?;
        assert!(matches!(verdict, RateVerdict::Within(_)), "{call}: {verdict:?}");
        front.gate.reserve(&acme(), &channel, &quotas, day, units).await?;
        front.gate.waiting(&acme(), &"r".parse()?).await?;
        if call % 5 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let trips = redis.calls("evalsha")? + redis.calls("eval")? + redis.calls("get")? - before;
    assert!(trips * 20 < calls, "{trips} round trips for {calls} calls");
    println!("{trips} round trips for {calls} calls: {:.4} each", trips as f64 / calls as f64);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_beyond_the_limit_is_refused_without_asking() -> anyhow::Result<()> {
    let _beside = beside_others();
    let redis = Redis::start()?;
    let settings = redis.settings(TIMEOUT);
    redis_known_for_long(&settings).await?;
    let front = Front::start(&settings, Times::of_the_server()).await?;
    let policy = policy(10, 10);
    let (mut within, calls) = (0_u64, 20_000_u64);
    let begun = Instant::now();
    for _ in 0..calls {
        let verdict = front.gate.rate(&acme(), std::slice::from_ref(&policy), 1).await?;
        within += u64::from(matches!(verdict, RateVerdict::Within(_)));
    }
    let allowed = 10 + 10 * (begun.elapsed().as_secs() + 1);
    assert!(within <= allowed, "{within} of {allowed}");
    let trips = redis.calls("evalsha")?;
    assert!(trips * 50 < calls, "{trips} round trips for {calls} calls");
    Ok(())
}
