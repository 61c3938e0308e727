//! The callbacks in both ledgers keep every guarantee.

use std::sync::Arc;

use naru_shared::{
    callbacks::Callbacks,
    domain::{ManualClock, Timestamp},
    ledger::SqliteLedger,
};
use naru_tests::conformance::callbacks::Fixture;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)))
}

struct Sqlite {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    ledger: Arc<SqliteLedger>,
}

impl Sqlite {
    fn open(dir: &tempfile::TempDir, clock: &Arc<ManualClock>) -> anyhow::Result<Arc<SqliteLedger>> {
        let clock = Arc::<ManualClock>::clone(clock);
        Ok(Arc::new(SqliteLedger::open_with_clock(&dir.path().join("ledger.db"), clock)?))
    }
}

impl Fixture for Sqlite {
    async fn fresh() -> anyhow::Result<Self> {
        let (dir, clock) = (tempfile::tempdir()?, clock());
        let ledger = Self::open(&dir, &clock)?;
        Ok(Self { dir, clock, ledger })
    }

    fn callbacks(&self) -> Arc<dyn Callbacks> {
        Arc::<SqliteLedger>::clone(&self.ledger)
    }

    async fn other(&self) -> anyhow::Result<Arc<dyn Callbacks>> {
        Ok(Self::open(&self.dir, &self.clock)?)
    }

    fn clock(&self) -> Arc<ManualClock> {
        Arc::clone(&self.clock)
    }
}

naru_tests::callbacks_conformance!(Sqlite);

mod postgres {
    use std::sync::Arc;

    use naru_shared::{
        callbacks::Callbacks, domain::ManualClock, ledger::PostgresLedger, postgres::PostgresSettings,
    };
    use naru_tests::conformance::callbacks::Fixture;

    use super::clock;
    use crate::postgres::{database, runtime};

    struct Postgres {
        settings: PostgresSettings,
        clock: Arc<ManualClock>,
        ledger: Arc<PostgresLedger>,
    }

    fn open(settings: &PostgresSettings, clock: &Arc<ManualClock>) -> anyhow::Result<Arc<PostgresLedger>> {
        let clock = Arc::<ManualClock>::clone(clock);
        Ok(Arc::new(PostgresLedger::open("test", settings, runtime(), clock)?))
    }

    impl Fixture for Postgres {
        async fn fresh() -> anyhow::Result<Self> {
            // Guarantees are not about how long a busy machine lets a call wait for a connection.
            let settings = PostgresSettings { acquire_ms: 10_000, ..database().await? };
            let clock = clock();
            let ledger = open(&settings, &clock)?;
            Ok(Self { settings, clock, ledger })
        }

        fn callbacks(&self) -> Arc<dyn Callbacks> {
            Arc::<PostgresLedger>::clone(&self.ledger)
        }

        async fn other(&self) -> anyhow::Result<Arc<dyn Callbacks>> {
            Ok(open(&self.settings, &self.clock)?)
        }

        fn clock(&self) -> Arc<ManualClock> {
            Arc::clone(&self.clock)
        }
    }

    naru_tests::callbacks_conformance!(Postgres);
}
