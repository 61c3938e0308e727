//! Contents that must not come again soon.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use naru_shared::{
    domain::{Environment, MessageId},
    gate::ContentMark,
};

use super::{Fixture, account, live};

const THIS: ContentMark = ContentMark([1; 16]);
const SPAN: Duration = Duration::from_secs(30);

const fn message(number: u8) -> MessageId {
    MessageId::from_bytes([number; 16])
}

/// The others hear how long it is claimed.
pub async fn a_content_is_claimed_by_exactly_one_of_many_at_once(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let gate = fixture.gate();
    for round in 0..10 {
        let calls = (0..100).map(|number| {
            let gate = Arc::clone(&gate);
            tokio::spawn(async move {
                let mark = ContentMark([100 + round; 16]);
                anyhow::Ok(gate.claim_content(&live("acme")?, mark, message(number), SPAN).await?)
            })
        });
        let mut claimed = 0;
        for call in join_all(calls.collect::<Vec<_>>()).await {
            match call?? {
                None => claimed += 1,
                Some(left) => assert!(left > Duration::ZERO && left <= SPAN, "{left:?}"),
            }
        }
        assert_eq!(claimed, 1);
    }
    Ok(())
}

/// And whoever is refused hears when.
pub async fn a_content_is_free_again_after_its_span_and_not_before(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let (gate, acme) = (fixture.gate(), live("acme")?);
    assert_eq!(gate.claim_content(&acme, THIS, message(1), SPAN).await?, None);
    fixture.advance(SPAN - Duration::from_secs(1)).await;
    let left = gate.claim_content(&acme, THIS, message(2), SPAN).await?;
    assert_eq!(left, Some(Duration::from_secs(1)), "a refusal prolongs nothing");
    fixture.advance(Duration::from_secs(1)).await;
    assert_eq!(gate.claim_content(&acme, THIS, message(2), SPAN).await?, None);
    assert_eq!(gate.claim_content(&acme, THIS, message(1), SPAN).await?, Some(SPAN));
    assert_eq!(gate.claim_content(&acme, ContentMark([2; 16]), message(3), SPAN).await?, None, "another");
    Ok(())
}

/// It is one that is tried again.
pub async fn the_same_message_may_claim_its_content_again(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (gate, acme) = (fixture.gate(), live("acme")?);
    for _ in 0..3 {
        assert_eq!(gate.claim_content(&acme, THIS, message(1), SPAN).await?, None);
        fixture.advance(Duration::from_secs(9)).await;
    }
    fixture.advance(Duration::from_secs(3)).await;
    assert_eq!(gate.claim_content(&acme, THIS, message(2), SPAN).await?, None, "it is not prolonged by that");
    Ok(())
}

/// Giving back what is not claimed does no harm.
pub async fn a_content_given_back_is_free_and_nobody_gives_back_another_s(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let (gate, acme) = (fixture.gate(), live("acme")?);
    gate.free_content(&acme, THIS, message(1)).await?;
    assert_eq!(gate.claim_content(&acme, THIS, message(1), SPAN).await?, None);
    gate.free_content(&acme, THIS, message(2)).await?;
    assert_eq!(gate.claim_content(&acme, THIS, message(2), SPAN).await?, Some(SPAN));
    gate.free_content(&acme, THIS, message(1)).await?;
    assert_eq!(gate.claim_content(&acme, THIS, message(2), SPAN).await?, None);
    Ok(())
}

/// A mark is of its account by itself; two accounts never have the same one.
pub async fn a_content_is_of_its_account(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let gate = fixture.gate();
    let accounts = [live("acme")?, account("acme", Environment::Sandbox)?, live("other")?];
    for (number, account) in (0_u8..).zip(&accounts) {
        let mark = ContentMark([number + 10; 16]);
        assert_eq!(gate.claim_content(account, mark, message(number), SPAN).await?, None);
    }
    for (number, account) in (0_u8..).zip(&accounts) {
        let mark = ContentMark([number + 10; 16]);
        assert_eq!(gate.claim_content(account, mark, message(99), SPAN).await?, Some(SPAN));
    }
    Ok(())
}
