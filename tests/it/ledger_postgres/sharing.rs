//! Several processes on one ledger.

use std::{collections::HashSet, sync::Arc, time::Duration};

use anyhow::ensure;
use naru_shared::{
    domain::{Code, IncarnationId, Lane, Next, State},
    ledger::{
        Disposition, IntakeVerdict, Ledger, LedgerReads, PassedOver, PostgresLedger, Quiet, Settlement,
        Shares, TakeRequest,
    },
};
use naru_tests::conformance::ledger::{LEASE, live, quota};

use super::{open, with_bed};
use crate::{postgres::psql, stage::beside_others};

fn request(max: usize, now: naru_shared::domain::Timestamp) -> anyhow::Result<TakeRequest> {
    Ok(TakeRequest {
        route: "r".parse()?,
        incarnation: IncarnationId::random(),
        max,
        now,
        emit: false,
        weights: Arc::new(|_| 1),
        passed_over: PassedOver::default(),
        shares: Shares::default(),
        quiet: Quiet::default(),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_never_take_the_same_row_and_together_take_all() -> anyhow::Result<()> {
    let _beside = beside_others();
    with_bed(|bed, ledger, settings| {
        Box::pin(async move {
            for customer in ["a", "b", "c"] {
                bed.intake(bed.entries(customer, Lane::Express, &Disposition::Ready, 300)?).await?;
            }
            let other = open(&settings, Arc::clone(&bed.clock) as _)?;
            let mut takers = Vec::new();
            for ledger in [&ledger, &other, &ledger, &other] {
                let (ledger, now) = (Arc::clone(ledger), bed.now());
                takers.push(tokio::spawn(async move {
                    let mut taken = Vec::new();
                    let mut empty = 0;
                    while empty < 3 {
                        let work = ledger.take(request(17, now)?).await?.work;
                        empty = if work.is_empty() { empty + 1 } else { 0 };
                        taken.extend(work.into_iter().map(|work| work.row.id));
                    }
                    anyhow::Ok(taken)
                }));
            }
            let mut all = Vec::new();
            for taker in takers {
                all.extend(taker.await??);
            }
            let unique: HashSet<_> = all.iter().copied().collect();
            ensure!(all.len() == 900 && unique.len() == 900, "{} of which {}", all.len(), unique.len());
            ensure!(bed.engine.ledger.waiting().await?.is_empty());
            Ok(())
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_together_never_exceed_a_limit() -> anyhow::Result<()> {
    let _beside = beside_others();
    with_bed(|bed, ledger, settings| {
        Box::pin(async move {
            let other = open(&settings, Arc::clone(&bed.clock) as _)?;
            let limit = Arc::new(quota("acme", None, naru_shared::domain::Period::Prepaid, 500)?);
            let mut intakes = Vec::new();
            for number in 0..60 {
                let mut batch = bed.batch(bed.entries("acme", Lane::Express, &Disposition::Ready, 13)?);
                batch.quotas = vec![Arc::clone(&limit)];
                let ledger = Arc::clone(if number % 2 == 0 { &ledger } else { &other });
                intakes.push(tokio::spawn(async move { ledger.intake(batch).await }));
            }
            let mut granted = 0;
            for intake in intakes {
                let verdicts = intake.await??.verdicts;
                granted +=
                    verdicts.iter().filter(|v| matches!(v, IntakeVerdict::Recorded(_, State::Ready))).count();
            }
            ensure!(granted == 500, "{granted}");
            ensure!(psql(&settings, "SELECT sum(used) FROM naru.usage")? == "500");
            Ok(())
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_envelope_at_two_processes_at_once_is_recorded_once() -> anyhow::Result<()> {
    let _beside = beside_others();
    with_bed(|bed, ledger, settings| {
        Box::pin(async move {
            let other = open(&settings, Arc::clone(&bed.clock) as _)?;
            for _ in 0..20 {
                let mut entries = bed.entries("acme", Lane::Express, &Disposition::Ready, 20)?;
                let forward = bed.batch(entries.clone());
                entries.reverse();
                let backward = bed.batch(entries);
                let (a, b) = tokio::join!(ledger.intake(forward), other.intake(backward));
                let verdicts = [a?.verdicts, b?.verdicts].concat();
                let duplicates = verdicts.iter().filter(|v| **v == IntakeVerdict::Duplicate).count();
                ensure!(duplicates == 20, "{duplicates}");
            }
            ensure!(bed.used("acme").await? == 400);
            Ok(())
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_process_reports_ends_a_poll_soon() -> anyhow::Result<()> {
    let _beside = beside_others();
    with_bed(|bed, _ledger, settings| {
        Box::pin(async move {
            let row = bed.start("acme").await?;
            let other: Arc<PostgresLedger> = open(&settings, Arc::clone(&bed.clock) as _)?;
            let account = live("acme")?;
            let begun = std::time::Instant::now();
            let poll =
                tokio::spawn(
                    async move { other.reports(&account, 10, Duration::from_secs(20), LEASE).await },
                );
            tokio::time::sleep(Duration::from_millis(100)).await;
            bed.settle(row, 1, Next::end(State::Delivered, Code::Ok, "")).await?;
            ensure!(poll.await??.0.len() == 1);
            ensure!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
            Ok(())
        })
    })
    .await
}

/// However many transactions told of changes, there are few rows left, and their sum is what waits.
#[tokio::test]
async fn the_backlog_is_summed_up_and_stays_exact() -> anyhow::Result<()> {
    let _beside = beside_others();
    with_bed(|bed, ledger, settings| {
        Box::pin(async move {
            for _ in 0..150 {
                bed.intake(bed.entries("a", Lane::Bulk, &Disposition::Ready, 3)?).await?;
                bed.intake(bed.entries("b", Lane::Express, &Disposition::Schedule, 1)?).await?;
                let work = bed.take(2).await?;
                let next = Next::Retry { at: bed.now(), possible_duplicate: false, detail: String::new() };
                let batch: Vec<_> = work
                    .iter()
                    .map(|work| Settlement { row: work.row, attempt: work.attempt, next: next.clone() })
                    .collect();
                ledger.settle(batch, bed.now(), false).await?;
            }
            let rows = || psql(&settings, "SELECT count(*) FROM naru.backlog");
            ensure!(rows()?.parse::<u32>()? > 400);
            for _ in 0..2 {
                let mut waiting = ledger.waiting().await?;
                waiting.sort_by_key(|one| one.lane);
                let counts: Vec<_> = waiting.iter().map(|one| one.messages).collect();
                ensure!(counts == [150, 450], "{counts:?}");
            }
            ensure!(rows()?.parse::<u32>()? <= 2, "{}", rows()?);
            Ok(())
        })
    })
    .await
}

/// Whoever puts a recipient on a list has a lock to himself that every intake shares from its insert on: it looks at the lists after it
/// has it, and so knows of what was written meanwhile.
#[tokio::test]
async fn an_intake_looks_at_lists_after_whoever_writes_one_is_done() -> anyhow::Result<()> {
    let _beside = beside_others();
    with_bed(|bed, _ledger, settings| {
        Box::pin(async move {
            let (lock, recipient) = (0x6e61_7275_0007_i64, "+821012345678");
            let writes = format!(
                "SET search_path = naru; BEGIN; SELECT pg_advisory_xact_lock({lock}); SELECT pg_sleep(1); \
                 INSERT INTO opt_out (since, recipient, customer, channel) VALUES (0, '{recipient}', 'acme', '*'); COMMIT"
            );
            let writing = std::thread::spawn(move || psql(&settings, &writes));
            tokio::time::sleep(Duration::from_millis(400)).await;
            let row = bed.record(bed.entry("acme", Disposition::Start)?).await?;
            ensure!(bed.state("acme", row).await? == State::Rejected, "it did not wait, or did not see it");
            writing.join().map_err(|_| anyhow::anyhow!("psql panicked"))??;
            Ok(())
        })
    })
    .await
}
