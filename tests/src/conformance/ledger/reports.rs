//! What a customer reads and takes back, and what an operator finds.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use naru_shared::{
    domain::{Account, Code, CustomerId, Environment, MessageId, Next, State},
    ledger::{Cancelled, Disposition, Found, IntakeVerdict, Search, Settled},
};

use super::bed::{Bed, LEASE, delivered, failed, live, retry};

/// Lease after lease.
pub async fn an_unread_report_comes_back_until_acknowledged(bed: &Bed) -> Result<()> {
    let row = bed.start("acme").await?;
    bed.settle(row, 1, delivered()).await?;
    for _ in 0..3 {
        let reports = bed.unread("acme").await?;
        ensure!(reports.len() == 1 && reports[0].id == row.id);
        bed.pass(LEASE);
    }
    let (reads, account) = (&bed.engine.reads, live("acme")?);
    ensure!(reads.acknowledge(&live("other")?, vec![(row.id, 1)]).await? == 0);
    ensure!(reads.acknowledge(&account, vec![(row.id, 1), (MessageId::from_bytes([9; 16]), 1)]).await? == 1);
    ensure!(reads.acknowledge(&account, vec![(row.id, 1)]).await? == 0, "idempotent");
    bed.pass(LEASE);
    ensure!(bed.unread("acme").await?.is_empty());
    Ok(())
}

/// Nor is one left out: oldest first, and whether there are more.
pub async fn a_leased_report_is_not_handed_out_twice_within_its_lease(bed: &Bed) -> Result<()> {
    let mut expected = Vec::new();
    for _ in 0..5 {
        let row = bed.start("acme").await?;
        bed.settle(row, 1, delivered()).await?;
        expected.push(row.id);
        bed.pass(Duration::from_millis(1));
    }
    let mut given = Vec::new();
    for more in [true, true, false] {
        let (reports, told) = bed.engine.reads.reports(&live("acme")?, 2, Duration::ZERO, LEASE).await?;
        ensure!(told == more);
        given.extend(reports.into_iter().map(|report| report.id));
    }
    ensure!(given == expected);
    ensure!(bed.unread("acme").await?.is_empty());
    Ok(())
}

/// Read is what was read, not what came after.
pub async fn a_report_of_a_newer_revision_stays_unread(bed: &Bed) -> Result<()> {
    let row = bed.start("acme").await?;
    bed.settle(row, 1, failed()).await?;
    ensure!(bed.unread("acme").await?[0].revision == 1);
    ensure!(bed.settle(row, 1, delivered()).await? == Settled::Corrected);
    let account = live("acme")?;
    ensure!(bed.engine.reads.acknowledge(&account, vec![(row.id, 1)]).await? == 0);
    let reports = bed.unread("acme").await?;
    ensure!(
        reports.len() == 1 && reports[0].revision == 2,
        "the lease of an older revision does not hide it"
    );
    ensure!(bed.engine.reads.acknowledge(&account, vec![(row.id, 2)]).await? == 1);
    Ok(())
}

/// Where it is only known that no report came, any report says more.
pub async fn a_report_that_was_missed_is_a_revision_whatever_it_says(bed: &Bed) -> Result<()> {
    for late in [delivered(), Next::end(State::Failed, Code::BackendRefused, "no such number")] {
        let row = bed.start("acme").await?;
        bed.settle(row, 1, Next::end(State::Expired, Code::NoReport, "")).await?;
        ensure!(bed.settle(row, 1, late.clone()).await? == Settled::Corrected);
        // It comes again.
        ensure!(bed.settle(row, 1, late).await? == Settled::Evidence);
        let reports = bed.unread("acme").await?;
        let report = reports.iter().find(|report| report.id == row.id).context("it is unread")?;
        ensure!(report.revision == 2 && report.code != Code::NoReport, "{report:?}");
    }
    Ok(())
}

/// At once, and an empty poll ends in time.
pub async fn a_poll_wakes_when_a_report_comes(bed: &Bed) -> Result<()> {
    let account = live("acme")?;
    let empty = bed.engine.reads.reports(&account, 10, Duration::from_millis(20), LEASE).await?;
    ensure!(empty.0.is_empty() && !empty.1);
    let row = bed.start("acme").await?;
    let reads = Arc::clone(&bed.engine.reads);
    let poll = tokio::spawn(async move { reads.reports(&account, 10, Duration::from_secs(30), LEASE).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    bed.settle(row, 1, delivered()).await?;
    let (reports, _) = tokio::time::timeout(Duration::from_secs(5), poll).await.context("not woken")???;
    ensure!(reports.len() == 1 && reports[0].id == row.id);
    Ok(())
}

/// Not to look at, not to cancel, not to read.
pub async fn another_account_s_message_does_not_exist(bed: &Bed) -> Result<()> {
    let row = bed.record(bed.entry("acme", Disposition::Ready)?).await?;
    let sandbox = Account { environment: Environment::Sandbox, ..live("acme")? };
    for other in [live("other")?, sandbox] {
        ensure!(bed.engine.reads.view(&other, row.id).await?.is_none());
        let cancelled = bed.engine.reads.cancel(&other, row.id, bed.now(), false).await?;
        ensure!(cancelled == Cancelled::Tombstone);
        ensure!(bed.state("acme", row).await? == State::Ready);
    }
    bed.take(1).await?;
    bed.settle(row, 1, delivered()).await?;
    ensure!(bed.unread("other").await?.is_empty());
    Ok(())
}

/// Every state in which something may have left is too late.
pub async fn only_what_was_certainly_not_taken_can_be_cancelled(bed: &Bed) -> Result<()> {
    let account = live("acme")?;
    let later = bed.now().plus(LEASE);
    let cases = [
        (None, false),
        (Some(delivered()), false),
        (Some(failed()), false),
        (Some(Next::Held { detail: String::new() }), false),
        (Some(Next::Sent { backend_id: None, look_at: later }), false),
        (Some(retry(bed, LEASE, true)), false),
        (Some(retry(bed, LEASE, false)), true),
    ];
    for (next, possible) in cases {
        let row = bed.start("acme").await?;
        if let Some(next) = next.clone() {
            bed.settle(row, 1, next).await?;
        }
        let before = bed.view("acme", row).await?;
        let cancelled = bed.engine.reads.cancel(&account, row.id, bed.now(), false).await?;
        match cancelled {
            Cancelled::Done(view) => ensure!(possible && view.status == State::Cancelled, "{next:?}"),
            Cancelled::TooLate(view) => ensure!(!possible && *view == before, "{next:?}"),
            Cancelled::Tombstone => anyhow::bail!("{next:?}"),
        }
    }
    let scheduled = bed.record(bed.entry("acme", Disposition::Schedule)?).await?;
    let cancelled = bed.engine.reads.cancel(&account, scheduled.id, bed.now(), false).await?;
    ensure!(matches!(cancelled, Cancelled::Done(_)));
    Ok(())
}

/// Once, however often it is asked.
pub async fn a_cancelled_message_is_not_taken_and_not_paid_for(bed: &Bed) -> Result<()> {
    let row = bed.record(bed.entry("acme", Disposition::Ready)?).await?;
    for _ in 0..2 {
        let cancelled = bed.engine.reads.cancel(&live("acme")?, row.id, bed.now(), false).await?;
        let Cancelled::Done(view) = cancelled else { anyhow::bail!("{cancelled:?}") };
        ensure!((view.status, view.code, view.revision) == (State::Cancelled, Some(Code::Cancelled), 1));
    }
    ensure!(bed.take(1).await?.is_empty() && bed.used("acme").await? == 0);
    ensure!(bed.unread("acme").await?.len() == 1);
    Ok(())
}

/// Before it comes there is nothing to see; when it comes it is reported and not charged.
pub async fn a_tombstone_cancels_what_comes_after_it(bed: &Bed) -> Result<()> {
    let entry = bed.entry("acme", Disposition::Start)?;
    let (account, id) = (live("acme")?, entry.message.id);
    for _ in 0..2 {
        ensure!(bed.engine.reads.cancel(&account, id, bed.now(), false).await? == Cancelled::Tombstone);
    }
    ensure!(bed.engine.reads.view(&account, id).await?.is_none());
    ensure!(bed.unread("acme").await?.is_empty());
    let done = bed.intake(vec![entry.clone()]).await?;
    ensure!(done.verdicts == [IntakeVerdict::Cancelled]);
    let reports = bed.unread("acme").await?;
    ensure!(reports.len() == 1 && reports[0].reference == entry.message.content.reference);
    ensure!((reports[0].status, reports[0].revision) == (State::Cancelled, 1) && !reports[0].charged);
    ensure!(bed.intake(vec![entry]).await?.verdicts == [IntakeVerdict::Duplicate]);
    ensure!(bed.used("acme").await? == 0);
    Ok(())
}

fn ids(found: &Found) -> Vec<MessageId> {
    found.messages.iter().map(|(_, view)| view.id).collect()
}

/// Nothing twice, nothing left out.
pub async fn a_search_that_ends_early_says_so_and_goes_on_from_there(bed: &Bed) -> Result<()> {
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.insert(0, bed.start("acme").await?.id);
    }
    let (mut found, mut older_than) = (Vec::new(), None);
    for _ in 0..5 {
        let search = Search { older_than, limit: 2, ..Search::default() };
        let page = bed.engine.desk.find(search).await?;
        ensure!(page.messages.len() <= 2);
        found.extend(ids(&page));
        older_than = page.unseen.map(|unseen| unseen.older_than);
        if older_than.is_none() {
            break;
        }
    }
    ensure!(found == expected && older_than.is_none());
    Ok(())
}

/// Newest first.
pub async fn a_search_finds_what_matches_and_nothing_else(bed: &Bed) -> Result<()> {
    let desk = &bed.engine.desk;
    let mut entry = bed.entry("acme", Disposition::Ready)?;
    Arc::make_mut(&mut entry.message).key = Some("order-77".parse()?);
    Arc::make_mut(&mut entry.message).content.recipient = "+8299".to_owned();
    let row = bed.record(entry.clone()).await?;
    let newer = bed.start("acme").await?;
    bed.record(bed.entry("other", Disposition::Ready)?).await?;
    bed.engine.reads.cancel(&live("acme")?, MessageId::from_bytes([7; 16]), bed.now(), false).await?;
    let base = Search { limit: 10, ..Search::default() };
    let searches = [
        Search { key: Some("order-77".to_owned()), ..base.clone() },
        Search { recipient: Some("+8299".to_owned()), ..base.clone() },
        Search { reference: entry.message.content.reference.clone(), ..base.clone() },
        Search { customer: Some("acme".parse()?), state: Some(State::Ready), ..base.clone() },
    ];
    for search in searches {
        let found = desk.find(search.clone()).await?.messages;
        ensure!(found.len() == 1 && found[0].1.id == row.id, "{search:?}");
    }
    let acme = Search { customer: Some("acme".parse()?), ..base.clone() };
    let found = desk.find(acme.clone()).await?;
    ensure!(ids(&found) == [newer.id, row.id] && found.unseen.is_none());
    ensure!(desk.find(Search { route: Some("none".parse()?), ..base.clone() }).await?.messages.is_empty());
    let named = Search { ids: vec![row.id, MessageId::from_bytes([9; 16])], ..base };
    ensure!(ids(&desk.find(named.clone()).await?) == [row.id]);
    let others = Search { customer: Some("other".parse()?), ..named };
    ensure!(desk.find(others).await?.messages.is_empty(), "all that is given must hold");
    let lanes = desk.lanes(Arc::default()).await?;
    let counts: Vec<_> = lanes.iter().map(|lane| (lane.state, lane.messages)).collect();
    ensure!(counts == [(State::Ready, 2), (State::Sending, 1)], "{lanes:?}");
    let lanes = desk.lanes(Arc::new(["acme".parse()?].into())).await?;
    let counts: Vec<_> = lanes
        .iter()
        .map(|lane| (lane.state, lane.customer.as_ref().map(CustomerId::as_str), lane.messages))
        .collect();
    let expected = [(State::Ready, None, 1), (State::Ready, Some("acme"), 1), (State::Sending, None, 1)];
    ensure!(counts == expected, "{lanes:?}");
    Ok(())
}
