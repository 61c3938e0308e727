//! Which engine stands behind each port: one tagged enum per port, `kind` first.

use serde::{Deserialize, Serialize};

use crate::rabbitmq::RabbitMqSettings;

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
}

impl Default for TopicEngine {
    fn default() -> Self {
        Self::Sqlite { visibility_ms: 60_000 }
    }
}

/// The engine of the ports `ledger` and `outbox`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum LedgerEngine {
    /// A file.
    Sqlite {},
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
}

impl Default for GateEngine {
    fn default() -> Self {
        Self::Memory {}
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
}

impl Engines {
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
        ];
        ports.into_iter().filter(|(_, embedded)| *embedded).map(|(port, _)| port).collect()
    }
}
