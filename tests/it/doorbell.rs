//! The doorbell in Redis: what is rung in one process is heard in another, and whoever cannot hear knows it.

use std::time::Duration;

use naru_shared::{
    doorbell::{Doorbell, Heard, RedisDoorbell},
    redis::RedisSettings,
};
use naru_tests::engines::{Redis, Stop, shared_redis};
use tokio::{
    runtime::Handle,
    sync::watch::Receiver,
    time::{Instant, sleep, timeout},
};

use crate::stage::beside_others;

const ANSWER: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_secs(10);

fn open(settings: &RedisSettings) -> anyhow::Result<RedisDoorbell> {
    Ok(RedisDoorbell::open(settings, &Handle::current())?)
}

/// Waits until what is known of a bell is so.
async fn until(bell: &mut Receiver<Heard>, is_so: impl FnMut(&Heard) -> bool) -> anyhow::Result<Heard> {
    Ok(*timeout(SOON, bell.wait_for(is_so)).await??)
}

#[tokio::test]
async fn a_ring_is_heard_at_once_and_only_where_it_was_meant() -> anyhow::Result<()> {
    let _beside = beside_others();
    let settings = tokio::task::spawn_blocking(shared_redis).await??.settings(ANSWER);
    let (here, there) = (open(&settings)?, open(&settings)?);
    let (mut bell, mut other) = (there.listen("a"), there.listen("b"));
    let before = until(&mut bell, |heard| heard.hears).await?.rings;
    let quiet = until(&mut other, |heard| heard.hears).await?.rings;
    for round in 1..=20 {
        let rung = Instant::now();
        here.ring("a");
        until(&mut bell, |heard| heard.rings >= before + round).await?;
        assert!(rung.elapsed() < Duration::from_millis(500), "heard after {:?}", rung.elapsed());
    }
    assert_eq!(other.borrow().rings, quiet);
    Ok(())
}

#[tokio::test]
async fn what_was_rung_while_redis_was_away_is_told_and_nobody_believes_that_it_hears() -> anyhow::Result<()>
{
    let _beside = beside_others();
    let mut redis = tokio::task::spawn_blocking(Redis::start).await??;
    let settings = redis.settings(ANSWER);
    let (here, there) = (open(&settings)?, open(&settings)?);
    let mut bell = there.listen("a");
    until(&mut bell, |heard| heard.hears).await?;
    redis.stop(Stop::Kill)?;
    until(&mut bell, |heard| !heard.hears).await?;
    let began = Instant::now();
    here.ring("a");
    assert!(began.elapsed() < Duration::from_millis(50), "nobody waits for Redis");
    let before = bell.borrow().rings;
    redis.begin()?;
    until(&mut bell, |heard| heard.hears && heard.rings > before).await?;
    // Told when Redis was back: the counter says so to whoever asks.
    let mut connection = settings.client()?.get_multiplexed_async_connection().await?;
    let counter = async |connection: &mut redis::aio::MultiplexedConnection| {
        let key = format!("{}:bell-counters", settings.prefix);
        redis::cmd("HGET").arg(key).arg("a").query_async::<Option<u64>>(connection).await
    };
    let began = Instant::now();
    while counter(&mut connection).await?.is_none() {
        assert!(began.elapsed() < SOON, "the ring was not told");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_redis_that_does_not_answer_is_noticed() -> anyhow::Result<()> {
    let _beside = beside_others();
    let redis = tokio::task::spawn_blocking(Redis::start).await??;
    let bell = open(&redis.settings(ANSWER))?;
    let mut heard = bell.listen("a");
    until(&mut heard, |heard| heard.hears).await?;
    redis.freeze()?;
    until(&mut heard, |heard| !heard.hears).await?;
    redis.thaw()?;
    until(&mut heard, |heard| heard.hears).await?;
    Ok(())
}
