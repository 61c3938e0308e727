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

use crate::stage::beside_others;

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
    let _beside = beside_others();
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
        command
            .put(vec![Entry::Subscription(Subscription { name, ended: false, outside: false, version: 0 })])
            .await?;
        tokio::time::timeout(second, registry.changed(seen)).await?;
        assert!(registry.has_subscribers());
    }
    stop.cancel();
    tokio::time::timeout(second, following).await??;
    Ok(())
}

/// Through Redis: what is applied is projected there, and read from there.
mod redis {
    use std::{
        sync::Arc,
        time::{Duration, Instant},
    };

    use naru_shared::{
        catalog::{Catalog, Entry, SqliteCatalog, Subscription},
        registry::{MemoryRegistry, Projection, Projector, Reader, Registry, open_redis},
    };
    use naru_tests::{
        conformance::registry::Fixture,
        engines::{Redis, shared_redis, until},
    };
    use tempfile::TempDir;
    use tokio::task::JoinHandle;

    const PATIENCE: Duration = Duration::from_secs(5);

    struct Copy {
        projection: Arc<Projection>,
        registry: Arc<MemoryRegistry>,
        reader: Reader,
        keeping: JoinHandle<()>,
        _dir: TempDir,
    }

    async fn kept(projection: Projection) -> anyhow::Result<(Arc<Projection>, JoinHandle<()>)> {
        let projection = Arc::new(projection);
        let kept = Arc::clone(&projection);
        let keeping = tokio::spawn(async move { kept.keep().await });
        until(|| projection.is_up()).await?;
        Ok((projection, keeping))
    }

    fn catalog() -> anyhow::Result<(Arc<dyn Catalog>, TempDir)> {
        let dir = tempfile::tempdir()?;
        Ok((Arc::new(SqliteCatalog::open(&dir.path().join("catalog.db"))?), dir))
    }

    fn subscription(name: &str) -> anyhow::Result<Entry> {
        Ok(Entry::Subscription(Subscription {
            name: name.parse()?,
            ended: false,
            outside: false,
            version: 0,
        }))
    }

    impl Fixture for Copy {
        async fn fresh() -> anyhow::Result<Self> {
            let (projection, keeping) = kept(Projection::new(&shared_redis()?.settings(PATIENCE))?).await?;
            let (catalog, _dir) = catalog()?;
            let registry = MemoryRegistry::new();
            let reader = Reader::new(Arc::clone(&projection), catalog, Arc::clone(&registry));
            Ok(Self { projection, registry, reader, keeping, _dir })
        }

        fn registry(&self) -> Arc<dyn Registry> {
            Arc::<MemoryRegistry>::clone(&self.registry)
        }

        async fn apply(&self, entries: Vec<Entry>, complete: bool, version: u64) -> anyhow::Result<()> {
            let turn = self.projection.turn().await?;
            let (epoch, _) = turn.ok_or_else(|| anyhow::anyhow!("somebody else projects here"))?;
            self.projection.write(&entries).await?;
            if complete {
                self.projection.complete(&epoch, version).await?;
            }
            self.reader.refresh().await?;
            Ok(())
        }
    }

    impl Drop for Copy {
        fn drop(&mut self) {
            self.keeping.abort();
        }
    }

    naru_tests::registry_conformance!(Copy);

    #[tokio::test(flavor = "multi_thread")]
    async fn a_change_is_in_force_within_a_second_in_every_process() -> anyhow::Result<()> {
        let _beside = crate::stage::beside_others();
        let settings = shared_redis()?.settings(PATIENCE);
        let (catalog, _dir) = catalog()?;
        let (first, filling) = open_redis(&settings, &catalog)?;
        let (second, also) = open_redis(&settings, &catalog)?;
        let tasks = [tokio::spawn(filling), tokio::spawn(also)];
        until(|| first.is_complete() && second.is_complete()).await?;
        for round in 0..5 {
            let seen = catalog.put(vec![subscription(&format!("s{round}"))?]).await?;
            let put = Instant::now();
            until(|| first.version() == seen && second.version() == seen).await?;
            assert!(put.elapsed() < Duration::from_secs(1), "{:?}", put.elapsed());
        }
        assert!(first.has_subscribers() && second.has_subscribers());
        tasks.iter().for_each(JoinHandle::abort);
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_late_projector_undoes_nothing_that_a_newer_one_wrote() -> anyhow::Result<()> {
        let _beside = crate::stage::beside_others();
        let settings = shared_redis()?.settings(PATIENCE);
        let (projection, keeping) = kept(Projection::new(&settings)?).await?;
        let ended = |ended, version| {
            anyhow::Ok(Entry::Subscription(Subscription {
                name: "s".parse()?,
                ended,
                outside: false,
                version,
            }))
        };
        projection.write(&[ended(true, 9)?]).await?;
        projection.write(&[ended(false, 3)?]).await?;
        let (entries, last) = projection.changes(0).await?;
        assert_eq!((entries, last), (vec![ended(true, 9)?], 9));
        keeping.abort();
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_emptied_redis_is_incomplete_until_everything_is_there_again() -> anyhow::Result<()> {
        let _beside = crate::stage::beside_others();
        let redis = Redis::start()?;
        let settings = redis.settings(PATIENCE);
        let (projection, keeping) = kept(Projection::new(&settings)?).await?;
        let (catalog, _dir) = catalog()?;
        let newest =
            catalog.put((0..20).map(|n| subscription(&format!("s{n}"))).collect::<Result<_, _>>()?).await?;
        let projector = Projector::new(Arc::clone(&projection), Arc::clone(&catalog));
        let projecting = tokio::spawn(async move { projector.run().await });
        let head = async || anyhow::Ok(projection.look().await?.1.map(|head| (head.version, head.documents)));
        while head().await? != Some((newest, 20)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (epoch, _) = projection.look().await?;
        projecting.abort();
        redis.flush_all()?;
        assert_eq!(projection.look().await?, (None, None));
        // Whoever wrote before it was emptied must not say that everything is there.
        let epoch = epoch.ok_or_else(|| anyhow::anyhow!("there was an epoch"))?;
        assert!(projection.complete(&epoch, newest).await.is_err());
        let registry = MemoryRegistry::new();
        let reader = Reader::new(Arc::clone(&projection), Arc::clone(&catalog), Arc::clone(&registry));
        assert!(!reader.refresh().await? && !registry.is_complete());
        let projector = Projector::new(Arc::clone(&projection), Arc::clone(&catalog));
        let projecting = tokio::spawn(async move { projector.run().await });
        until_refreshed(&reader).await?;
        assert!(registry.is_complete());
        assert_eq!((head().await?, registry.version()), (Some((newest, 20)), newest));
        projecting.abort();
        keeping.abort();
        Ok(())
    }

    async fn until_refreshed(reader: &Reader) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !reader.refresh().await? {
            anyhow::ensure!(Instant::now() < deadline, "it was not complete within ten seconds");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn without_redis_the_catalog_is_followed_and_with_it_again_nothing_is_lost() -> anyhow::Result<()> {
        let _beside = crate::stage::beside_others();
        let mut redis = Redis::start()?;
        let settings = redis.settings(PATIENCE);
        redis.stop(naru_tests::engines::Stop::Kill)?;
        let (catalog, _dir) = catalog()?;
        let first = catalog.put(vec![subscription("first")?]).await?;
        let (registry, filling) = open_redis(&settings, &catalog)?;
        let task = tokio::spawn(filling);
        until(|| registry.is_complete() && registry.version() == first).await?;
        // Away as well: within a minute; seconds, in truth.
        let second = catalog.put(vec![subscription("second")?]).await?;
        until(|| registry.version() == second).await?;
        redis.begin()?;
        let third = catalog.put(vec![subscription("third")?]).await?;
        until(|| registry.version() == third).await?;
        redis.freeze()?;
        let fourth = catalog.put(vec![subscription("fourth")?]).await?;
        let frozen = Instant::now();
        while registry.version() != fourth {
            assert!(frozen.elapsed() < Duration::from_secs(60), "a revocation must hold within a minute");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        redis.thaw()?;
        task.abort();
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_projection_that_lacks_a_document_is_not_believed() -> anyhow::Result<()> {
        let _beside = crate::stage::beside_others();
        let settings = shared_redis()?.settings(PATIENCE);
        let (projection, keeping) = kept(Projection::new(&settings)?).await?;
        let (catalog, _dir) = catalog()?;
        let (epoch, _) = projection.turn().await?.ok_or_else(|| anyhow::anyhow!("it is nobody's turn"))?;
        projection.write(&[subscription("a")?.at_version(1), subscription("b")?.at_version(2)]).await?;
        projection.complete(&epoch, 2).await?;
        let mut connection = settings.client()?.get_multiplexed_async_connection().await?;
        let place = format!("{}:{{registry}}:shared", settings.prefix);
        let gone: u32 =
            redis::cmd("HDEL").arg(place).arg("subscription/a").query_async(&mut connection).await?;
        assert_eq!(gone, 1);
        let registry = MemoryRegistry::new();
        let reader = Reader::new(projection, catalog, Arc::clone(&registry));
        assert!(reader.refresh().await.is_err());
        assert!(!registry.is_complete());
        keeping.abort();
        Ok(())
    }
}
