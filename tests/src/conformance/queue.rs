//! What a queue guarantees.

mod aside;
mod delivery;
mod sharing;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

pub use aside::{
    a_pack_that_was_put_back_can_be_set_aside_again, whatever_is_discarded_is_gone,
    whatever_is_put_back_is_received_again_and_no_longer_aside,
    whatever_is_put_back_is_there_after_a_restart, whatever_was_set_aside_is_shown_with_its_reason_and_stays,
    where_nothing_was_set_aside_nothing_is_shown,
};
pub use delivery::{
    a_large_envelope_comes_out_as_it_went_in, a_quarantined_pack_is_out_of_the_way_and_kept,
    a_receiver_that_was_too_late_still_acknowledges,
    a_released_pack_comes_back_after_its_delay_and_not_before, ack_is_final_after_a_restart,
    ack_is_final_and_idempotent, ack_of_one_pack_leaves_the_others, lanes_are_separate,
    received_and_not_acknowledged_comes_back, routes_are_separate,
    what_is_in_hand_comes_back_after_a_restart, what_waits_is_there_after_a_restart,
    what_was_published_is_received,
};
use naru_shared::{
    domain::{Envelope, Lane},
    queue::{Delivery, Outgoing, Quarantine, Queue, QueueName, Receipt},
};
pub use sharing::{
    a_group_that_floods_does_not_delay_another, a_receiver_that_gives_up_takes_nothing_with_it,
    a_waiting_receiver_is_woken_by_a_publish, an_empty_queue_answers_empty_after_its_wait,
    concurrent_publishes_are_all_confirmed_and_all_received, depth_counts_what_waits_and_what_is_in_hand,
    every_waiting_receiver_is_woken, no_more_than_asked_for_is_given, two_receivers_never_hold_the_same_pack,
};

use super::times::SOON;

/// An engine with nothing in it.
pub trait Fixture: Sized + Send {
    /// Makes one.
    fn fresh() -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// The port.
    fn queue(&self) -> Arc<dyn Queue>;

    /// The operator's face of the same engine, as a process of its own has it.
    ///
    /// # Errors
    /// If it cannot be opened.
    fn quarantine(&self) -> anyhow::Result<Arc<dyn Quarantine>>;

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
                where_nothing_was_set_aside_nothing_is_shown,
                whatever_was_set_aside_is_shown_with_its_reason_and_stays,
                whatever_is_put_back_is_received_again_and_no_longer_aside,
                whatever_is_put_back_is_there_after_a_restart,
                a_pack_that_was_put_back_can_be_set_aside_again,
                whatever_is_discarded_is_gone,
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
