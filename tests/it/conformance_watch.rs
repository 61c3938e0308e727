//! The watch in both ledgers keeps every guarantee.

use std::sync::Arc;

use naru_shared::{
    domain::{ManualClock, Timestamp},
    ledger::SqliteLedger,
    watch::Watch,
};
use naru_tests::conformance::{
    ledger::{Bed, Engine},
    watch::Fixture,
};

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)))
}

struct Sqlite {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    ledger: Arc<SqliteLedger>,
    bed: Bed,
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
        let engine = Engine {
            ledger: ledger.clone(),
            reads: ledger.clone(),
            desk: ledger.clone(),
            opt_outs: ledger.clone(),
            mends: ledger.clone(),
            outbox: ledger.clone(),
            keep: Box::new(()),
        };
        let bed = Bed::over(engine, Arc::clone(&clock));
        Ok(Self { dir, clock, ledger, bed })
    }

    fn watch(&self) -> Arc<dyn Watch> {
        Arc::<SqliteLedger>::clone(&self.ledger)
    }

    async fn other(&self) -> anyhow::Result<Arc<dyn Watch>> {
        Ok(Self::open(&self.dir, &self.clock)?)
    }

    fn bed(&self) -> &Bed {
        &self.bed
    }
}

naru_tests::watch_conformance!(Sqlite);

mod postgres {
    use std::sync::Arc;

    use naru_shared::{
        domain::ManualClock, ledger::PostgresLedger, postgres::PostgresSettings, watch::Watch,
    };
    use naru_tests::conformance::{
        ledger::{Bed, Engine},
        watch::Fixture,
    };

    use super::clock;
    use crate::postgres::{database, runtime};

    struct Postgres {
        settings: PostgresSettings,
        clock: Arc<ManualClock>,
        ledger: Arc<PostgresLedger>,
        bed: Bed,
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
            let engine = Engine {
                ledger: ledger.clone(),
                reads: ledger.clone(),
                desk: ledger.clone(),
                opt_outs: ledger.clone(),
                mends: ledger.clone(),
                outbox: ledger.clone(),
                keep: Box::new(()),
            };
            let bed = Bed::over(engine, Arc::clone(&clock));
            Ok(Self { settings, clock, ledger, bed })
        }

        fn watch(&self) -> Arc<dyn Watch> {
            Arc::<PostgresLedger>::clone(&self.ledger)
        }

        async fn other(&self) -> anyhow::Result<Arc<dyn Watch>> {
            Ok(open(&self.settings, &self.clock)?)
        }

        fn bed(&self) -> &Bed {
            &self.bed
        }
    }

    naru_tests::watch_conformance!(Postgres);
}
