//! Two releases on one database: a newer one's tables, made while an older one works on them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use naru_shared::{
    domain::{Code, Next, State, SystemClock},
    ledger::{Disposition, IntakeVerdict, Ledger, LedgerError},
    postgres::{MigrateError, Migration, PostgresSettings},
    release::Release,
};
use naru_tests::{
    conformance::ledger::{Bed, LEASE, live},
    engines::Postgres,
    next,
};

use super::{MINUTE, open, tidy, with_bed};
use crate::{
    postgres::{database, psql},
    stage::beside_others,
};

/// What the next release's `naru migrate` does.
fn migration(patience: Duration) -> Migration<'static> {
    Migration { steps: next::release().migrations, reader: None, patience }
}

/// A statement under way at the server, in a session of its own.
fn beside(
    settings: &PostgresSettings,
    statement: &'static str,
) -> tokio::task::JoinHandle<anyhow::Result<String>> {
    let url = settings.url.clone();
    tokio::task::spawn_blocking(move || Postgres::psql_at(&url, statement))
}

/// Waits until the server says so.
async fn until(settings: &PostgresSettings, question: &str) -> anyhow::Result<()> {
    for _ in 0..200 {
        if psql(settings, question)? == "t" {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("it did not come to be: {question}")
}

/// Everything that is done with messages, in the sessions that are there: in, refused, taken, sent, archived and brought back, read,
/// acknowledged, cancelled, found again, corrected.
async fn lives(bed: &Bed) -> anyhow::Result<()> {
    let account = live("acme")?;
    let ended = bed.start("acme").await?;
    bed.settle(ended, 1, Next::end(State::Failed, Code::Uncertain, "cut")).await?;
    bed.pass(6 * MINUTE);
    tidy(bed).await?;
    bed.settle(ended, 1, Next::end(State::Delivered, Code::Ok, "")).await?;
    ensure!(
        bed.view("acme", ended).await?.status == State::Delivered,
        "a late word corrects what was archived"
    );
    let waiting = bed.entry("acme", Disposition::Ready)?;
    let row = bed.record(waiting.clone()).await?;
    ensure!(bed.intake(vec![waiting]).await?.verdicts == [IntakeVerdict::Duplicate]);
    let taken = bed.take(10).await?;
    ensure!(taken.len() == 1 && taken[0].row.id == row.id, "{} taken", taken.len());
    bed.settle(row, 1, Next::end(State::Delivered, Code::Ok, "")).await?;
    let refused = bed.record(bed.entry("acme", Disposition::Ready)?).await?;
    bed.engine.reads.cancel(&account, refused.id, bed.now(), true).await?;
    let (reports, more) = bed.engine.reads.reports(&account, 10, Duration::ZERO, LEASE).await?;
    ensure!(reports.len() == 3 && !more, "{} reports", reports.len());
    let named = reports.iter().map(|report| (report.id, report.revision)).collect();
    ensure!(bed.engine.reads.acknowledge(&account, named).await? == 3);
    bed.pass(6 * MINUTE);
    tidy(bed).await?;
    bed.engine.ledger.incarnations().await?;
    Ok(())
}

#[tokio::test]
async fn the_release_before_works_on_newer_tables_in_the_sessions_that_it_has() -> anyhow::Result<()> {
    let _beside = beside_others();
    with_bed(|bed, _ledger, settings| {
        Box::pin(async move {
            lives(bed).await?;
            let migrated = migration(Duration::from_secs(20)).run(&settings).await?;
            ensure!(migrated.to == next::release().tables() && migrated.from == migrated.to - 1);
            lives(bed).await?;
            ensure!(psql(&settings, "SELECT count(*), min(hue) FROM naru.archive")? == "6|7");
            Ok(())
        })
    })
    .await
}

#[tokio::test]
async fn a_newer_release_refuses_older_tables_and_goes_on_by_itself_once_they_are_there() -> anyhow::Result<()>
{
    let _beside = beside_others();
    let settings = database().await?;
    let newer = PostgresSettings { tables: next::release().tables(), ..settings.clone() };
    let ledger = open(&newer, Arc::new(SystemClock))?;
    let Some(LedgerError::Unavailable(refused)) = ledger.incarnations().await.err() else {
        anyhow::bail!("older tables must be refused")
    };
    let needed = next::release().tables();
    let expected = format!(
        "the tables in PostgreSQL have version {}, this program needs {needed}: run its `naru migrate`",
        needed - 1
    );
    ensure!(refused.to_string() == expected, "{refused}");
    migration(Duration::from_secs(20)).run(&settings).await?;
    let begun = Instant::now();
    while ledger.incarnations().await.is_err() {
        ensure!(begun.elapsed() < Duration::from_secs(10), "it does not go on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_migration_waits_for_its_turn_and_then_says_whose_turn_it_is() -> anyhow::Result<()> {
    let _beside = beside_others();
    let settings = database().await?;
    let holding = beside(
        &settings,
        "SET application_name = 'somebody'; SELECT pg_advisory_lock(121364811153409), pg_sleep(4)",
    );
    until(
        &settings,
        "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND granted \
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .await?;
    let refused =
        migration(Duration::from_secs(1)).run(&settings).await.err().context("it is another's turn")?;
    ensure!(matches!(refused, MigrateError::Busy(..)), "{refused}");
    ensure!(refused.to_string().contains("somebody, process "), "{refused}");
    ensure!(
        migration(Duration::from_secs(20)).run(&settings).await?.to == next::release().tables(),
        "and goes on when it is its own"
    );
    holding.await??;
    Ok(())
}

type Report = tokio::task::JoinHandle<anyhow::Result<String>>;

async fn wait_for(report: Report) -> anyhow::Result<()> {
    report.await?.map(drop)
}

/// A report that somebody makes by hand: it reads, for long, and hinders nobody by itself.
async fn long_report(settings: &PostgresSettings) -> anyhow::Result<Report> {
    let reading = beside(
        settings,
        "SET application_name = 'a long report'; SELECT count(*), pg_sleep(6) FROM naru.message",
    );
    until(settings, "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'a long report'")
        .await?;
    Ok(reading)
}

/// What a migration that is in vain did to those who write meanwhile.
#[derive(Debug)]
struct Hindered {
    calls: usize,
    longest: Duration,
}

impl Hindered {
    /// Nobody waited for more than one of its tries for a lock, each of a second.
    fn is_little(&self) -> bool {
        self.calls >= 3 && self.longest < Duration::from_millis(2_500)
    }
}

/// Writes while a migration tries for three seconds to change what a report reads.
async fn hindered(bed: &Bed, settings: &PostgresSettings) -> anyhow::Result<Hindered> {
    let url = settings.clone();
    let migrating = tokio::spawn(async move { migration(Duration::from_secs(3)).run(&url).await });
    let mut told = Hindered { calls: 0, longest: Duration::ZERO };
    while !migrating.is_finished() {
        let begun = Instant::now();
        bed.record(bed.entry("acme", Disposition::Ready)?).await?;
        told.longest = told.longest.max(begun.elapsed());
        told.calls += 1;
    }
    let refused = migrating.await?.err().context("the table was in use")?;
    ensure!(matches!(refused, MigrateError::Blocked(..)), "{refused}");
    ensure!(refused.to_string().contains("(a long report, from 127.0.0.1)"), "{refused}");
    Ok(told)
}

#[tokio::test]
async fn a_migration_never_makes_others_wait_behind_a_long_transaction() -> anyhow::Result<()> {
    let _beside = beside_others();
    with_bed(|bed, _ledger, settings| {
        Box::pin(async move {
            bed.start("acme").await?;
            // Whatever else runs on this machine can only make a call take longer: the best of three counts.
            let (mut reading, mut told) = (None, Vec::new());
            while told.len() < 3 && !told.iter().any(Hindered::is_little) {
                if let Some(reading) = reading.take() {
                    wait_for(reading).await?;
                }
                reading = Some(long_report(&settings).await?);
                told.push(hindered(bed, &settings).await?);
            }
            ensure!(told.iter().any(Hindered::is_little), "{told:?}");
            let reading = reading.context("there was one")?;
            let made = psql(&settings, "SELECT max(version) FROM naru.migration")?;
            ensure!(made == Release::THIS.tables().to_string(), "nothing is changed");
            // It is tried until the report has ended.
            ensure!(migration(Duration::from_secs(30)).run(&settings).await?.to == next::release().tables());
            wait_for(reading).await?;
            bed.record(bed.entry("acme", Disposition::Ready)?).await.map(drop)
        })
    })
    .await
}
