//! A chain's head, signed, to be kept where who may write to the tables cannot.

use data_encoding::HEXLOWER;
use hmac::Mac;
use serde::{Deserialize, Serialize};

use super::{AuditKey, Chain, Head};
use crate::domain::Timestamp;

/// What an anchor says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnchorKind {
    /// The chain had come so far.
    Head,
    /// A copy was put in place that had come so far (0: it had nothing): what earlier anchors say beyond that went with what
    /// it replaced.
    Restored,
}

impl AnchorKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Restored => "restored",
        }
    }
}

/// One line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// What it says.
    pub kind: AnchorKind,
    /// Of which chain.
    pub chain: Chain,
    /// The number of its last link.
    pub sequence: i64,
    /// That link's hash.
    pub hash: String,
    /// When it was made.
    pub at: Timestamp,
    /// Signs all this.
    pub mac: String,
}

/// The text is no anchor of this deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAnchor {
    /// It cannot be read.
    #[error("it is no anchor")]
    Unreadable,
    /// It can, and was not made with this deployment's secrets, or was changed.
    #[error("it is not signed with this deployment's secrets, or was changed")]
    Forged,
}

impl Anchor {
    /// Signs a head.
    #[must_use]
    pub fn new(key: &AuditKey, kind: AnchorKind, chain: Chain, head: Head, at: Timestamp) -> Self {
        let Head { sequence, hash } = head;
        let mut anchor = Self { kind, chain, sequence, hash, at, mac: String::new() };
        anchor.mac = HEXLOWER.encode(&anchor.signature(key).finalize().into_bytes());
        anchor
    }

    fn signature(&self, key: &AuditKey) -> impl Mac + use<> {
        let mut mac = key.anchors().hmac();
        mac.update(&self.sequence.to_be_bytes());
        mac.update(&self.at.as_millis().to_be_bytes());
        for part in [self.kind.as_str(), self.chain.as_str(), &self.hash] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }

    /// As a line, without its end.
    #[must_use]
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a line, and believes it only if it is signed.
    ///
    /// # Errors
    /// See [`NotAnAnchor`].
    pub fn read(key: &AuditKey, line: &str) -> Result<Self, NotAnAnchor> {
        let anchor: Self = serde_json::from_str(line).map_err(|_| NotAnAnchor::Unreadable)?;
        let mac = HEXLOWER.decode(anchor.mac.as_bytes()).map_err(|_| NotAnAnchor::Unreadable)?;
        anchor.signature(key).verify_slice(&mac).map_err(|_| NotAnAnchor::Forged)?;
        Ok(anchor)
    }
}
