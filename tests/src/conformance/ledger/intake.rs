//! Intake.

use std::sync::Arc;

use anyhow::{Result, ensure};
use naru_shared::{
    domain::{Code, Fingerprint, Lane, State},
    ledger::{Disposition, IntakeVerdict, LedgerError},
};

use super::bed::{Bed, delivered, live};

/// Another call, another token, the same message.
pub async fn a_second_intake_of_the_same_id_changes_nothing_and_says_so(bed: &Bed) -> Result<()> {
    let entry = bed.entry("acme", Disposition::Start)?;
    let row = bed.record(entry.clone()).await?;
    bed.settle(row, 1, delivered()).await?;
    let before = bed.view("acme", row).await?;
    let again = bed.intake(vec![entry]).await?;
    ensure!(again.verdicts == [IntakeVerdict::Duplicate]);
    ensure!(bed.view("acme", row).await? == before);
    ensure!(bed.used("acme").await? == 1);
    Ok(())
}

/// Within one transaction too.
pub async fn an_id_that_comes_twice_in_one_batch_is_recorded_once(bed: &Bed) -> Result<()> {
    let entry = bed.entry("acme", Disposition::Ready)?;
    let done = bed.intake(vec![entry.clone(), entry]).await?;
    ensure!(matches!(
        done.verdicts[..],
        [IntakeVerdict::Recorded(_, State::Ready), IntakeVerdict::Duplicate]
    ));
    ensure!(bed.take(10).await?.len() == 1);
    ensure!(bed.used("acme").await? == 1);
    Ok(())
}

/// The first one counts.
pub async fn another_content_under_the_same_id_is_a_conflict_and_changes_nothing(bed: &Bed) -> Result<()> {
    let first = bed.entry("acme", Disposition::Ready)?;
    bed.record(first.clone()).await?;
    let mut other = first.clone();
    let message = Arc::make_mut(&mut other.message);
    message.content.body = "something else".to_owned();
    message.fingerprint = Fingerprint::of(&message.content, Lane::Express);
    let mut batch = bed.batch(vec![other]);
    batch.emit = true;
    let done = bed.engine.ledger.intake(batch).await?;
    ensure!(done.verdicts == [IntakeVerdict::Conflict]);
    let events = bed.engine.outbox.claim(10, super::bed::LEASE).await?;
    ensure!(events.len() == 1 && events[0].event.kind == "naru.message.idempotency-conflict");
    let work = bed.take(10).await?;
    ensure!(work.len() == 1 && work[0].message.content.body == first.message.content.body);
    Ok(())
}

/// The same batch again: the rows are told as they stand, and nothing is charged twice.
pub async fn an_intake_whose_commit_answer_was_lost_knows_its_own_rows(bed: &Bed) -> Result<()> {
    let entries = vec![bed.entry("acme", Disposition::Ready)?, bed.entry("acme", Disposition::Start)?];
    let batch = bed.batch(entries);
    let first = bed.engine.ledger.intake(batch.clone()).await?;
    let second = bed.engine.ledger.intake(batch).await?;
    ensure!(first.verdicts == second.verdicts, "{first:?} {second:?}");
    ensure!(matches!(second.verdicts[1], IntakeVerdict::Recorded(_, State::Sending)));
    ensure!(bed.used("acme").await? == 2);
    Ok(())
}

/// The group fails as a whole and nothing of it changes; each alone tells which it was.
pub async fn a_row_that_cannot_be_digested_is_singled_out(bed: &Bed) -> Result<()> {
    let mut entries = bed.entries("acme", Lane::Express, &Disposition::Ready, 3)?;
    Arc::make_mut(&mut entries[1].message).content.recipient = "9".repeat(100_000);
    let group = bed.intake(entries.clone()).await;
    ensure!(matches!(group, Err(LedgerError::Indigestible(_))), "{group:?}");
    for entry in &entries {
        ensure!(bed.engine.reads.view(&entry.account, entry.message.id).await?.is_none());
    }
    for (index, entry) in entries.into_iter().enumerate() {
        let alone = bed.intake(vec![entry]).await;
        ensure!(matches!(alone, Err(LedgerError::Indigestible(_))) == (index == 1), "{index}: {alone:?}");
    }
    Ok(())
}

/// Refused at intake: final, reported, not charged.
pub async fn what_ends_at_intake_has_a_report(bed: &Bed) -> Result<()> {
    let disposition = Disposition::Finish(State::Rejected, Code::NoRoute);
    let row = bed.record(bed.entry("acme", disposition)?).await?;
    let reports = bed.unread("acme").await?;
    ensure!(reports.len() == 1 && reports[0].id == row.id && reports[0].revision == 1);
    ensure!((reports[0].status, reports[0].code) == (State::Rejected, Code::NoRoute));
    ensure!(!reports[0].charged && reports[0].attempts == 0);
    ensure!(bed.used("acme").await? == 0 && bed.take(10).await?.is_empty());
    Ok(())
}

/// It is found again by the name of who started it.
pub async fn what_starts_at_intake_is_the_first_attempt_of_its_starter(bed: &Bed) -> Result<()> {
    let row = bed.start("acme").await?;
    let view = bed.view("acme", row).await?;
    ensure!((view.status, view.attempts, view.sent_at) == (State::Sending, 1, Some(bed.now())));
    ensure!(bed.take(10).await?.is_empty());
    let lost = bed.engine.ledger.lost(bed.me, 10).await?;
    ensure!(lost.len() == 1 && lost[0].row == row && lost[0].attempt == 1);
    ensure!(lost[0].account == live("acme")?);
    Ok(())
}
