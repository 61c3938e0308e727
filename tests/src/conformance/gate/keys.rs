//! Keys in flight.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use naru_shared::{
    domain::{Environment, Fingerprint, Key, MessageId, Timestamp, Units},
    gate::{FirstAnswer, KeyVerdict},
};

use super::{Fixture, account, live};

const THIS: Fingerprint = Fingerprint([1; 16]);
const OTHER: Fingerprint = Fingerprint([2; 16]);

fn key() -> anyhow::Result<Key> {
    Ok("order-77".parse()?)
}

fn answer() -> anyhow::Result<FirstAnswer> {
    let (id, accepted_at) = (MessageId::from_bytes([9; 16]), Timestamp::from_millis(1_763_802_000_120));
    Ok(FirstAnswer { id, units: Units::ONE, route: "carrier-a".parse()?, accepted_at })
}

/// The others hear that it is in flight.
pub async fn a_key_is_new_to_exactly_one_of_many_at_once(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let gate = fixture.gate();
    for round in 0..20 {
        let key: Key = format!("key-{round}").parse()?;
        let calls = (0..100).map(|_| {
            let (gate, key) = (Arc::clone(&gate), key.clone());
            tokio::spawn(async move { anyhow::Ok(gate.begin(&live("acme")?, &key, THIS).await?) })
        });
        let mut new = 0;
        for call in join_all(calls.collect::<Vec<_>>()).await {
            match call?? {
                KeyVerdict::New => new += 1,
                verdict => assert_eq!(verdict, KeyVerdict::InFlight),
            }
        }
        assert_eq!(new, 1);
    }
    Ok(())
}

/// And again.
pub async fn the_first_answer_is_given_again(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (gate, acme, key) = (fixture.gate(), live("acme")?, key()?);
    assert_eq!(gate.begin(&acme, &key, THIS).await?, KeyVerdict::New);
    gate.finish(&acme, &key, answer()?).await?;
    fixture.advance(Duration::from_secs(3_600)).await;
    for _ in 0..2 {
        assert_eq!(gate.begin(&acme, &key, THIS).await?, KeyVerdict::Answered(answer()?));
    }
    // A call that was refused elsewhere does not make it forgotten.
    gate.abandon(&acme, &key).await?;
    assert_eq!(gate.begin(&acme, &key, THIS).await?, KeyVerdict::Answered(answer()?));
    Ok(())
}

/// In flight as well as answered.
pub async fn other_content_under_a_key_is_a_conflict(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (gate, acme, key) = (fixture.gate(), live("acme")?, key()?);
    assert_eq!(gate.begin(&acme, &key, THIS).await?, KeyVerdict::New);
    assert_eq!(gate.begin(&acme, &key, OTHER).await?, KeyVerdict::Conflict);
    gate.finish(&acme, &key, answer()?).await?;
    assert_eq!(gate.begin(&acme, &key, OTHER).await?, KeyVerdict::Conflict);
    assert_eq!(gate.begin(&acme, &key, THIS).await?, KeyVerdict::Answered(answer()?));
    Ok(())
}

/// Even with other content: the first had no effect.
pub async fn an_abandoned_key_is_new_again(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (gate, acme, key) = (fixture.gate(), live("acme")?, key()?);
    assert_eq!(gate.begin(&acme, &key, THIS).await?, KeyVerdict::New);
    gate.abandon(&acme, &key).await?;
    assert_eq!(gate.begin(&acme, &key, OTHER).await?, KeyVerdict::New);
    Ok(())
}

/// And not before its call can be lost.
pub async fn a_key_whose_call_was_lost_is_free_after_a_minute(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let (gate, acme, key) = (fixture.gate(), live("acme")?, key()?);
    assert_eq!(gate.begin(&acme, &key, THIS).await?, KeyVerdict::New);
    fixture.advance(Duration::from_secs(50)).await;
    assert_eq!(gate.begin(&acme, &key, THIS).await?, KeyVerdict::InFlight);
    fixture.advance(Duration::from_secs(11)).await;
    assert_eq!(gate.begin(&acme, &key, THIS).await?, KeyVerdict::New);
    assert_eq!(gate.begin(&acme, &key, THIS).await?, KeyVerdict::InFlight);
    Ok(())
}

/// Others may use the same words.
pub async fn a_key_is_of_its_customer_and_environment(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (gate, key) = (fixture.gate(), key()?);
    for who in [live("acme")?, live("other")?, account("acme", Environment::Sandbox)?] {
        assert_eq!(gate.begin(&who, &key, THIS).await?, KeyVerdict::New);
    }
    Ok(())
}
