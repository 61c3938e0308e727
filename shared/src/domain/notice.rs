//! Notices: delivery reports as a provider tells them, on their way from its call to the ledger.

use serde::{Deserialize, Serialize};

use super::{MessageId, Next, RouteName, State, code::Code};

/// What a provider says became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    /// It arrived.
    Delivered,
    /// It did not, and is not tried again.
    Failed,
}

/// One delivery report. It names its message by the provider's own id, by ours, or by both.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Notice {
    /// What the provider calls the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_id: Option<String>,
    /// What we call it, where the provider gives back what it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    /// Which time it was sent, by the key that the provider gives back; 0: the id alone. A release that does not know it reads the id.
    #[serde(default, skip_serializing_if = "is_first")]
    pub time: u32,
    /// What became of it.
    pub said: Said,
    /// A sentence for the report.
    #[serde(default)]
    pub detail: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_first(time: &u32) -> bool {
    *time == 0
}

impl Notice {
    /// What becomes of its message.
    #[must_use]
    pub fn next(&self) -> Next {
        let (state, code) = match self.said {
            Said::Delivered => (State::Delivered, Code::Ok),
            Said::Failed => (State::Failed, Code::BackendRefused),
        };
        Next::Final { state, code, detail: self.detail.clone(), backend_id: self.backend_id.clone() }
    }
}

/// Among whose packs notices take their turn on a queue: no customer's, though one may have the name.
pub const NOTICE_GROUP: &str = "reports";

/// The most notices in one envelope.
pub const PACK_NOTICES: usize = 256;

/// What one call of a provider told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticePack {
    /// The route whose provider it is: of no other's messages does it tell anything.
    pub route: RouteName,
    /// In the order in which they were told.
    pub notices: Vec<Notice>,
}
