//! What is in somebody's hands, what goes back, what is thrown out, and what is not there any more.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use lapin::options::{BasicGetOptions, BasicPublishOptions, BasicRejectOptions, QueueDeleteOptions};
use naru_shared::{domain::Event, topic::TopicError};

use super::{
    SOON, VISIBILITY, ack, broker_name, drain, eventually, name, one, pack, publish_one, shared, stranger,
    text,
};

use crate::stage::beside_others;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_takes_goes_back_for_others() -> anyhow::Result<()> {
    let _beside = beside_others();
    let (first, at) = (shared().await?, name("r")?);
    let second = first.another(VISIBILITY)?;
    let packs = (0..20).map(|i| pack(&at, i.to_string())).collect::<anyhow::Result<_>>()?;
    first.queue.publish(packs).await.into_iter().collect::<Result<(), _>>()?;
    let held = one(&*first.queue, &at).await?;
    // The rest was delivered to the first process with it, where nobody asks for more.
    let began = Instant::now();
    let mut others = drain(&*second.queue, &at, Duration::from_secs(5)).await;
    println!("others came until {:?}", began.elapsed());
    assert_eq!(others.len(), 19);
    assert!(others.insert(text(&held)), "what is held was given to another too");
    // It is still the first one's.
    ack(&*first.queue, &at, vec![held.receipt]).await?;
    assert_eq!(first.queue.depth(&at).await?.packs, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_held_by_a_process_that_died_is_counted_and_comes_to_another() -> anyhow::Result<()> {
    let _beside = beside_others();
    let (mut first, at) = (shared().await?, name("r")?);
    publish_one(&*first.queue, &at, "a").await?;
    for times in 1..=3 {
        let got = one(&*first.queue, &at).await?;
        assert_eq!((text(&got).as_str(), got.deliveries), ("a", times));
        let stale = got.receipt;
        first.crash(VISIBILITY)?;
        let results = first.queue.ack(&at, vec![stale]).await;
        assert!(results[0].is_err(), "an acknowledgement that has no effect must not say so");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_throws_out_is_received_as_one_that_came_often() -> anyhow::Result<()> {
    let _beside = beside_others();
    let (on, at) = (shared().await?, name("r")?);
    publish_one(&*on.queue, &at, "thrown out").await?;
    let (_connection, channel) = stranger(&on.settings().url).await?;
    let taken = channel.basic_get(broker_name(&on, &at).as_str().into(), BasicGetOptions::default()).await?;
    taken.unwrap().reject(BasicRejectOptions { requeue: false }).await?;
    let got = one(&*on.queue, &at).await?;
    assert_eq!(text(&got), "thrown out");
    assert!(got.deliveries > 10);
    assert_eq!(on.queue.depth(&at).await?.packs, 1);
    ack(&*on.queue, &at, vec![got.receipt]).await?;
    assert_eq!(on.queue.depth(&at).await?.packs, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_was_deleted_is_made_again_and_nothing_is_confirmed_into_nowhere() -> anyhow::Result<()>
{
    let _beside = beside_others();
    let (on, at) = (shared().await?, name("r")?);
    let (_connection, channel) = stranger(&on.settings().url).await?;
    for round in 0..5 {
        publish_one(&*on.queue, &at, "first").await?;
        channel.queue_delete(broker_name(&on, &at).as_str().into(), QueueDeleteOptions::default()).await?;
        // In flight together: each must be told its own fate.
        let publishes = (0..40).map(|i| {
            let (queue, at) = (&on.queue, &at);
            async move { (i, publish_one(&**queue, at, &format!("{round}-{i}")).await) }
        });
        let results = join_all(publishes).await;
        let confirmed: Vec<String> =
            results.iter().filter(|(_, r)| r.is_ok()).map(|(i, _)| format!("{round}-{i}")).collect();
        // Nobody receives while the queue is deleted: a receiver makes it again at once, and then nobody is told.
        let receiver = on.another(VISIBILITY)?;
        let received = drain(&*receiver.queue, &at, Duration::from_secs(1)).await;
        let lost: Vec<_> = confirmed.iter().filter(|text| !received.contains(*text)).collect();
        assert!(lost.is_empty(), "confirmed and lost: {lost:?}");
        assert_eq!(confirmed.len(), 40, "{results:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_an_event_is_set_aside_and_others_come() -> anyhow::Result<()> {
    let _beside = beside_others();
    let on = shared().await?;
    let subscription = "a".parse()?;
    on.topic.subscribe(&subscription).await?;
    let exchange = format!("naru.{}.events", on.settings().namespace);
    let (_connection, channel) = stranger(&on.settings().url).await?;
    let options = BasicPublishOptions::default();
    channel
        .basic_publish(exchange.as_str().into(), "".into(), options, b"?", Default::default())
        .await?
        .await?;
    let at = naru_shared::domain::Timestamp::from_millis(1);
    let event = Event::about("msg_1", 1, "naru.test".to_owned(), at, serde_json::json!({}));
    on.topic.publish(vec![event.clone()]).await.into_iter().collect::<Result<(), _>>()?;
    let got = on.topic.receive(&subscription, 10, SOON).await?;
    assert_eq!(got.iter().map(|delivery| &delivery.event).collect::<Vec<_>>(), [&event]);
    let aside = format!("{exchange}.a.copies.quarantine");
    let kept = channel.basic_get(aside.as_str().into(), BasicGetOptions::default()).await?;
    assert_eq!(kept.unwrap().data, b"?");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_the_broker_lost_is_made_again_before_the_next_event() -> anyhow::Result<()> {
    let _beside = beside_others();
    let on = shared().await?;
    let subscription = "a".parse()?;
    on.topic.subscribe(&subscription).await?;
    let (_connection, channel) = stranger(&on.settings().url).await?;
    let queue = format!("naru.{}.events.a.copies", on.settings().namespace);
    channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await?;
    let at = naru_shared::domain::Timestamp::from_millis(1);
    let event = Event::about("msg_1", 1, "naru.test".to_owned(), at, serde_json::json!({}));
    // Whoever publishes is told that nobody got it, and tries again.
    let first = on.topic.publish(vec![event.clone()]).await.remove(0);
    assert!(matches!(first, Err(TopicError::Unavailable(_))), "{first:?}");
    eventually(|| async { on.topic.publish(vec![event.clone()]).await.remove(0) }).await?;
    let got = on.topic.receive(&subscription, 10, SOON).await?;
    assert_eq!(got[0].event, event);
    Ok(())
}

/// Longer than any wait of the test below.
const MUCH_LATER: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_are_put_off_those_behind_them_come_and_a_death_loses_none() -> anyhow::Result<()> {
    let _beside = beside_others();
    let (mut on, at) = (shared().await?, name("r")?);
    // More than the broker leaves in the hands of one process, in front of one that can be read.
    let most = usize::from(on.settings().prefetch) + 50;
    let packs = (0..most).map(|i| pack(&at, i.to_string())).collect::<anyhow::Result<_>>()?;
    on.queue.publish(packs).await.into_iter().collect::<Result<(), _>>()?;
    publish_one(&*on.queue, &at, "behind").await?;
    // One that comes back while the test runs; what waits shorter must not stand behind what waits longer.
    let first = one(&*on.queue, &at).await?;
    on.queue.release(&at, first.receipt.clone(), Duration::from_secs(2)).await?;
    let (mut put_off, mut behind) = (1, None);
    while behind.is_none() || put_off < most {
        let got = on.queue.receive(&at, 64, SOON).await?;
        anyhow::ensure!(!got.is_empty(), "{put_off} of {most} were put off, and nothing more comes");
        let mut releases = Vec::new();
        for delivery in got {
            if text(&delivery) == "behind" {
                behind = Some(delivery.receipt);
            } else {
                put_off += 1;
                releases.push(on.queue.release(&at, delivery.receipt, MUCH_LATER));
            }
        }
        join_all(releases).await.into_iter().collect::<Result<(), _>>()?;
    }
    assert_eq!(put_off, most);
    assert_eq!(on.queue.depth(&at).await?.packs, most as u64 + 1, "what is put off is counted");
    ack(&*on.queue, &at, behind.into_iter().collect()).await?;
    on.crash(VISIBILITY)?;
    let back = one(&*on.queue, &at).await?;
    assert_eq!((text(&back), back.deliveries), (text(&first), 1));
    ack(&*on.queue, &at, vec![back.receipt]).await?;
    let (_connection, channel) = stranger(&on.settings().url).await?;
    let later = format!("{}.later", broker_name(&on, &at));
    let options = lapin::options::QueueDeclareOptions { passive: true, ..Default::default() };
    let waiting =
        channel.queue_declare(later.as_str().into(), options, lapin::types::FieldTable::default()).await?;
    assert_eq!(waiting.message_count() as usize, most - 1);
    Ok(())
}
