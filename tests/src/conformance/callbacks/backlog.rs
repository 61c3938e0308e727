//! What waits for all webhooks together.

use std::time::Duration;

use anyhow::{Context, ensure};
use naru_shared::{
    callbacks::{Backlog, Fate},
    domain::Clock,
};

use super::{Fixture, LEASE, claim, end, id, put};

/// Those in somebody's hands and those that failed are still waiting; the oldest is the one that was written first.
pub async fn what_waits_for_all_together_is_told_with_the_oldest(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let (callbacks, clock) = (fixture.callbacks(), fixture.clock());
    ensure!(callbacks.backlog().await? == Backlog::default());
    let first = clock.now();
    put(&*callbacks, "b/x", &["e.1"]).await?;
    clock.advance(Duration::from_secs(5));
    let second = clock.now();
    put(&*callbacks, "a/x", &["e.1", "e.2"]).await?;
    let told = Backlog { waiting: 3, oldest: Some(first) };
    ensure!(callbacks.backlog().await? == told);
    let claimed = claim(&*callbacks, 3).await?;
    ensure!(fixture.other().await?.backlog().await? == told, "what is in hand waits");
    let of_b = claimed.iter().find(|one| one.webhook.to_string() == "b/x").context("claimed")?;
    callbacks.settle(vec![end(of_b, Fate::Delivered, "HTTP 200")]).await?;
    for callback in claimed.iter().filter(|one| one.row != of_b.row) {
        let again = Fate::Again(clock.now().plus(LEASE));
        callbacks.settle(vec![end(callback, again, "HTTP 500")]).await?;
    }
    ensure!(callbacks.backlog().await? == Backlog { waiting: 2, oldest: Some(second) });
    ensure!(callbacks.give_up(&id("a/x")?, 10).await? == 2);
    ensure!(callbacks.backlog().await? == Backlog::default());
    Ok(())
}
