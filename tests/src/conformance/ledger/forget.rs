//! What was kept long enough is let go, and nothing else.

use std::time::Duration;

use anyhow::{Result, ensure};
use naru_shared::{
    domain::{MessageId, Next, Period, State},
    ledger::{Disposition, Forgotten, IntakeVerdict, Keep, RowRef, Settled},
};

use super::bed::{Bed, delivered, failed, live, quota, retry};

const DAY: Duration = Duration::from_secs(86_400);

/// A month, and a week.
const KEEP: Keep = Keep { horizon: DAY.saturating_mul(30), texts: DAY.saturating_mul(7) };

/// By how much later an engine forgets that forgets many together; nothing for one that forgets each by itself.
fn late(bed: &Bed) -> Duration {
    bed.engine.ledger.capabilities().forgets_together.unwrap_or_default()
}

/// Step after step, until nothing more is old enough.
async fn forget(bed: &Bed, max: usize) -> Result<Forgotten> {
    let mut sum = Forgotten::default();
    for _ in 0..100 {
        let step = bed.engine.ledger.forget(bed.now(), KEEP, max).await?;
        let together = bed.engine.ledger.capabilities().forgets_together.is_some();
        ensure!((together || step.removed <= max) && step.masked <= max, "a step is small: {step:?}");
        sum.removed += step.removed;
        sum.masked += step.masked;
        if !step.more {
            return Ok(sum);
        }
    }
    anyhow::bail!("it never ends")
}

async fn read(bed: &Bed, rows: &[RowRef]) -> Result<usize> {
    let reports = rows.iter().map(|row| (row.id, 1)).collect();
    Ok(bed.engine.reads.acknowledge(&live("acme")?, reports).await?)
}

async fn is_known(bed: &Bed, id: MessageId) -> Result<bool> {
    Ok(bed.engine.reads.view(&live("acme")?, id).await?.is_some()
        && bed.engine.desk.dossier(id).await?.is_some())
}

/// Until then the id is known, so that the same key gives the same message.
pub async fn what_ended_and_was_read_is_removed_after_the_horizon_and_not_before(bed: &Bed) -> Result<()> {
    let entry = bed.entry("acme", Disposition::Start)?;
    let row = bed.record(entry.clone()).await?;
    bed.settle(row, 1, delivered()).await?;
    read(bed, &[row]).await?;
    bed.pass(KEEP.horizon);
    ensure!(forget(bed, 10).await?.removed == 0 && is_known(bed, row.id).await?);
    ensure!(bed.intake(vec![entry.clone()]).await?.verdicts == [IntakeVerdict::Duplicate]);
    bed.pass(late(bed) + Duration::from_millis(1));
    ensure!(forget(bed, 10).await?.removed == 1 && !is_known(bed, row.id).await?);
    ensure!(forget(bed, 10).await? == Forgotten::default());
    let again = bed.intake(vec![entry]).await?.verdicts;
    ensure!(matches!(again[..], [IntakeVerdict::Recorded(_, State::Sending)]), "{again:?}");
    Ok(())
}

/// However long ago it was accepted: nobody was told yet.
pub async fn an_unread_report_can_be_read_for_the_horizon_after_its_end(bed: &Bed) -> Result<()> {
    let row = bed.record(bed.entry("acme", Disposition::Ready)?).await?;
    bed.pass(KEEP.horizon);
    bed.settle(row, 0, failed()).await?;
    ensure!(bed.state("acme", row).await? == State::Ready, "no attempt began");
    bed.engine.reads.cancel(&live("acme")?, row.id, bed.now(), false).await?;
    bed.pass(KEEP.horizon);
    ensure!(forget(bed, 10).await?.removed == 0 && bed.unread("acme").await?.len() == 1);
    bed.pass(late(bed) + Duration::from_millis(1));
    ensure!(forget(bed, 10).await?.removed == 1 && !is_known(bed, row.id).await?);
    Ok(())
}

/// In whatever state it waits.
pub async fn what_has_not_ended_is_never_let_go(bed: &Bed) -> Result<()> {
    let later = bed.now().plus(DAY);
    let waiting = [
        Next::Held { detail: String::new() },
        Next::Sent { backend_id: None, look_at: later },
        retry(bed, DAY, false),
    ];
    let mut rows = vec![
        bed.start("acme").await?,
        bed.record(bed.entry("acme", Disposition::Ready)?).await?,
        bed.record(bed.entry("acme", Disposition::Schedule)?).await?,
    ];
    for next in waiting {
        let row = bed.start("acme").await?;
        bed.settle(row, 1, next).await?;
        rows.push(row);
    }
    let recipient = bed.view("acme", rows[0]).await?.recipient;
    bed.pass(KEEP.horizon * 12);
    ensure!(forget(bed, 2).await? == Forgotten::default());
    for row in rows {
        let view = bed.view("acme", row).await?;
        ensure!(!view.status.is_final() && view.recipient == recipient, "{view:?}");
    }
    Ok(())
}

/// Of every period that can be asked for, and the audit still adds up.
pub async fn what_is_removed_stays_in_the_sums_of_its_period(bed: &Bed) -> Result<()> {
    let prepaid = quota("acme", None, Period::Prepaid, 0)?;
    let month = quota("acme", None, Period::Month, 0)?;
    let day = bed.entry("acme", Disposition::Ready)?.day;
    let rows = [bed.start("acme").await?, bed.start("acme").await?, bed.start("acme").await?];
    bed.settle(rows[0], 1, delivered()).await?;
    bed.settle(rows[1], 1, delivered()).await?;
    bed.settle(rows[2], 1, failed()).await?;
    bed.pass(KEEP.horizon + DAY + late(bed));
    let kept = bed.start("acme").await?;
    ensure!(forget(bed, 10).await?.removed == 3);
    for (quota, day, expected) in [(&prepaid, day, 3), (&month, day, 2)] {
        ensure!(bed.engine.reads.used(quota, day).await? == expected);
    }
    ensure!(bed.engine.desk.audit_usage().await?.is_empty());
    ensure!(
        bed.settle(rows[2], 1, delivered()).await? == Settled::Unknown,
        "a late word of what is forgotten"
    );
    bed.settle(kept, 1, failed()).await?;
    ensure!(bed.engine.reads.used(&prepaid, day).await? == 2);
    Ok(())
}

/// And the report, the id and the charge stay until the horizon.
pub async fn a_text_goes_and_a_recipient_is_masked_after_their_time(bed: &Bed) -> Result<()> {
    let entry = bed.entry("acme", Disposition::Start)?;
    let row = bed.record(entry.clone()).await?;
    bed.settle(row, 1, failed()).await?;
    bed.settle(row, 1, delivered()).await?;
    let (before, whole) = (bed.view("acme", row).await?, entry.message.content.recipient.clone());
    bed.pass(KEEP.texts);
    ensure!(forget(bed, 10).await? == Forgotten::default() && before.recipient == whole);
    bed.pass(Duration::from_millis(1));
    ensure!(forget(bed, 10).await? == Forgotten { removed: 0, masked: 1, more: false });
    ensure!(forget(bed, 10).await? == Forgotten::default());
    let after = bed.view("acme", row).await?;
    ensure!(after.recipient == "***********78", "{}", after.recipient);
    ensure!((after.status, after.revision, after.charged) == (State::Delivered, 2, true));
    let Some(dossier) = bed.engine.desk.dossier(row.id).await? else { anyhow::bail!("it is known") };
    ensure!(dossier.earlier_reports.iter().all(|report| report.recipient == after.recipient));
    ensure!(dossier.earlier_reports.len() == 1);
    ensure!(
        bed.intake(vec![entry]).await?.verdicts == [IntakeVerdict::Duplicate],
        "the same content is known as such"
    );
    let reports = bed.unread("acme").await?;
    ensure!(reports.len() == 1 && reports[0].recipient == after.recipient);
    Ok(())
}

/// Whatever stands among it that stays.
pub async fn letting_go_comes_by_everything_in_small_steps(bed: &Bed) -> Result<()> {
    let mut ended = Vec::new();
    for number in 0..20 {
        let row = bed.start("acme").await?;
        if number % 3 != 0 {
            bed.settle(row, 1, delivered()).await?;
            ended.push(row);
        }
    }
    bed.pass(KEEP.texts + DAY);
    ensure!(forget(bed, 3).await? == Forgotten { removed: 0, masked: 13, more: false });
    read(bed, &ended).await?;
    bed.pass(KEEP.horizon + late(bed));
    let young = bed.start("acme").await?;
    bed.settle(young, 1, delivered()).await?;
    ensure!(forget(bed, 3).await? == Forgotten { removed: 13, masked: 0, more: false });
    let left = bed.engine.desk.find(naru_shared::ledger::Search { limit: 100, ..Default::default() }).await?;
    ensure!(left.messages.len() == 8);
    Ok(())
}

/// A tombstone waits for a message that will not come any more.
pub async fn a_tombstone_is_removed_after_the_horizon(bed: &Bed) -> Result<()> {
    let entry = bed.entry("acme", Disposition::Start)?;
    bed.engine.reads.cancel(&live("acme")?, entry.message.id, bed.now(), false).await?;
    bed.pass(KEEP.horizon + DAY);
    ensure!(forget(bed, 10).await?.removed == 1);
    let verdicts = bed.intake(vec![entry]).await?.verdicts;
    ensure!(matches!(verdicts[..], [IntakeVerdict::Recorded(..)]), "{verdicts:?}");
    Ok(())
}
