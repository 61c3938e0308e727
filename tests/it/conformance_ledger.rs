//! The ledger and the outbox in SQLite keep every guarantee.

use std::sync::Arc;

use naru_shared::{domain::ManualClock, ledger::SqliteLedger};
use naru_tests::{conformance::ledger::Engine, ledger_conformance};

pub(crate) async fn sqlite(clock: Arc<ManualClock>) -> anyhow::Result<Engine> {
    let dir = tempfile::tempdir()?;
    let ledger = Arc::new(SqliteLedger::open_with_clock(&dir.path().join("ledger.db"), clock)?);
    Ok(Engine {
        ledger: ledger.clone(),
        reads: ledger.clone(),
        desk: ledger.clone(),
        mends: ledger.clone(),
        outbox: ledger,
        keep: Box::new(dir),
    })
}

ledger_conformance!(sqlite);
