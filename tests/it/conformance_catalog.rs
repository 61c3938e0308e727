//! The catalogs that are built in.

use std::sync::Arc;

use naru_shared::catalog::{Catalog, SqliteCatalog};
use naru_tests::conformance::catalog::Fixture;

struct Sqlite {
    dir: tempfile::TempDir,
    catalog: Arc<SqliteCatalog>,
}

impl Sqlite {
    fn open(dir: &tempfile::TempDir) -> anyhow::Result<Arc<SqliteCatalog>> {
        Ok(Arc::new(SqliteCatalog::open(&dir.path().join("catalog.db"))?))
    }
}

impl Fixture for Sqlite {
    async fn fresh() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let catalog = Self::open(&dir)?;
        Ok(Self { dir, catalog })
    }

    fn catalog(&self) -> Arc<dyn Catalog> {
        Arc::<SqliteCatalog>::clone(&self.catalog)
    }

    async fn other(&self) -> anyhow::Result<Arc<dyn Catalog>> {
        // Connections of their own: to SQLite it is another process but for the shared page cache, which is off.
        Ok(Self::open(&self.dir)?)
    }

    async fn restart(&mut self) -> anyhow::Result<()> {
        self.catalog = Self::open(&self.dir)?;
        Ok(())
    }
}

naru_tests::catalog_conformance!(Sqlite);

/// What fronts tell lies beside it.
mod presence {
    use std::sync::Arc;

    use naru_shared::presence::Presence;
    use naru_tests::conformance::{catalog::Fixture as _, presence::Fixture};

    struct Beside(super::Sqlite);

    impl Fixture for Beside {
        async fn fresh() -> anyhow::Result<Self> {
            Ok(Self(super::Sqlite::fresh().await?))
        }

        fn presence(&self) -> Arc<dyn Presence> {
            self.0.catalog.clone()
        }
    }

    naru_tests::presence_conformance!(Beside);
}
