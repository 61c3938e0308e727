//! What ended without being delivered and is sent again; what is known of a recipient and goes.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use naru_shared::{
    domain::{Again, Code, Next, Period, Quota, State, TimeZone},
    ledger::{DeadFilter, Disposition, Erased, Erasure, OptOut, Redrive, Redriven, RowRef, Settled},
};

use super::bed::{Bed, delivered, failed, quota, retry};

async fn redrive(bed: &Bed, rows: &[RowRef], quotas: Vec<Quota>) -> Result<Vec<Redriven>> {
    redrive_if(bed, rows, quotas, true).await
}

pub(super) async fn redrive_if(
    bed: &Bed,
    rows: &[RowRef],
    quotas: Vec<Quota>,
    uncertain: bool,
) -> Result<Vec<Redriven>> {
    let redrive = Redrive {
        ids: rows.iter().map(|row| row.id).collect(),
        time_zone: TimeZone::UTC,
        quotas: quotas.into_iter().map(Arc::new).collect(),
        uncertain,
        now: bed.now(),
    };
    Ok(bed.engine.mends.redrive(redrive).await?)
}

fn uncertain() -> Next {
    Next::end(State::Failed, Code::Uncertain, "")
}

async fn ended(bed: &Bed, customer: &str, next: Next) -> Result<RowRef> {
    let row = bed.start(customer).await?;
    ensure!(bed.settle(row, 1, next).await? == Settled::Applied);
    Ok(row)
}

/// Oldest first, page by page.
pub async fn the_dead_are_listed_by_every_word_and_nobody_else(bed: &Bed) -> Result<()> {
    let refused = ended(bed, "acme", failed()).await?;
    let doubtful = ended(bed, "acme", uncertain()).await?;
    ended(bed, "acme", delivered()).await?;
    bed.start("acme").await?;
    bed.pass(Duration::from_secs(10));
    let since = bed.now();
    let others = ended(bed, "other", failed()).await?;
    let nothing = DeadFilter::default();
    let cases = [
        (nothing.clone(), vec![refused, doubtful, others]),
        (DeadFilter { customer: Some("acme".parse()?), ..nothing.clone() }, vec![refused, doubtful]),
        (DeadFilter { code: Some(Code::Uncertain), ..nothing.clone() }, vec![doubtful]),
        (DeadFilter { since: Some(since), ..nothing.clone() }, vec![others]),
        (DeadFilter { until: Some(since), ..nothing.clone() }, vec![refused, doubtful]),
        (DeadFilter { route: Some("nowhere".parse()?), ..nothing }, vec![]),
    ];
    for (filter, expected) in cases {
        let (mut found, mut from) = (Vec::new(), None);
        loop {
            let page = bed.engine.mends.dead(&filter, from, 1).await?;
            found.extend(page.dead);
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        let ids: Vec<_> = found.iter().map(|dead| dead.view.id).collect();
        ensure!(ids == expected.iter().map(|row| row.id).collect::<Vec<_>>(), "{filter:?}: {ids:?}");
        ensure!(found.iter().all(|dead| dead.has_text));
        ensure!(found.iter().all(|dead| dead.possible_duplicate == (dead.view.id == doubtful.id)));
    }
    Ok(())
}

/// With a new key towards the backend after a known failure, the old one where it is in doubt; attempts and revisions go on.
pub async fn what_is_sent_again_is_charged_again_and_its_revisions_go_on(bed: &Bed) -> Result<()> {
    let known = ended(bed, "acme", failed()).await?;
    let doubtful = ended(bed, "acme", uncertain()).await?;
    ensure!(bed.used("acme").await? == 0);
    ensure!(bed.unread("acme").await?.len() == 2);
    bed.pass(Duration::from_secs(86_400));
    ensure!(redrive(bed, &[known, doubtful], Vec::new()).await? == [Redriven::Ready; 2]);
    ensure!(bed.used("acme").await? == 2);
    ensure!(redrive(bed, &[known], Vec::new()).await? == [Redriven::NotDead], "it is not dead any more");
    bed.pass(Duration::from_secs(61));
    ensure!(bed.unread("acme").await?.is_empty(), "a report of a message that goes on");
    let work = bed.take(10).await?;
    ensure!(work.len() == 2, "{work:?}");
    for one in &work {
        let id = one.row.id;
        let (key, doubt) = if id == known.id { (format!("{id}.r1"), false) } else { (id.to_string(), true) };
        ensure!((one.message.backend_key(), one.possible_duplicate) == (key, doubt), "{one:?}");
        ensure!((one.attempt, one.tries()) == (2, 1), "{one:?}");
        ensure!(one.expires_at.since(bed.now()) > Duration::from_secs(500), "{one:?}");
    }
    bed.settle(known, 2, delivered()).await?;
    bed.settle(doubtful, 2, failed()).await?;
    let reports = bed.unread("acme").await?;
    ensure!(reports.len() == 2 && reports.iter().all(|report| report.revision == 2), "{reports:?}");
    ensure!(bed.used("acme").await? == 1);
    let dossier = bed.engine.desk.dossier(known.id).await?.context("no dossier")?;
    ensure!(dossier.earlier_reports.len() == 1 && dossier.earlier_reports[0].revision == 1, "{dossier:?}");
    // Once more, in doubt from now on: the key stays what it was.
    ensure!(redrive(bed, &[doubtful], Vec::new()).await? == [Redriven::Ready]);
    let work = bed.take(1).await?;
    let again = work[0].message.again.context("it is not said")?;
    ensure!(again == Again { number: 2, key: 0, after: 2, at: again.at }, "{again:?}");
    bed.settle(doubtful, 3, delivered()).await?;
    Ok(())
}

/// Whatever its code says: an attempt before the last may have been taken. A list, a look at one message and the redrive itself agree.
pub async fn what_was_ever_in_doubt_is_sent_again_only_if_that_is_wanted(bed: &Bed) -> Result<()> {
    let row = bed.start("acme").await?;
    bed.settle(row, 1, retry(bed, Duration::ZERO, true)).await?;
    bed.engine.ledger.wake(bed.now(), 10, false).await?;
    ensure!(bed.take(1).await?.len() == 1);
    ensure!(bed.settle(row, 2, failed()).await? == Settled::Applied);
    let known = ended(bed, "acme", failed()).await?;
    let listed = bed.engine.mends.dead(&DeadFilter::default(), None, 10).await?.dead;
    for (row, doubt) in [(row, true), (known, false)] {
        let one = listed.iter().find(|dead| dead.view.id == row.id).context("it is not listed")?;
        let looked_at = bed.engine.desk.dossier(row.id).await?.context("no dossier")?.into_dead();
        for dead in [one, &looked_at] {
            ensure!(dead.view.code == Some(Code::BackendRefused), "{dead:?}");
            ensure!((dead.possible_duplicate, dead.has_text) == (doubt, true), "{dead:?}");
        }
    }
    let rows = [row, known];
    ensure!(redrive_if(bed, &rows, Vec::new(), false).await? == [Redriven::InDoubt, Redriven::Ready]);
    let view = bed.view("acme", row).await?;
    ensure!((view.status, view.revision, view.attempts) == (State::Failed, 1, 2), "{view:?}");
    ensure!(bed.used("acme").await? == 1, "nothing is charged for what stays");
    ensure!(redrive_if(bed, &[row], Vec::new(), true).await? == [Redriven::Ready]);
    Ok(())
}

/// It stays dead, as it was.
pub async fn what_no_limit_holds_stays_dead(bed: &Bed) -> Result<()> {
    let rows = [ended(bed, "acme", failed()).await?, ended(bed, "acme", failed()).await?];
    let limit = quota("acme", None, Period::Month, 1)?;
    ensure!(redrive(bed, &rows, vec![limit]).await? == [Redriven::Ready, Redriven::OverQuota]);
    ensure!(bed.state("acme", rows[1]).await? == State::Failed);
    ensure!(bed.used("acme").await? == 1);
    let work = bed.take(5).await?;
    ensure!(work.len() == 1);
    // Its late truth corrects what was sent again while it waits, and what was not.
    ensure!(bed.settle(rows[1], 1, delivered()).await? == Settled::Corrected);
    bed.settle(rows[0], 2, retry(bed, Duration::ZERO, false)).await?;
    ensure!(bed.settle(rows[0], 1, delivered()).await? == Settled::Corrected);
    ensure!(bed.used("acme").await? == 2);
    Ok(())
}

/// Nor is it charged.
pub async fn what_is_for_who_opted_out_stays_dead(bed: &Bed) -> Result<()> {
    let rows = [ended(bed, "acme", failed()).await?, ended(bed, "other", failed()).await?];
    let recipient = "+821012345678".parse()?;
    let entry = OptOut { customer: Some("acme".parse()?), channel: None, recipient, since: bed.now() };
    bed.engine.opt_outs.opt_out(vec![entry.clone()]).await?;
    ensure!(redrive(bed, &rows, Vec::new()).await? == [Redriven::OptedOut, Redriven::Ready]);
    ensure!(bed.state("acme", rows[0]).await? == State::Failed && bed.used("acme").await? == 0);
    bed.engine.opt_outs.opt_in(vec![entry]).await?;
    ensure!(redrive(bed, &rows[..1], Vec::new()).await? == [Redriven::Ready]);
    Ok(())
}

fn erasure(bed: &Bed, dry_run: bool, cancel: bool) -> Result<Erasure> {
    Ok(Erasure {
        recipient: "+821012345678".to_owned(),
        customer: Some("acme".parse()?),
        pseudonym: "erased:00ff".to_owned(),
        dry_run,
        cancel,
        now: bed.now(),
        emit: true,
    })
}

async fn erase(bed: &Bed, erasure: &Erasure) -> Result<Erased> {
    let (mut all, mut from) = (Erased::default(), None);
    loop {
        let step = bed.engine.mends.erase(erasure, from).await?;
        all.erased += step.erased;
        all.cancelled += step.cancelled;
        all.under_way += step.under_way;
        all.told += step.told;
        from = step.next;
        if from.is_none() {
            return Ok(all);
        }
    }
}

/// Text, recipient, words of the backend, earlier reports and what waits to be told; charges and counts stay.
pub async fn a_recipient_is_erased_from_what_has_ended(bed: &Bed) -> Result<()> {
    let row = bed.start("acme").await?;
    bed.settle(row, 1, failed()).await?;
    bed.settle(row, 1, delivered()).await?;
    let waits = bed.record(bed.entry("acme", Disposition::Ready)?).await?;
    let flies = bed.start("acme").await?;
    let others = ended(bed, "other", failed()).await?;
    // A row that moves to the archive between two steps is counted in both.
    let mut told = erase(bed, &erasure(bed, true, true)?).await?;
    for _ in 0..50 {
        if told.erased == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        told = erase(bed, &erasure(bed, true, true)?).await?;
    }
    ensure!((told.erased, told.cancelled, told.under_way) == (2, 1, 1), "{told:?}");
    ensure!(bed.view("acme", row).await?.recipient == "+821012345678", "a dry run changes nothing");
    let done = erase(bed, &erasure(bed, false, true)?).await?;
    ensure!((done.erased, done.cancelled, done.under_way, done.told) == (2, 1, 1, 1), "{done:?}");
    for one in [row, waits] {
        let dossier = bed.engine.desk.dossier(one.id).await?.context("no dossier")?;
        let text = serde_json::to_string(&dossier)?;
        ensure!(!text.contains("1012345678") && text.contains("erased:00ff"), "{text}");
        ensure!(!text.contains("no such number"), "{text}");
    }
    ensure!(bed.state("acme", waits).await? == State::Cancelled);
    ensure!(bed.view("acme", flies).await?.recipient == "+821012345678", "it is under way");
    ensure!(bed.view("other", others).await?.recipient == "+821012345678", "another's");
    ensure!(bed.used("acme").await? == 2, "what was delivered, and what is under way");
    let events = bed.engine.outbox.claim(10, Duration::from_secs(60)).await?;
    let events = format!("{events:?}");
    ensure!(events.contains("erased:00ff") && !events.contains("1012345678"), "{events}");
    ensure!(redrive(bed, &[others], Vec::new()).await? == [Redriven::Ready], "its text is there");
    let again = erase(bed, &erasure(bed, false, true)?).await?;
    ensure!((again.erased, again.under_way) == (0, 1), "{again:?}");
    Ok(())
}
