//! What is guaranteed of what fronts tell of themselves.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use naru_shared::{
    domain::Timestamp,
    presence::{CredentialUse, FrontMark, Presence},
};

/// An engine with nothing in it.
pub trait Fixture: Sized + Send {
    /// Makes one.
    fn fresh() -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// The port.
    fn presence(&self) -> Arc<dyn Presence>;
}

/// One test of each guarantee for a fixture.
#[macro_export]
macro_rules! presence_conformance {
    ($fixture:ty) => {
        $crate::guarantees!(
            $crate::conformance::presence,
            $fixture,
            [
                a_front_is_known_as_it_last_said_until_it_leaves,
                a_front_that_was_not_heard_of_for_long_is_forgotten,
                the_latest_use_is_kept_whoever_tells_it_in_whatever_order,
                many_fronts_tell_of_the_same_credentials_at_once,
            ]
        );
    };
}

const DAY: Duration = Duration::from_secs(86_400);

fn front(name: &str, version: u64, seconds: i64) -> FrontMark {
    FrontMark { name: name.to_owned(), version, seen_at: Timestamp::from_millis(seconds * 1_000) }
}

fn used(credential: &str, millis: i64) -> anyhow::Result<CredentialUse> {
    Ok(CredentialUse { credential: credential.parse()?, used_at: Timestamp::from_millis(millis) })
}

/// Whoever leaves twice, or was never there, does no harm.
pub async fn a_front_is_known_as_it_last_said_until_it_leaves(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let presence = fixture.presence();
    assert_eq!(presence.fronts().await?, []);
    presence.live(&front("b", 7, 100_000), DAY).await?;
    presence.live(&front("a", 8, 100_001), DAY).await?;
    presence.live(&front("b", 9, 100_060), DAY).await?;
    assert_eq!(presence.fronts().await?, [front("a", 8, 100_001), front("b", 9, 100_060)]);
    for _ in 0..2 {
        presence.leave("b").await?;
    }
    presence.leave("c").await?;
    assert_eq!(presence.fronts().await?, [front("a", 8, 100_001)]);
    Ok(())
}

/// By whoever tells next.
pub async fn a_front_that_was_not_heard_of_for_long_is_forgotten(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let presence = fixture.presence();
    presence.live(&front("old", 1, 100_000), DAY).await?;
    presence.live(&front("new", 2, 100_000 + 86_400), DAY).await?;
    assert_eq!(presence.fronts().await?.len(), 2, "a day is not over");
    presence.live(&front("new", 2, 100_000 + 86_401), DAY).await?;
    assert_eq!(presence.fronts().await?, [front("new", 2, 100_000 + 86_401)]);
    // One that comes back after so long is there again.
    presence.live(&front("new", 3, 100_000 + 200_000), DAY).await?;
    assert_eq!(presence.fronts().await?, [front("new", 3, 100_000 + 200_000)]);
    Ok(())
}

/// A front that was slow does not turn the time back.
pub async fn the_latest_use_is_kept_whoever_tells_it_in_whatever_order(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let presence = fixture.presence();
    assert_eq!(presence.last_uses().await?, []);
    presence.used(&[used("b", 5)?, used("a", 7)?]).await?;
    presence.used(&[used("a", 6)?, used("b", 9)?, used("b", 8)?]).await?;
    presence.used(&[]).await?;
    assert_eq!(presence.last_uses().await?, [used("a", 7)?, used("b", 9)?]);
    Ok(())
}

/// In orders that cross.
pub async fn many_fronts_tell_of_the_same_credentials_at_once(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let presence = fixture.presence();
    let tell = |front: i64| {
        let presence = Arc::clone(&presence);
        async move {
            let mut uses = Vec::new();
            for number in 0..50 {
                uses.push(used(&format!("c-{number}"), 1_000 * front + number)?);
            }
            if front % 2 == 0 {
                uses.reverse();
            }
            anyhow::Ok(presence.used(&uses).await?)
        }
    };
    for told in join_all((1..=8).map(tell)).await {
        told?;
    }
    let uses = presence.last_uses().await?;
    assert_eq!(uses.len(), 50);
    assert!(uses.iter().all(|one| one.used_at >= Timestamp::from_millis(8_000)), "{uses:?}");
    Ok(())
}
