//! Configuration: one TOML file, and `NARU_SECTION__KEY` variables that override it.

pub mod check;
mod files;
mod keys;
mod load;
mod show;
mod variables;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

pub use keys::{KeysConfig, KeysText};
pub use load::{ConfigError, load};
use naru_ingress::IngressConfig;
use naru_shared::{
    engines::{
        BlobsEngine, CatalogEngine, Engines, GateEngine, LedgerEngine, QueueEngine, RegistryEngine,
        TopicEngine,
    },
    release::Release,
    telemetry::LogFormat,
};
use naru_workers::{Slack, SlackConfig, WorkersConfig};
use serde::{Deserialize, Serialize};
pub use show::shown;

/// The whole configuration; parts are handed out, never the whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The data directory.
    pub data: PathBuf,
    /// The deployment's secrets.
    pub keys: KeysConfig,
    /// The process.
    pub process: ProcessConfig,
    /// Log lines.
    pub log: LogConfig,
    /// The operator's listener.
    pub operator: OperatorConfig,
    /// The HTTP front.
    pub ingress: IngressConfig,
    /// The workers.
    pub workers: WorkersConfig,
    /// The engine of the queue.
    pub queue: QueueEngine,
    /// The engine of the topic.
    pub topic: TopicEngine,
    /// The engine of the ledger and its outbox.
    pub ledger: LedgerEngine,
    /// The engine of the catalog.
    pub catalog: CatalogEngine,
    /// The engine of the registry.
    pub registry: RegistryEngine,
    /// The engine of the gate.
    pub gate: GateEngine,
    /// The engine of the blobs.
    pub blobs: BlobsEngine,
    /// The record of acts.
    pub audit: AuditConfig,
    /// Operators' posts to Slack, if there is such a section.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slack: Option<SlackConfig>,
    /// The release that is configured; no setting.
    #[serde(skip)]
    pub release: Release,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("./naru-data"),
            keys: KeysConfig::default(),
            process: ProcessConfig::default(),
            log: LogConfig::default(),
            operator: OperatorConfig::default(),
            ingress: IngressConfig::default(),
            workers: WorkersConfig::default(),
            queue: QueueEngine::default(),
            topic: TopicEngine::default(),
            ledger: LedgerEngine::default(),
            catalog: CatalogEngine::default(),
            registry: RegistryEngine::default(),
            gate: GateEngine::default(),
            blobs: BlobsEngine::default(),
            audit: AuditConfig::default(),
            slack: None,
            release: Release::THIS,
        }
    }
}

impl Config {
    /// What posts to Slack, if anything does.
    #[must_use]
    pub fn slack(&self) -> Option<Slack> {
        self.slack.clone().map(|config| Slack { config, visibility: self.topic.visibility() })
    }

    /// The engines of all ports.
    #[must_use]
    pub fn engines(&self) -> Engines {
        Engines {
            queue: self.queue.clone(),
            topic: self.topic.clone(),
            ledger: self.ledger.clone(),
            catalog: self.catalog.clone(),
            registry: self.registry.clone(),
            gate: self.gate.clone(),
            blobs: self.blobs.clone(),
        }
        .needing(self.release.tables())
    }
}

/// The record of acts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    /// The file that signed heads of the record are appended to; without it, one in the data directory, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchors: Option<PathBuf>,
}

/// How the process starts, stops, and looks after its disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessConfig {
    /// How long a drain may take, in milliseconds.
    pub drain_ms: u64,
    /// With less free space than this, in bytes, accepts are refused; outcomes are still committed.
    pub low_disk_bytes: u64,
    /// Whether the first start makes a demo customer, its credentials and a simulated route.
    pub demo: bool,
}

impl Default for ProcessConfig {
    fn default() -> Self {
        Self { drain_ms: 25_000, low_disk_bytes: 64 << 20, demo: true }
    }
}

/// How log lines look and which are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `auto` is text on a terminal and JSON elsewhere.
    pub format: LogFormat,
    /// Which events: a level, or levels by module.
    pub filter: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Auto, filter: "info,actix_server=warn,actix_http=off,lapin=off".to_owned() }
    }
}

/// The operator's listener: health, readiness, metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OperatorConfig {
    /// Where it listens; it asks nobody who they are.
    pub listen: SocketAddr,
    /// Listen beyond loopback all the same: only in a network of the operator's own.
    pub allow_remote: bool,
}

impl Default for OperatorConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)), allow_remote: false }
    }
}
