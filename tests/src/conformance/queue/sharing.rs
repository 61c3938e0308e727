//! Receivers that wait, and receivers and customers that share a queue.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use naru_shared::domain::Lane;

use super::{
    super::times::{SOON, until},
    Fixture, ack, drain, name, one, pack, publish, publish_one, receive, text, texts,
};

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
