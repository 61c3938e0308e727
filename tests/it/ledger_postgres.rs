//! What only a ledger that many processes share must show.

mod archive;
mod faults;
mod plans;
mod rollout;
mod server;
mod sharing;
mod tls;

use std::{sync::Arc, time::Duration};

use naru_shared::{
    domain::{Clock, ManualClock},
    ledger::{Keep, PostgresLedger},
    postgres::PostgresSettings,
};
use naru_tests::conformance::ledger::{Bed, Engine, Step};

use crate::postgres::runtime;

/// The faces of a ledger that is open already.
fn faces(ledger: &Arc<PostgresLedger>) -> Engine {
    Engine {
        ledger: Arc::<PostgresLedger>::clone(ledger),
        reads: Arc::<PostgresLedger>::clone(ledger),
        desk: Arc::<PostgresLedger>::clone(ledger),
        mends: Arc::<PostgresLedger>::clone(ledger),
        outbox: Arc::<PostgresLedger>::clone(ledger),
        keep: Box::new(()),
    }
}

fn open(settings: &PostgresSettings, clock: Arc<dyn Clock>) -> anyhow::Result<Arc<PostgresLedger>> {
    Ok(Arc::new(PostgresLedger::open("test", settings, runtime(), clock)?))
}

/// Runs a test with a bed over a fresh database, the ledger itself and its settings.
async fn with_bed(
    test: impl for<'a> FnOnce(&'a Bed, Arc<PostgresLedger>, PostgresSettings) -> Step<'a, ()>,
) -> anyhow::Result<()> {
    let settings = crate::postgres::database().await?;
    let slot = Arc::new(std::sync::OnceLock::new());
    let (filled, given) = (Arc::clone(&slot), settings.clone());
    let start = move |clock: Arc<ManualClock>| -> Step<'static, Engine> {
        Box::pin(async move {
            let ledger = open(&given, clock)?;
            let faces = faces(&ledger);
            drop(filled.set(ledger));
            Ok(faces)
        })
    };
    Bed::run(start, |bed| {
        let ledger = Arc::clone(slot.get().expect("it was opened"));
        test(bed, ledger, settings)
    })
    .await
}

/// How long things are kept in these tests.
const KEEP: Keep = Keep { horizon: DAY.saturating_mul(60), texts: DAY.saturating_mul(30) };

/// Lets go of what is old enough until there is nothing left to do.
async fn tidy(bed: &Bed) -> anyhow::Result<()> {
    while bed.engine.ledger.forget(bed.now(), KEEP, 100).await?.more {}
    Ok(())
}

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
