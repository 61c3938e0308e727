//! All ports of a process, opened from configuration, ready to be decorated and handed out.

use std::{sync::Arc, time::Duration};

use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    catalog::{Catalog, SqliteCatalog},
    data_dir::DataDir,
    domain::Clock,
    engines::{CatalogEngine, Engines, GateEngine, LedgerEngine, QueueEngine, RegistryEngine, TopicEngine},
    gate::{Gate, MemoryGate},
    ledger::{Ledger, LedgerDesk, LedgerReads, SqliteLedger},
    outbox::Outbox,
    queue::{Queue, RabbitMqQueue, SqliteQueue},
    rabbitmq::Broker,
    registry::{Follower, MemoryRegistry, Registry},
    topic::{RabbitMqTopic, SqliteTopic, Topic},
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
}

/// An engine could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("the {port} cannot be opened")]
pub struct OpenError {
    /// Of which port.
    pub port: &'static str,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

fn of<E: std::error::Error + Send + Sync + 'static>(port: &'static str) -> impl FnOnce(E) -> OpenError {
    move |source| OpenError { port, source: Box::new(source) }
}

/// How long an event stays in a subscriber's hands on an engine that does not say it itself.
const EVENT_VISIBILITY: Duration = Duration::from_secs(60);

/// The queue and the topic: on one RabbitMQ with the same settings they share its connections.
fn open_transport(
    engines: &Engines,
    dir: &DataDir,
    runtime: &Handle,
) -> Result<(Arc<dyn Queue>, Arc<dyn Topic>), OpenError> {
    let mut broker = None;
    let queue: Arc<dyn Queue> = match &engines.queue {
        QueueEngine::Sqlite { visibility_ms } => {
            let visibility = Duration::from_millis(*visibility_ms);
            Arc::new(SqliteQueue::open(&dir.queue(), visibility).map_err(of("queue"))?)
        }
        QueueEngine::RabbitMq(settings) => {
            let opened = Broker::open(settings, runtime).map_err(of("queue"))?;
            broker = Some((settings, Arc::clone(&opened)));
            Arc::new(RabbitMqQueue::new(opened))
        }
    };
    let topic: Arc<dyn Topic> = match &engines.topic {
        TopicEngine::Sqlite { visibility_ms } => {
            let visibility = Duration::from_millis(*visibility_ms);
            Arc::new(SqliteTopic::open(&dir.topic(), visibility).map_err(of("topic"))?)
        }
        TopicEngine::RabbitMq(settings) => {
            let shared = broker.filter(|(others, _)| *others == settings);
            let broker = match shared {
                Some((_, broker)) => broker,
                None => Broker::open(settings, runtime).map_err(of("topic"))?,
            };
            Arc::new(RabbitMqTopic::new(broker, EVENT_VISIBILITY))
        }
    };
    Ok((queue, topic))
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
    let (queue, topic) = open_transport(engines, dir, runtime)?;
    let LedgerEngine::Sqlite {} = engines.ledger;
    let ledger = Arc::new(SqliteLedger::open(&dir.ledger()).map_err(of("ledger"))?);
    let catalog = open_catalog(&engines.catalog, dir)?;
    let RegistryEngine::Memory {} = engines.registry;
    let registry = MemoryRegistry::new();
    let follower = Follower::start(Arc::clone(&catalog), Arc::clone(&registry), runtime, stop);
    let GateEngine::Memory {} = engines.gate;
    let ports = Ports {
        queue,
        topic,
        ledger: Arc::clone(&ledger) as Arc<dyn Ledger>,
        reads: Arc::clone(&ledger) as Arc<dyn LedgerReads>,
        desk: Arc::clone(&ledger) as Arc<dyn LedgerDesk>,
        outbox: ledger,
        catalog,
        registry,
        gate: Arc::new(MemoryGate::new(Arc::clone(clock))),
    };
    Ok((ports, follower))
}

/// The catalog alone, beside whoever runs on the directory.
///
/// # Errors
/// If it cannot be opened.
pub fn open_catalog(engine: &CatalogEngine, dir: &DataDir) -> Result<Arc<dyn Catalog>, OpenError> {
    let CatalogEngine::Sqlite {} = engine;
    Ok(Arc::new(SqliteCatalog::open(&dir.catalog()).map_err(of("catalog"))?))
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
pub fn open_desk(engine: &LedgerEngine, dir: &DataDir) -> Result<DeskPorts, OpenError> {
    let LedgerEngine::Sqlite {} = engine;
    let ledger = Arc::new(SqliteLedger::open(&dir.ledger()).map_err(of("ledger"))?);
    Ok(DeskPorts { desk: Arc::clone(&ledger) as Arc<dyn LedgerDesk>, reads: ledger })
}
