//! The catalog in PostgreSQL keeps every guarantee.

use std::sync::Arc;

use naru_shared::{
    catalog::{Catalog, PostgresCatalog},
    postgres::PostgresSettings,
};
use naru_tests::conformance::catalog::Fixture;

use crate::postgres::{database, runtime};

struct Postgres {
    settings: PostgresSettings,
    catalog: Arc<PostgresCatalog>,
}

fn open(settings: &PostgresSettings) -> anyhow::Result<Arc<PostgresCatalog>> {
    Ok(Arc::new(PostgresCatalog::open("test", settings, runtime())?))
}

impl Fixture for Postgres {
    async fn fresh() -> anyhow::Result<Self> {
        let settings = database().await?;
        let catalog = open(&settings)?;
        Ok(Self { settings, catalog })
    }

    fn catalog(&self) -> Arc<dyn Catalog> {
        Arc::<PostgresCatalog>::clone(&self.catalog)
    }

    async fn other(&self) -> anyhow::Result<Arc<dyn Catalog>> {
        Ok(open(&self.settings)?)
    }

    async fn restart(&mut self) -> anyhow::Result<()> {
        self.catalog = open(&self.settings)?;
        Ok(())
    }
}

naru_tests::catalog_conformance!(Postgres);

/// What fronts tell lies beside it.
mod presence {
    use std::sync::Arc;

    use naru_shared::presence::Presence;
    use naru_tests::conformance::{catalog::Fixture as _, presence::Fixture};

    struct Beside(super::Postgres);

    impl Fixture for Beside {
        async fn fresh() -> anyhow::Result<Self> {
            Ok(Self(super::Postgres::fresh().await?))
        }

        fn presence(&self) -> Arc<dyn Presence> {
            self.0.catalog.clone()
        }
    }

    naru_tests::presence_conformance!(Beside);
}
