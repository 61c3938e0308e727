//! The ledger and the outbox in PostgreSQL keep every guarantee.

use std::{sync::Arc, time::Duration};

use naru_shared::{
    domain::{Clock, ManualClock},
    ledger::{Keep, Ledger, PostgresLedger},
    postgres::PostgresSettings,
};
use naru_tests::{conformance::ledger::Engine, ledger_conformance};

use crate::postgres::{database, runtime};

/// Guarantees are about what a call does, not about how long a busy machine lets it wait for a connection.
async fn patient() -> anyhow::Result<PostgresSettings> {
    Ok(PostgresSettings { acquire_ms: 10_000, ..database().await? })
}

pub(crate) async fn postgres(clock: Arc<ManualClock>) -> anyhow::Result<Engine> {
    let settings = patient().await?;
    let ledger = Arc::new(PostgresLedger::open("test", &settings, runtime(), clock)?);
    Ok(Engine {
        ledger: ledger.clone(),
        reads: ledger.clone(),
        desk: ledger.clone(),
        mends: ledger.clone(),
        outbox: ledger,
        keep: Box::new(()),
    })
}

/// As [`postgres`], and while the test runs what has ended moves to the archive at once, again and again.
pub(crate) async fn tidied(clock: Arc<ManualClock>) -> anyhow::Result<Engine> {
    let settings = patient().await?;
    let shared: Arc<dyn Clock> = clock;
    let ledger = PostgresLedger::open("test", &settings, runtime(), Arc::clone(&shared))?;
    let ledger = Arc::new(ledger.archiving_after(Duration::ZERO));
    // Nothing is forgotten but by the test itself.
    let keep = Keep { horizon: Duration::MAX, texts: Duration::MAX };
    let keeper = Arc::clone(&ledger);
    let tidying = runtime().spawn(async move {
        loop {
            // An end of this very millisecond is not before it.
            let now = shared.now().plus(Duration::from_millis(1));
            if let Err(error) = keeper.forget(now, keep, 100).await {
                panic!("nothing can be moved: {error:?}");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    Ok(Engine {
        ledger: ledger.clone(),
        reads: ledger.clone(),
        desk: ledger.clone(),
        mends: ledger.clone(),
        outbox: ledger,
        keep: Box::new(Tidying(tidying)),
    })
}

struct Tidying(tokio::task::JoinHandle<()>);

impl Drop for Tidying {
    fn drop(&mut self) {
        // It ends by itself only if it could not go on.
        assert!(!self.0.is_finished() || std::thread::panicking(), "nothing was moved any more");
        self.0.abort();
    }
}

ledger_conformance!(postgres);

/// Every guarantee again, with every message that has ended in the archive.
mod archived {
    use super::tidied;

    naru_tests::ledger_conformance!(tidied);
}
