//! What is of record: the faces of the ledger, and the catalog.

use std::{path::PathBuf, sync::Arc};

use tokio::runtime::Handle;

use super::{OpenError, Part, Probe, of, place};
use crate::{
    audit::{Audit, Scribe},
    callbacks::Callbacks,
    catalog::{Catalog, PostgresCatalog, SqliteCatalog},
    data_dir::DataDir,
    denials::Denials,
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
    pub(super) audit: Arc<dyn Audit>,
}

/// What a part has of the ledger, and what readiness asks of it.
pub(super) struct Records {
    pub(super) reads: Arc<dyn LedgerReads>,
    pub(super) denials: Arc<dyn Denials>,
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
        (runtime, scribe): (&Handle, &Scribe),
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
                    audit: Arc::new(ledger.audit(scribe.clone())),
                };
                let denials = Arc::<SqliteLedger>::clone(&ledger);
                Ok(Self { reads: ledger, denials, faces: Some(faces).filter(|_| part.works()), probes })
            }
            LedgerEngine::Postgres(engine) => Self::postgres(part, engine, clock, (runtime, scribe)),
        }
    }

    /// A process that only answers customers never has the address of those who work.
    fn postgres(
        part: Part,
        engine: &PostgresLedgerEngine,
        clock: &Arc<dyn Clock>,
        (runtime, scribe): (&Handle, &Scribe),
    ) -> Result<Self, OpenError> {
        let open = |name: &str, settings: &PostgresSettings| {
            let ledger = PostgresLedger::open(name, settings, runtime, Arc::clone(clock));
            ledger.map_err(at("ledger")).map(|ledger| ledger.archiving_after(engine.archive_after()))
        };
        if !part.works() {
            let reads = Arc::new(open("reads", &engine.reads_settings())?);
            let probes = vec![reads.fitness("ledger-tables")];
            let denials = Arc::<PostgresLedger>::clone(&reads);
            return Ok(Self { reads, denials, faces: None, probes });
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
            audit: Arc::new(ledger.audit(scribe.clone())),
        };
        let denials = Arc::<PostgresLedger>::clone(&ledger);
        Ok(Self { reads, denials, faces: Some(faces), probes: vec![ledger.fitness("ledger-tables")] })
    }
}

/// The catalog and what lies beside it, the record of its changes, and what readiness asks of it.
pub(super) struct OpenCatalog {
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) presence: Arc<dyn Presence>,
    pub(super) audit: Arc<dyn Audit>,
    pub(super) probe: Arc<dyn Probe>,
}

/// The catalog of a process, which records what the process changes.
pub(super) fn catalog(
    engine: &CatalogEngine,
    dir: Option<&DataDir>,
    runtime: &Handle,
    scribe: Scribe,
) -> Result<OpenCatalog, OpenError> {
    Ok(match engine {
        CatalogEngine::Sqlite {} => {
            let catalog = SqliteCatalog::open(&place(dir, "catalog")?.catalog()).map_err(of("catalog"))?;
            let audit = Arc::new(catalog.audit(scribe.clone()));
            let probe = Arc::new(catalog.db().clone());
            let catalog = Arc::new(catalog.recorded_by(scribe));
            OpenCatalog { catalog: Arc::<SqliteCatalog>::clone(&catalog), presence: catalog, audit, probe }
        }
        CatalogEngine::Postgres(settings) => {
            let catalog = PostgresCatalog::open("catalog", settings, runtime).map_err(at("catalog"))?;
            let audit = Arc::new(catalog.audit(scribe.clone()));
            let probe = catalog.fitness("catalog-tables");
            let catalog = Arc::new(catalog.recorded_by(scribe));
            OpenCatalog { catalog: Arc::<PostgresCatalog>::clone(&catalog), presence: catalog, audit, probe }
        }
    })
}

/// The catalog alone, beside whoever runs on the directory. What is changed through it is recorded if somebody is there to record
/// it: whoever is not only looks.
///
/// # Errors
/// If it cannot be opened.
pub fn open_catalog(
    engine: &CatalogEngine,
    dir: Option<&DataDir>,
    runtime: &Handle,
    scribe: Option<Scribe>,
) -> Result<Arc<dyn Catalog>, OpenError> {
    Ok(match engine {
        CatalogEngine::Sqlite {} => {
            let dir = place(dir, "catalog")?;
            refuse_missing(dir.catalog())?;
            let catalog = SqliteCatalog::open(&dir.catalog()).map_err(of("catalog"))?;
            match scribe {
                Some(scribe) => Arc::new(catalog.recorded_by(scribe)),
                None => Arc::new(catalog),
            }
        }
        CatalogEngine::Postgres(settings) => {
            let catalog = PostgresCatalog::open("catalog", settings, runtime).map_err(at("catalog"))?;
            match scribe {
                Some(scribe) => Arc::new(catalog.recorded_by(scribe)),
                None => Arc::new(catalog),
            }
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
    /// How many calls were denied.
    pub denials: Arc<dyn Denials>,
}

/// The records of acts, the catalog's and the ledger's, beside whoever runs on the directory.
///
/// # Errors
/// If one cannot be opened.
pub fn open_audits(
    (catalog, ledger): (&CatalogEngine, &LedgerEngine),
    dir: Option<&DataDir>,
    runtime: &Handle,
    scribe: &Scribe,
) -> Result<[Arc<dyn Audit>; 2], OpenError> {
    let of_catalog: Arc<dyn Audit> = match catalog {
        CatalogEngine::Sqlite {} => {
            let dir = place(dir, "catalog")?;
            refuse_missing(dir.catalog())?;
            Arc::new(SqliteCatalog::open(&dir.catalog()).map_err(of("catalog"))?.audit(scribe.clone()))
        }
        CatalogEngine::Postgres(settings) => {
            let catalog = PostgresCatalog::open("catalog", settings, runtime).map_err(at("catalog"))?;
            Arc::new(catalog.audit(scribe.clone()))
        }
    };
    let of_ledger: Arc<dyn Audit> = match ledger {
        LedgerEngine::Sqlite {} => {
            let dir = place(dir, "ledger")?;
            refuse_missing(dir.ledger())?;
            Arc::new(SqliteLedger::open(&dir.ledger()).map_err(of("ledger"))?.audit(scribe.clone()))
        }
        LedgerEngine::Postgres(engine) => {
            let settings = PostgresSettings { connections: 1, ..engine.settings() };
            let ledger = PostgresLedger::open("audit", &settings, runtime, Arc::new(SystemClock));
            Arc::new(ledger.map_err(at("ledger"))?.audit(scribe.clone()))
        }
    };
    Ok([of_catalog, of_ledger])
}

/// The operator's and the customers' faces of the ledger, beside whoever runs on the directory. What is done through them is
/// recorded if somebody is there to record it: whoever is not only looks.
///
/// # Errors
/// If it cannot be opened.
pub fn open_desk(
    engine: &LedgerEngine,
    dir: Option<&DataDir>,
    runtime: &Handle,
    scribe: Option<Scribe>,
) -> Result<DeskPorts, OpenError> {
    match engine {
        LedgerEngine::Sqlite {} => {
            let dir = place(dir, "ledger")?;
            refuse_missing(dir.ledger())?;
            let ledger = SqliteLedger::open(&dir.ledger()).map_err(of("ledger"))?;
            let ledger = Arc::new(match scribe {
                Some(scribe) => ledger.recorded_by(scribe),
                None => ledger,
            });
            Ok(DeskPorts {
                denials: Arc::<SqliteLedger>::clone(&ledger),
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
            let ledger = ledger.map_err(at("ledger"))?;
            let ledger = Arc::new(match scribe {
                Some(scribe) => ledger.recorded_by(scribe),
                None => ledger,
            });
            Ok(DeskPorts {
                denials: Arc::<PostgresLedger>::clone(&ledger),
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
