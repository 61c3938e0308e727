//! Nonces of signed calls, which must not be taken twice.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use naru_shared::domain::{Environment, NonceMark};

use super::{Fixture, account, live};

const THIS: NonceMark = NonceMark([1; 16]);
const SPAN: Duration = Duration::from_secs(360);

/// Whoever replays a call while it is under way is as late as whoever comes after.
pub async fn a_nonce_is_spent_by_exactly_one_of_many_at_once(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let gate = fixture.gate();
    for round in 0..10 {
        let calls = (0..100).map(|_| {
            let gate = Arc::clone(&gate);
            tokio::spawn(async move {
                anyhow::Ok(gate.spend(&live("acme")?, NonceMark([100 + round; 16]), SPAN).await?)
            })
        });
        let mut spent = 0;
        for call in join_all(calls.collect::<Vec<_>>()).await {
            spent += u32::from(call??);
        }
        assert_eq!(spent, 1);
    }
    Ok(())
}

/// Not prolonged by who tries again; and free some time later, or memory would not be.
pub async fn a_nonce_is_known_for_its_whole_span(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (gate, acme) = (fixture.gate(), live("acme")?);
    assert!(gate.spend(&acme, THIS, SPAN).await?);
    for _ in 0..2 {
        fixture.advance(SPAN / 2 - Duration::from_millis(1)).await;
        assert!(!gate.spend(&acme, THIS, SPAN).await?);
    }
    fixture.advance(Duration::from_millis(1)).await;
    assert!(!gate.spend(&acme, THIS, SPAN).await?, "a millisecond is left");
    fixture.advance(Duration::from_secs(60)).await;
    assert!(gate.spend(&acme, THIS, SPAN).await?);
    Ok(())
}

/// An attacker who can sign nothing cannot, and who can harms nobody.
pub async fn many_nonces_do_not_push_one_out(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (gate, acme) = (fixture.gate(), live("acme")?);
    assert!(gate.spend(&acme, THIS, SPAN).await?);
    for block in 0..40_u16 {
        let spends = (0..250_u16).map(|number| {
            let mut mark = [2; 16];
            mark[..2].copy_from_slice(&(block * 250 + number).to_be_bytes());
            let (gate, acme) = (&gate, &acme);
            async move { gate.spend(acme, NonceMark(mark), SPAN).await }
        });
        for spent in join_all(spends).await {
            assert!(spent?);
        }
    }
    assert!(!gate.spend(&acme, THIS, SPAN).await?);
    Ok(())
}

/// Another customer's, or that of the other environment, is another.
pub async fn a_nonce_is_of_its_account(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let gate = fixture.gate();
    let all = [live("acme")?, live("other")?, account("acme", Environment::Sandbox)?];
    for account in &all {
        assert!(gate.spend(account, THIS, SPAN).await?);
    }
    for account in &all {
        assert!(!gate.spend(account, THIS, SPAN).await?);
    }
    Ok(())
}
