//! What the dead left, what is due, what is over.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use naru_shared::{
    domain::{Code, IncarnationId, Lane, Next, State},
    ledger::{Disposition, RowRef, Woken},
};

use super::bed::{Bed, LEASE, delivered, retry};

/// At once if something is due, when its moment comes, and sooner if a change makes something due sooner.
pub async fn a_wait_for_what_is_due_ends_when_it_is(bed: &Bed) -> Result<()> {
    let ledger = &bed.engine.ledger;
    let short = Duration::from_millis(20);
    ensure!(!ledger.await_due(bed.now(), short).await, "nothing is there");
    let row = bed.start("acme").await?;
    bed.settle(row, 1, retry(bed, Duration::from_millis(300), false)).await?;
    ensure!(!ledger.await_due(bed.now(), short).await, "its moment has not come");
    let long = Duration::from_secs(30);
    let begun = std::time::Instant::now();
    ensure!(ledger.await_due(bed.now(), long).await);
    let took = begun.elapsed();
    ensure!((Duration::from_millis(300)..Duration::from_secs(1)).contains(&took), "{took:?}");
    bed.pass(Duration::from_secs(1));
    ensure!(ledger.await_due(bed.now(), Duration::ZERO).await, "it is due");
    ledger.wake(bed.now(), 10, false).await?;
    ensure!(!ledger.await_due(bed.now(), short).await, "it was woken");

    let (waiting, now) = (Arc::clone(ledger), bed.now());
    let waiter = tokio::spawn(async move { waiting.await_due(now, long).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let row = bed.start("acme").await?;
    let sent = Next::Sent { backend_id: None, look_at: bed.now().plus(Duration::from_millis(100)) };
    bed.settle(row, 1, sent).await?;
    let told = tokio::time::timeout(Duration::from_secs(5), waiter).await.context("not woken")??;
    ensure!(told, "a report is due");
    Ok(())
}

/// By the beat that stands still.
pub async fn a_row_of_a_dead_incarnation_is_found_and_a_row_of_a_living_one_is_not(bed: &Bed) -> Result<()> {
    let ledger = &bed.engine.ledger;
    let living = IncarnationId::random();
    ledger.beat(bed.me).await?;
    ledger.beat(living).await?;
    let row = bed.start("acme").await?;
    let first = ledger.incarnations().await?;
    ledger.beat(living).await?;
    let second = ledger.incarnations().await?;
    ensure!(first.len() == 2 && second.len() == 2);
    for (id, beat) in second {
        let moved = !first.contains(&(id, beat));
        ensure!(moved == (id == living));
    }
    ensure!(ledger.lost(living, 10).await?.is_empty());
    let lost = ledger.lost(bed.me, 10).await?;
    ensure!(lost.len() == 1 && lost[0].row == row && lost[0].attempt == 1);
    ensure!(ledger.lost(bed.me, 10).await?.len() == 1, "it stays so until settled");
    bed.settle(row, 1, delivered()).await?;
    ensure!(ledger.lost(bed.me, 10).await?.is_empty());
    Ok(())
}

/// It died before its first beat.
pub async fn an_incarnation_that_never_beat_is_found_by_its_rows(bed: &Bed) -> Result<()> {
    ensure!(bed.engine.ledger.incarnations().await?.is_empty());
    bed.start("acme").await?;
    bed.start("acme").await?;
    let found = bed.engine.ledger.incarnations().await?;
    ensure!(found.len() == 1 && found[0].0 == bed.me, "{found:?}");
    Ok(())
}

/// Only what holds nothing is forgotten.
pub async fn an_incarnation_with_rows_is_not_buried(bed: &Bed) -> Result<()> {
    let ledger = &bed.engine.ledger;
    ledger.beat(bed.me).await?;
    let row = bed.start("acme").await?;
    ensure!(!ledger.bury(bed.me).await?);
    ensure!(ledger.incarnations().await?.len() == 1);
    bed.settle(row, 1, delivered()).await?;
    ensure!(ledger.bury(bed.me).await? && ledger.bury(bed.me).await?);
    ensure!(ledger.incarnations().await?.is_empty());
    Ok(())
}

async fn sent(bed: &Bed, look_in: Duration) -> Result<RowRef> {
    let row = bed.start("acme").await?;
    let look_at = bed.now().plus(look_in);
    bed.settle(row, 1, Next::Sent { backend_id: Some("b-1".to_owned()), look_at }).await?;
    Ok(row)
}

/// At the moment, not before, and not what is `sending`, `sent` or `held`.
pub async fn what_is_due_wakes_what_is_over_expires_and_what_is_under_way_does_neither(
    bed: &Bed,
) -> Result<()> {
    let minute = Duration::from_secs(60);
    let ready = bed.record(bed.entry("acme", Disposition::Ready)?).await?;
    let mut later = bed.entry("acme", Disposition::Schedule)?;
    Arc::make_mut(&mut later.message).content.send_at = Some(bed.now().plus(minute));
    let scheduled = bed.record(later).await?;
    let retrying = bed.start("acme").await?;
    bed.settle(retrying, 1, retry(bed, minute, false)).await?;
    let (sending, sent) = (bed.start("acme").await?, sent(bed, minute).await?);
    let held = bed.start("acme").await?;
    bed.settle(held, 1, Next::Held { detail: String::new() }).await?;
    bed.pass(minute - Duration::from_millis(1));
    ensure!(bed.engine.ledger.wake(bed.now(), 10, false).await? == Woken::default());
    bed.pass(Duration::from_millis(1));
    ensure!(bed.engine.ledger.wake(bed.now(), 1, false).await?.ready == 1, "up to `max`");
    ensure!(bed.engine.ledger.wake(bed.now(), 10, false).await? == Woken { ready: 1, expired: 0 });
    ensure!(bed.state("acme", scheduled).await? == State::Ready);
    ensure!(bed.state("acme", retrying).await? == State::Ready);
    bed.pass(Duration::from_secs(540));
    ensure!(
        bed.engine.ledger.wake(bed.now(), 10, false).await? == Woken::default(),
        "the last moment counts"
    );
    bed.pass(Duration::from_millis(1));
    ensure!(bed.engine.ledger.wake(bed.now(), 10, false).await? == Woken { ready: 0, expired: 2 });
    for row in [ready, retrying] {
        let view = bed.view("acme", row).await?;
        ensure!((view.status, view.code) == (State::Expired, Some(Code::TtlExpired)));
    }
    bed.pass(Duration::from_secs(30 * 86_400));
    bed.engine.ledger.wake(bed.now(), 10, false).await?;
    for (row, state) in [(sending, State::Sending), (sent, State::Sent), (held, State::Held)] {
        ensure!(bed.state("acme", row).await? == state);
    }
    Ok(())
}

/// An honest end: it may have arrived.
pub async fn doubt_once_raised_ends_as_uncertain_and_not_expired(bed: &Bed) -> Result<()> {
    for by_take in [false, true] {
        let row = bed.start("acme").await?;
        bed.settle(row, 1, retry(bed, Duration::from_secs(1), true)).await?;
        if by_take {
            bed.pass(Duration::from_secs(1));
            bed.engine.ledger.wake(bed.now(), 10, false).await?;
        }
        bed.pass(Duration::from_secs(601));
        if by_take {
            ensure!(bed.take(10).await?.is_empty());
        } else {
            bed.engine.ledger.wake(bed.now(), 10, false).await?;
        }
        let view = bed.view("acme", row).await?;
        ensure!((view.status, view.code) == (State::Failed, Some(Code::Uncertain)), "{view:?}");
    }
    Ok(())
}

/// And it gives its place to what is not over.
pub async fn what_is_found_expired_by_a_take_is_ended(bed: &Bed) -> Result<()> {
    bed.intake(bed.entries("acme", Lane::Express, &Disposition::Ready, 20)?).await?;
    bed.pass(Duration::from_secs(601));
    let fresh = bed.record(bed.entry("acme", Disposition::Ready)?).await?;
    let work = bed.take(5).await?;
    ensure!(work.len() == 1 && work[0].row == fresh);
    ensure!(bed.unread("acme").await?.iter().filter(|report| report.status == State::Expired).count() == 20);
    ensure!(bed.used("acme").await? == 1);
    Ok(())
}

/// Until its report has come.
pub async fn a_sent_row_is_handed_out_for_its_report_once_per_lease(bed: &Bed) -> Result<()> {
    let row = sent(bed, Duration::from_secs(10)).await?;
    let ledger = &bed.engine.ledger;
    ensure!(ledger.due_reports(bed.now(), 10, LEASE).await?.is_empty());
    bed.pass(Duration::from_secs(10));
    let due = ledger.due_reports(bed.now(), 10, LEASE).await?;
    ensure!(due.len() == 1 && due[0].row == row && due[0].attempt == 1);
    ensure!(due[0].backend_id.as_deref() == Some("b-1"));
    ensure!(ledger.due_reports(bed.now(), 10, LEASE).await?.is_empty());
    bed.pass(LEASE);
    ensure!(ledger.due_reports(bed.now(), 10, LEASE).await?.len() == 1);
    bed.settle(row, 1, delivered()).await?;
    bed.pass(LEASE);
    ensure!(ledger.due_reports(bed.now(), 10, LEASE).await?.is_empty());
    ensure!(bed.view("acme", row).await?.charged);
    Ok(())
}
