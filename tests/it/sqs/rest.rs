//! Queues on which nothing lies: how seldom they are asked, and how soon a message is received all the same. The rhythm is
//! that of a deployment, a hundred times as fast.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use naru_shared::{
    aws::{
        AwsNamespace,
        sqs::{Rhythm, SqsSettings},
    },
    domain::Lane,
    doorbell::{Doorbell, RedisDoorbell},
    queue::{Queue, SqsQueue},
    redis::RedisSettings,
};
use naru_tests::{
    aws_proxy::AwsProxy,
    engines::{Redis, Stop, shared_redis, sqs_settings},
};
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{express, name, one, open, proxied, publish_one, settings, shared, text, with_bell};

use crate::stage::beside_others;

/// SQS counts whole seconds: a poll cannot be shorter.
const RHYTHM: Rhythm =
    Rhythm { poll: Duration::from_secs(1), settle: Duration::from_secs(2), rest: Duration::from_secs(6) };

/// How long it may take until a queue rests: two empty polls after what was last heard, and a count.
const SETTLED: Duration = Duration::from_secs(8);

const ANSWER: Duration = Duration::from_secs(1);

fn bell(settings: &RedisSettings) -> anyhow::Result<Arc<dyn Doorbell>> {
    Ok(Arc::new(RedisDoorbell::open(settings, &Handle::current())?))
}

/// Texts that came, and when.
type Came = Arc<Mutex<Vec<(String, Instant)>>>;

/// A worker's loops over both lanes, and the question how much lies there.
struct Worker {
    _tasks: JoinSet<()>,
    came: Came,
    stop: Arc<AtomicBool>,
}

impl Worker {
    fn start(queue: &Arc<SqsQueue>) -> anyhow::Result<Self> {
        let (mut tasks, came, stop) = (JoinSet::new(), Came::default(), Arc::<AtomicBool>::default());
        for lane in Lane::ALL {
            let (queue, at) = (Arc::clone(queue), name(lane)?);
            let (came, stop) = (Arc::clone(&came), Arc::clone(&stop));
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let Ok(got) = queue.receive(&at, 16, Duration::from_millis(700)).await else { continue };
                    came.lock().extend(got.iter().map(|delivery| (text(delivery), Instant::now())));
                    let receipts = got.into_iter().map(|delivery| delivery.receipt).collect();
                    assert!(queue.ack(&at, receipts).await.iter().all(Result::is_ok));
                    assert!(queue.depth(&at).await.is_ok());
                }
            });
        }
        Ok(Self { _tasks: tasks, came, stop })
    }

    async fn received(&self, what: &str, published: Instant) -> Duration {
        loop {
            let at = self.came.lock().iter().find(|(text, _)| text == what).map(|(_, at)| *at);
            if let Some(at) = at {
                return at.saturating_duration_since(published);
            }
            assert!(published.elapsed() < super::SOON, "{what} did not come");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Requests to a group of queues since the last look: those of packs, and those of dead ones; and others.
fn asked(proxy: &AwsProxy) -> (u64, u64, u64) {
    let (mut packs, mut dead, mut others) = (0, 0, 0);
    for (call, count) in proxy.take_calls() {
        match call.resource.rsplit('-').next() {
            Some("express" | "bulk") => packs += count,
            Some("dead") => dead += count,
            _ => others += count,
        }
    }
    (packs, dead, others)
}

/// A worker behind a proxy that counts, and a publisher that goes past it.
struct Site {
    proxy: AwsProxy,
    worker: Worker,
    publisher: Arc<SqsQueue>,
    namespace: AwsNamespace,
}

impl Site {
    async fn start(redis: &RedisSettings) -> anyhow::Result<Self> {
        let emulator = shared().await?;
        let proxy = proxied(emulator).await?;
        let direct: SqsSettings = settings(emulator)?;
        let counted = SqsSettings { endpoint: Some(proxy.endpoint()), ..direct.clone() };
        let worker = Worker::start(&with_bell(&counted, bell(redis)?, RHYTHM))?;
        let publisher = with_bell(&direct, bell(redis)?, RHYTHM);
        Ok(Self { proxy, worker, publisher, namespace: direct.namespace })
    }

    async fn wakes_within_a_second(&self, what: &str) -> anyhow::Result<()> {
        let published = Instant::now();
        publish_one(&*self.publisher, &express()?, what).await?;
        let after = self.worker.received(what, published).await;
        println!("{what}: received after {after:?}");
        assert!(after < Duration::from_secs(1), "{what}: {after:?}");
        Ok(())
    }

    /// Twice in a rest for each group of queues, as twice in ten minutes.
    async fn rests(&self) {
        let span = RHYTHM.rest * 3;
        drop(self.proxy.take_calls());
        sleep(span).await;
        let (packs, dead, others) = asked(&self.proxy);
        println!("in {span:?} at rest: {packs} to packs, {dead} to dead, {others} to others");
        assert!(packs <= 6 && dead <= 6, "{packs} and {dead}");
        assert!(packs >= 2 && dead >= 2, "nobody would find what nobody rang for: {packs} and {dead}");
        assert_eq!(others, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_rest_hardly_anything_is_asked_and_a_message_is_received_within_a_second() -> anyhow::Result<()> {
    let _beside = beside_others();
    let redis = tokio::task::spawn_blocking(shared_redis).await??.settings(ANSWER);
    let site = Site::start(&redis).await?;
    sleep(SETTLED * 2).await;
    site.rests().await;
    for number in 0..5 {
        site.wakes_within_a_second(&format!("after a rest {number}")).await?;
    }
    sleep(SETTLED).await;
    site.rests().await;
    // Nobody rings for what another program puts there; it is found all the same.
    let mut silent = sqs_settings(&shared().await?.settings(), super::VISIBILITY)?;
    silent.namespace = site.namespace.clone();
    let published = Instant::now();
    publish_one(&*open(&silent), &express()?, "silent").await?;
    let after = site.worker.received("silent", published).await;
    assert!(after < RHYTHM.rest + RHYTHM.poll * 3, "{after:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_doorbell_cannot_be_heard_every_queue_is_asked_all_the_time() -> anyhow::Result<()> {
    let _beside = beside_others();
    let mut redis = tokio::task::spawn_blocking(Redis::start).await??;
    let site = Site::start(&redis.settings(ANSWER)).await?;
    sleep(SETTLED).await;
    site.rests().await;
    redis.stop(Stop::Kill)?;
    sleep(Duration::from_secs(1)).await;
    drop(site.proxy.take_calls());
    sleep(Duration::from_secs(6)).await;
    let (packs, ..) = asked(&site.proxy);
    println!("in 6 s without the doorbell: {packs} to packs");
    assert!(packs >= 8, "two lanes that are polled for a second each time: {packs}");
    site.wakes_within_a_second("without the doorbell").await?;
    redis.begin()?;
    sleep(SETTLED * 2).await;
    site.rests().await;
    site.wakes_within_a_second("with it again").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_died_in_another_s_hands_is_received_though_nobody_rings() -> anyhow::Result<()> {
    let _beside = beside_others();
    let redis = tokio::task::spawn_blocking(shared_redis).await??.settings(ANSWER);
    let emulator = shared().await?;
    let visibility = Duration::from_secs(10);
    let settings = sqs_settings(&emulator.settings(), visibility)?;
    // It would rest for an hour.
    let rhythm = Rhythm { rest: Duration::from_secs(3_600), ..RHYTHM };
    let first = with_bell(&settings, bell(&redis)?, rhythm);
    let at = express()?;
    publish_one(&*first, &at, "orphan").await?;
    let taken = Instant::now();
    assert_eq!(text(&one(&*first, &at).await?), "orphan");
    drop(first);
    let worker = Worker::start(&with_bell(&settings, bell(&redis)?, rhythm))?;
    let after = worker.received("orphan", taken).await;
    assert!(after < visibility + Duration::from_secs(3), "{after:?}");
    Ok(())
}
