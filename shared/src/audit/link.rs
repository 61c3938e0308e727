//! A link of a chain, and the key it is made with.

use data_encoding::HEXLOWER;
use hmac::Mac;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Chain, Head};
use crate::{catalog::Actor, domain::Timestamp, keys::Secret};

/// Characters of a target: names of ours are far shorter.
const TARGET: usize = 256;

/// What was done, to be recorded. Neither secrets nor recipients belong into it: it is kept for good.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    what: String,
    target: String,
    detail: Value,
}

impl Act {
    /// `what` is the kind of the event that tells of the same, without its `naru.`; `target` what it was done to.
    #[must_use]
    pub fn new(what: &str, target: &str, detail: Value) -> Self {
        let what = match what.split_once('.') {
            Some(("naru", rest)) => rest,
            _ => what,
        };
        Self { what: what.to_owned(), target: target.chars().take(TARGET).collect(), detail }
    }
}

/// What a link says, once it was verified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its place in its chain: what was moved to another says so.
    pub sequence: i64,
    /// What was done.
    pub what: String,
    /// To what.
    pub target: String,
    /// By whom, as events tell it.
    pub actor: Value,
    /// More about it.
    pub detail: Value,
}

impl Record {
    /// The name of who did it; `process` where nobody was asked.
    #[must_use]
    pub fn who(&self) -> &str {
        self.actor.get("name").and_then(Value::as_str).unwrap_or("process")
    }
}

/// A row of the table, as it lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub sequence: i64,
    /// When it was written.
    pub at: Timestamp,
    /// A [`Record`], to the byte as it was hashed.
    pub record: String,
    /// The keyed hash over all this and the hash of the link before, 64 hexadecimal digits.
    pub hash: String,
}

/// Makes links and anchors, and tells those that others made.
#[derive(Debug, Clone)]
pub struct AuditKey {
    links: Secret,
    anchors: Secret,
    documents: Secret,
}

impl AuditKey {
    /// Derived from a secret of the deployment.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self {
            links: secret.derive("audit links"),
            anchors: secret.derive("audit anchors"),
            documents: secret.derive("audit documents"),
        }
    }

    /// The hash of a link. Every part that varies in length has its length before it, so that no two links are the same bytes.
    pub(super) fn hash(
        &self,
        chain: Chain,
        (sequence, at): (i64, Timestamp),
        record: &str,
        before: &str,
    ) -> String {
        let mut mac = self.links.hmac();
        mac.update(&sequence.to_be_bytes());
        mac.update(&at.as_millis().to_be_bytes());
        for part in [chain.as_str(), before, record] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        HEXLOWER.encode(&mac.finalize().into_bytes())
    }

    /// Whether a hash is this one, told in a time that does not depend on where they differ.
    pub(super) fn is_hash(
        &self,
        chain: Chain,
        place: (i64, Timestamp),
        record: &str,
        before: &str,
        hash: &str,
    ) -> bool {
        let ours = self.hash(chain, place, record, before);
        bool::from(subtle::ConstantTimeEq::ct_eq(ours.as_bytes(), hash.as_bytes()))
    }

    /// Stands for the whole of a document: it changes with it, and tells nothing of it to who lacks the key.
    pub(crate) fn digest(&self, document: &str) -> String {
        let mut mac = self.documents.hmac();
        mac.update(document.as_bytes());
        HEXLOWER.encode(&mac.finalize().into_bytes()[..16])
    }

    pub(super) const fn anchors(&self) -> &Secret {
        &self.anchors
    }

    /// The links that follow a head.
    pub(crate) fn links(
        &self,
        chain: Chain,
        head: Option<Head>,
        now: Timestamp,
        actor: &Actor,
        acts: Vec<Act>,
    ) -> serde_json::Result<Vec<Link>> {
        let mut last = head.unwrap_or_else(|| Head { sequence: 0, hash: String::new() });
        let mut links = Vec::with_capacity(acts.len());
        for Act { what, target, detail } in acts {
            // At its end the table refuses what is there already.
            let sequence = last.sequence.saturating_add(1);
            let record = Record { sequence, what, target, actor: actor.told(), detail };
            let record = serde_json::to_string(&record)?;
            let hash = self.hash(chain, (sequence, now), &record, &last.hash);
            last = Head { sequence, hash: hash.clone() };
            links.push(Link { sequence, at: now, record, hash });
        }
        Ok(links)
    }
}
