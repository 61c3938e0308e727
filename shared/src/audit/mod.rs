//! The port `audit`: what was done by whom, as a chain of records that nobody changes unseen.
//!
//! Each store that acts are written to has one chain: the catalog's and the ledger's. A record is appended in the transaction of
//! the act it tells of, so that none is missing. Each link is a keyed hash over the one before it: who may write to the tables
//! and lacks the key can make no link. What a chain alone does not show, that its end was cut off, is shown by
//! [anchors](Anchor), which lie elsewhere.

mod anchor;
mod anchor_file;
mod link;
pub(crate) mod postgres;
mod restored;
pub(crate) mod sqlite;
mod verify;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

pub use anchor::{Anchor, AnchorKind, NotAnAnchor};
pub use anchor_file::AnchorFile;
use async_trait::async_trait;
pub use link::{Act, AuditKey, Link, Record};
pub use postgres::PostgresAudit;
pub use restored::mark_restored;
pub use sqlite::SqliteAudit;
pub use verify::{Broken, Verified, Verifier};

use crate::catalog::Actor;

/// Which chain: there is one for each store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Chain {
    /// Changes of the catalog.
    Catalog,
    /// What was decided about messages, and acts on what lies in no database.
    Ledger,
}

impl Chain {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Catalog, Self::Ledger];

    /// The word that stores keep.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::Ledger => "ledger",
        }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The last link of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its number: the first link is 1.
    pub sequence: i64,
    /// Its keyed hash, 64 hexadecimal digits.
    pub hash: String,
}

/// Who records what a handle of a store does.
#[derive(Debug, Clone)]
pub struct Scribe {
    pub(crate) key: AuditKey,
    pub(crate) actor: Actor,
    acted: Arc<AtomicBool>,
}

impl Scribe {
    /// In somebody's name.
    #[must_use]
    pub fn new(key: AuditKey, actor: Actor) -> Self {
        Self { key, actor, acted: Arc::default() }
    }

    /// Whether anything was recorded through this one or a clone of it.
    #[must_use]
    pub fn has_acted(&self) -> bool {
        self.acted.load(Ordering::Relaxed)
    }

    pub(crate) fn acts(&self) {
        self.acted.store(true, Ordering::Relaxed);
    }
}

/// What the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Try again later.
    #[error("the record of acts is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// One chain.
#[async_trait]
pub trait Audit: Send + Sync + 'static {
    /// Which.
    fn chain(&self) -> Chain;

    /// Appends records of acts that no store of ours holds, in a transaction of its own, all or none, in the name of whoever
    /// opened it. `Ok` promises durability, and that the links follow each other without a gap, whoever appends at the same
    /// time.
    async fn append(&self, acts: Vec<Act>) -> Result<(), AuditError>;

    /// The last link; none where nothing was recorded.
    async fn head(&self) -> Result<Option<Head>, AuditError>;

    /// Links whose number is greater than `after`, by number, up to `max`, as they lie in the table: nothing of them is
    /// believed.
    async fn links(&self, after: i64, max: usize) -> Result<Vec<Link>, AuditError>;
}
