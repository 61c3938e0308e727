//! What a provider says of a message that was sent again: of which time it speaks.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use naru_shared::{
    domain::{Code, Next, Notice, Said, State, Timestamp},
    ledger::{Keep, Redriven, Reroute, RowRef, Settled, SpokenOf, TakeRequest},
};

use super::{
    bed::{Bed, failed},
    dead::redrive_if,
};

/// By what a provider names a message.
#[derive(Debug, Clone, Copy)]
enum Named {
    Theirs(&'static str),
    Ours(u32),
}
use Named::{Ours, Theirs};

fn notice(row: RowRef, by: Named, said: Said) -> Notice {
    let (backend_id, message, time) = match by {
        Theirs(id) => (Some(id.to_owned()), None, 0),
        Ours(time) => (None, Some(row.id), time),
    };
    Notice { backend_id, message, time, said, detail: "reported".to_owned() }
}

async fn spoken_of(bed: &Bed, route: &str, notice: &Notice) -> Result<Option<SpokenOf>> {
    let found = bed.engine.ledger.spoken_of(&route.parse()?, std::slice::from_ref(notice)).await?;
    found.first().copied().context("no answer for a notice")
}

/// What a word of this route's provider did.
async fn told(bed: &Bed, route: &str, row: RowRef, by: Named, said: Said) -> Result<Settled> {
    let notice = notice(row, by, said);
    let of = spoken_of(bed, route, &notice).await?.with_context(|| format!("{by:?} names nothing"))?;
    ensure!(of.row == row, "{by:?} names another message: {of:?}");
    bed.settle(row, of.attempt, notice.next()).await
}

fn sent(bed: &Bed, id: &str) -> Next {
    Next::Sent { backend_id: Some(id.to_owned()), look_at: bed.now().plus(Duration::from_secs(3_600)) }
}

/// A message that its provider called `SM1` and reported as failed, ready to be sent again.
async fn failed_and_again(bed: &Bed) -> Result<RowRef> {
    failed_as(bed, "SM1").await
}

async fn failed_as(bed: &Bed, id: &'static str) -> Result<RowRef> {
    let row = bed.start("acme").await?;
    ensure!(bed.settle(row, 1, sent(bed, id)).await? == Settled::Applied);
    ensure!(told(bed, "r", row, Theirs(id), Said::Failed).await? == Settled::Applied);
    ensure!(redrive_if(bed, &[row], Vec::new(), false).await? == [Redriven::Ready]);
    Ok(row)
}

async fn changes_nothing(bed: &Bed, row: RowRef, said: Said, names: &[Named]) -> Result<()> {
    let before = bed.view("acme", row).await?;
    for by in names {
        ensure!(told(bed, "r", row, *by, said).await? == Settled::Evidence, "{by:?}");
        let view = bed.view("acme", row).await?;
        let (was, is) = ((before.status, before.revision), (view.status, view.revision));
        ensure!(was == is, "{by:?}: {view:?}");
    }
    Ok(())
}

const OLD: &[Named] = &[Theirs("SM1"), Ours(0), Ours(9)];

/// While it waits, is under way, is sent; by the provider's id or by ours. What names its new key or its new id ends it.
pub async fn a_word_about_what_was_sent_before_ends_nothing_that_was_sent_again(bed: &Bed) -> Result<()> {
    for by in [Ours(1), Theirs("SM2")] {
        let row = failed_and_again(bed).await?;
        changes_nothing(bed, row, Said::Failed, OLD).await?;
        ensure!(bed.take(1).await?.len() == 1);
        changes_nothing(bed, row, Said::Failed, OLD).await?;
        ensure!(bed.settle(row, 2, sent(bed, "SM2")).await? == Settled::Applied);
        changes_nothing(bed, row, Said::Failed, OLD).await?;
        ensure!(told(bed, "r", row, by, Said::Failed).await? == Settled::Applied, "{by:?}");
        let view = bed.view("acme", row).await?;
        ensure!((view.status, view.revision, view.charged) == (State::Failed, 2, false), "{view:?}");
        // Once more, and neither of the times before speaks of this one.
        ensure!(redrive_if(bed, &[row], Vec::new(), false).await? == [Redriven::Ready]);
        ensure!(bed.take(1).await?.len() == 1);
        changes_nothing(bed, row, Said::Failed, &[Theirs("SM1"), Theirs("SM2"), Ours(0), Ours(1)]).await?;
        // The key that is new is of this attempt, though its answer was not committed.
        ensure!(told(bed, "r", row, Ours(2), Said::Failed).await? == Settled::Applied);
        ensure!(bed.view("acme", row).await?.revision == 3);
    }
    Ok(())
}

/// At every moment; its own provider's id is kept, and what it says later changes nothing.
pub async fn a_late_truth_about_what_was_sent_before_settles_what_was_sent_again(bed: &Bed) -> Result<()> {
    for (id, by, attempts) in [
        ("A", Theirs("A"), 1),
        ("B", Ours(0), 1),
        ("C", Theirs("C"), 2),
        ("D", Ours(0), 2),
        ("E", Theirs("E"), 3),
        ("F", Ours(0), 3),
    ] {
        let used = bed.used("acme").await?;
        let row = failed_as(bed, id).await?;
        if attempts > 1 {
            ensure!(bed.take(1).await?.len() == 1);
        }
        if attempts > 2 {
            bed.settle(row, 2, sent(bed, if id == "E" { "SM2" } else { "SM3" })).await?;
        }
        ensure!(told(bed, "r", row, by, Said::Delivered).await? == Settled::Corrected, "{by:?} {attempts}");
        let view = bed.view("acme", row).await?;
        ensure!((view.status, view.revision, view.charged) == (State::Delivered, 2, true), "{view:?}");
        ensure!(bed.used("acme").await? == used + 1, "charged once");
        ensure!(bed.take(1).await?.is_empty(), "no further attempt begins");
        changes_nothing(bed, row, Said::Failed, &[Theirs(id), Ours(0), Ours(1)]).await?;
        if id == "E" {
            changes_nothing(bed, row, Said::Failed, &[Theirs("SM2")]).await?;
        }
    }
    Ok(())
}

/// The provider of the first route alone speaks of what went over it; the other's of what it has.
pub async fn a_late_truth_finds_its_message_after_another_route_took_it(bed: &Bed) -> Result<()> {
    for by in [Theirs("SM1"), Ours(0)] {
        let row = failed_and_again(bed).await?;
        let order = Reroute { from: "r".parse()?, to: "b".parse()?, accepted_by: Timestamp::MAX, max: 10 };
        ensure!(bed.engine.ledger.reroute(order, bed.now()).await? == 1);
        let request = TakeRequest { route: "b".parse()?, ..bed.request(1, |_| 1)? };
        ensure!(bed.engine.ledger.take(request).await?.work.len() == 1);
        bed.settle(row, 2, sent(bed, "B1")).await?;
        changes_nothing(bed, row, Said::Failed, OLD).await?;
        for (route, by) in [("b", Theirs("SM1")), ("r", Theirs("B1")), ("c", Ours(0)), ("c", Ours(1))] {
            let found = spoken_of(bed, route, &notice(row, by, Said::Delivered)).await?;
            ensure!(found.is_none(), "{route} speaks of it by {by:?}: {found:?}");
        }
        let theirs = spoken_of(bed, "b", &notice(row, Ours(1), Said::Delivered)).await?;
        ensure!(theirs.map(|of| of.attempt) == Some(2), "{theirs:?}");
        ensure!(told(bed, "r", row, by, Said::Delivered).await? == Settled::Corrected, "{by:?}");
        let view = bed.view("acme", row).await?;
        ensure!((view.status, view.charged) == (State::Delivered, true), "{view:?}");
    }
    Ok(())
}

/// What was missed is a report of the present time.
pub async fn a_word_about_an_earlier_time_is_no_report_that_was_missed(bed: &Bed) -> Result<()> {
    let row = failed_and_again(bed).await?;
    ensure!(bed.take(1).await?.len() == 1);
    bed.settle(row, 2, sent(bed, "SM2")).await?;
    ensure!(bed.settle(row, 2, Next::Missed { captured: false }).await? == Settled::Applied);
    changes_nothing(bed, row, Said::Failed, OLD).await?;
    ensure!(bed.view("acme", row).await?.code == Some(Code::NoReport));
    ensure!(told(bed, "r", row, Theirs("SM2"), Said::Failed).await? == Settled::Corrected);
    ensure!(bed.view("acme", row).await?.code == Some(Code::BackendRefused));
    Ok(())
}

/// Its backend has one message, whichever attempt it took.
pub async fn under_a_key_that_stayed_its_word_is_about_the_present(bed: &Bed) -> Result<()> {
    let row = bed.start("acme").await?;
    bed.settle(row, 1, Next::end(State::Failed, Code::Uncertain, "")).await?;
    ensure!(redrive_if(bed, &[row], Vec::new(), true).await? == [Redriven::Ready]);
    ensure!(bed.take(1).await?.len() == 1);
    changes_nothing(bed, row, Said::Failed, &[Ours(0)]).await?;
    bed.settle(row, 2, sent(bed, "SM1")).await?;
    ensure!(told(bed, "r", row, Ours(0), Said::Failed).await? == Settled::Applied);
    // What expired before anything was sent has one time, whatever it is called by.
    let row = bed.start("acme").await?;
    bed.engine.ledger.give_back(vec![(row, 1)]).await?;
    bed.pass(Duration::from_secs(86_400));
    ensure!(bed.engine.ledger.wake(bed.now(), 10, false).await?.expired == 1);
    ensure!(redrive_if(bed, &[row], Vec::new(), false).await? == [Redriven::Ready]);
    let work = bed.take(1).await?;
    ensure!(work.len() == 1 && work[0].message.backend_key() == format!("{}.r1", row.id), "{work:?}");
    ensure!(told(bed, "r", row, Ours(0), Said::Failed).await? == Settled::Applied);
    Ok(())
}

/// Nothing is left that could name it.
pub async fn what_was_let_go_is_found_by_no_earlier_name(bed: &Bed) -> Result<()> {
    let row = failed_and_again(bed).await?;
    ensure!(bed.take(1).await?.len() == 1);
    bed.settle(row, 2, failed()).await?;
    ensure!(spoken_of(bed, "r", &notice(row, Theirs("SM1"), Said::Delivered)).await?.is_some());
    bed.pass(Duration::from_secs(200 * 86_400));
    let keep = Keep { horizon: Duration::from_secs(86_400), texts: Duration::from_secs(86_400) };
    for _ in 0..50 {
        bed.engine.ledger.forget(bed.now(), keep, 100).await?;
        let found = spoken_of(bed, "r", &notice(row, Theirs("SM1"), Said::Delivered)).await?;
        if found.is_none() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("it is found for ever")
}
