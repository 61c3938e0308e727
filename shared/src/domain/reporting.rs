//! How the reports of a route's backend come, where they come later, and what it means if they do not.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a route says about reports that come later.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Reporting {
    /// How long a report is waited for, in milliseconds; `None`: as long as the channel says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<u64>,
    /// What was sent and never reported is paid for.
    pub captured_without: bool,
    /// How its provider calls back; `None`: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<CallbackDocument>,
}

impl Reporting {
    /// How long a report is waited for, if the route says so.
    #[must_use]
    pub fn window(&self) -> Option<Duration> {
        self.window_ms.map(Duration::from_millis)
    }
}

/// How a provider calls back, as the catalog keeps it, its secrets sealed. Whoever cannot read all of it lets no call in: one that a newer
/// release wrote may ask for a proof that an older one does not know.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallbackDocument(pub serde_json::Value);

impl std::fmt::Debug for CallbackDocument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CallbackDocument(…)")
    }
}
