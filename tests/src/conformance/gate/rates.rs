//! Rates.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use naru_shared::{
    domain::{Account, RatePolicy},
    gate::{Gate, RateVerdict},
};

use super::{Fixture, live};

fn policy(name: &str, limit: u32, window_seconds: u32, burst: u32) -> RatePolicy {
    RatePolicy { name: name.to_owned(), limit, window_seconds, burst }
}

async fn within(gate: &dyn Gate, who: &Account, rates: &[RatePolicy], messages: u32) -> anyhow::Result<bool> {
    Ok(matches!(gate.rate(who, rates, messages).await?, RateVerdict::Within(_)))
}

/// Calls of uneven sizes at uneven times, under two policies: every window between two calls is checked.
pub async fn in_any_window_no_more_than_rate_and_burst(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (gate, acme) = (fixture.gate(), live("acme")?);
    let rates = [policy("second", 10, 1, 15), policy("minute", 120, 60, 40)];
    let (mut now, mut taken) = (0_u64, Vec::new());
    for step in 0..600_u64 {
        let messages = 1 + u32::try_from(step * 7 % 5)?;
        if within(&*gate, &acme, &rates, messages).await? {
            taken.push((now, u64::from(messages)));
        }
        let pause = if step % 97 == 0 { 4_000 } else { step * 31 % 120 };
        fixture.advance(Duration::from_millis(pause)).await;
        now += pause;
    }
    assert!(taken.len() > 50, "{} calls were let in", taken.len());
    for from in 0..taken.len() {
        let mut sum = 0;
        for (at, messages) in &taken[from..] {
            sum += messages;
            let span = at - taken[from].0;
            for rate in &rates {
                let window = u64::from(rate.window_seconds) * 1_000;
                // Two milliseconds for a gate whose own clock the fixture cannot stop.
                let allowed = (span + 2) * u64::from(rate.limit) / window + u64::from(rate.burst);
                assert!(sum <= allowed, "{sum} in {span} ms, `{}` allows {allowed}", rate.name);
            }
        }
    }
    Ok(())
}

/// Concurrency wins nothing.
pub async fn many_at_once_get_no_more_than_the_burst(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let gate = fixture.gate();
    let calls = (0..200).map(|_| {
        let gate = Arc::clone(&gate);
        tokio::spawn(async move { within(&*gate, &live("acme")?, &[policy("p", 1, 3_600, 50)], 1).await })
    });
    let mut let_in = 0;
    for call in join_all(calls.collect::<Vec<_>>()).await {
        let_in += u32::from(call??);
    }
    assert_eq!(let_in, 50);
    Ok(())
}

/// Not even against the one that had room.
pub async fn a_refusal_counts_against_no_policy(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (gate, acme) = (fixture.gate(), live("acme")?);
    let (narrow, wide) = (policy("narrow", 1, 3_600, 2), policy("wide", 1, 3_600, 10));
    let both = [wide.clone(), narrow];
    for _ in 0..20 {
        assert!(!within(&*gate, &acme, &both, 3).await?);
    }
    assert!(within(&*gate, &acme, &both, 2).await?);
    assert!(!within(&*gate, &acme, &both, 1).await?);
    let RateVerdict::Over(standings, _) = gate.rate(&acme, &both, 1).await? else {
        anyhow::bail!("the narrow policy is used up");
    };
    let remaining: Vec<_> = standings.iter().map(|s| (s.policy.name.as_str(), s.remaining)).collect();
    assert_eq!(remaining, [("wide", 8), ("narrow", 0)]);
    Ok(())
}

/// A client that waits as it was told is let in; one that waits half as long is not.
pub async fn the_wait_that_is_told_is_enough_and_not_too_long(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let (gate, acme) = (fixture.gate(), live("acme")?);
    let rates = [policy("p", 1, 10, 4)];
    assert!(within(&*gate, &acme, &rates, 4).await?);
    let RateVerdict::Over(_, wait) = gate.rate(&acme, &rates, 3).await? else {
        anyhow::bail!("the burst is used up");
    };
    assert!(wait <= Duration::from_secs(30), "{wait:?}");
    fixture.advance(wait / 2).await;
    assert!(!within(&*gate, &acme, &rates, 3).await?);
    fixture.advance(wait - wait / 2 + Duration::from_millis(2)).await;
    assert!(within(&*gate, &acme, &rates, 3).await?);
    Ok(())
}

/// It can never fit; nothing is counted.
pub async fn more_than_a_burst_at_once_is_told_a_long_wait(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (gate, acme) = (fixture.gate(), live("acme")?);
    for rates in [[policy("p", 10, 1, 5)], [policy("none", 0, 1, 5)]] {
        let RateVerdict::Over(_, wait) = gate.rate(&acme, &rates, 6).await? else {
            anyhow::bail!("six do not fit into a burst of five");
        };
        assert!(wait >= Duration::from_secs(3_600), "{wait:?}");
    }
    assert!(within(&*gate, &acme, &[policy("p", 10, 1, 5)], 5).await?);
    Ok(())
}

/// And forgives nothing.
pub async fn a_changed_policy_is_in_force_at_once(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (gate, acme) = (fixture.gate(), live("acme")?);
    assert!(within(&*gate, &acme, &[policy("p", 1, 3_600, 10)], 10).await?);
    assert!(!within(&*gate, &acme, &[policy("p", 2, 3_600, 10)], 1).await?);
    assert!(within(&*gate, &acme, &[policy("p", 2, 3_600, 20)], 10).await?);
    assert!(!within(&*gate, &acme, &[policy("p", 2, 3_600, 20)], 1).await?);
    assert!(within(&*gate, &acme, &[], 1_000).await?);
    Ok(())
}

/// However often it is changed.
pub async fn a_limit_that_is_lowered_and_raised_again_gives_nothing_back(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let (gate, acme) = (fixture.gate(), live("acme")?);
    let wide = [policy("p", 1, 3_600, 100)];
    assert!(within(&*gate, &acme, &wide, 90).await?);
    for narrow in [policy("p", 1, 3_600, 5), policy("p", 1, 36_000, 3), policy("p", 2, 3_600, 1)] {
        assert!(!within(&*gate, &acme, &[narrow], 1).await?, "more was used than it allows");
        assert!(!within(&*gate, &acme, &wide, 11).await?, "ninety are used of a hundred");
    }
    assert!(within(&*gate, &acme, &wide, 10).await?);
    assert!(!within(&*gate, &acme, &wide, 1).await?);
    Ok(())
}

/// As it would stand if it had stayed.
pub async fn a_policy_that_is_taken_away_and_comes_back_is_where_it_was(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let (gate, acme) = (fixture.gate(), live("acme")?);
    let (second, hour) = (policy("second", 100, 1, 200), policy("hour", 1, 3_600, 10));
    let both = [second.clone(), hour];
    assert!(within(&*gate, &acme, &both, 10).await?);
    assert!(within(&*gate, &acme, &[second], 20).await?);
    assert!(within(&*gate, &acme, &[], 1).await?);
    assert!(!within(&*gate, &acme, &both, 1).await?);
    Ok(())
}

/// Nor does a customer's sandbox use up what is live.
pub async fn accounts_do_not_share_a_rate(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let gate = fixture.gate();
    let rates = [policy("p", 1, 3_600, 1)];
    let sandbox = super::account("acme", naru_shared::domain::Environment::Sandbox)?;
    for who in [live("acme")?, live("other")?, sandbox] {
        assert!(within(&*gate, &who, &rates, 1).await?);
        assert!(!within(&*gate, &who, &rates, 1).await?);
    }
    Ok(())
}
