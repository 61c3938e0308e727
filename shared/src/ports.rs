//! All ports of a process, opened from configuration, ready to be decorated and handed out.

mod transport;

mod storage;

mod records;

mod admission;

use std::{path::PathBuf, sync::Arc, time::Duration};

use admission::{open_gate, open_registry};
use async_trait::async_trait;
use records::Records;
pub use records::{DeskPorts, open_audits, open_catalog, open_desk, open_presence};
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use transport::Transport;

use crate::{
    audit::{Audit, Scribe},
    blobs::Blobs,
    callbacks::Callbacks,
    catalog::{Actor, Catalog},
    data_dir::DataDir,
    denials::Denials,
    domain::Clock,
    engines::{Engines, QueueEngine},
    gate::Gate,
    keys::Keyring,
    ledger::{Ledger, LedgerDesk, LedgerReads},
    outbox::Outbox,
    postgres::InvalidUrl,
    presence::Presence,
    queue::{ClaimChecks, Quarantine, Queue},
    registry::Registry,
    sqlite::DbError,
    topic::Topic,
    watch::Watch,
};

/// Which parts of Naru run in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of them.
    Whole,
    /// The HTTP front.
    Ingress,
    /// The workers.
    Workers,
}

impl Part {
    /// Whether customers call this process.
    #[must_use]
    pub const fn accepts(self) -> bool {
        matches!(self, Self::Whole | Self::Ingress)
    }

    /// Whether this process takes from the queue and delivers.
    #[must_use]
    pub const fn works(self) -> bool {
        matches!(self, Self::Whole | Self::Workers)
    }
}

/// The ports of a process.
#[derive(Clone)]
pub struct Ports {
    /// Transport from ingress to intake.
    pub queue: Arc<dyn Queue>,
    /// Ingress's face of the ledger.
    pub reads: Arc<dyn LedgerReads>,
    /// Customers, credentials, routes and quotas of record.
    pub catalog: Arc<dyn Catalog>,
    /// Which fronts live, and when credentials were last used.
    pub presence: Arc<dyn Presence>,
    /// What an accept must know.
    pub registry: Arc<dyn Registry>,
    /// What an accept asks.
    pub gate: Arc<dyn Gate>,
    /// How many calls were denied.
    pub denials: Arc<dyn Denials>,
    /// Attachments, if they are kept at all.
    pub blobs: Option<Arc<dyn Blobs>>,
    /// What lies behind the queue; a process that only accepts does not open it.
    pub behind: Option<Behind>,
    /// What readiness rests on beside the ports' own answers: the files of embedded engines.
    pub probes: Vec<Arc<dyn Probe>>,
}

/// The ports behind the queue.
#[derive(Clone)]
pub struct Behind {
    /// The workers' face of the ledger.
    pub ledger: Arc<dyn Ledger>,
    /// The operator's face of the ledger.
    pub desk: Arc<dyn LedgerDesk>,
    /// Events to publish.
    pub outbox: Arc<dyn Outbox>,
    /// Fan-out of events.
    pub topic: Arc<dyn Topic>,
    /// Events on their way to webhooks.
    pub callbacks: Arc<dyn Callbacks>,
    /// What an operator keeps an eye on.
    pub watch: Arc<dyn Watch>,
    /// What was done by whom, of each store.
    pub audits: Vec<Arc<dyn Audit>>,
}

/// Something that can be asked whether it is sound.
#[async_trait]
pub trait Probe: Send + Sync + 'static {
    /// What it is called.
    fn name(&self) -> &str;

    /// Really asks it. The caller bounds the wait.
    async fn ask(&self) -> Result<(), ProbeError>;

    /// How long a good answer is good enough: longer where each question is paid for.
    fn stands(&self) -> Duration {
        Duration::ZERO
    }
}

/// Why something is not sound, or not known to be.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It is damaged, and stays so until a person acts.
    #[error("{0}")]
    Damaged(String),
    /// It answers, and must not be used as it is: by its settings, or its tables are older than the program.
    #[error("{0}")]
    Unfit(String),
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
        source: crate::redis::SettingsError,
    },
    /// Its files cannot be used.
    #[error("the {port} cannot be opened")]
    Files {
        /// Of which port.
        port: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What is said of its bucket cannot be used.
    #[error("the {port} cannot be opened")]
    S3 {
        /// Of which port.
        port: &'static str,
        /// Why.
        #[source]
        source: crate::blobs::InvalidS3Settings,
    },
    /// It is kept in files, and the process has no directory for them.
    #[error("the {0} is embedded, and this process has no data directory")]
    NoDirectory(&'static str),
    /// Its file is not there, and is not made by a look beside whoever owns it.
    #[error(
        "there is no {0}: `naru up` makes it on the first start, and `naru restore` puts a copy in place"
    )]
    Missing(PathBuf),
}

fn of(port: &'static str) -> impl FnOnce(DbError) -> OpenError {
    move |source| OpenError::File { port, source }
}

/// The directory of a port whose engine is files.
fn place<'a>(dir: Option<&'a DataDir>, port: &'static str) -> Result<&'a DataDir, OpenError> {
    dir.ok_or(OpenError::NoDirectory(port))
}

/// The ports that a part of Naru needs, and the task that keeps registry and gate up to date until `stop`. Whoever has an
/// engine of files among them owns its data directory; on shared engines there is none.
///
/// # Errors
/// If an engine cannot be opened. One that is merely away is not an error: its port says so until it answers.
pub fn open(
    part: Part,
    engines: &Engines,
    dir: Option<&DataDir>,
    clock: &Arc<dyn Clock>,
    keyring: &Keyring,
    runtime: &Handle,
    stop: CancellationToken,
) -> Result<(Ports, JoinHandle<()>), OpenError> {
    let scribe = Scribe::new(keyring.audit(), Actor::Process);
    let Transport { queue, topic, files } = transport::open(part, engines, dir, runtime)?;
    let storage::Storage { blobs, probe } = storage::open(&engines.blobs, dir, runtime)?;
    let queue = checked(queue, blobs.as_ref());
    let records = Records::open(part, &engines.ledger, dir, clock, (runtime, &scribe))?;
    let opened = records::catalog(&engines.catalog, dir, runtime, scribe)?;
    let records::OpenCatalog { catalog, presence, audit: of_changes, probe: of_catalog } = opened;
    let (registry, following) = open_registry(&engines.registry, &catalog)?;
    let (gate, keeping) = open_gate(&engines.gate, clock, runtime)?;
    let tasks = runtime.spawn(async move {
        stop.run_until_cancelled(async { tokio::join!(following, keeping) }).await;
    });
    let behind = records.faces.zip(topic).map(|(faces, topic)| {
        let records::Faces { ledger, desk, outbox, callbacks, watch, audit } = faces;
        let audits = vec![of_changes, audit];
        Behind { ledger, desk, outbox, topic, callbacks, watch, audits }
    });
    let files = files.into_iter().map(|file| Arc::new(file) as Arc<dyn Probe>);
    let probes = files.chain(records.probes).chain([of_catalog]).chain(probe).collect();
    let (reads, denials) = (records.reads, records.denials);
    let ports = Ports { queue, reads, catalog, presence, registry, gate, denials, blobs, behind, probes };
    Ok((ports, tasks))
}

/// What an operator's command needs to look at what was set aside.
pub struct AsidePorts {
    /// The queue's other face.
    pub quarantine: Arc<dyn Quarantine>,
    /// Where claim checks are redeemed.
    pub blobs: Option<Arc<dyn Blobs>>,
}

/// What was set aside from the queue, and the blobs of its claim checks, beside whoever runs.
///
/// # Errors
/// If an engine cannot be opened. One that is merely away is not an error.
pub fn open_quarantine(
    engines: &Engines,
    dir: Option<&DataDir>,
    runtime: &Handle,
) -> Result<AsidePorts, OpenError> {
    let quarantine = transport::quarantine(&engines.queue, dir, runtime)?;
    // Only what a queue does not take whole becomes a claim check.
    let blobs = match engines.queue {
        QueueEngine::Sqs(_) => storage::beside(&engines.blobs, dir, runtime)?,
        QueueEngine::Sqlite { .. } | QueueEngine::RabbitMq(_) => None,
    };
    Ok(AsidePorts { quarantine, blobs })
}

/// A queue that does not take every envelope has those that are too large for it kept as blobs, if blobs are kept.
fn checked(queue: Arc<dyn Queue>, blobs: Option<&Arc<dyn Blobs>>) -> Arc<dyn Queue> {
    match (queue.capabilities().max_bytes, blobs) {
        (Some(most), Some(blobs)) => Arc::new(ClaimChecks::new(queue, Arc::clone(blobs), most)),
        _ => queue,
    }
}
