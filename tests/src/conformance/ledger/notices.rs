//! What providers report later, and what comes before anything is known of its message.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use naru_shared::{
    domain::{MessageId, Next, Notice, RouteName, Said, State},
    ledger::{ParkedNotice, RowRef, Settled, SpokenOf},
};

use super::bed::Bed;

fn notice(backend_id: Option<&str>, message: Option<MessageId>, said: Said) -> Notice {
    Notice {
        backend_id: backend_id.map(str::to_owned),
        message,
        time: 0,
        said,
        detail: "reported".to_owned(),
    }
}

fn route() -> Result<RouteName> {
    Ok("r".parse()?)
}

async fn spoken_of(bed: &Bed, notice: Notice) -> Result<Option<SpokenOf>> {
    let found = bed.engine.ledger.spoken_of(&route()?, &[notice]).await?;
    found.first().copied().context("no answer for a notice")
}

/// A message that its backend took under this id.
async fn sent(bed: &Bed, backend_id: &str) -> Result<RowRef> {
    let row = bed.start("acme").await?;
    let look_at = bed.now().plus(Duration::from_secs(3_600));
    let next = Next::Sent { backend_id: Some(backend_id.to_owned()), look_at };
    ensure!(bed.settle(row, 1, next).await? == Settled::Applied);
    Ok(row)
}

/// By the provider's id, by ours, by neither.
pub async fn a_provider_s_report_finds_its_message_by_either_id_and_on_its_own_route_alone(
    bed: &Bed,
) -> Result<()> {
    let (one, other) = (sent(bed, "p-1").await?, bed.start("acme").await?);
    let asked = [
        notice(Some("p-1"), None, Said::Delivered),
        notice(None, Some(other.id), Said::Delivered),
        notice(Some("p-1"), Some(other.id), Said::Delivered),
        notice(Some("p-2"), Some(one.id), Said::Failed),
        notice(Some("p-2"), None, Said::Delivered),
        notice(None, Some(MessageId::from_bytes([9; 16])), Said::Delivered),
        notice(None, None, Said::Delivered),
    ];
    let found = bed.engine.ledger.spoken_of(&route()?, &asked).await?;
    let rows: Vec<_> = found.iter().map(|of| of.map(|of| (of.row, of.attempt, of.state))).collect();
    let (sent, sending) = (Some((one, 1, State::Sent)), Some((other, 1, State::Sending)));
    ensure!(rows == [sent, sending, sent, sent, None, None, None], "{rows:?}");
    let elsewhere = bed.engine.ledger.spoken_of(&"other".parse()?, &asked).await?;
    ensure!(
        elsewhere.iter().all(Option::is_none),
        "another route's provider speaks of no message of this one"
    );
    ensure!(bed.engine.ledger.spoken_of(&route()?, &[]).await?.is_empty());
    Ok(())
}

/// Providers use ids again.
pub async fn of_several_messages_with_the_same_id_of_the_provider_s_the_newest_is_meant(
    bed: &Bed,
) -> Result<()> {
    sent(bed, "again").await?;
    let newest = sent(bed, "again").await?;
    let found = spoken_of(bed, notice(Some("again"), None, Said::Delivered)).await?;
    ensure!(found.map(|of| of.row) == Some(newest));
    Ok(())
}

/// What ended is found as long as it is known.
pub async fn a_report_that_is_told_twice_makes_one_revision_and_a_correction_another(
    bed: &Bed,
) -> Result<()> {
    let row = sent(bed, "p-1").await?;
    for (said, did, revision) in [
        (Said::Failed, Settled::Applied, 1),
        (Said::Failed, Settled::Applied, 1),
        (Said::Delivered, Settled::Corrected, 2),
        (Said::Delivered, Settled::Evidence, 2),
        (Said::Failed, Settled::Evidence, 2),
    ] {
        let notice = notice(Some("p-1"), None, said);
        let of = spoken_of(bed, notice.clone()).await?.context("what has ended is found")?;
        let settled = bed.settle(of.row, of.attempt, notice.next()).await?;
        let view = bed.view("acme", row).await?;
        ensure!((settled, view.revision) == (did, revision), "{said:?}: {settled:?}, {view:?}");
    }
    ensure!(bed.state("acme", row).await? == State::Delivered && bed.used("acme").await? == 1);
    Ok(())
}

/// And a late truth adjusts the charge.
pub async fn a_message_without_a_report_is_paid_for_only_if_its_route_says_so(bed: &Bed) -> Result<()> {
    for (backend_id, captured, said) in [("p-1", false, Said::Delivered), ("p-2", true, Said::Failed)] {
        let before = bed.used("acme").await?;
        let row = sent(bed, backend_id).await?;
        let missed = Next::Missed { captured };
        ensure!(bed.settle(row, 1, missed.clone()).await? == Settled::Applied);
        ensure!(bed.settle(row, 1, missed).await? == Settled::Applied, "and once more changes nothing");
        let view = bed.view("acme", row).await?;
        ensure!((view.status, view.revision, view.charged) == (State::Expired, 1, captured), "{view:?}");
        ensure!(bed.used("acme").await? == before + u64::from(captured));
        // A late truth adjusts the charge.
        let late = notice(Some(backend_id), None, said);
        ensure!(bed.settle(row, 1, late.next()).await? == Settled::Corrected);
        let view = bed.view("acme", row).await?;
        ensure!((view.revision, view.charged) == (2, !captured), "{view:?}");
        ensure!(bed.used("acme").await? == before + u64::from(!captured));
    }
    Ok(())
}

fn parked(bed: &Bed, id: &str) -> Result<ParkedNotice> {
    let until = bed.now().plus(Duration::from_secs(600));
    let notice = notice(Some(id), None, Said::Delivered);
    Ok(ParkedNotice { route: route()?, notice, since: bed.now(), until })
}

/// Each time after as long as it has been kept.
pub async fn an_early_report_is_kept_once_handed_out_again_later_and_again_until_it_is_let_go(
    bed: &Bed,
) -> Result<()> {
    let ledger = &bed.engine.ledger;
    let early = parked(bed, "p-1")?;
    ensure!(ledger.park(vec![early.clone()], bed.now(), 10).await? == [true]);
    ensure!(ledger.park(vec![early.clone()], bed.now(), 10).await? == [true], "it is kept already");
    let at = |ms| bed.now().plus(Duration::from_millis(ms));
    ensure!(ledger.parked(at(999), 10).await?.is_empty(), "not before a second");
    ensure!(ledger.parked(at(1_000), 10).await? == std::slice::from_ref(&early));
    ensure!(ledger.parked(at(1_000), 10).await?.is_empty(), "it was handed out");
    ensure!(ledger.parked(at(2_000), 10).await? == [early.clone()], "after as long as it was kept");
    ensure!(ledger.parked(at(3_999), 10).await?.is_empty());
    ensure!(ledger.parked(at(4_000), 10).await? == std::slice::from_ref(&early));
    ledger.unpark(vec![early.clone()]).await?;
    ledger.unpark(vec![early]).await?;
    ensure!(ledger.parked(at(3_600_000), 10).await?.is_empty());
    Ok(())
}

/// Each route has room of its own.
pub async fn of_a_route_no_more_early_reports_are_kept_than_may_be(bed: &Bed) -> Result<()> {
    let ledger = &bed.engine.ledger;
    for (id, kept) in [("a", true), ("b", true), ("c", false), ("a", true)] {
        ensure!(ledger.park(vec![parked(bed, id)?], bed.now(), 2).await? == [kept], "{id}");
    }
    let other = ParkedNotice { route: "other".parse()?, ..parked(bed, "c")? };
    ensure!(ledger.park(vec![other], bed.now(), 2).await? == [true], "another route has room of its own");
    ensure!(ledger.parked(bed.now().plus(Duration::from_secs(9)), 10).await?.len() == 3);
    Ok(())
}

/// The sweeper looks at it then.
pub async fn a_wait_for_what_is_due_ends_when_an_early_report_is(bed: &Bed) -> Result<()> {
    let ledger = &bed.engine.ledger;
    ensure!(!ledger.await_due(bed.now(), Duration::from_millis(1)).await);
    ledger.park(vec![parked(bed, "p-1")?], bed.now(), 10).await?;
    ensure!(ledger.await_due(bed.now().plus(Duration::from_secs(2)), Duration::from_millis(1)).await);
    Ok(())
}
