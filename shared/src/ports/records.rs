//! What is of record: the faces of the ledger, and the catalog.

use std::{path::PathBuf, sync::Arc};

use tokio::runtime::Handle;

use super::{OpenError, of};
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

fn at(port: &'static str) -> impl FnOnce(InvalidUrl) -> OpenError {
    move |source| OpenError::Url { port, source }
}

/// Refuses what is not there: SQLite would make it, empty.
fn refuse_missing(path: PathBuf) -> Result<(), OpenError> {
    match path.metadata() {
        Ok(found) if found.len() > 0 => Ok(()),
        _ => Err(OpenError::Missing(path)),
    }
}

/// The faces of one ledger, and its file if it has one.
pub(super) struct Faces {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) reads: Arc<dyn LedgerReads>,
    pub(super) desk: Arc<dyn LedgerDesk>,
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) file: Option<Db>,
}

impl Faces {
    pub(super) fn open(
        engine: &LedgerEngine,
        dir: &DataDir,
        clock: &Arc<dyn Clock>,
        runtime: &Handle,
    ) -> Result<Self, OpenError> {
        match engine {
            LedgerEngine::Sqlite {} => {
                let ledger = Arc::new(SqliteLedger::open(&dir.ledger()).map_err(of("ledger"))?);
                let file = Some(ledger.db().clone());
                Ok(Self {
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
                let ledger = ledger.map_err(at("ledger"))?.archiving_after(engine.archive_after());
                let ledger = Arc::new(ledger);
                let reads = ledger.with_pool("reads", &reads).map_err(at("ledger"))?;
                Ok(Self {
                    ledger: Arc::<PostgresLedger>::clone(&ledger),
                    reads: Arc::new(reads),
                    desk: Arc::<PostgresLedger>::clone(&ledger),
                    outbox: ledger,
                    file: None,
                })
            }
        }
    }
}

/// The catalog of a process, and its file if it has one.
pub(super) fn catalog(
    engine: &CatalogEngine,
    dir: &DataDir,
    runtime: &Handle,
) -> Result<(Arc<dyn Catalog>, Option<Db>), OpenError> {
    Ok(match engine {
        CatalogEngine::Sqlite {} => {
            let catalog = SqliteCatalog::open(&dir.catalog()).map_err(of("catalog"))?;
            let file = Some(catalog.db().clone());
            (Arc::new(catalog), file)
        }
        CatalogEngine::Postgres(settings) => {
            let catalog = PostgresCatalog::open("catalog", settings, runtime).map_err(at("catalog"))?;
            (Arc::new(catalog), None)
        }
    })
}

/// The catalog alone, beside whoever runs on the directory.
///
/// # Errors
/// If it cannot be opened.
pub fn open_catalog(
    engine: &CatalogEngine,
    dir: &DataDir,
    runtime: &Handle,
) -> Result<Arc<dyn Catalog>, OpenError> {
    Ok(match engine {
        CatalogEngine::Sqlite {} => {
            refuse_missing(dir.catalog())?;
            Arc::new(SqliteCatalog::open(&dir.catalog()).map_err(of("catalog"))?)
        }
        CatalogEngine::Postgres(settings) => {
            Arc::new(PostgresCatalog::open("catalog", settings, runtime).map_err(at("catalog"))?)
        }
    })
}

/// The faces of the ledger that an operator's command needs.
pub struct DeskPorts {
    /// The operator's.
    pub desk: Arc<dyn LedgerDesk>,
    /// The customers'.
    pub reads: Arc<dyn LedgerReads>,
}

/// The operator's and the customers' faces of the ledger, beside whoever runs on the directory.
///
/// # Errors
/// If it cannot be opened.
pub fn open_desk(engine: &LedgerEngine, dir: &DataDir, runtime: &Handle) -> Result<DeskPorts, OpenError> {
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
