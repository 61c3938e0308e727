//! Delivery, acknowledgement, and what goes wrong between them.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use naru_shared::{
    domain::Lane,
    queue::{Queue, QueueName},
};

use super::{super::times::SOON, Fixture, ack, drain, is_empty, name, one, pack, publish, publish_one, text};

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
