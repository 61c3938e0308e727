//! A broker that goes away, comes late, does not answer, or takes nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use naru_shared::{
    queue::{PublishError, Queue, QueueName},
    rabbitmq::RabbitMqSettings,
};
use naru_tests::engines::{OnRabbitMq, RabbitMq, Stop};
use parking_lot::Mutex;

use super::{SOON, VISIBILITY, drain, eventually, name, one, own, publish_one};

use crate::stage::beside_others;

fn on(broker: &RabbitMq, call_timeout_ms: u64) -> anyhow::Result<OnRabbitMq> {
    let namespace = format!("t{:016x}", fastrand::u64(..)).parse()?;
    let settings =
        RabbitMqSettings { url: broker.url(), namespace, call_timeout_ms, ..RabbitMqSettings::default() };
    OnRabbitMq::open(settings, VISIBILITY)
}

/// Publishes until it is told to stop: which were confirmed, and which were tried.
async fn publisher(
    queue: Arc<dyn Queue>,
    at: QueueName,
    who: usize,
    stop: Arc<AtomicBool>,
    confirmed: Arc<Mutex<Vec<String>>>,
) -> anyhow::Result<usize> {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let text = format!("{who}-{number}");
        number += 1;
        if publish_one(&*queue, &at, &text).await.is_ok() {
            confirmed.lock().push(text);
        } else {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(number)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_confirmed_is_lost_when_the_broker_is_killed_again_and_again() -> anyhow::Result<()> {
    let _beside = beside_others();
    let mut own = own().await?;
    let broker = own.as_mut().unwrap();
    let (sender, receiver) = (on(broker, 4_000)?, on(broker, 4_000)?);
    let receiver = OnRabbitMq::open(sender.settings().clone(), VISIBILITY).map(|same| (receiver, same).1)?;
    let at = name("r")?;
    let stop = Arc::new(AtomicBool::new(false));
    let confirmed = Arc::new(Mutex::new(Vec::new()));
    let publishers: Vec<_> = (0..8)
        .map(|who| {
            let queue = Arc::clone(&sender.queue);
            tokio::spawn(publisher(queue, at.clone(), who, Arc::clone(&stop), Arc::clone(&confirmed)))
        })
        .collect();
    let consumer = tokio::spawn({
        let (queue, at) = (Arc::clone(&receiver.queue), at.clone());
        // Longer than any outage here.
        async move { drain(&*queue, &at, SOON).await }
    });
    for how in [Stop::Kill, Stop::Orderly, Stop::Kill] {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let before = confirmed.lock().len();
        tokio::task::block_in_place(|| broker.stop(how).and_then(|()| broker.begin()))?;
        let (_, took) = eventually(|| async {
            if confirmed.lock().len() > before + 50 { Ok(()) } else { Err("nothing is confirmed") }
        })
        .await?;
        println!("publishing again {took:?} after the broker was back from {how:?}");
    }
    stop.store(true, Ordering::Relaxed);
    let mut tried = 0;
    for publisher in publishers {
        tried += publisher.await??;
    }
    let received = consumer.await?;
    let confirmed = confirmed.lock();
    let lost: Vec<_> = confirmed.iter().filter(|text| !received.contains(*text)).collect();
    println!("{tried} tried, {} confirmed, {} received", confirmed.len(), received.len());
    assert!(lost.is_empty(), "{} of {} confirmed were lost: {lost:?}", lost.len(), confirmed.len());
    assert!(confirmed.len() > 500 && received.len() <= tried);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_starts_after_us_is_found() -> anyhow::Result<()> {
    let _beside = beside_others();
    let mut own = own().await?;
    let broker = own.as_mut().unwrap();
    tokio::task::block_in_place(|| broker.stop(Stop::Orderly))?;
    let (on, at) = (on(broker, 4_000)?, name("r")?);
    let began = Instant::now();
    assert!(matches!(publish_one(&*on.queue, &at, "early").await, Err(PublishError::Refused(_))));
    assert!(on.queue.receive(&at, 1, SOON).await.is_err(), "a receiver is told, not left waiting");
    assert!(on.queue.depth(&at).await.is_err());
    assert!(began.elapsed() < Duration::from_secs(5), "it was told only after {:?}", began.elapsed());
    tokio::task::block_in_place(|| broker.begin())?;
    let (_, took) = eventually(|| publish_one(&*on.queue, &at, "late")).await?;
    println!("published {took:?} after the broker was there");
    let (got, _) = eventually(|| one(&*on.queue, &at)).await?;
    assert_eq!(super::text(&got), "late");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_does_not_answer_leaves_a_publish_in_doubt_in_time_and_is_used_again()
-> anyhow::Result<()> {
    let _beside = beside_others();
    let own = own().await?;
    let broker = own.as_ref().unwrap();
    let (on, at) = (on(broker, 1_000)?, name("r")?);
    eventually(|| publish_one(&*on.queue, &at, "before")).await?;
    broker.freeze()?;
    let began = Instant::now();
    let doubtful = publish_one(&*on.queue, &at, "doubtful").await;
    let took = began.elapsed();
    // A frozen broker keeps its connection: only time tells.
    let refused = on.queue.depth(&at).await;
    broker.thaw()?;
    assert!(matches!(doubtful, Err(PublishError::Unknown(_))), "{doubtful:?}");
    assert!(took < Duration::from_secs(4), "after {took:?}");
    assert!(refused.is_err());
    eventually(|| publish_one(&*on.queue, &at, "after")).await?;
    let seen = drain(&*on.queue, &at, Duration::from_secs(2)).await;
    assert!(seen.contains("before") && seen.contains("after"), "{seen:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stays_silent_is_dropped_after_two_heartbeats() -> anyhow::Result<()> {
    let _beside = beside_others();
    let own = own().await?;
    let broker = own.as_ref().unwrap();
    let namespace = format!("t{:016x}", fastrand::u64(..)).parse()?;
    let settings = RabbitMqSettings {
        url: broker.url(),
        namespace,
        heartbeat_s: 1,
        call_timeout_ms: 500,
        connect_timeout_ms: 500,
        ..RabbitMqSettings::default()
    };
    let (on, at) = (OnRabbitMq::open(settings, VISIBILITY)?, name("r")?);
    eventually(|| publish_one(&*on.queue, &at, "before")).await?;
    broker.freeze()?;
    // From then on nothing is written any more: refused, not in doubt.
    let refused = eventually(|| async {
        match publish_one(&*on.queue, &at, "x").await {
            Err(PublishError::Refused(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let threads = threads();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let more = self::threads();
    broker.thaw()?;
    let (_, took) = refused?;
    println!("refused after {took:?}");
    assert!(more <= threads + 3, "attempts to connect pile up: {threads} threads, then {more}");
    eventually(|| publish_one(&*on.queue, &at, "after")).await?;
    Ok(())
}

/// Threads of the client library in this process.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("lapin")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_short_of_memory_refuses_at_once_and_still_delivers() -> anyhow::Result<()> {
    let _beside = beside_others();
    let own = own().await?;
    let broker = own.as_ref().unwrap();
    let (on, at) = (on(broker, 1_000)?, name("r")?);
    eventually(|| publish_one(&*on.queue, &at, "before")).await?;
    tokio::task::block_in_place(|| broker.ctl(&["set_vm_memory_high_watermark", "absolute", "1MB"]))?;
    // The first one finds out, and may be on its way.
    let first = publish_one(&*on.queue, &at, "first").await;
    let began = Instant::now();
    let second = publish_one(&*on.queue, &at, "second").await;
    let took = began.elapsed();
    let got = one(&*on.queue, &at).await;
    tokio::task::block_in_place(|| broker.ctl(&["set_vm_memory_high_watermark", "absolute", "1GB"]))?;
    assert!(first.is_err());
    assert!(matches!(second, Err(PublishError::Refused(_))), "{second:?}");
    assert!(took < Duration::from_millis(200), "after {took:?}");
    assert_eq!(super::text(&got?), "before");
    eventually(|| publish_one(&*on.queue, &at, "after")).await?;
    Ok(())
}
