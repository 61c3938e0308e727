//! The server stops, is killed, and throws its clients out, while messages come in and outcomes are committed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use naru_shared::{
    domain::{Code, ManualClock, Next, State, Timestamp},
    ledger::{
        Disposition, IntakeVerdict, Ledger, LedgerDesk, LedgerError, PostgresLedger, RowRef, Settled,
        Settlement,
    },
    postgres::{PostgresSettings, migrate},
};
use naru_tests::{
    conformance::ledger::Bed,
    engines::{Postgres, Stop},
};

use super::{faces, open};

use crate::stage::beside_others;

/// Tried until it has an answer, as workers do; how often it had none.
async fn insist<T, F: Future<Output = Result<T, LedgerError>>>(
    unanswered: &AtomicUsize,
    mut call: impl FnMut() -> F,
) -> anyhow::Result<T> {
    loop {
        match call().await {
            Ok(value) => return Ok(value),
            Err(LedgerError::Unavailable(_)) => {
                unanswered.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error @ LedgerError::Indigestible(_)) => return Err(error.into()),
        }
    }
}

/// One worker's life: batches in, every other message delivered, the others refused; how many it recorded.
async fn work(
    bed: Arc<Bed>,
    ledger: Arc<PostgresLedger>,
    stop: Arc<AtomicBool>,
    unanswered: Arc<AtomicUsize>,
) -> anyhow::Result<usize> {
    let mut recorded = 0;
    while !stop.load(Ordering::Relaxed) {
        let entries =
            (0..20).map(|_| bed.entry("acme", Disposition::Start)).collect::<anyhow::Result<Vec<_>>>()?;
        let batch = bed.batch(entries);
        let done = insist(&unanswered, || ledger.intake(batch.clone())).await?;
        let rows: Vec<RowRef> = done
            .verdicts
            .iter()
            .filter_map(
                |v| if let IntakeVerdict::Recorded(row, State::Sending) = v { Some(*row) } else { None },
            )
            .collect();
        ensure!(rows.len() == 20, "my own rows are known as mine: {:?}", done.verdicts);
        recorded += rows.len();
        let outcome = |index: usize| {
            if index.is_multiple_of(2) {
                Next::end(State::Delivered, Code::Ok, "")
            } else {
                Next::end(State::Failed, Code::BackendRefused, "no")
            }
        };
        let outcomes: Vec<_> = rows
            .iter()
            .enumerate()
            .map(|(index, row)| Settlement { row: *row, attempt: 1, next: outcome(index) })
            .collect();
        let now = bed.now();
        let settled = insist(&unanswered, || ledger.settle(outcomes.clone(), now, true)).await?;
        ensure!(settled.iter().all(|one| *one == Settled::Applied), "{settled:?}");
    }
    Ok(recorded)
}

/// Runs workers on two ledgers while `disturb` does what it does, and counts exactly.
async fn exact_after(
    rounds: usize,
    mut disturb: impl FnMut(&mut Postgres) -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<()> {
    let mut server = tokio::task::spawn_blocking(Postgres::start).await??;
    let settings = PostgresSettings { connections: 3, ..PostgresSettings::at(&server.database()?) };
    migrate(&settings, None).await?;
    let clock = Arc::new(ManualClock::new("2026-03-10T09:00:00Z".parse::<Timestamp>()?));
    let ledgers = [open(&settings, clock.clone())?, open(&settings, clock.clone())?];
    let bed = Arc::new(Bed::over(faces(&ledgers[0]), clock));
    let (stop, unanswered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut workers = Vec::new();
    for number in 0..4 {
        let (bed, ledger) = (Arc::clone(&bed), Arc::clone(&ledgers[number % 2]));
        workers.push(tokio::spawn(work(bed, ledger, Arc::clone(&stop), Arc::clone(&unanswered))));
    }
    let server = tokio::task::spawn_blocking(move || {
        for _ in 0..rounds {
            std::thread::sleep(Duration::from_millis(700));
            disturb(&mut server)?;
        }
        anyhow::Ok(server)
    })
    .await??;
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    let mut recorded = 0;
    for worker in workers {
        let worked =
            tokio::time::timeout(Duration::from_secs(30), worker).await.context("it does not recover")?;
        recorded += worked??;
    }
    ensure!(recorded > 400, "{recorded} messages are no load");
    let name = settings.url.rsplit('/').next().unwrap_or_default();
    let counted = server.psql(
        name,
        "SET search_path = naru; SELECT count(*), count(*) FILTER (WHERE state = 10 AND charge = 2), \
         count(*) FILTER (WHERE state = 11 AND charge = 3), sum(revision), (SELECT count(*) FROM unread), \
         (SELECT count(*) FROM outbox), (SELECT sum(used) FROM usage), (SELECT count(*) FROM content) FROM message",
    )?;
    let half = recorded / 2;
    let expected = format!("{recorded}|{half}|{half}|{recorded}|{recorded}|{recorded}|{half}|{recorded}");
    ensure!(counted == expected, "{counted}, expected {expected}");
    ensure!(ledgers[1].audit_usage().await?.is_empty());
    println!("{recorded} messages, {} calls without an answer", unanswered.load(Ordering::Relaxed));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn immediate_stops_and_kills_of_the_server_lose_and_double_nothing() -> anyhow::Result<()> {
    let _beside = beside_others();
    let mut kill = false;
    exact_after(6, move |server| {
        kill = !kill;
        server.stop(if kill { Stop::Kill } else { Stop::Immediate })?;
        server.begin()
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_the_server_ends_lose_and_double_nothing() -> anyhow::Result<()> {
    let _beside = beside_others();
    exact_after(8, |server| {
        let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'naru-%'";
        server.psql("postgres", ended).map(drop)
    })
    .await
}
