//! What is of record: the faces of the ledger, and the catalog.

use std::{path::PathBuf, sync::Arc};

use tokio::runtime::Handle;

use super::{OpenError, Part, Probe, of, place};
use crate::{
    callbacks::Callbacks,
    catalog::{Catalog, PostgresCatalog, SqliteCatalog},
    data_dir::DataDir,
    domain::{Clock, SystemClock},
    engines::{CatalogEngine, LedgerEngine, PostgresLedgerEngine},
    ledger::{Ledger, LedgerDesk, LedgerMends, LedgerReads, OptOuts, PostgresLedger, SqliteLedger},
    outbox::Outbox,
    postgres::{InvalidUrl, PostgresSettings},
    presence::Presence,
    watch::Watch,
};

fn at(port: &'static str) -> impl FnOnce(InvalidUrl) -> OpenError {
    move |source| OpenError::Url { port, source }
}

/// Refuses what is not there: SQLite would make it, empty.
pub(super) fn refuse_missing(path: PathBuf) -> Result<(), OpenError> {
    match path.metadata() {
        Ok(found) if found.len() > 0 => Ok(()),
        _ => Err(OpenError::Missing(path)),
    }
}

/// The faces of a ledger behind the queue.
pub(super) struct Faces {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) desk: Arc<dyn LedgerDesk>,
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) callbacks: Arc<dyn Callbacks>,
    pub(super) watch: Arc<dyn Watch>,
}

/// What a part has of the ledger, and what readiness asks of it.
pub(super) struct Records {
    pub(super) reads: Arc<dyn LedgerReads>,
    /// Not where customers are only answered.
    pub(super) faces: Option<Faces>,
    pub(super) probes: Vec<Arc<dyn Probe>>,
}

impl Records {
    pub(super) fn open(
        part: Part,
        engine: &LedgerEngine,
        dir: Option<&DataDir>,
        clock: &Arc<dyn Clock>,
        runtime: &Handle,
    ) -> Result<Self, OpenError> {
        match engine {
            LedgerEngine::Sqlite {} => {
                let ledger = SqliteLedger::open(&place(dir, "ledger")?.ledger()).map_err(of("ledger"))?;
                let ledger = Arc::new(ledger);
                let probes: Vec<Arc<dyn Probe>> = vec![Arc::new(ledger.db().clone())];
                let faces = Faces {
                    ledger: Arc::<SqliteLedger>::clone(&ledger),
                    desk: Arc::<SqliteLedger>::clone(&ledger),
                    outbox: Arc::<SqliteLedger>::clone(&ledger),
                    callbacks: Arc::<SqliteLedger>::clone(&ledger),
                    watch: Arc::<SqliteLedger>::clone(&ledger),
                };
                Ok(Self { reads: ledger, faces: Some(faces).filter(|_| part.works()), probes })
            }
            LedgerEngine::Postgres(engine) => Self::postgres(part, engine, clock, runtime),
        }
    }

    /// A process that only answers customers never has the address of those who work.
    fn postgres(
        part: Part,
        engine: &PostgresLedgerEngine,
        clock: &Arc<dyn Clock>,
        runtime: &Handle,
    ) -> Result<Self, OpenError> {
        let open = |name: &str, settings: &PostgresSettings| {
            let ledger = PostgresLedger::open(name, settings, runtime, Arc::clone(clock));
            ledger.map_err(at("ledger")).map(|ledger| ledger.archiving_after(engine.archive_after()))
        };
        if !part.works() {
            let reads = Arc::new(open("reads", &engine.reads_settings())?);
            let probes = vec![reads.fitness("ledger-tables")];
            return Ok(Self { reads, faces: None, probes });
        }
        let ledger = Arc::new(open("ledger", &engine.settings())?);
        let reads: Arc<dyn LedgerReads> = if part.accepts() {
            Arc::new(ledger.with_pool("reads", &engine.reads_settings()).map_err(at("ledger"))?)
        } else {
            Arc::<PostgresLedger>::clone(&ledger)
        };
        let faces = Faces {
            ledger: Arc::<PostgresLedger>::clone(&ledger),
            desk: Arc::<PostgresLedger>::clone(&ledger),
            outbox: Arc::<PostgresLedger>::clone(&ledger),
            callbacks: Arc::<PostgresLedger>::clone(&ledger),
            watch: Arc::<PostgresLedger>::clone(&ledger),
        };
        Ok(Self { reads, faces: Some(faces), probes: vec![ledger.fitness("ledger-tables")] })
    }
}

/// A port, and what readiness asks of it.
pub(super) type Watched<P> = (P, Arc<dyn Probe>);

/// The catalog of a process and what lies beside it, and what readiness asks of it.
pub(super) fn catalog(
    engine: &CatalogEngine,
    dir: Option<&DataDir>,
    runtime: &Handle,
) -> Result<Watched<(Arc<dyn Catalog>, Arc<dyn Presence>)>, OpenError> {
    Ok(match engine {
        CatalogEngine::Sqlite {} => {
            let catalog = SqliteCatalog::open(&place(dir, "catalog")?.catalog()).map_err(of("catalog"))?;
            let (file, catalog) = (Arc::new(catalog.db().clone()), Arc::new(catalog));
            ((Arc::<SqliteCatalog>::clone(&catalog), catalog), file)
        }
        CatalogEngine::Postgres(settings) => {
            let catalog = PostgresCatalog::open("catalog", settings, runtime).map_err(at("catalog"))?;
            let fitness = catalog.fitness("catalog-tables");
            let catalog = Arc::new(catalog);
            ((Arc::<PostgresCatalog>::clone(&catalog), catalog), fitness)
        }
    })
}

/// The catalog alone, beside whoever runs on the directory.
///
/// # Errors
/// If it cannot be opened.
pub fn open_catalog(
    engine: &CatalogEngine,
    dir: Option<&DataDir>,
    runtime: &Handle,
) -> Result<Arc<dyn Catalog>, OpenError> {
    Ok(match engine {
        CatalogEngine::Sqlite {} => {
            let dir = place(dir, "catalog")?;
            refuse_missing(dir.catalog())?;
            Arc::new(SqliteCatalog::open(&dir.catalog()).map_err(of("catalog"))?)
        }
        CatalogEngine::Postgres(settings) => {
            Arc::new(PostgresCatalog::open("catalog", settings, runtime).map_err(at("catalog"))?)
        }
    })
}

/// What fronts tell of themselves, beside whoever runs on the directory.
///
/// # Errors
/// If it cannot be opened.
pub fn open_presence(
    engine: &CatalogEngine,
    dir: Option<&DataDir>,
    runtime: &Handle,
) -> Result<Arc<dyn Presence>, OpenError> {
    if let CatalogEngine::Sqlite {} = engine {
        refuse_missing(place(dir, "catalog")?.catalog())?;
    }
    Ok(catalog(engine, dir, runtime)?.0.1)
}

/// The faces of the ledger that an operator's command needs.
pub struct DeskPorts {
    /// The operator's.
    pub desk: Arc<dyn LedgerDesk>,
    /// The operator's hand for what concerns many messages.
    pub mends: Arc<dyn LedgerMends>,
    /// The customers'.
    pub reads: Arc<dyn LedgerReads>,
    /// Those who want no messages.
    pub opt_outs: Arc<dyn OptOuts>,
    /// The workers'.
    pub ledger: Arc<dyn Ledger>,
    /// What an operator keeps an eye on.
    pub watch: Arc<dyn Watch>,
    /// How webhooks fare.
    pub callbacks: Arc<dyn Callbacks>,
    /// Where an operator's act is told that no document of the catalog shows.
    pub outbox: Arc<dyn Outbox>,
}

/// The operator's and the customers' faces of the ledger, beside whoever runs on the directory.
///
/// # Errors
/// If it cannot be opened.
pub fn open_desk(
    engine: &LedgerEngine,
    dir: Option<&DataDir>,
    runtime: &Handle,
) -> Result<DeskPorts, OpenError> {
    match engine {
        LedgerEngine::Sqlite {} => {
            let dir = place(dir, "ledger")?;
            refuse_missing(dir.ledger())?;
            let ledger = Arc::new(SqliteLedger::open(&dir.ledger()).map_err(of("ledger"))?);
            Ok(DeskPorts {
                desk: Arc::<SqliteLedger>::clone(&ledger),
                mends: Arc::<SqliteLedger>::clone(&ledger),
                reads: Arc::<SqliteLedger>::clone(&ledger),
                opt_outs: Arc::<SqliteLedger>::clone(&ledger),
                callbacks: Arc::<SqliteLedger>::clone(&ledger),
                watch: Arc::<SqliteLedger>::clone(&ledger),
                outbox: Arc::<SqliteLedger>::clone(&ledger),
                ledger,
            })
        }
        LedgerEngine::Postgres(engine) => {
            let settings = PostgresSettings { connections: 1, ..engine.settings() };
            let ledger = PostgresLedger::open("desk", &settings, runtime, Arc::new(SystemClock));
            let ledger = Arc::new(ledger.map_err(at("ledger"))?);
            Ok(DeskPorts {
                desk: Arc::<PostgresLedger>::clone(&ledger),
                mends: Arc::<PostgresLedger>::clone(&ledger),
                reads: Arc::<PostgresLedger>::clone(&ledger),
                opt_outs: Arc::<PostgresLedger>::clone(&ledger),
                callbacks: Arc::<PostgresLedger>::clone(&ledger),
                watch: Arc::<PostgresLedger>::clone(&ledger),
                outbox: Arc::<PostgresLedger>::clone(&ledger),
                ledger,
            })
        }
    }
}
