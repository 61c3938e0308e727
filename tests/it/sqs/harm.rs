//! Answers that fail in part or as a whole, and an emulator that is killed, frozen or away.

use std::{sync::Arc, time::Duration};

use naru_shared::{
    aws::sqs::Rhythm,
    doorbell::NoDoorbell,
    queue::{PublishError, Queue},
};
use naru_tests::{
    aws_proxy::Harm,
    engines::{Flavour, Stop},
};
use tokio::time::{Instant, sleep};

use super::{
    SOON, distinct, drain, express, one, open, own, proxied, publish, publish_one, settings, shared, text,
    with_bell,
};

use crate::stage::beside_others;

const PACKS: usize = 40;

fn texts() -> impl Iterator<Item = String> {
    (0..PACKS).map(|number| number.to_string())
}

#[tokio::test]
async fn an_entry_that_failed_is_sent_again_and_nothing_is_told_that_is_not_so() -> anyhow::Result<()> {
    let _beside = beside_others();
    let emulator = shared().await?;
    let proxy = proxied(emulator).await?;
    let mut settings = settings(emulator)?;
    settings.endpoint = Some(proxy.endpoint());
    let (queue, at) = (open(&settings), express()?);
    for harm in [Harm { partial: 1_000, ..Harm::default() }, Harm { misreported: 1_000, ..Harm::default() }] {
        proxy.harm(harm);
        let results = publish(&*queue, &at, texts()).await?;
        proxy.harm(Harm::default());
        assert!(results.iter().all(Result::is_ok), "{harm:?}: {results:?}");
        let seen = drain(&*queue, &at, Duration::from_secs(1)).await?;
        assert_eq!(distinct(&seen).len(), PACKS, "{harm:?}");
        // What was written and told as failed was sent twice; nothing else was.
        let twice = seen.len() - PACKS;
        assert_eq!(twice > 0, harm.misreported > 0, "{harm:?}: {twice}");
    }
    let harmed = proxy.harmed();
    assert!(harmed["partial"] >= 4 && harmed["misreported"] >= 4, "{harmed:?}");
    Ok(())
}

#[tokio::test]
async fn what_was_written_and_answered_as_a_failure_is_in_doubt() -> anyhow::Result<()> {
    let _beside = beside_others();
    let emulator = shared().await?;
    let proxy = proxied(emulator).await?;
    let mut settings = settings(emulator)?;
    settings.endpoint = Some(proxy.endpoint());
    let (queue, at) = (open(&settings), express()?);
    publish_one(&*queue, &at, "before").await?;
    proxy.harm(Harm { denied: 1_000, ..Harm::default() });
    let results = publish(&*queue, &at, texts()).await?;
    proxy.harm(Harm::default());
    assert!(results.iter().all(|r| matches!(r, Err(PublishError::Unknown(_)))), "{results:?}");
    assert_eq!(distinct(&drain(&*queue, &at, Duration::from_secs(1)).await?).len(), PACKS + 1);
    Ok(())
}

#[tokio::test]
async fn an_acknowledgement_that_fails_in_part_is_made_again() -> anyhow::Result<()> {
    let _beside = beside_others();
    let emulator = shared().await?;
    let proxy = proxied(emulator).await?;
    let mut settings = settings(emulator)?;
    settings.endpoint = Some(proxy.endpoint());
    let (queue, at) = (open(&settings), express()?);
    assert!(publish(&*queue, &at, texts()).await?.iter().all(Result::is_ok));
    proxy.harm(Harm { partial: 1_000, ..Harm::default() });
    assert_eq!(drain(&*queue, &at, Duration::from_secs(1)).await?.len(), PACKS);
    proxy.harm(Harm::default());
    assert_eq!(queue.depth(&at).await?.packs, 0);
    Ok(())
}

#[tokio::test]
async fn nothing_confirmed_is_lost_when_the_engine_is_killed() -> anyhow::Result<()> {
    let _beside = beside_others();
    let mut emulator = own(Flavour::FauxqsOnDisk).await?;
    let (queue, at) = (open(&settings(&emulator)?), express()?);
    publish_one(&*queue, &at, "first").await?;
    let publishing: Vec<_> = (0..20)
        .map(|caller| {
            let (queue, at) = (Arc::clone(&queue), at.clone());
            tokio::spawn(async move {
                let mut confirmed = Vec::new();
                for round in 0..10_000 {
                    let text = format!("{caller}-{round}");
                    if publish_one(&*queue, &at, &text).await.is_err() {
                        break;
                    }
                    confirmed.push(text);
                }
                confirmed
            })
        })
        .collect();
    sleep(Duration::from_millis(1_500)).await;
    emulator.stop(Stop::Kill)?;
    let mut confirmed = vec!["first".to_owned()];
    for caller in publishing {
        confirmed.extend(caller.await?);
    }
    let refused = publish(&*queue, &at, ["away".to_owned()]).await?.remove(0);
    assert!(matches!(refused, Err(PublishError::Refused(_))), "nothing was sent: {refused:?}");
    emulator.begin()?;
    let seen = drain(&*queue, &at, Duration::from_secs(2)).await?;
    let seen = distinct(&seen);
    println!("{} confirmed before the kill, {} received after it", confirmed.len(), seen.len());
    assert!(confirmed.len() > 100, "{}", confirmed.len());
    let lost: Vec<_> = confirmed.iter().filter(|text| !seen.contains(text.as_str())).collect();
    assert!(lost.is_empty(), "{lost:?}");
    Ok(())
}

#[tokio::test]
async fn an_engine_that_does_not_answer_holds_nobody_up_for_ever_and_is_used_again() -> anyhow::Result<()> {
    let _beside = beside_others();
    let emulator = own(Flavour::Fauxqs).await?;
    let rhythm = Rhythm { poll: Duration::from_secs(2), ..Rhythm::default() };
    let (queue, at) = (with_bell(&settings(&emulator)?, Arc::new(NoDoorbell), rhythm), express()?);
    publish_one(&*queue, &at, "before").await?;
    assert_eq!(text(&one(&*queue, &at).await?), "before");
    emulator.freeze()?;
    let (began, wait) = (Instant::now(), Duration::from_secs(1));
    let mut failed = false;
    while !failed && began.elapsed() < Duration::from_secs(20) {
        let asked = Instant::now();
        failed = queue.receive(&at, 10, wait).await.is_err();
        assert!(asked.elapsed() < wait * 2, "a receive took {:?}", asked.elapsed());
    }
    assert!(failed, "a poll that is not answered ends");
    let asked = Instant::now();
    let result = publish(&*queue, &at, ["frozen".to_owned()]).await?.remove(0);
    assert!(matches!(result, Err(PublishError::Unknown(_))), "{result:?}");
    assert!(asked.elapsed() < Duration::from_secs(5), "a publish took {:?}", asked.elapsed());
    emulator.thaw()?;
    let (began, mut came) = (Instant::now(), false);
    publish_one(&*queue, &at, "after").await?;
    while !came && began.elapsed() < SOON {
        if let Ok(got) = queue.receive(&at, 10, wait).await {
            came = got.iter().any(|delivery| text(delivery) == "after");
        }
    }
    assert!(came, "it is received from again");
    Ok(())
}
