//! The ledger with its faces, and the catalog.

use std::{path::PathBuf, sync::Arc};

use tokio::runtime::Handle;

use super::{DeskPorts, OpenError, of};
use crate::{
    catalog::{Catalog, PostgresCatalog, SqliteCatalog},
    data_dir::DataDir,
    domain::{Clock, SystemClock},
    engines::{CatalogEngine, LedgerEngine},
    ledger::{Ledger, LedgerDesk, LedgerReads, PostgresLedger, SqliteLedger},
    outbox::Outbox,
    postgres::{InvalidUrl, PostgresSettings},
    sqlite::Db,
};

/// The faces of one ledger, and its file if it has one.
pub(super) struct Faces {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) reads: Arc<dyn LedgerReads>,
    pub(super) desk: Arc<dyn LedgerDesk>,
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) file: Option<Db>,
}

pub(super) fn open_ledger(
    engine: &LedgerEngine,
    dir: &DataDir,
    clock: &Arc<dyn Clock>,
    runtime: &Handle,
) -> Result<Faces, OpenError> {
    match engine {
        LedgerEngine::Sqlite {} => {
            let ledger = Arc::new(SqliteLedger::open(&dir.ledger()).map_err(of("ledger"))?);
            let file = Some(ledger.db().clone());
            Ok(Faces {
                ledger: Arc::<SqliteLedger>::clone(&ledger),
                reads: Arc::<SqliteLedger>::clone(&ledger),
                desk: Arc::<SqliteLedger>::clone(&ledger),
                outbox: ledger,
                file,
            })
        }
        LedgerEngine::Postgres(engine) => {
            let (settings, reads) = (engine.settings(), engine.reads_settings());
            let ledger = PostgresLedger::open("ledger", &settings, runtime, Arc::clone(clock));
            let ledger = Arc::new(ledger.map_err(at("ledger"))?.archiving_after(engine.archive_after()));
            let reads = ledger.with_pool("reads", &reads).map_err(at("ledger"))?;
            Ok(Faces {
                ledger: Arc::<PostgresLedger>::clone(&ledger),
                reads: Arc::new(reads),
                desk: Arc::<PostgresLedger>::clone(&ledger),
                outbox: ledger,
                file: None,
            })
        }
    }
}

/// The catalog, and its file if it has one.
pub(super) fn open_catalog(
    engine: &CatalogEngine,
    dir: &DataDir,
    runtime: &Handle,
) -> Result<(Arc<dyn Catalog>, Option<Db>), OpenError> {
    match engine {
        CatalogEngine::Sqlite {} => {
            let catalog = SqliteCatalog::open(&dir.catalog()).map_err(of("catalog"))?;
            let file = catalog.db().clone();
            Ok((Arc::new(catalog), Some(file)))
        }
        CatalogEngine::Postgres(settings) => {
            let catalog = PostgresCatalog::open("catalog", settings, runtime).map_err(at("catalog"))?;
            Ok((Arc::new(catalog), None))
        }
    }
}

/// What an operator's command needs of the ledger: one connection of its own.
pub(super) fn open_desk(
    engine: &LedgerEngine,
    dir: &DataDir,
    runtime: &Handle,
) -> Result<DeskPorts, OpenError> {
    match engine {
        LedgerEngine::Sqlite {} => {
            refuse_missing(dir.ledger())?;
            let ledger = Arc::new(SqliteLedger::open(&dir.ledger()).map_err(of("ledger"))?);
            Ok(DeskPorts { desk: Arc::clone(&ledger) as Arc<dyn LedgerDesk>, reads: ledger })
        }
        LedgerEngine::Postgres(engine) => {
            let settings = PostgresSettings { connections: 1, ..engine.settings() };
            let ledger = PostgresLedger::open("desk", &settings, runtime, Arc::new(SystemClock));
            let ledger = Arc::new(ledger.map_err(at("ledger"))?);
            Ok(DeskPorts { desk: Arc::clone(&ledger) as Arc<dyn LedgerDesk>, reads: ledger })
        }
    }
}

/// As [`open_catalog`], of a file only if it is there.
pub(super) fn open_catalog_that_is_there(
    engine: &CatalogEngine,
    dir: &DataDir,
    runtime: &Handle,
) -> Result<Arc<dyn Catalog>, OpenError> {
    if *engine == (CatalogEngine::Sqlite {}) {
        refuse_missing(dir.catalog())?;
    }
    Ok(open_catalog(engine, dir, runtime)?.0)
}

fn at(port: &'static str) -> impl FnOnce(InvalidUrl) -> OpenError {
    move |source| OpenError::Postgres { port, source }
}

/// Refuses what is not there: SQLite would make it, empty.
fn refuse_missing(path: PathBuf) -> Result<(), OpenError> {
    match path.metadata() {
        Ok(found) if found.len() > 0 => Ok(()),
        _ => Err(OpenError::Missing(path)),
    }
}
