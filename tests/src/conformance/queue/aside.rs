//! What an operator sees of packs that were set aside, and does with them.

use std::{collections::BTreeSet, time::Duration};

use naru_shared::{
    domain::Lane,
    queue::{QueueName, SetAside},
};

use super::{Fixture, ack, drain, is_empty, name, one, pack, publish, text};

const WHY: &str = "not an envelope";

/// Sets these aside.
async fn set_aside(fixture: &impl Fixture, at: &QueueName, texts: &[String]) -> anyhow::Result<()> {
    let queue = fixture.queue();
    let packs = texts.iter().map(|text| pack(at, "acme", text.as_str()));
    publish(&*queue, packs.collect::<Result<_, _>>()?).await?;
    for _ in texts {
        let got = one(&*queue, at).await?;
        queue.quarantine(at, got.receipt, WHY).await?;
    }
    Ok(())
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("pack-{n:04}")).collect()
}

/// All that a fresh look shows, given back.
async fn look(fixture: &impl Fixture, at: &QueueName) -> anyhow::Result<Vec<SetAside>> {
    let mut aside = fixture.quarantine()?.aside(at).await?;
    let mut all = Vec::new();
    loop {
        let page = aside.next(7).await?;
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 7, "no more than asked for");
        all.extend(page);
    }
    assert!(aside.close().await?, "nobody is left to find it by chance");
    Ok(all)
}

fn ids(packs: &[SetAside]) -> BTreeSet<String> {
    packs.iter().map(|pack| pack.id().to_string()).collect()
}

/// Nothing is aside where nothing ever was.
pub async fn where_nothing_was_set_aside_nothing_is_shown(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    assert!(look(fixture, &name("never", Lane::Bulk)?).await?.is_empty());
    Ok(())
}

/// Page by page, with the reason, and again after it was given back.
pub async fn whatever_was_set_aside_is_shown_with_its_reason_and_stays(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let at = name("r", Lane::Express)?;
    set_aside(fixture, &at, &numbered(20)).await?;
    let first = look(fixture, &at).await?;
    assert_eq!(ids(&first).len(), 20);
    for pack in &first {
        assert_eq!(pack.reason, WHY);
        assert!(pack.at.is_some(), "it is told when it was set aside");
        assert!(!pack.envelope.0.is_empty());
    }
    assert!(look(fixture, &name("r", Lane::Bulk)?).await?.is_empty(), "lanes are separate");
    assert_eq!(ids(&look(fixture, &at).await?), ids(&first), "a look takes nothing away");
    assert!(is_empty(&*fixture.queue(), &at).await?);
    Ok(())
}

/// While somebody receives: it comes as it went in, once, and is no longer aside.
pub async fn whatever_is_put_back_is_received_again_and_no_longer_aside(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let at = name("r", Lane::Express)?;
    set_aside(fixture, &at, &numbered(3)).await?;
    let waiting = {
        let (queue, at) = (fixture.queue(), at.clone());
        tokio::spawn(async move { drain(&*queue, &at, 2).await })
    };
    let mut aside = fixture.quarantine()?.aside(&at).await?;
    let shown = aside.next(10).await?;
    let [kept, back @ ..] = shown.as_slice() else { anyhow::bail!("nothing is shown") };
    assert_eq!(back.len(), 2);
    for pack in back {
        assert!(aside.readmit(pack, &"acme".parse()?).await?);
    }
    assert!(aside.close().await?, "nobody is left to find it by chance");
    let came = tokio::time::timeout(Duration::from_secs(30), waiting).await???;
    assert!(came.iter().all(|text| text.starts_with("pack-")), "{came:?}");
    let left = look(fixture, &at).await?;
    assert_eq!(ids(&left), BTreeSet::from([kept.id().to_string()]));
    // A broker may take a moment to count what was shown and given back.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while fixture.queue().depth(&at).await?.quarantined != 1 {
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "what was kept is not counted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(is_empty(&*fixture.queue(), &at).await?, "each came once");
    Ok(())
}

/// Whether somebody works on the queue or not.
pub async fn whatever_is_put_back_is_there_after_a_restart(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let at = name("r", Lane::Bulk)?;
    set_aside(fixture, &at, &numbered(1)).await?;
    let mut aside = fixture.quarantine()?.aside(&at).await?;
    let shown = aside.next(10).await?;
    for pack in &shown {
        assert!(aside.readmit(pack, &"acme".parse()?).await?);
    }
    assert!(aside.close().await?, "nobody is left to find it by chance");
    fixture.restart().await?;
    let queue = fixture.queue();
    let got = one(&*queue, &at).await?;
    assert_eq!(text(&got), "pack-0000");
    ack(&*queue, &at, vec![got.receipt]).await?;
    assert!(is_empty(&*queue, &at).await?);
    Ok(())
}

/// It may be set aside again, and looks the same.
pub async fn a_pack_that_was_put_back_can_be_set_aside_again(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let at = name("r", Lane::Express)?;
    set_aside(fixture, &at, &numbered(1)).await?;
    let before = ids(&look(fixture, &at).await?);
    let mut aside = fixture.quarantine()?.aside(&at).await?;
    for pack in aside.next(10).await? {
        assert!(aside.readmit(&pack, &"acme".parse()?).await?);
    }
    assert!(aside.close().await?, "nobody is left to find it by chance");
    let queue = fixture.queue();
    let got = one(&*queue, &at).await?;
    queue.quarantine(&at, got.receipt, "the ledger cannot digest it").await?;
    let again = look(fixture, &at).await?;
    assert_eq!((ids(&again), again.len()), (before, 1));
    assert_eq!(again[0].reason, "the ledger cannot digest it");
    Ok(())
}

/// For ever; the others stay.
pub async fn whatever_is_discarded_is_gone(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let at = name("r", Lane::Express)?;
    set_aside(fixture, &at, &numbered(2)).await?;
    let mut aside = fixture.quarantine()?.aside(&at).await?;
    let shown = aside.next(10).await?;
    aside.discard(&shown[0]).await?;
    assert!(aside.close().await?, "nobody is left to find it by chance");
    fixture.restart().await?;
    assert_eq!(ids(&look(fixture, &at).await?), BTreeSet::from([shown[1].id().to_string()]));
    assert!(is_empty(&*fixture.queue(), &at).await?);
    Ok(())
}
