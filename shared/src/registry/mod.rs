//! The port `registry`: what an accept must know, by version. A projection of the catalog that is read without waiting.

mod memory;
mod redis;

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
pub use memory::{Follower, MemoryRegistry};
pub use redis::{Epoch, Head, Projection, ProjectionError, Projector, Reader, open as open_redis};

use crate::{
    domain::{ChannelName, Credential, CredentialId, Customer, CustomerId, Quota, Route, RouteName},
    ledger::Quiet,
};

/// Neither the projection nor a last known copy can tell: answer `503`, never "unknown".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the registry is not complete")]
pub struct RegistryError;

/// A customer with all that an accept asks about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// The tenant.
    pub customer: Customer,
    /// Its limits.
    pub quotas: Vec<Arc<Quota>>,
    /// Its routes by channel.
    pub assignments: Vec<(Option<ChannelName>, RouteName)>,
}

impl Profile {
    /// The route of a channel: its own assignment, else the one for every channel.
    #[must_use]
    pub fn route(&self, channel: &ChannelName) -> Option<&RouteName> {
        let of = |wanted: Option<&ChannelName>| {
            self.assignments.iter().find(|(c, _)| c.as_ref() == wanted).map(|(_, route)| route)
        };
        of(Some(channel)).or_else(|| of(None))
    }
}

/// Look-ups by version. "Unknown" (`Ok(None)`) is believed only of a complete registry.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// A credential, revoked ones included.
    async fn credential(&self, id: &str) -> Result<Option<Arc<Credential>>, RegistryError>;

    /// A customer's profile.
    async fn profile(&self, id: &CustomerId) -> Result<Option<Arc<Profile>>, RegistryError>;

    /// A route.
    async fn route(&self, name: &RouteName) -> Result<Option<Arc<Route>>, RegistryError>;

    /// Every route, by name; only a complete registry can tell.
    async fn routes(&self) -> Result<Vec<Arc<Route>>, RegistryError>;

    /// Whether anybody listens to the topic.
    fn has_subscribers(&self) -> bool;

    /// A customer's share among others, 1 where it is not known.
    fn weight(&self, id: &CustomerId) -> u32;

    /// The customers that are known to be suspended.
    fn suspended(&self) -> Arc<BTreeSet<CustomerId>>;

    /// The customers that are known to have quiet hours, and these.
    fn quiet(&self) -> Quiet;

    /// Whether everything up to some version is here.
    fn is_complete(&self) -> bool;

    /// The version up to which everything is here.
    fn version(&self) -> u64;

    /// Returns when the version is no longer `seen`.
    async fn changed(&self, seen: u64);
}

/// Keeps the type of a key honest where a registry is asked by text from outside.
#[must_use]
pub fn credential_id(text: &str) -> Option<CredentialId> {
    text.parse().ok()
}
