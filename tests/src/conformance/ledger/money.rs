//! Charges and quotas: money.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use naru_shared::{
    domain::{Code, Day, Environment, Lane, Next, Period, Quota, State, TimeZone, Units},
    ledger::{Disposition, IntakeEntry, IntakeVerdict},
};

use super::bed::{Bed, delivered, failed, quota, retry};

fn today(bed: &Bed) -> Day {
    Day::of(bed.now(), &TimeZone::UTC)
}

async fn used(bed: &Bed, quota: &Quota) -> Result<u64> {
    Ok(bed.engine.reads.used(quota, today(bed)).await?)
}

fn recorded_in(verdicts: &[IntakeVerdict], state: State) -> usize {
    verdicts.iter().filter(|v| matches!(v, IntakeVerdict::Recorded(_, s) if *s == state)).count()
}

/// At every step of a message's life.
pub async fn used_quota_equals_the_units_reserved_or_captured(bed: &Bed) -> Result<()> {
    let mut entry = bed.entry("acme", Disposition::Start)?;
    Arc::make_mut(&mut entry.message).units = Units::new(7).unwrap_or(Units::ONE);
    let row = bed.record(entry).await?;
    let other = bed.start("acme").await?;
    let month = quota("acme", None, Period::Month, 0)?;
    let day = quota("acme", Some("sms"), Period::Day, 0)?;
    let prepaid = quota("acme", None, Period::Prepaid, 0)?;
    let elsewhere = quota("acme", Some("lms"), Period::Day, 0)?;
    for (next, expected) in
        [(None, 8), (Some(retry(bed, Duration::ZERO, false)), 8), (Some(failed()), 8), (Some(delivered()), 8)]
    {
        if let Some(next) = next {
            bed.settle(row, 1, next).await?;
        }
        for quota in [&month, &day, &prepaid] {
            ensure!(used(bed, quota).await? == expected);
        }
        ensure!(used(bed, &elsewhere).await? == 0);
        ensure!(bed.engine.desk.audit_usage().await?.is_empty());
    }
    bed.settle(other, 1, failed()).await?;
    for quota in [&month, &day, &prepaid] {
        ensure!(used(bed, quota).await? == 7);
    }
    Ok(())
}

/// In the order of the entries; a smaller one may still fit.
pub async fn a_charge_never_exceeds_any_matching_limit(bed: &Bed) -> Result<()> {
    let mut entries = bed.entries("acme", Lane::Express, &Disposition::Ready, 12)?;
    Arc::make_mut(&mut entries[4].message).units = Units::new(100).unwrap_or(Units::ONE);
    entries.extend(bed.entries("free", Lane::Express, &Disposition::Ready, 3)?);
    let mut batch = bed.batch(entries);
    let all = Arc::new(quota("acme", None, Period::Month, 9)?);
    let sms = Arc::new(quota("acme", Some("sms"), Period::Day, 7)?);
    let lms = Arc::new(quota("acme", Some("lms"), Period::Day, 0)?);
    batch.quotas = vec![Arc::clone(&all), Arc::clone(&sms), Arc::clone(&lms)];
    let done = bed.engine.ledger.intake(batch).await?;
    ensure!(recorded_in(&done.verdicts, State::Ready) == 7 + 3);
    ensure!(
        recorded_in(&done.verdicts[..4], State::Ready) == 4
            && recorded_in(&done.verdicts[5..8], State::Ready) == 3
    );
    ensure!(recorded_in(&done.verdicts[4..5], State::Rejected) == 1);
    ensure!(used(bed, &all).await? == 7 && bed.used("free").await? == 3);
    let refused = bed.unread("acme").await?;
    ensure!(refused.len() == 5 && refused.iter().all(|r| r.code == Code::QuotaExceeded && !r.charged));
    for (quota, seen) in [(all, 111), (sms, 111), (lms, 0)] {
        let told = done.used.iter().find(|told| told.quota == quota);
        let expected = if seen == 0 { 0 } else { 7 };
        ensure!(told.is_some_and(|told| (told.used, told.seen) == (expected, seen)), "{told:?}");
    }
    Ok(())
}

/// Whatever the interleaving.
pub async fn charges_of_concurrent_intakes_are_exact(bed: &Bed) -> Result<()> {
    let limit = Arc::new(quota("acme", None, Period::Prepaid, 100)?);
    let mut batches = Vec::new();
    for _ in 0..30 {
        let mut batch = bed.batch(bed.entries("acme", Lane::Express, &Disposition::Ready, 7)?);
        batch.quotas = vec![Arc::clone(&limit)];
        let ledger = Arc::clone(&bed.engine.ledger);
        batches.push(tokio::spawn(async move { ledger.intake(batch).await }));
    }
    let mut granted = 0;
    for batch in batches {
        granted += recorded_in(&batch.await??.verdicts, State::Ready);
    }
    ensure!(granted == 100, "{granted}");
    ensure!(used(bed, &limit).await? == 100);
    Ok(())
}

/// Nor does it use up what is left.
pub async fn a_duplicate_is_not_charged(bed: &Bed) -> Result<()> {
    let limit = Arc::new(quota("acme", None, Period::Month, 2)?);
    let first = bed.entry("acme", Disposition::Ready)?;
    bed.record(first.clone()).await?;
    let mut batch = bed.batch(vec![first.clone(), first, bed.entry("acme", Disposition::Ready)?]);
    batch.quotas = vec![Arc::clone(&limit)];
    let done = bed.engine.ledger.intake(batch).await?;
    ensure!(done.verdicts[..2] == [IntakeVerdict::Duplicate; 2]);
    ensure!(recorded_in(&done.verdicts[2..], State::Ready) == 1);
    ensure!(used(bed, &limit).await? == 2);
    Ok(())
}

/// It is a credit; only what never renews gets it back.
pub async fn a_release_after_the_period_closed_does_not_enlarge_the_current_quota(bed: &Bed) -> Result<()> {
    let month = quota("acme", None, Period::Month, 0)?;
    let prepaid = quota("acme", None, Period::Prepaid, 0)?;
    let charged_on = today(bed);
    let rows = [bed.start("acme").await?, bed.start("acme").await?];
    bed.pass(Duration::from_secs(40 * 86_400));
    bed.settle(rows[0], 1, failed()).await?;
    ensure!(used(bed, &month).await? == 0 && bed.engine.reads.used(&month, charged_on).await? == 2);
    ensure!(used(bed, &prepaid).await? == 1);
    ensure!(bed.engine.desk.audit_usage().await?.is_empty());
    bed.settle(rows[0], 1, delivered()).await?;
    ensure!(used(bed, &prepaid).await? == 2 && bed.engine.reads.used(&month, charged_on).await? == 2);
    Ok(())
}

/// What was given back is taken again.
pub async fn a_correction_is_charged_again(bed: &Bed) -> Result<()> {
    let row = bed.start("acme").await?;
    bed.settle(row, 1, Next::end(State::Failed, Code::Uncertain, "")).await?;
    ensure!(bed.used("acme").await? == 0);
    bed.settle(row, 1, delivered()).await?;
    bed.settle(row, 1, delivered()).await?;
    ensure!(bed.used("acme").await? == 1 && bed.view("acme", row).await?.charged);
    Ok(())
}

/// Nor refused by a limit.
pub async fn sandbox_is_never_charged(bed: &Bed) -> Result<()> {
    let mut entry = bed.entry("acme", Disposition::Start)?;
    entry.account.environment = Environment::Sandbox;
    let account = entry.account.clone();
    let mut batch = bed.batch(vec![IntakeEntry { ..entry }]);
    batch.quotas = vec![Arc::new(quota("acme", None, Period::Month, 0)?)];
    let done = bed.engine.ledger.intake(batch).await?;
    let IntakeVerdict::Recorded(row, State::Sending) = done.verdicts[0] else {
        anyhow::bail!("{:?}", done.verdicts)
    };
    ensure!(done.used.is_empty(), "limits are told of live accounts only");
    bed.settle(row, 1, delivered()).await?;
    let view = bed.engine.reads.view(&account, row.id).await?;
    ensure!(view.is_some_and(|view| view.status == State::Delivered && !view.charged));
    ensure!(bed.used("acme").await? == 0);
    Ok(())
}
