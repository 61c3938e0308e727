//! What a queue guarantees.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use naru_shared::{
    domain::{Envelope, Lane},
    queue::{Delivery, Outgoing, Queue, QueueName, Receipt},
};

use super::times::{SOON, until};

/// An engine with nothing in it.
pub trait Fixture: Sized + Send {
    /// Makes one.
    fn fresh() -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// The port.
    fn queue(&self) -> Arc<dyn Queue>;

    /// As after a crash of every process involved: nothing is in hand any more.
    fn restart(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// The visibility time it was made with: short, so that a suite can wait for it, and no less than 300 ms.
    fn visibility(&self) -> Duration;
}

/// One test of each guarantee for a fixture.
#[macro_export]
macro_rules! queue_conformance {
    ($fixture:ty) => {
        $crate::guarantees!(
            $crate::conformance::queue,
            $fixture,
            [
                what_was_published_is_received,
                a_large_envelope_comes_out_as_it_went_in,
                received_and_not_acknowledged_comes_back,
                what_is_in_hand_comes_back_after_a_restart,
                what_waits_is_there_after_a_restart,
                ack_is_final_and_idempotent,
                ack_is_final_after_a_restart,
                ack_of_one_pack_leaves_the_others,
                a_receiver_that_was_too_late_still_acknowledges,
                lanes_are_separate,
                routes_are_separate,
                a_released_pack_comes_back_after_its_delay_and_not_before,
                a_quarantined_pack_is_out_of_the_way_and_kept,
                a_waiting_receiver_is_woken_by_a_publish,
                every_waiting_receiver_is_woken,
                an_empty_queue_answers_empty_after_its_wait,
                no_more_than_asked_for_is_given,
                two_receivers_never_hold_the_same_pack,
                a_receiver_that_gives_up_takes_nothing_with_it,
                a_group_that_floods_does_not_delay_another,
                concurrent_publishes_are_all_confirmed_and_all_received,
                depth_counts_what_waits_and_what_is_in_hand,
            ]
        );
    };
}

fn name(route: &str, lane: Lane) -> anyhow::Result<QueueName> {
    Ok(QueueName { route: route.parse()?, lane })
}

fn pack(queue: &QueueName, group: &str, text: impl Into<Vec<u8>>) -> anyhow::Result<Outgoing> {
    let envelope = Envelope(text.into().into());
    Ok(Outgoing { queue: queue.clone(), group: group.parse()?, envelope })
}

async fn publish(queue: &dyn Queue, packs: Vec<Outgoing>) -> anyhow::Result<()> {
    let count = packs.len();
    let results = queue.publish(packs).await;
    assert_eq!(results.len(), count, "one result for each pack");
    results.into_iter().collect::<Result<(), _>>().map_err(Into::into)
}

async fn publish_one(queue: &dyn Queue, at: &QueueName, text: &str) -> anyhow::Result<()> {
    publish(queue, vec![pack(at, "acme", text)?]).await
}

async fn receive(queue: &dyn Queue, at: &QueueName, max: usize) -> anyhow::Result<Vec<Delivery>> {
    Ok(queue.receive(at, max, SOON).await?)
}

async fn one(queue: &dyn Queue, at: &QueueName) -> anyhow::Result<Delivery> {
    let mut got = receive(queue, at, 1).await?;
    got.pop().ok_or_else(|| anyhow::anyhow!("nothing came within {SOON:?}"))
}

async fn is_empty(queue: &dyn Queue, at: &QueueName) -> anyhow::Result<bool> {
    Ok(queue.receive(at, 10, Duration::from_millis(50)).await?.is_empty())
}

async fn ack(queue: &dyn Queue, at: &QueueName, receipts: Vec<Receipt>) -> anyhow::Result<()> {
    let count = receipts.len();
    let results = queue.ack(at, receipts).await;
    assert_eq!(results.len(), count, "one result for each receipt");
    results.into_iter().collect::<Result<(), _>>().map_err(Into::into)
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.envelope.0).into_owned()
}

fn texts(deliveries: &[Delivery]) -> BTreeSet<String> {
    deliveries.iter().map(text).collect()
}

/// Receives and acknowledges until `count` different packs came.
async fn drain(queue: &dyn Queue, at: &QueueName, count: usize) -> anyhow::Result<BTreeSet<String>> {
    let mut seen = BTreeSet::new();
    while seen.len() < count {
        let got = receive(queue, at, 64).await?;
        assert!(!got.is_empty(), "{} of {count} came", seen.len());
        seen.extend(texts(&got));
        ack(queue, at, got.into_iter().map(|delivery| delivery.receipt).collect()).await?;
    }
    Ok(seen)
}

/// What went in comes out, once.
pub async fn what_was_published_is_received(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (queue, at) = (fixture.queue(), name("r", Lane::Express)?);
    publish(&*queue, vec![pack(&at, "acme", "a")?, pack(&at, "other", "b")?]).await?;
    assert_eq!(drain(&*queue, &at, 2).await?.len(), 2);
    assert!(is_empty(&*queue, &at).await?);
    Ok(())
}

/// 300 KiB of every byte.
pub async fn a_large_envelope_comes_out_as_it_went_in(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (queue, at) = (fixture.queue(), name("r", Lane::Bulk)?);
    let bytes: Vec<u8> = (0..300 * 1_024_u32).map(|i| (i % 251) as u8).collect();
    publish(&*queue, vec![pack(&at, "acme", bytes.clone())?]).await?;
    assert!(one(&*queue, &at).await?.envelope.0 == bytes);
    Ok(())
}

/// The visibility time gives it to the next receiver, and not before.
pub async fn received_and_not_acknowledged_comes_back(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (queue, at) = (fixture.queue(), name("r", Lane::Express)?);
    if !queue.capabilities().visibility {
        return Ok(());
    }
    publish_one(&*queue, &at, "a").await?;
    let taken = Instant::now();
    one(&*queue, &at).await?;
    let again = one(&*queue, &at).await?;
    assert!(taken.elapsed() >= fixture.visibility().mul_f32(0.9), "after {:?}", taken.elapsed());
    assert_eq!(text(&again), "a");
    assert!(again.deliveries == 1 || again.deliveries == 2);
    Ok(())
}

/// A receiver that died holds nothing.
pub async fn what_is_in_hand_comes_back_after_a_restart(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let at = name("r", Lane::Express)?;
    publish_one(&*fixture.queue(), &at, "a").await?;
    one(&*fixture.queue(), &at).await?;
    fixture.restart().await?;
    assert_eq!(text(&one(&*fixture.queue(), &at).await?), "a");
    Ok(())
}

/// A confirmed publish survives.
pub async fn what_waits_is_there_after_a_restart(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let at = name("r", Lane::Express)?;
    let packs = (0..200).map(|i| pack(&at, "acme", i.to_string())).collect::<anyhow::Result<_>>()?;
    publish(&*fixture.queue(), packs).await?;
    fixture.restart().await?;
    assert_eq!(drain(&*fixture.queue(), &at, 200).await?.len(), 200);
    Ok(())
}

/// Twice is once.
pub async fn ack_is_final_and_idempotent(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (queue, at) = (fixture.queue(), name("r", Lane::Express)?);
    publish_one(&*queue, &at, "a").await?;
    let receipt = one(&*queue, &at).await?.receipt;
    ack(&*queue, &at, vec![receipt.clone()]).await?;
    ack(&*queue, &at, vec![receipt]).await?;
    tokio::time::sleep(fixture.visibility() * 2).await;
    assert!(is_empty(&*queue, &at).await?);
    Ok(())
}

/// What was acknowledged is not brought back by a restart.
pub async fn ack_is_final_after_a_restart(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let at = name("r", Lane::Express)?;
    publish_one(&*fixture.queue(), &at, "a").await?;
    let receipt = one(&*fixture.queue(), &at).await?.receipt;
    ack(&*fixture.queue(), &at, vec![receipt]).await?;
    fixture.restart().await?;
    assert!(is_empty(&*fixture.queue(), &at).await?);
    Ok(())
}

/// Also when a new pack takes the place of one that is gone.
pub async fn ack_of_one_pack_leaves_the_others(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (queue, at) = (fixture.queue(), name("r", Lane::Express)?);
    publish_one(&*queue, &at, "a").await?;
    let first = one(&*queue, &at).await?.receipt;
    ack(&*queue, &at, vec![first.clone()]).await?;
    publish_one(&*queue, &at, "b").await?;
    ack(&*queue, &at, vec![first]).await?;
    assert_eq!(text(&one(&*queue, &at).await?), "b");
    Ok(())
}

/// Whoever acknowledges has recorded the pack, even if it came back meanwhile.
pub async fn a_receiver_that_was_too_late_still_acknowledges(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let (queue, at) = (fixture.queue(), name("r", Lane::Express)?);
    if !queue.capabilities().visibility {
        return Ok(());
    }
    publish_one(&*queue, &at, "a").await?;
    let first = one(&*queue, &at).await?.receipt;
    let second = one(&*queue, &at).await?.receipt;
    ack(&*queue, &at, vec![first]).await?;
    ack(&*queue, &at, vec![second]).await?;
    tokio::time::sleep(fixture.visibility() * 2).await;
    assert!(is_empty(&*queue, &at).await?);
    Ok(())
}

/// A login code is not found among advertisements.
pub async fn lanes_are_separate(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    separate(&*fixture.queue(), &name("r", Lane::Express)?, &name("r", Lane::Bulk)?).await
}

/// What is for one backend is not given to another.
pub async fn routes_are_separate(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    separate(&*fixture.queue(), &name("r", Lane::Bulk)?, &name("s", Lane::Bulk)?).await
}

async fn separate(queue: &dyn Queue, a: &QueueName, b: &QueueName) -> anyhow::Result<()> {
    publish(queue, vec![pack(a, "acme", "a")?, pack(b, "acme", "b")?]).await?;
    let got = [drain(queue, a, 1).await?, drain(queue, b, 1).await?];
    assert_eq!(got, [BTreeSet::from(["a".to_owned()]), BTreeSet::from(["b".to_owned()])]);
    assert!(is_empty(queue, a).await? && is_empty(queue, b).await?);
    Ok(())
}

/// Longer or shorter than the visibility time.
pub async fn a_released_pack_comes_back_after_its_delay_and_not_before(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let (queue, at) = (fixture.queue(), name("r", Lane::Express)?);
    publish_one(&*queue, &at, "a").await?;
    for delay in [Duration::ZERO, fixture.visibility() / 2, fixture.visibility() * 3] {
        let receipt = one(&*queue, &at).await?.receipt;
        let released = Instant::now();
        queue.release(&at, receipt.clone(), delay).await?;
        let again = one(&*queue, &at).await?;
        let after = released.elapsed();
        assert!(after >= delay.mul_f32(0.9), "after {after:?} of {delay:?}");
        assert!(after < delay + SOON / 2, "only after {after:?} of {delay:?}");
        // The former receipt gives nothing back any more.
        queue.release(&at, receipt, Duration::ZERO).await?;
        assert!(is_empty(&*queue, &at).await?);
        queue.release(&at, again.receipt, Duration::ZERO).await?;
    }
    Ok(())
}

/// It is counted, it never comes again, and those behind it come.
pub async fn a_quarantined_pack_is_out_of_the_way_and_kept(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let at = name("r", Lane::Express)?;
    let queue = fixture.queue();
    publish_one(&*queue, &at, "bad").await?;
    publish_one(&*queue, &at, "good").await?;
    for _ in 0..2 {
        let got = one(&*queue, &at).await?;
        if text(&got) == "bad" {
            queue.quarantine(&at, got.receipt, "not an envelope").await?;
        } else {
            ack(&*queue, &at, vec![got.receipt]).await?;
        }
    }
    drop(queue);
    fixture.restart().await?;
    assert!(is_empty(&*fixture.queue(), &at).await?);
    assert_eq!(fixture.queue().depth(&at).await?.quarantined, 1);
    Ok(())
}

/// Long before its wait is over.
pub async fn a_waiting_receiver_is_woken_by_a_publish(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (queue, at) = (fixture.queue(), name("r", Lane::Express)?);
    for round in 0..20 {
        let waiting = tokio::spawn({
            let (queue, at) = (Arc::clone(&queue), at.clone());
            async move { one(&*queue, &at).await }
        });
        tokio::time::sleep(Duration::from_millis(round)).await;
        let published = Instant::now();
        publish_one(&*queue, &at, "a").await?;
        let got = waiting.await??;
        assert!(published.elapsed() < SOON / 5, "after {:?}", published.elapsed());
        ack(&*queue, &at, vec![got.receipt]).await?;
    }
    Ok(())
}

/// As many packs as receivers: none is left waiting beside a pack.
pub async fn every_waiting_receiver_is_woken(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (queue, at) = (fixture.queue(), name("r", Lane::Express)?);
    let waiting = (0..8).map(|_| {
        let (queue, at) = (Arc::clone(&queue), at.clone());
        tokio::spawn(async move {
            let got = one(&*queue, &at).await?;
            ack(&*queue, &at, vec![got.receipt.clone()]).await?;
            anyhow::Ok(text(&got))
        })
    });
    let waiting: Vec<_> = waiting.collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let packs = (0..8).map(|i| pack(&at, "acme", i.to_string())).collect::<anyhow::Result<_>>()?;
    publish(&*queue, packs).await?;
    let mut seen = BTreeSet::new();
    for receiver in join_all(waiting).await {
        seen.insert(receiver??);
    }
    assert_eq!(seen.len(), 8);
    Ok(())
}

/// Neither at once nor never.
pub async fn an_empty_queue_answers_empty_after_its_wait(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (queue, at) = (fixture.queue(), name("r", Lane::Express)?);
    let (began, wait) = (Instant::now(), Duration::from_millis(300));
    assert!(queue.receive(&at, 10, wait).await?.is_empty());
    assert!(began.elapsed() >= wait && began.elapsed() < wait + SOON / 2, "after {:?}", began.elapsed());
    Ok(())
}

/// The rest stays for others.
pub async fn no_more_than_asked_for_is_given(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (queue, at) = (fixture.queue(), name("r", Lane::Express)?);
    let packs = (0..5).map(|i| pack(&at, "acme", i.to_string())).collect::<anyhow::Result<_>>()?;
    publish(&*queue, packs).await?;
    let first = receive(&*queue, &at, 3).await?;
    assert!(!first.is_empty() && first.len() <= 3);
    let mut seen = texts(&first);
    while seen.len() < 5 {
        seen.extend(texts(&receive(&*queue, &at, 3).await?));
    }
    Ok(())
}

/// Within the visibility time.
pub async fn two_receivers_never_hold_the_same_pack(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    const PACKS: usize = 300;
    let (queue, at) = (fixture.queue(), name("r", Lane::Express)?);
    let packs = (0..PACKS).map(|i| pack(&at, "acme", i.to_string())).collect::<anyhow::Result<_>>()?;
    publish(&*queue, packs).await?;
    let receivers = (0..4).map(|_| {
        let (queue, at) = (Arc::clone(&queue), at.clone());
        tokio::spawn(async move {
            let mut seen = Vec::new();
            loop {
                let got = queue.receive(&at, 7, Duration::from_millis(100)).await?;
                if got.is_empty() {
                    return anyhow::Ok(seen);
                }
                seen.extend(got.iter().map(text));
                ack(&*queue, &at, got.into_iter().map(|delivery| delivery.receipt).collect()).await?;
            }
        })
    });
    let mut all = Vec::new();
    for receiver in join_all(receivers.collect::<Vec<_>>()).await {
        all.extend(receiver??);
    }
    assert_eq!(all.len(), PACKS, "each once");
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), PACKS);
    Ok(())
}

/// A receive that is dropped at any point hides no pack for longer than the visibility time.
pub async fn a_receiver_that_gives_up_takes_nothing_with_it(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let (queue, at) = (fixture.queue(), name("r", Lane::Express)?);
    for micros in 0..50_u64 {
        let name = micros.to_string();
        let call = queue.receive(&at, 1, SOON);
        let published = publish_one(&*queue, &at, &name);
        // The receive ends here, sometimes with a pack that nobody will see.
        let given_up = tokio::time::timeout(Duration::from_micros(micros * 20), call);
        let (got, published) = tokio::join!(given_up, published);
        published?;
        if let Ok(got) = got {
            ack(&*queue, &at, got?.into_iter().map(|delivery| delivery.receipt).collect()).await?;
        } else {
            drain(&*queue, &at, 1).await?;
        }
    }
    until(|| async { Ok((queue.depth(&at).await?.packs == 0).then_some(())) }).await
}

/// One pack behind thousands of another customer's comes among the first.
pub async fn a_group_that_floods_does_not_delay_another(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (queue, at) = (fixture.queue(), name("r", Lane::Express)?);
    if !queue.capabilities().fair_groups {
        return Ok(());
    }
    for _ in 0..10 {
        let flood = (0..500).map(|i| pack(&at, "flood", i.to_string())).collect::<anyhow::Result<_>>()?;
        publish(&*queue, flood).await?;
    }
    publish(&*queue, vec![pack(&at, "small", "mine")?]).await?;
    let first = receive(&*queue, &at, 10).await?;
    assert!(texts(&first).contains("mine"), "{:?}", texts(&first));
    Ok(())
}

/// Many callers at once.
pub async fn concurrent_publishes_are_all_confirmed_and_all_received(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    const CALLERS: usize = 200;
    let (queue, at) = (fixture.queue(), name("r", Lane::Express)?);
    let publishes = (0..CALLERS).map(|caller| {
        let (queue, at) = (Arc::clone(&queue), at.clone());
        tokio::spawn(async move {
            let group = format!("c{}", caller % 7);
            let packs = (0..3).map(|i| pack(&at, &group, format!("{caller}-{i}")));
            publish(&*queue, packs.collect::<anyhow::Result<_>>()?).await
        })
    });
    for result in join_all(publishes.collect::<Vec<_>>()).await {
        result??;
    }
    assert_eq!(drain(&*queue, &at, 3 * CALLERS).await?.len(), 3 * CALLERS);
    Ok(())
}

/// And forgets what was acknowledged.
pub async fn depth_counts_what_waits_and_what_is_in_hand(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (queue, at) = (fixture.queue(), name("r", Lane::Express)?);
    assert_eq!(queue.depth(&at).await?.packs, 0);
    let packs = (0..4).map(|i| pack(&at, "acme", i.to_string())).collect::<anyhow::Result<_>>()?;
    publish(&*queue, packs).await?;
    let receipt = one(&*queue, &at).await?.receipt;
    assert_eq!(queue.depth(&at).await?.packs, 4);
    ack(&*queue, &at, vec![receipt]).await?;
    let depth = queue.depth(&at).await?;
    assert_eq!((depth.packs, depth.quarantined), (3, 0));
    assert_eq!(queue.depth(&name("other", Lane::Express)?).await?.packs, 0);
    Ok(())
}
