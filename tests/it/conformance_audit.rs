//! Every record of acts keeps every guarantee: that of each store, on each engine.

use std::sync::Arc;

use naru_shared::{
    audit::{Audit, Scribe},
    catalog::{Actor, Catalog, CatalogError, Entry, PostgresCatalog, SqliteCatalog, Subscription},
    denials::Denials,
    domain::SystemClock,
    ledger::{LedgerMends, PostgresLedger, SqliteLedger, StopEnd, StopFilter, StopOrder},
    postgres::PostgresSettings,
};
use naru_tests::conformance::audit::{Fixture, key};

use crate::postgres::{database, runtime};

fn scribe() -> Scribe {
    Scribe::new(key(), Actor::operator("kim"))
}

/// A subscription of a name that no other has; with a version, as if it were there.
fn entry(version: u64) -> anyhow::Result<Entry> {
    let name = format!("s{:08x}", fastrand::u32(..)).parse()?;
    Ok(Entry::Subscription(Subscription { name, ended: false, outside: false, version }))
}

async fn change(catalog: &dyn Catalog) -> anyhow::Result<()> {
    catalog.put_as(&Actor::operator("kim"), vec![entry(0)?]).await?;
    Ok(())
}

async fn conflict(catalog: &dyn Catalog) -> anyhow::Result<()> {
    let refused = catalog.put_as(&Actor::operator("kim"), vec![entry(0)?, entry(7)?]).await;
    anyhow::ensure!(matches!(refused, Err(CatalogError::Conflict { .. })), "{refused:?}");
    Ok(())
}

async fn stop(mends: &dyn LedgerMends) -> anyhow::Result<()> {
    let made_at = naru_shared::domain::Timestamp::from_millis(1);
    let (filter, actor) = (StopFilter::default(), "kim".to_owned());
    mends.stop(StopOrder { filter, actor, reason: None, made_at, ended_at: None, counts: None }).await?;
    Ok(())
}

async fn undo_none(mends: &dyn LedgerMends) -> anyhow::Result<()> {
    assert_eq!(mends.stop_ends(999, StopEnd::Undo).await?, None);
    Ok(())
}

struct CatalogFile(tempfile::TempDir, SqliteCatalog);

impl Fixture for CatalogFile {
    async fn fresh() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let catalog = SqliteCatalog::open(&dir.path().join("catalog.db"))?.recorded_by(scribe());
        Ok(Self(dir, catalog))
    }

    fn audit(&self) -> Arc<dyn Audit> {
        Arc::new(self.1.audit(scribe()))
    }

    async fn other(&self) -> anyhow::Result<Arc<dyn Audit>> {
        Ok(Arc::new(SqliteCatalog::open(&self.0.path().join("catalog.db"))?.audit(scribe())))
    }

    async fn act(&self) -> anyhow::Result<()> {
        change(&self.1).await
    }

    async fn nothing(&self) -> anyhow::Result<()> {
        conflict(&self.1).await
    }
}

struct LedgerFile(tempfile::TempDir, Arc<SqliteLedger>);

impl Fixture for LedgerFile {
    async fn fresh() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let ledger = SqliteLedger::open(&dir.path().join("ledger.db"))?.recorded_by(scribe());
        Ok(Self(dir, Arc::new(ledger)))
    }

    fn audit(&self) -> Arc<dyn Audit> {
        Arc::new(self.1.audit(scribe()))
    }

    async fn other(&self) -> anyhow::Result<Arc<dyn Audit>> {
        Ok(Arc::new(SqliteLedger::open(&self.0.path().join("ledger.db"))?.audit(scribe())))
    }

    async fn act(&self) -> anyhow::Result<()> {
        stop(self.1.as_ref()).await
    }

    async fn nothing(&self) -> anyhow::Result<()> {
        undo_none(self.1.as_ref()).await
    }
}

struct CatalogDatabase(PostgresSettings, PostgresCatalog);

impl CatalogDatabase {
    fn open(settings: &PostgresSettings) -> anyhow::Result<PostgresCatalog> {
        Ok(PostgresCatalog::open("test", settings, runtime())?)
    }
}

impl Fixture for CatalogDatabase {
    async fn fresh() -> anyhow::Result<Self> {
        let settings = database().await?;
        let catalog = Self::open(&settings)?.recorded_by(scribe());
        Ok(Self(settings, catalog))
    }

    fn audit(&self) -> Arc<dyn Audit> {
        Arc::new(self.1.audit(scribe()))
    }

    async fn other(&self) -> anyhow::Result<Arc<dyn Audit>> {
        Ok(Arc::new(Self::open(&self.0)?.audit(scribe())))
    }

    async fn act(&self) -> anyhow::Result<()> {
        change(&self.1).await
    }

    async fn nothing(&self) -> anyhow::Result<()> {
        conflict(&self.1).await
    }
}

struct LedgerDatabase(PostgresSettings, Arc<PostgresLedger>);

impl LedgerDatabase {
    fn open(settings: &PostgresSettings) -> anyhow::Result<PostgresLedger> {
        Ok(PostgresLedger::open("test", settings, runtime(), Arc::new(SystemClock))?)
    }
}

impl Fixture for LedgerDatabase {
    async fn fresh() -> anyhow::Result<Self> {
        let settings = database().await?;
        let ledger = Arc::new(Self::open(&settings)?.recorded_by(scribe()));
        Ok(Self(settings, ledger))
    }

    fn audit(&self) -> Arc<dyn Audit> {
        Arc::new(self.1.audit(scribe()))
    }

    async fn other(&self) -> anyhow::Result<Arc<dyn Audit>> {
        Ok(Arc::new(Self::open(&self.0)?.audit(scribe())))
    }

    async fn act(&self) -> anyhow::Result<()> {
        stop(self.1.as_ref()).await
    }

    async fn nothing(&self) -> anyhow::Result<()> {
        undo_none(self.1.as_ref()).await
    }
}

impl naru_tests::conformance::denials::Fixture for LedgerFile {
    async fn fresh() -> anyhow::Result<Self> {
        <Self as Fixture>::fresh().await
    }

    fn denials(&self) -> Arc<dyn Denials> {
        Arc::<SqliteLedger>::clone(&self.1)
    }
}

impl naru_tests::conformance::denials::Fixture for LedgerDatabase {
    async fn fresh() -> anyhow::Result<Self> {
        <Self as Fixture>::fresh().await
    }

    fn denials(&self) -> Arc<dyn Denials> {
        Arc::<PostgresLedger>::clone(&self.1)
    }
}

mod catalog_in_a_file {
    naru_tests::audit_conformance!(super::CatalogFile);
}

mod ledger_in_a_file {
    naru_tests::audit_conformance!(super::LedgerFile);
    naru_tests::denials_conformance!(super::LedgerFile);
}

mod catalog_in_postgres {
    naru_tests::audit_conformance!(super::CatalogDatabase);
}

mod ledger_in_postgres {
    naru_tests::audit_conformance!(super::LedgerDatabase);
    naru_tests::denials_conformance!(super::LedgerDatabase);
}
