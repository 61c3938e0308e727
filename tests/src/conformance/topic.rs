//! What a topic guarantees.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use naru_shared::{
    domain::{Event, SubscriptionName, Timestamp},
    topic::{EventDelivery, Topic, TopicError},
};
use serde_json::json;

use super::times::SOON;

/// An engine with nothing in it.
pub trait Fixture: Sized + Send {
    /// Makes one.
    fn fresh() -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// The port.
    fn topic(&self) -> Arc<dyn Topic>;

    /// As after a crash of every process involved.
    fn restart(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// The visibility time it was made with: short, and no less than 300 ms.
    fn visibility(&self) -> Duration;
}

/// One test of each guarantee for a fixture.
#[macro_export]
macro_rules! topic_conformance {
    ($fixture:ty) => {
        $crate::guarantees!(
            $crate::conformance::topic,
            $fixture,
            [
                every_subscription_has_its_own_copy,
                an_event_comes_out_as_it_went_in,
                a_subscription_receives_what_comes_after_it_was_made,
                subscriptions_and_what_they_wait_for_survive_a_restart,
                received_and_not_acknowledged_comes_back,
                ack_is_final_and_idempotent,
                ack_of_one_subscription_leaves_the_other_its_copy,
                an_ended_subscription_holds_nothing_and_is_unknown,
                subscribing_twice_loses_nothing,
                a_waiting_subscriber_is_woken_by_a_publish,
                publishing_to_nobody_succeeds_and_keeps_nothing,
                depth_counts_what_was_not_acknowledged,
            ]
        );
    };
}

fn subscription(name: &str) -> anyhow::Result<SubscriptionName> {
    Ok(name.parse()?)
}

fn event(number: u32) -> Event {
    let at = Timestamp::from_millis(1_763_802_000_120);
    Event::about(
        "msg_1",
        number,
        "naru.message.delivered".to_owned(),
        at,
        json!({ "n": number, "t": "안녕" }),
    )
}

async fn publish(topic: &dyn Topic, numbers: impl IntoIterator<Item = u32>) -> anyhow::Result<()> {
    let events: Vec<_> = numbers.into_iter().map(event).collect();
    let count = events.len();
    let results = topic.publish(events).await;
    assert_eq!(results.len(), count, "one result for each event");
    results.into_iter().collect::<Result<(), _>>().map_err(Into::into)
}

async fn receive(topic: &dyn Topic, name: &SubscriptionName) -> anyhow::Result<Vec<EventDelivery>> {
    let got = topic.receive(name, 100, SOON).await?;
    assert!(!got.is_empty(), "nothing came within {SOON:?}");
    Ok(got)
}

async fn ack(topic: &dyn Topic, name: &SubscriptionName, got: &[EventDelivery]) -> anyhow::Result<()> {
    let receipts = got.iter().map(|delivery| delivery.receipt.clone()).collect();
    let results = topic.ack(name, receipts).await;
    assert_eq!(results.len(), got.len(), "one result for each receipt");
    results.into_iter().collect::<Result<(), _>>().map_err(Into::into)
}

/// Receives and acknowledges until `count` different events came; their sequence numbers.
async fn drain(topic: &dyn Topic, name: &SubscriptionName, count: usize) -> anyhow::Result<BTreeSet<u32>> {
    let mut seen = BTreeSet::new();
    while seen.len() < count {
        let got = receive(topic, name).await?;
        seen.extend(got.iter().map(|delivery| delivery.event.sequence));
        ack(topic, name, &got).await?;
    }
    Ok(seen)
}

async fn is_empty(topic: &dyn Topic, name: &SubscriptionName) -> anyhow::Result<bool> {
    Ok(topic.receive(name, 10, Duration::from_millis(50)).await?.is_empty())
}

/// Each receives all.
pub async fn every_subscription_has_its_own_copy(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (topic, a, b) = (fixture.topic(), subscription("a")?, subscription("b")?);
    topic.subscribe(&a).await?;
    topic.subscribe(&b).await?;
    publish(&*topic, 0..50).await?;
    assert_eq!(drain(&*topic, &a, 50).await?, (0..50).collect());
    assert_eq!(drain(&*topic, &b, 50).await?, (0..50).collect());
    Ok(())
}

/// Every field.
pub async fn an_event_comes_out_as_it_went_in(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (topic, a) = (fixture.topic(), subscription("a")?);
    topic.subscribe(&a).await?;
    publish(&*topic, [7]).await?;
    let got = receive(&*topic, &a).await?;
    assert_eq!(got.into_iter().map(|delivery| delivery.event).collect::<Vec<_>>(), [event(7)]);
    Ok(())
}

/// And nothing from before.
pub async fn a_subscription_receives_what_comes_after_it_was_made(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let (topic, a, b) = (fixture.topic(), subscription("a")?, subscription("b")?);
    topic.subscribe(&a).await?;
    publish(&*topic, [1]).await?;
    topic.subscribe(&b).await?;
    publish(&*topic, [2]).await?;
    assert_eq!(drain(&*topic, &b, 1).await?, BTreeSet::from([2]));
    assert!(is_empty(&*topic, &b).await?);
    Ok(())
}

/// Also what was in hand.
pub async fn subscriptions_and_what_they_wait_for_survive_a_restart(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let a = subscription("a")?;
    fixture.topic().subscribe(&a).await?;
    publish(&*fixture.topic(), 0..5).await?;
    receive(&*fixture.topic(), &a).await?;
    publish(&*fixture.topic(), 5..9).await?;
    fixture.restart().await?;
    assert_eq!(fixture.topic().depth(&a).await?, 9);
    assert_eq!(drain(&*fixture.topic(), &a, 9).await?.len(), 9);
    fixture.restart().await?;
    assert!(is_empty(&*fixture.topic(), &a).await?);
    Ok(())
}

/// After the visibility time, and not before.
pub async fn received_and_not_acknowledged_comes_back(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (topic, a) = (fixture.topic(), subscription("a")?);
    topic.subscribe(&a).await?;
    publish(&*topic, [1]).await?;
    receive(&*topic, &a).await?;
    let taken = Instant::now();
    let again = receive(&*topic, &a).await?;
    assert!(taken.elapsed() >= fixture.visibility().mul_f32(0.8), "after {:?}", taken.elapsed());
    assert_eq!(again[0].event, event(1));
    Ok(())
}

/// Twice is once.
pub async fn ack_is_final_and_idempotent(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (topic, a) = (fixture.topic(), subscription("a")?);
    topic.subscribe(&a).await?;
    publish(&*topic, [1]).await?;
    let got = receive(&*topic, &a).await?;
    ack(&*topic, &a, &got).await?;
    ack(&*topic, &a, &got).await?;
    tokio::time::sleep(fixture.visibility() * 2).await;
    assert!(is_empty(&*topic, &a).await?);
    Ok(())
}

/// Even when the other is handed the wrong receipt.
pub async fn ack_of_one_subscription_leaves_the_other_its_copy(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let (topic, a, b) = (fixture.topic(), subscription("a")?, subscription("b")?);
    topic.subscribe(&a).await?;
    topic.subscribe(&b).await?;
    publish(&*topic, [1]).await?;
    let got = receive(&*topic, &a).await?;
    // Whether this is an error is the engine's affair.
    drop(topic.ack(&b, got.iter().map(|delivery| delivery.receipt.clone()).collect()).await);
    drop(topic);
    fixture.restart().await?;
    let topic = fixture.topic();
    assert_eq!((topic.depth(&a).await?, topic.depth(&b).await?), (1, 1));
    let got = receive(&*topic, &a).await?;
    ack(&*topic, &a, &got).await?;
    assert_eq!(topic.depth(&b).await?, 1);
    assert_eq!(drain(&*topic, &b, 1).await?.len(), 1);
    Ok(())
}

/// Nothing of it is left, not even when it is made again.
pub async fn an_ended_subscription_holds_nothing_and_is_unknown(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let (topic, a) = (fixture.topic(), subscription("a")?);
    topic.subscribe(&a).await?;
    publish(&*topic, 0..3).await?;
    topic.unsubscribe(&a).await?;
    topic.unsubscribe(&a).await?;
    assert!(
        matches!(topic.receive(&a, 1, Duration::ZERO).await, Err(TopicError::Unknown(name)) if name == a)
    );
    assert!(matches!(topic.depth(&a).await, Err(TopicError::Unknown(_))));
    topic.subscribe(&a).await?;
    assert!(is_empty(&*topic, &a).await?);
    publish(&*topic, [9]).await?;
    assert_eq!(drain(&*topic, &a, 1).await?, BTreeSet::from([9]));
    Ok(())
}

/// It is one subscription.
pub async fn subscribing_twice_loses_nothing(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (topic, a) = (fixture.topic(), subscription("a")?);
    topic.subscribe(&a).await?;
    publish(&*topic, [1]).await?;
    topic.subscribe(&a).await?;
    assert_eq!(topic.depth(&a).await?, 1);
    assert_eq!(drain(&*topic, &a, 1).await?.len(), 1);
    assert!(is_empty(&*topic, &a).await?);
    Ok(())
}

/// Long before its wait is over.
pub async fn a_waiting_subscriber_is_woken_by_a_publish(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (topic, a) = (fixture.topic(), subscription("a")?);
    topic.subscribe(&a).await?;
    let waiting = tokio::spawn({
        let (topic, a) = (Arc::clone(&topic), a.clone());
        async move { receive(&*topic, &a).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let published = Instant::now();
    publish(&*topic, [1]).await?;
    assert_eq!(waiting.await??.len(), 1);
    assert!(published.elapsed() < SOON / 5, "after {:?}", published.elapsed());
    Ok(())
}

/// Nobody listened, nobody gets it later.
pub async fn publishing_to_nobody_succeeds_and_keeps_nothing(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let (topic, a) = (fixture.topic(), subscription("a")?);
    publish(&*topic, 0..3).await?;
    topic.subscribe(&a).await?;
    assert!(is_empty(&*topic, &a).await?);
    Ok(())
}

/// Waiting or in hand.
pub async fn depth_counts_what_was_not_acknowledged(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (topic, a) = (fixture.topic(), subscription("a")?);
    topic.subscribe(&a).await?;
    assert_eq!(topic.depth(&a).await?, 0);
    publish(&*topic, 0..3).await?;
    let got = topic.receive(&a, 1, SOON).await?;
    assert_eq!(topic.depth(&a).await?, 3);
    ack(&*topic, &a, &got).await?;
    assert_eq!(topic.depth(&a).await?, 2);
    Ok(())
}
