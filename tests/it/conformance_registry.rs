//! The registries that are built in, and their follower.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use naru_shared::{
    catalog::{Catalog, Entry, SqliteCatalog, Subscription},
    registry::{Follower, MemoryRegistry, Registry},
};
use naru_tests::conformance::registry::Fixture;
use tokio_util::sync::CancellationToken;

struct Memory(Arc<MemoryRegistry>);

impl Fixture for Memory {
    async fn fresh() -> anyhow::Result<Self> {
        Ok(Self(MemoryRegistry::new()))
    }

    fn registry(&self) -> Arc<dyn Registry> {
        Arc::<MemoryRegistry>::clone(&self.0)
    }

    async fn apply(&self, entries: Vec<Entry>, complete: bool, version: u64) -> anyhow::Result<()> {
        self.0.apply(entries, complete, version);
        Ok(())
    }
}

naru_tests::registry_conformance!(Memory);

#[tokio::test(flavor = "multi_thread")]
async fn a_change_in_the_catalog_is_in_force_within_a_second() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("catalog.db");
    let (catalog, command) = (Arc::new(SqliteCatalog::open(&path)?), SqliteCatalog::open(&path)?);
    let (registry, stop) = (MemoryRegistry::new(), CancellationToken::new());
    let runtime = tokio::runtime::Handle::current();
    let following = Follower::start(catalog, Arc::clone(&registry), &runtime, stop.clone());
    let second = Duration::from_secs(1);
    let begun = Instant::now();
    while !registry.is_complete() {
        assert!(begun.elapsed() < second, "an empty catalog is complete");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for round in 0..3 {
        let seen = registry.version();
        let name = format!("s{round}").parse()?;
        command.put(vec![Entry::Subscription(Subscription { name, ended: false, version: 0 })]).await?;
        tokio::time::timeout(second, registry.changed(seen)).await?;
        assert!(registry.has_subscribers());
    }
    stop.cancel();
    tokio::time::timeout(second, following).await??;
    Ok(())
}
