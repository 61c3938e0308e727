//! Settlements, late words, and what a person decides.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use naru_shared::{
    domain::{Code, MessageId, Next, State},
    ledger::{Disposition, Resolution, RowRef, Settled},
};

use super::bed::{Bed, delivered, failed, live, retry};

/// A row whose second attempt is under way; the first was not taken.
async fn on_second_attempt(bed: &Bed) -> Result<RowRef> {
    let row = bed.start("acme").await?;
    ensure!(bed.settle(row, 1, retry(bed, Duration::ZERO, false)).await? == Settled::Applied);
    ensure!(bed.engine.ledger.wake(bed.now(), 10, false).await?.ready == 1);
    let work = bed.take(1).await?;
    ensure!(work.len() == 1 && work[0].attempt == 2);
    Ok(row)
}

/// It changes nothing but what is remembered.
pub async fn an_outcome_of_an_older_attempt_is_kept_as_evidence(bed: &Bed) -> Result<()> {
    let row = on_second_attempt(bed).await?;
    let before = bed.view("acme", row).await?;
    ensure!(bed.settle(row, 1, failed()).await? == Settled::Evidence);
    ensure!(bed.view("acme", row).await? == before);
    let dossier = bed.engine.desk.dossier(row.id).await?.context("no dossier")?;
    ensure!(dossier.attempts_log.iter().any(|note| note.late && note.attempt == 1));
    ensure!(bed.settle(row, 2, delivered()).await? == Settled::Applied);
    Ok(())
}

/// Neither of an older attempt nor of the same one.
pub async fn a_late_word_never_overrides_delivered(bed: &Bed) -> Result<()> {
    let row = on_second_attempt(bed).await?;
    bed.settle(row, 2, delivered()).await?;
    let before = bed.view("acme", row).await?;
    for (attempt, next) in [
        (1, failed()),
        (2, failed()),
        (2, retry(bed, Duration::ZERO, true)),
        (1, delivered()),
        (2, Next::Held { detail: String::new() }),
    ] {
        ensure!(bed.settle(row, attempt, next.clone()).await? == Settled::Evidence, "{attempt} {next:?}");
        ensure!(bed.view("acme", row).await? == before);
    }
    Ok(())
}

/// `retrying`, `ready` and `held`.
pub async fn a_late_delivered_settles_a_waiting_message_without_another_attempt(bed: &Bed) -> Result<()> {
    for waits in ["retrying", "ready", "held"] {
        let row = bed.start("acme").await?;
        let next = match waits {
            "held" => Next::Held { detail: String::new() },
            _ => retry(bed, Duration::ZERO, true),
        };
        bed.settle(row, 1, next).await?;
        if waits == "ready" {
            bed.engine.ledger.wake(bed.now(), 10, false).await?;
        }
        ensure!(bed.state("acme", row).await?.as_str() == waits);
        ensure!(bed.settle(row, 1, delivered()).await? == Settled::Corrected, "{waits}");
        let view = bed.view("acme", row).await?;
        ensure!((view.status, view.attempts, view.revision) == (State::Delivered, 1, 1));
        ensure!(view.charged);
    }
    bed.engine.ledger.wake(bed.now(), 10, false).await?;
    ensure!(bed.take(10).await?.is_empty());
    let waiting: u64 = bed.engine.ledger.waiting().await?.iter().map(|one| one.messages).sum();
    ensure!(waiting == 0);
    Ok(())
}

/// The newer attempt goes on; what it came to is evidence.
pub async fn a_late_delivered_does_not_interrupt_a_newer_attempt(bed: &Bed) -> Result<()> {
    for end in [failed(), delivered(), retry(bed, Duration::ZERO, true)] {
        let row = on_second_attempt(bed).await?;
        ensure!(bed.settle(row, 1, delivered()).await? == Settled::Corrected);
        ensure!(bed.state("acme", row).await? == State::Delivered);
        ensure!(bed.settle(row, 2, end).await? == Settled::Evidence);
        let view = bed.view("acme", row).await?;
        ensure!((view.status, view.revision, view.charged) == (State::Delivered, 1, true));
    }
    ensure!(bed.used("acme").await? == 3);
    Ok(())
}

/// The report that was read stays known.
pub async fn a_late_delivered_corrects_a_failed_one_by_a_new_revision(bed: &Bed) -> Result<()> {
    let row = bed.start("acme").await?;
    bed.settle(row, 1, Next::end(State::Failed, Code::Uncertain, "cut")).await?;
    let first = bed.unread("acme").await?;
    ensure!(first.len() == 1 && first[0].revision == 1 && !first[0].charged);
    ensure!(bed.settle(row, 1, delivered()).await? == Settled::Corrected);
    let second = bed.unread("acme").await?;
    ensure!(second.len() == 1 && second[0].revision == 2 && second[0].charged);
    ensure!((second[0].status, second[0].code) == (State::Delivered, Code::Ok));
    let dossier = bed.engine.desk.dossier(row.id).await?.context("no dossier")?;
    ensure!(dossier.earlier_reports == first, "{:?}", dossier.earlier_reports);
    Ok(())
}

/// Its answer was lost, and it came again: the same answer, no second effect.
pub async fn a_settlement_repeated_changes_nothing(bed: &Bed) -> Result<()> {
    let later = bed.now().plus(Duration::from_secs(60));
    let sent = Next::Sent { backend_id: Some("b-1".to_owned()), look_at: later };
    let held = Next::Held { detail: "cut".to_owned() };
    for next in [delivered(), failed(), sent, held, retry(bed, Duration::from_secs(5), true)] {
        let row = bed.start("acme").await?;
        ensure!(bed.settle(row, 1, next.clone()).await? == Settled::Applied);
        let before = bed.view("acme", row).await?;
        ensure!(bed.settle(row, 1, next.clone()).await? == Settled::Applied, "{next:?}");
        ensure!(bed.view("acme", row).await? == before, "{next:?}");
    }
    ensure!(bed.used("acme").await? == 4);
    let waiting: u64 = bed.engine.ledger.waiting().await?.iter().map(|one| one.messages).sum();
    ensure!(waiting == 1);
    Ok(())
}

/// One answer for each, in order.
pub async fn what_is_not_there_is_unknown(bed: &Bed) -> Result<()> {
    let row = bed.start("acme").await?;
    let nowhere = RowRef { row: row.row + 1_000, id: row.id };
    let another = RowRef { row: row.row, id: MessageId::from_bytes([9; 16]) };
    ensure!(bed.settle(nowhere, 1, delivered()).await? == Settled::Unknown);
    ensure!(bed.settle(another, 1, delivered()).await? == Settled::Unknown);
    ensure!(bed.state("acme", row).await? == State::Sending);
    Ok(())
}

/// Two people decide: the first one's decision stands.
pub async fn held_messages_are_decided_once(bed: &Bed) -> Result<()> {
    let desk = &bed.engine.desk;
    let expected =
        [(Resolution::Delivered, State::Delivered, true), (Resolution::Failed, State::Failed, false)];
    for (resolution, state, charged) in expected {
        let row = bed.start("acme").await?;
        ensure!(
            desk.resolve(vec![row.id], resolution, bed.now(), false).await?.is_empty(),
            "it is not held yet"
        );
        bed.settle(row, 1, Next::Held { detail: "cut".to_owned() }).await?;
        let held = bed.used("acme").await?;
        ensure!(desk.resolve(vec![row.id], resolution, bed.now(), false).await? == [row.id]);
        ensure!(desk.resolve(vec![row.id], Resolution::Retry, bed.now(), false).await?.is_empty());
        let view = bed.view("acme", row).await?;
        ensure!((view.status, view.charged, view.revision) == (state, charged, 1));
        ensure!(bed.used("acme").await? == if charged { held } else { held - 1 });
    }
    Ok(())
}

/// However long the decision took.
pub async fn a_held_message_sent_again_is_a_possible_duplicate(bed: &Bed) -> Result<()> {
    let row = bed.start("acme").await?;
    bed.settle(row, 1, Next::Held { detail: "cut".to_owned() }).await?;
    bed.pass(Duration::from_secs(7 * 86_400));
    ensure!(bed.engine.ledger.wake(bed.now(), 10, false).await?.expired == 0, "held never expires");
    bed.engine.desk.resolve(vec![row.id], Resolution::Retry, bed.now(), false).await?;
    let work = bed.take(1).await?;
    ensure!(work.len() == 1 && work[0].attempt == 2 && work[0].possible_duplicate);
    let cancelled = bed.engine.reads.cancel(&live("acme")?, row.id, bed.now(), false).await?;
    ensure!(matches!(cancelled, naru_shared::ledger::Cancelled::TooLate(_)));
    Ok(())
}

/// A copy was restored before its time had come.
pub async fn a_held_message_sent_again_still_waits_for_its_time(bed: &Bed) -> Result<()> {
    let hour = Duration::from_secs(3_600);
    let mut entry = bed.entry("acme", Disposition::Hold(Code::Restored))?;
    Arc::make_mut(&mut entry.message).content.send_at = Some(bed.now().plus(hour));
    let row = bed.record(entry).await?;
    bed.engine.desk.resolve(vec![row.id], Resolution::Retry, bed.now(), false).await?;
    ensure!(bed.view("acme", row).await?.status == State::Scheduled);
    ensure!(bed.take(1).await?.is_empty(), "it is not sent before its time");
    bed.pass(hour);
    ensure!(bed.engine.ledger.wake(bed.now(), 10, false).await?.ready == 1);
    let work = bed.take(1).await?;
    ensure!(work.len() == 1 && work[0].possible_duplicate);
    Ok(())
}

/// And the clean ones cost nothing.
pub async fn attempts_that_were_not_the_first_and_last_are_remembered(bed: &Bed) -> Result<()> {
    let clean = bed.start("acme").await?;
    bed.settle(clean, 1, delivered()).await?;
    let dossier = bed.engine.desk.dossier(clean.id).await?.context("no dossier")?;
    ensure!(dossier.attempts_log.is_empty() && dossier.view.status == State::Delivered);
    let row = on_second_attempt(bed).await?;
    bed.pass(Duration::from_secs(1));
    bed.settle(row, 2, failed()).await?;
    let dossier = bed.engine.desk.dossier(row.id).await?.context("no dossier")?;
    let log: Vec<_> =
        dossier.attempts_log.iter().map(|note| (note.attempt, note.outcome.as_str(), note.late)).collect();
    ensure!(log == [(1, "not-taken", false), (2, "backend-refused", false)], "{log:?}");
    ensure!(bed.engine.desk.dossier(MessageId::from_bytes([9; 16])).await?.is_none());
    let _ready = bed.record(bed.entry("acme", Disposition::Ready)?).await?;
    Ok(())
}
