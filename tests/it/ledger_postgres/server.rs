//! Which server is used, by whom, and what happens before it is there.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use naru_shared::{
    catalog::{Catalog, PostgresCatalog},
    domain::{Code, Next, State, SystemClock},
    ledger::{Cancelled, Disposition, IntakeVerdict, Ledger, LedgerError, LedgerReads},
    postgres::{PostgresSettings, migrate},
    release::Release,
};
use naru_tests::conformance::ledger::{LEASE, live};

use super::{open, with_bed};
use crate::{
    postgres::{database, empty_database, psql, runtime},
    stage::beside_others,
};

fn sentence(error: &LedgerError) -> String {
    match error {
        LedgerError::Unavailable(source) => source.to_string(),
        LedgerError::Indigestible(_) => "indigestible".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_are_made_once_whoever_comes_first() -> anyhow::Result<()> {
    let _beside = beside_others();
    let settings = empty_database().await?;
    let mut makers = Vec::new();
    for _ in 0..4 {
        let settings = settings.clone();
        makers.push(tokio::spawn(async move { migrate(&settings, None).await }));
    }
    let mut made = 0;
    for maker in makers {
        let migrated = maker.await??;
        made += i32::from(migrated.from < migrated.to);
        ensure!(migrated.to == Release::THIS.tables());
    }
    ensure!(made == 1, "{made} made them");
    Ok(())
}

#[tokio::test]
async fn tables_of_another_time_are_refused_if_older_and_used_if_newer() -> anyhow::Result<()> {
    let _beside = beside_others();
    let settings = empty_database().await?;
    let ledger = open(&settings, Arc::new(SystemClock))?;
    let refused = ledger.incarnations().await.err().context("there are no tables")?;
    ensure!(sentence(&refused).contains("naru migrate"), "{}", sentence(&refused));
    migrate(&settings, None).await?;
    psql(
        &settings,
        "INSERT INTO naru.migration VALUES (99, now()); ALTER TABLE naru.message ADD newer text",
    )?;
    // It is asked again after a pause.
    let mut found = ledger.incarnations().await;
    for _ in 0..50 {
        if found.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        found = ledger.incarnations().await;
    }
    ensure!(found?.is_empty(), "a newer program's tables are compatible");
    ensure!(migrate(&settings, None).await?.to == 99, "and are left as they are");
    Ok(())
}

#[tokio::test]
async fn a_server_that_may_lose_what_it_committed_is_refused() -> anyhow::Result<()> {
    let _beside = beside_others();
    let settings = database().await?;
    let name = settings.url.rsplit('/').next().unwrap_or_default();
    psql(&settings, &format!("ALTER DATABASE {name} SET synchronous_commit = off"))?;
    let ledger = open(&settings, Arc::new(SystemClock))?;
    let refused = ledger.incarnations().await.err().context("it must be refused")?;
    ensure!(sentence(&refused).contains("synchronous_commit = off"), "{}", sentence(&refused));
    let again = ledger.incarnations().await.err().context("it must be refused again")?;
    ensure!(sentence(&again).contains("synchronous_commit = off"), "and says why each time");
    Ok(())
}

#[tokio::test]
async fn opening_waits_for_nothing_and_calls_answer_at_once_while_it_is_away() -> anyhow::Result<()> {
    let _beside = beside_others();
    // Nobody listens on the discard port of loopback.
    let settings = PostgresSettings::at("postgres://nobody@127.0.0.1:9/none");
    let begun = Instant::now();
    let ledger = open(&settings, Arc::new(SystemClock))?;
    let catalog = PostgresCatalog::open("test", &settings, runtime())?;
    for _ in 0..50 {
        ensure!(matches!(ledger.incarnations().await, Err(LedgerError::Unavailable(_))));
        ensure!(catalog.version().await.is_err());
    }
    ensure!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_waited_for_no_longer_than_set() -> anyhow::Result<()> {
    let _beside = beside_others();
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let url = format!("postgres://nobody@{}/none", silent.local_addr()?);
    let settings = PostgresSettings { acquire_ms: 300, ..PostgresSettings::at(&url) };
    let ledger = open(&settings, Arc::new(SystemClock))?;
    let begun = Instant::now();
    ensure!(matches!(ledger.incarnations().await, Err(LedgerError::Unavailable(_))));
    ensure!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    Ok(())
}

/// Ingress's role reads, hands out, acknowledges and cancels; it sees no text and changes nothing else.
#[tokio::test]
async fn the_narrow_role_can_do_what_ingress_does_and_nothing_more() -> anyhow::Result<()> {
    let _beside = beside_others();
    with_bed(|bed, ledger, settings| {
        Box::pin(async move {
            let role = format!("reader_{}", settings.url.rsplit('_').next().unwrap_or_default());
            migrate(&settings, Some(&role)).await?;
            migrate(&settings, Some(&role)).await?;
            psql(&settings, &format!("ALTER ROLE {role} LOGIN"))?;
            let narrow = settings.with_url(&settings.url.replace("postgres@", &format!("{role}@")));
            ensure!(narrow.url != settings.url);
            let reads = ledger.with_pool("reads", &narrow)?;
            let account = live("acme")?;
            let ended = bed.start("acme").await?;
            bed.settle(ended, 1, Next::end(State::Delivered, Code::Ok, "")).await?;
            let archived = bed.start("acme").await?;
            bed.settle(archived, 1, Next::end(State::Delivered, Code::Ok, "")).await?;
            bed.pass(super::MINUTE * 6);
            super::tidy(bed).await?;
            let ready = bed.record(bed.entry("acme", Disposition::Ready)?).await?;
            ensure!(reads.view(&account, archived.id).await?.is_some());
            let reports = reads.reports(&account, 10, Duration::ZERO, LEASE).await?.0;
            ensure!(reports.len() == 2);
            ensure!(reads.acknowledge(&account, vec![(ended.id, 1), (archived.id, 1)]).await? == 2);
            let cancelled = reads.cancel(&account, ready.id, bed.now(), true).await?;
            ensure!(matches!(cancelled, Cancelled::Done(_)), "{cancelled:?}");
            let coming = bed.entry("acme", Disposition::Ready)?;
            let tombstone = reads.cancel(&account, coming.message.id, bed.now(), true).await?;
            ensure!(tombstone == Cancelled::Tombstone);
            ensure!(bed.intake(vec![coming]).await?.verdicts == [IntakeVerdict::Cancelled]);
            ensure!(bed.used("acme").await? == 2);
            for forbidden in [
                "SELECT message FROM naru.content",
                "SELECT message FROM naru.archive",
                "DELETE FROM naru.message",
                "UPDATE naru.message SET units = 0",
                "UPDATE naru.entry SET document = ''",
                "DELETE FROM naru.usage",
                "SELECT event FROM naru.outbox",
                "UPDATE naru.archive SET state = 10",
            ] {
                let refused = psql(&settings, &format!("SET ROLE {role}; {forbidden}"));
                let told = refused.err().with_context(|| forbidden.to_owned())?.to_string();
                ensure!(told.contains("permission denied"), "{forbidden}: {told}");
            }
            ensure!(reads.forget(bed.now(), super::KEEP, 1).await.is_err());
            ensure!(bed.engine.desk.audit_usage().await?.is_empty());
            Ok(())
        })
    })
    .await
}

#[tokio::test]
async fn psql_shows_what_the_documents_say() -> anyhow::Result<()> {
    let _beside = beside_others();
    with_bed(|bed, _ledger, settings| {
        Box::pin(async move {
            let row = bed.start("acme").await?;
            bed.settle(row, 1, Next::end(State::Delivered, Code::Ok, "")).await?;
            bed.record(bed.entry("acme", Disposition::Ready)?).await?;
            let readable = "SELECT customer, environment, state, charge, lane, final_at FROM naru.readable ORDER BY row";
            let lines = psql(&settings, readable)?;
            let expected = "acme|live|delivered|captured|express|2026-03-10 09:00:00+00\nacme|live|ready|reserved|express|";
            ensure!(lines == expected, "{lines}");
            let body = "SELECT c.message::json->>'body' FROM naru.content c JOIN naru.message m USING (row) ORDER BY row";
            ensure!(psql(&settings, body)? == "message 1\nmessage 2");
            Ok(())
        })
    })
    .await
}
