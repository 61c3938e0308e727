//! Keeps a registry in step with the catalog: loads everything once, then asks for the version and reads what is new.

use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{error::Elapsed, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::MemoryRegistry;
use crate::{
    catalog::{Catalog, CatalogError},
    metrics,
    registry::Registry,
};

/// How often the catalog is asked for its version: a change is in force within a second.
const POLL: Duration = Duration::from_millis(500);

/// The longest pause after errors.
const BACKOFF: Duration = Duration::from_secs(5);

/// How long a call to the catalog may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Documents read at once.
const PAGE: usize = 5_000;

/// The task that follows the catalog.
pub struct Follower {
    catalog: Arc<dyn Catalog>,
    registry: Arc<MemoryRegistry>,
}

#[derive(Debug, thiserror::Error)]
pub(in crate::registry) enum FollowError {
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("the catalog did not answer in time")]
    Late(#[from] Elapsed),
}

impl Follower {
    /// One that follows when it is told to.
    #[must_use]
    pub fn new(catalog: Arc<dyn Catalog>, registry: Arc<MemoryRegistry>) -> Self {
        Self { catalog, registry }
    }

    /// Follows until `stop` is cancelled. While the catalog is away, the registry keeps what it knows.
    pub fn start(
        catalog: Arc<dyn Catalog>,
        registry: Arc<MemoryRegistry>,
        runtime: &Handle,
        stop: CancellationToken,
    ) -> JoinHandle<()> {
        let follower = Self::new(catalog, registry);
        runtime.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = follower.run() => {}
            }
        })
    }

    /// Follows for as long as it is polled. While the catalog is away, the registry keeps what it knows.
    pub async fn run(&self) {
        let mut failures = 0_u32;
        loop {
            match self.catch_up().await {
                Ok(()) => {
                    if failures > 0 {
                        tracing::info!(failures, "the catalog answers again");
                    }
                    failures = 0;
                }
                Err(error) => {
                    metrics::ENGINE_ERRORS.of(&[("port", "catalog")]).increment(1);
                    if failures == 0 {
                        tracing::warn!(%error, "the catalog cannot be followed; the last known copy rules");
                    }
                    failures = failures.saturating_add(1);
                }
            }
            sleep(POLL.saturating_mul(1 << failures.min(5)).min(BACKOFF)).await;
        }
    }

    /// Reads what is new. An empty catalog is complete as well.
    pub(in crate::registry) async fn catch_up(&self) -> Result<(), FollowError> {
        let newest = timeout(CALL_TIMEOUT, self.catalog.version()).await??;
        if self.registry.is_complete() && newest == self.registry.version() {
            return Ok(());
        }
        loop {
            let known = self.registry.version();
            let page = timeout(CALL_TIMEOUT, self.catalog.changes(known, PAGE)).await??;
            let (all, last) = (page.len() < PAGE, page.last().map_or(known, |entry| entry.version()));
            self.registry.apply(page, all, last);
            if all {
                return Ok(());
            }
        }
    }
}
