//! Which engine stands behind each port: one tagged enum per port, `kind` first.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    aws::sqs::SqsSettings,
    blobs::S3Settings,
    postgres::PostgresSettings,
    rabbitmq::RabbitMqSettings,
    redis::RedisSettings,
    release::Release,
    topic::{RabbitMqTopic, SnsSettings},
};

/// The engine of the port `queue`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum QueueEngine {
    /// A file of this process.
    Sqlite {
        /// How long a received pack stays in hand before it comes back, in milliseconds.
        visibility_ms: u64,
    },
    /// A RabbitMQ.
    RabbitMq(RabbitMqSettings),
    /// SQS.
    Sqs(SqsSettings),
}

impl Default for QueueEngine {
    fn default() -> Self {
        Self::Sqlite { visibility_ms: 60_000 }
    }
}

/// The engine of the port `topic`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum TopicEngine {
    /// A file of this process.
    Sqlite {
        /// How long a received event stays in hand before it comes back, in milliseconds.
        visibility_ms: u64,
    },
    /// A RabbitMQ.
    RabbitMq(RabbitMqSettings),
    /// SNS, with queues of SQS.
    Sns(SnsSettings),
}

impl Default for TopicEngine {
    fn default() -> Self {
        Self::Sqlite { visibility_ms: 60_000 }
    }
}

impl TopicEngine {
    /// How long a received event stays in hand before it comes back.
    #[must_use]
    pub const fn visibility(&self) -> Duration {
        match self {
            Self::Sqlite { visibility_ms } => Duration::from_millis(*visibility_ms),
            Self::RabbitMq(_) => RabbitMqTopic::VISIBILITY,
            Self::Sns(settings) => settings.visibility(),
        }
    }
}

/// The engine of the ports `ledger` and `outbox`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum LedgerEngine {
    /// A file.
    Sqlite {},
    /// A database that many processes share.
    Postgres(PostgresLedgerEngine),
}

/// The ledger in PostgreSQL. Only `url` must be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresLedgerEngine {
    /// Where it is, and as whom: see [`PostgresSettings::url`].
    pub url: String,
    /// Where and as whom what ingress reads is read; as `url` if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads_url: Option<String>,
    /// Connections at the most, beside those of reads.
    #[serde(default = "eight")]
    pub connections: u32,
    /// Connections for what ingress reads, at the most.
    #[serde(default = "eight")]
    pub reads_connections: u32,
    /// How long one statement may take, in milliseconds.
    #[serde(default = "statement_ms")]
    pub statement_ms: u64,
    /// How long a statement waits for a lock, in milliseconds.
    #[serde(default = "lock_ms")]
    pub lock_ms: u64,
    /// How long after its end a message moves to the archive, in milliseconds.
    #[serde(default = "archive_after_ms")]
    pub archive_after_ms: u64,
    /// See [`PostgresSettings::tables`].
    #[serde(skip, default = "tables")]
    pub tables: i32,
}

const fn tables() -> i32 {
    Release::THIS.tables()
}

const fn eight() -> u32 {
    8
}

const fn statement_ms() -> u64 {
    8_000
}

const fn lock_ms() -> u64 {
    4_000
}

const fn archive_after_ms() -> u64 {
    300_000
}

impl PostgresLedgerEngine {
    /// The settings of the pool of workers and operators.
    #[must_use]
    pub fn settings(&self) -> PostgresSettings {
        PostgresSettings {
            connections: self.connections,
            statement_ms: self.statement_ms,
            lock_ms: self.lock_ms,
            tables: self.tables,
            ..PostgresSettings::at(&self.url)
        }
    }

    /// The settings of the pool for what ingress reads: shorter, since a customer waits for the answer.
    #[must_use]
    pub fn reads_settings(&self) -> PostgresSettings {
        PostgresSettings {
            connections: self.reads_connections,
            acquire_ms: 1_000,
            call_ms: 5_000,
            ..self.settings().with_url(self.reads_url.as_deref().unwrap_or(&self.url))
        }
    }

    /// How long after its end a message moves to the archive.
    #[must_use]
    pub const fn archive_after(&self) -> Duration {
        Duration::from_millis(self.archive_after_ms)
    }
}

impl Default for LedgerEngine {
    fn default() -> Self {
        Self::Sqlite {}
    }
}

/// The engine of the port `catalog`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum CatalogEngine {
    /// A file.
    Sqlite {},
    /// A database that many processes share.
    Postgres(PostgresSettings),
}

impl Default for CatalogEngine {
    fn default() -> Self {
        Self::Sqlite {}
    }
}

/// The engine of the port `registry`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum RegistryEngine {
    /// This process's memory, filled from the catalog.
    Memory {},
    /// The memory of every process, filled through Redis.
    Redis(RedisRegistryEngine),
}

/// The registry over Redis. Only `url` must be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisRegistryEngine {
    /// Where it is: see [`RedisSettings::url`].
    pub url: String,
    /// Certificates (PEM) that are trusted in place of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// What every key begins with.
    #[serde(default = "prefix")]
    pub prefix: String,
}

impl RedisRegistryEngine {
    /// How to reach it. Nobody who calls waits for it.
    #[must_use]
    pub fn settings(&self) -> RedisSettings {
        let (url, ca_file, prefix) = (self.url.clone(), self.ca_file.clone(), self.prefix.clone());
        RedisSettings { url, ca_file, prefix, timeout: Duration::from_secs(5) }
    }
}

fn prefix() -> String {
    "naru".to_owned()
}

impl Default for RegistryEngine {
    fn default() -> Self {
        Self::Memory {}
    }
}

/// The engine of the port `gate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum GateEngine {
    /// This process's memory.
    Memory {},
    /// A Redis that many processes share.
    Redis(RedisGateEngine),
}

/// The gate over Redis. Only `url` must be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisGateEngine {
    /// Where it is: see [`RedisSettings::url`].
    pub url: String,
    /// Certificates (PEM) that are trusted in place of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// What every key begins with.
    #[serde(default = "prefix")]
    pub prefix: String,
    /// The longest that one question waits for its answer, in milliseconds; a call waits 50 ms in all at the most.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
    /// How long the first answer to a key is given again, in hours. Beyond it intake still knows the key.
    #[serde(default = "answer_hours")]
    pub answer_hours: u32,
}

const fn timeout_ms() -> u64 {
    25
}

const fn answer_hours() -> u32 {
    24
}

impl RedisGateEngine {
    /// How to reach it.
    #[must_use]
    pub fn settings(&self) -> RedisSettings {
        let (url, ca_file, prefix) = (self.url.clone(), self.ca_file.clone(), self.prefix.clone());
        RedisSettings { url, ca_file, prefix, timeout: Duration::from_millis(self.timeout_ms) }
    }

    /// How long the first answer to a key is given again.
    #[must_use]
    pub fn answers(&self) -> Duration {
        Duration::from_secs(u64::from(self.answer_hours) * 3_600)
    }
}

impl Default for GateEngine {
    fn default() -> Self {
        Self::Memory {}
    }
}

/// The engine of the port `blobs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum BlobsEngine {
    /// Files of this process.
    Disk {
        /// Bytes that are kept at the most; beyond them uploads are refused.
        #[serde(default = "disk_bytes")]
        max_bytes: u64,
    },
    /// A bucket of S3, or of a store that speaks as it does.
    S3(S3Settings),
    /// None: messages have no attachments, and a pack must fit into the queue.
    None {},
}

const fn disk_bytes() -> u64 {
    10 << 30
}

impl Default for BlobsEngine {
    fn default() -> Self {
        Self::Disk { max_bytes: disk_bytes() }
    }
}

/// The engine of every port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Engines {
    /// Of the port `queue`.
    pub queue: QueueEngine,
    /// Of the port `topic`.
    pub topic: TopicEngine,
    /// Of the ports `ledger` and `outbox`.
    pub ledger: LedgerEngine,
    /// Of the port `catalog`.
    pub catalog: CatalogEngine,
    /// Of the port `registry`.
    pub registry: RegistryEngine,
    /// Of the port `gate`.
    pub gate: GateEngine,
    /// Of the port `blobs`.
    pub blobs: BlobsEngine,
}

impl Engines {
    /// The same for a release that needs these tables.
    #[must_use]
    pub const fn needing(mut self, tables: i32) -> Self {
        if let LedgerEngine::Postgres(engine) = &mut self.ledger {
            engine.tables = tables;
        }
        if let CatalogEngine::Postgres(settings) = &mut self.catalog {
            settings.tables = tables;
        }
        self
    }

    /// The ports whose engine belongs to one process, by name: with any, everything runs in one process.
    #[must_use]
    pub fn embedded(&self) -> Vec<&'static str> {
        let ports = [
            ("queue", matches!(self.queue, QueueEngine::Sqlite { .. })),
            ("topic", matches!(self.topic, TopicEngine::Sqlite { .. })),
            ("ledger", matches!(self.ledger, LedgerEngine::Sqlite {})),
            ("catalog", matches!(self.catalog, CatalogEngine::Sqlite {})),
            ("registry", matches!(self.registry, RegistryEngine::Memory {})),
            ("gate", matches!(self.gate, GateEngine::Memory {})),
            ("blobs", matches!(self.blobs, BlobsEngine::Disk { .. })),
        ];
        ports.into_iter().filter(|(_, embedded)| *embedded).map(|(port, _)| port).collect()
    }
}
