//! The ledger and the outbox in PostgreSQL keep every guarantee.

use std::sync::Arc;

use naru_shared::{domain::ManualClock, ledger::PostgresLedger};
use naru_tests::{conformance::ledger::Engine, ledger_conformance};

use crate::postgres::{database, runtime};

pub(crate) async fn postgres(clock: Arc<ManualClock>) -> anyhow::Result<Engine> {
    let settings = database().await?;
    let ledger = Arc::new(PostgresLedger::open("test", &settings, runtime(), clock)?);
    Ok(Engine {
        ledger: ledger.clone(),
        reads: ledger.clone(),
        desk: ledger.clone(),
        outbox: ledger,
        keep: Box::new(()),
    })
}

ledger_conformance!(postgres);
