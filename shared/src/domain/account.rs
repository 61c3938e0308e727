//! Whose a message is, and how soon it wants to go.

use serde::{Deserialize, Serialize};

use super::CustomerId;

/// `live` sends and charges; `sandbox` is for integration tests: same code, own queues, never charged.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Real deliveries, really paid for.
    Live,
    /// Simulated deliveries, never charged.
    Sandbox,
}

impl Environment {
    /// The word used in URLs, tables and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Sandbox => "sandbox",
        }
    }
}

/// A customer in one environment: the scope of keys, ids, reports and limits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Account {
    /// The paying tenant.
    pub customer: CustomerId,
    /// Live or sandbox.
    pub environment: Environment,
}

/// A login code never waits behind an advertisement.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Default,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Goes first; default time to live 10 minutes.
    #[default]
    Express,
    /// Goes when express leaves room, and always gets a share; default time to live 24 hours.
    Bulk,
}

impl Lane {
    /// Both lanes, in order of precedence.
    pub const ALL: [Self; 2] = [Self::Express, Self::Bulk];

    /// The word used in URLs, tables and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Express => "express",
            Self::Bulk => "bulk",
        }
    }

    /// How long a message may wait for the start of an attempt when its sender did not say, in seconds.
    #[must_use]
    pub const fn default_ttl_seconds(self) -> u32 {
        match self {
            Self::Express => 600,
            Self::Bulk => 86_400,
        }
    }
}
