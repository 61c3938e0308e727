//! The port `presence`: which fronts live and how much of the catalog each has, and when credentials were last used. It lies
//! beside the catalog, and nothing that a call waits for asks it.

use async_trait::async_trait;

use crate::domain::{CredentialId, Timestamp};

/// One process that customers call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontMark {
    /// Its name, which no other process has or had.
    pub name: String,
    /// The version of the catalog up to which it has everything.
    pub version: u64,
    /// When it said so.
    pub seen_at: Timestamp,
}

/// A credential, and when it last let a call in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialUse {
    /// Which.
    pub credential: CredentialId,
    /// When, as far as was told.
    pub used_at: Timestamp,
}

/// It could not be told or asked; try again later.
#[derive(Debug, thiserror::Error)]
#[error("what fronts tell of themselves is not available")]
pub struct PresenceError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What fronts tell of themselves. All of it is idempotent.
#[async_trait]
pub trait Presence: Send + Sync + 'static {
    /// Says that a front lives and what it has. Fronts that were not heard of for `forget` are forgotten.
    async fn live(&self, front: &FrontMark, forget: std::time::Duration) -> Result<(), PresenceError>;

    /// A front ends in order, and is forgotten.
    async fn leave(&self, name: &str) -> Result<(), PresenceError>;

    /// Every front that did not end in order, by name.
    async fn fronts(&self) -> Result<Vec<FrontMark>, PresenceError>;

    /// Notes uses. Of one credential the latest is kept, whoever tells it in whatever order.
    async fn used(&self, uses: &[CredentialUse]) -> Result<(), PresenceError>;

    /// When each credential was last used, by id; one that never was is not among them.
    async fn last_uses(&self) -> Result<Vec<CredentialUse>, PresenceError>;
}
