//! All ports of a process, opened from configuration, ready to be decorated and handed out.

mod records;
mod transport;

use std::{
    future::{self, Future},
    path::PathBuf,
    pin::Pin,
    sync::Arc,
};

use async_trait::async_trait;
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use transport::Transport;

use crate::{
    catalog::Catalog,
    data_dir::DataDir,
    domain::Clock,
    engines::{CatalogEngine, Engines, GateEngine, LedgerEngine, RegistryEngine},
    gate::{Gate, MemoryGate, RedisGate, Times},
    ledger::{Ledger, LedgerDesk, LedgerReads},
    outbox::Outbox,
    postgres::InvalidUrl,
    queue::Queue,
    redis::SettingsError,
    registry::{self, Follower, MemoryRegistry, Registry},
    sqlite::DbError,
    topic::Topic,
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
    /// The address of its PostgreSQL is not valid.
    #[error("the {port} cannot be opened")]
    Postgres {
        /// Of which port.
        port: &'static str,
        /// Why.
        #[source]
        source: InvalidUrl,
    },
    /// What is said of its RabbitMQ cannot be used.
    #[error("the {port} cannot be opened")]
    RabbitMq {
        /// Of which port.
        port: &'static str,
        /// Why.
        #[source]
        source: crate::rabbitmq::SettingsError,
    },
    /// What is said of its Redis cannot be used.
    #[error("the {port} cannot be opened")]
    Redis {
        /// Of which port.
        port: &'static str,
        /// Why.
        #[source]
        source: SettingsError,
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

fn over(port: &'static str) -> impl FnOnce(SettingsError) -> OpenError {
    move |source| OpenError::Redis { port, source }
}

/// The ports of a process that owns its data directory, and the task that keeps registry and gate up to date until `stop`.
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
    let Transport { queue, topic, mut files } = transport::open(engines, dir, runtime)?;
    let faces = records::open_ledger(&engines.ledger, dir, clock, runtime)?;
    let (catalog, file) = records::open_catalog(&engines.catalog, dir, runtime)?;
    files.extend(faces.file.into_iter().chain(file));
    let (registry, following) = open_registry(&engines.registry, &catalog)?;
    let (gate, keeping) = open_gate(&engines.gate, clock, runtime)?;
    let tasks = runtime.spawn(async move {
        stop.run_until_cancelled(async { tokio::join!(following, keeping) }).await;
    });
    let ports = Ports {
        queue,
        topic,
        ledger: faces.ledger,
        reads: faces.reads,
        desk: faces.desk,
        outbox: faces.outbox,
        catalog,
        registry,
        gate,
        probes: files.into_iter().map(|file| Arc::new(file) as Arc<dyn Probe>).collect(),
    };
    Ok((ports, tasks))
}

/// What an adapter does in the background for as long as it is polled.
type Background = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The registry, and what fills it.
fn open_registry(
    engine: &RegistryEngine,
    catalog: &Arc<dyn Catalog>,
) -> Result<(Arc<dyn Registry>, Background), OpenError> {
    match engine {
        RegistryEngine::Memory {} => {
            let registry = MemoryRegistry::new();
            let follower = Follower::new(Arc::clone(catalog), Arc::clone(&registry));
            Ok((registry, Box::pin(async move { follower.run().await })))
        }
        RegistryEngine::Redis(engine) => {
            let (registry, filling) =
                registry::open_redis(&engine.settings(), catalog).map_err(over("registry"))?;
            Ok((registry, Box::pin(filling)))
        }
    }
}

/// The gate, and what keeps it connected.
fn open_gate(
    engine: &GateEngine,
    clock: &Arc<dyn Clock>,
    runtime: &Handle,
) -> Result<(Arc<dyn Gate>, Background), OpenError> {
    match engine {
        GateEngine::Memory {} => {
            Ok((Arc::new(MemoryGate::new(Arc::clone(clock))), Box::pin(future::ready(()))))
        }
        GateEngine::Redis(engine) => {
            let times = Times::of_the_server();
            let opened = RedisGate::open(&engine.settings(), engine.answers(), times, runtime);
            let (gate, keeping) = opened.map_err(over("gate"))?;
            Ok((gate, Box::pin(keeping)))
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
    records::open_catalog_that_is_there(engine, dir, runtime)
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
    records::open_desk(engine, dir, runtime)
}
