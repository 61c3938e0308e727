//! A registry that takes longer to find than to miss: a door that tells who lives behind it.

use std::{
    collections::BTreeSet,
    hint,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use naru_shared::{
    domain::{Credential, CustomerId, Route, RouteName},
    ledger::Quiet,
    registry::{Profile, Registry, RegistryError},
};

/// Answers for a credential that is known so much later. It works meanwhile: no timer is as fine.
pub(super) struct Telling {
    pub(super) inner: Arc<dyn Registry>,
    pub(super) later: Duration,
}

#[async_trait]
impl Registry for Telling {
    async fn credential(&self, id: &str) -> Result<Option<Arc<Credential>>, RegistryError> {
        let found = self.inner.credential(id).await?;
        if found.is_some() {
            let began = Instant::now();
            while began.elapsed() < self.later {
                hint::spin_loop();
            }
        }
        Ok(found)
    }

    async fn profile(&self, id: &CustomerId) -> Result<Option<Arc<Profile>>, RegistryError> {
        self.inner.profile(id).await
    }

    async fn route(&self, name: &RouteName) -> Result<Option<Arc<Route>>, RegistryError> {
        self.inner.route(name).await
    }

    async fn routes(&self) -> Result<Vec<Arc<Route>>, RegistryError> {
        self.inner.routes().await
    }

    fn has_subscribers(&self) -> bool {
        self.inner.has_subscribers()
    }

    fn weight(&self, id: &CustomerId) -> u32 {
        self.inner.weight(id)
    }

    fn suspended(&self) -> Arc<BTreeSet<CustomerId>> {
        self.inner.suspended()
    }

    fn quiet(&self) -> Quiet {
        self.inner.quiet()
    }

    fn is_complete(&self) -> bool {
        self.inner.is_complete()
    }

    fn version(&self) -> u64 {
        self.inner.version()
    }

    async fn changed(&self, seen: u64) {
        self.inner.changed(seen).await;
    }
}
