//! All ports of a process, opened from configuration, ready to be decorated and handed out.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    catalog::{Catalog, PostgresCatalog, SqliteCatalog},
    data_dir::DataDir,
    domain::{Clock, SystemClock},
    engines::{CatalogEngine, Engines, GateEngine, LedgerEngine, QueueEngine, RegistryEngine, TopicEngine},
    gate::{Gate, MemoryGate},
    ledger::{Ledger, LedgerDesk, LedgerReads, PostgresLedger, SqliteLedger},
    outbox::Outbox,
    postgres::{InvalidUrl, PostgresSettings},
    queue::{Queue, SqliteQueue},
    registry::{Follower, MemoryRegistry, Registry},
    sqlite::{Db, DbError},
    topic::{SqliteTopic, Topic},
};

/// One of each.
#[derive(Clone)]
pub struct Ports {
    /// Transport from ingress to intake.
    pub queue: Arc<dyn Queue>,
    /// Fan-out of events.
    pub topic: Arc<dyn Topic>,
    /// The workers' face of the ledger.
    pub ledger: Arc<dyn Ledger>,
    /// Ingress's face of the ledger.
    pub reads: Arc<dyn LedgerReads>,
    /// The operator's face of the ledger.
    pub desk: Arc<dyn LedgerDesk>,
    /// Events to publish.
    pub outbox: Arc<dyn Outbox>,
    /// Customers, credentials, routes and quotas of record.
    pub catalog: Arc<dyn Catalog>,
    /// What an accept must know.
    pub registry: Arc<dyn Registry>,
    /// What an accept asks.
    pub gate: Arc<dyn Gate>,
    /// What readiness rests on beside the ports' own answers: the files of embedded engines.
    pub probes: Vec<Arc<dyn Probe>>,
}

/// Something that can be asked whether it is sound.
#[async_trait]
pub trait Probe: Send + Sync + 'static {
    /// What it is called.
    fn name(&self) -> &str;

    /// Really asks it. The caller bounds the wait.
    async fn ask(&self) -> Result<(), ProbeError>;
}

/// Why something is not sound, or not known to be.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It is damaged, and stays so until a person acts.
    #[error("{0}")]
    Damaged(String),
    /// It does not answer; it may do so again.
    #[error("it does not answer")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its file does not work.
    #[error("the {port} cannot be opened")]
    File {
        /// Of which port.
        port: &'static str,
        /// Why.
        #[source]
        source: DbError,
    },
    /// Its address is not valid.
    #[error("the {port} cannot be opened")]
    Url {
        /// Of which port.
        port: &'static str,
        /// Why.
        #[source]
        source: InvalidUrl,
    },
    /// Its file is not there, and is not made by a look beside whoever owns it.
    #[error(
        "there is no {0}: `naru up` makes it on the first start, and `naru restore` puts a copy in place"
    )]
    Missing(PathBuf),
}

fn of(port: &'static str) -> impl FnOnce(DbError) -> OpenError {
    move |source| OpenError::File { port, source }
}

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

/// The ports of a process that owns its data directory, and the task that keeps the registry up to date until `stop`.
///
/// # Errors
/// If an engine cannot be opened.
pub fn open(
    engines: &Engines,
    dir: &DataDir,
    clock: &Arc<dyn Clock>,
    runtime: &Handle,
    stop: CancellationToken,
) -> Result<(Ports, JoinHandle<()>), OpenError> {
    let QueueEngine::Sqlite { visibility_ms } = engines.queue;
    let queue = SqliteQueue::open(&dir.queue(), Duration::from_millis(visibility_ms)).map_err(of("queue"))?;
    let TopicEngine::Sqlite { visibility_ms } = engines.topic;
    let topic = SqliteTopic::open(&dir.topic(), Duration::from_millis(visibility_ms)).map_err(of("topic"))?;
    let mut files = vec![queue.db().clone(), topic.db().clone()];
    let faces = Faces::open(&engines.ledger, dir, clock, runtime)?;
    files.extend(faces.file);
    let catalog: Arc<dyn Catalog> = match &engines.catalog {
        CatalogEngine::Sqlite {} => {
            let catalog = SqliteCatalog::open(&dir.catalog()).map_err(of("catalog"))?;
            files.push(catalog.db().clone());
            Arc::new(catalog)
        }
        CatalogEngine::Postgres(settings) => {
            Arc::new(PostgresCatalog::open("catalog", settings, runtime).map_err(at("catalog"))?)
        }
    };
    let RegistryEngine::Memory {} = engines.registry;
    let registry = MemoryRegistry::new();
    let follower = Follower::start(Arc::clone(&catalog), Arc::clone(&registry), runtime, stop);
    let GateEngine::Memory {} = engines.gate;
    let ports = Ports {
        queue: Arc::new(queue),
        topic: Arc::new(topic),
        ledger: faces.ledger,
        reads: faces.reads,
        desk: faces.desk,
        outbox: faces.outbox,
        catalog,
        registry,
        gate: Arc::new(MemoryGate::new(Arc::clone(clock))),
        probes: files.into_iter().map(|file| Arc::new(file) as Arc<dyn Probe>).collect(),
    };
    Ok((ports, follower))
}

/// The faces of one ledger, and its file if it has one.
struct Faces {
    ledger: Arc<dyn Ledger>,
    reads: Arc<dyn LedgerReads>,
    desk: Arc<dyn LedgerDesk>,
    outbox: Arc<dyn Outbox>,
    file: Option<Db>,
}

impl Faces {
    fn open(
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
