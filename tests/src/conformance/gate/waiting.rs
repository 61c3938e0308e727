//! Back-pressure.

use std::time::Duration;

use naru_shared::{domain::Lane, gate::Delay, ledger::Waiting};

use super::{Fixture, live};

fn waiting(route: &str, lane: Lane, customer: &str, messages: u64) -> anyhow::Result<Waiting> {
    Ok(Waiting { route: route.parse()?, lane, account: live(customer)?, messages })
}

/// Own, and everybody's.
pub async fn lanes_and_accounts_add_up_for_a_route(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let gate = fixture.gate();
    let (acme, route) = (live("acme")?, "r".parse()?);
    assert_eq!(gate.waiting(&acme, &route).await?, (0, 0));
    let observed = [
        waiting("r", Lane::Express, "acme", 1)?,
        waiting("r", Lane::Bulk, "acme", 20)?,
        waiting("r", Lane::Bulk, "other", 300)?,
        waiting("s", Lane::Bulk, "acme", 4_000)?,
    ];
    gate.observe_waiting(&observed, &[]).await?;
    assert_eq!(gate.waiting(&acme, &route).await?, (21, 321));
    assert_eq!(gate.waiting(&live("none")?, &route).await?, (0, 321));
    assert_eq!(gate.waiting(&acme, &"s".parse()?).await?, (4_000, 4_000));
    Ok(())
}

/// What is not in it no longer waits.
pub async fn an_observation_of_what_waits_replaces_the_last(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let (gate, acme) = (fixture.gate(), live("acme")?);
    gate.observe_waiting(&[waiting("r", Lane::Bulk, "acme", 9)?], &[]).await?;
    gate.observe_waiting(&[waiting("s", Lane::Bulk, "acme", 2)?], &[]).await?;
    assert_eq!(gate.waiting(&acme, &"r".parse()?).await?, (0, 0));
    assert_eq!(gate.waiting(&acme, &"s".parse()?).await?, (2, 2));
    Ok(())
}

/// Of one account on one route, until the next observation.
pub async fn a_delay_is_told_of_whom_it_was_observed(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (gate, acme, route) = (fixture.gate(), live("acme")?, "r".parse()?);
    assert_eq!(gate.delay(&acme, &route).await?, None);
    let express = Duration::from_millis(61_500);
    let delay = Delay { route: "r".parse()?, account: live("acme")?, express };
    gate.observe_waiting(&[waiting("r", Lane::Express, "acme", 9)?], &[delay]).await?;
    assert_eq!(gate.delay(&acme, &route).await?, Some(express));
    assert_eq!(gate.delay(&live("other")?, &route).await?, None);
    assert_eq!(gate.delay(&acme, &"s".parse()?).await?, None);
    gate.observe_waiting(&[waiting("r", Lane::Express, "acme", 9)?], &[]).await?;
    assert_eq!(gate.delay(&acme, &route).await?, None);
    Ok(())
}
