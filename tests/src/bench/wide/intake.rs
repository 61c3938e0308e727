//! The ledger's intake by itself: the port is called with groups as workers make them, so many at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::ensure;
use futures_util::future::try_join_all;
use naru_shared::{
    domain::{Clock, IncarnationId, IntakeToken, State, SystemClock},
    ledger::{IntakeBatch, IntakeVerdict, Ledger, PostgresLedger},
    postgres::PostgresSettings,
};

use super::rows::entries;

/// Messages recorded in a second.
///
/// # Errors
/// If the ledger is away, or one of them is not recorded as new.
#[expect(clippy::cast_precision_loss, reason = "a figure for people to read")]
pub fn messages_per_second(
    url: &str,
    connections: u32,
    group: u64,
    duration: Duration,
) -> anyhow::Result<f64> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let settings = PostgresSettings { connections, ..PostgresSettings::at(url) };
        let ledger = PostgresLedger::open("intake", &settings, runtime.handle(), Arc::new(SystemClock))?;
        let incarnation = IncarnationId::random();
        ledger.beat(incarnation).await?;
        let (next, began) = (AtomicU64::new(0), Instant::now());
        let recording = (0..connections).map(async |_| {
            while began.elapsed() < duration {
                let batch = IntakeBatch {
                    token: IntakeToken::random(),
                    incarnation,
                    now: SystemClock.now(),
                    emit: false,
                    entries: entries(next.fetch_add(group, Ordering::Relaxed), group)?,
                    quotas: Vec::new(),
                };
                let done = ledger.intake(batch).await?;
                let new = |v: &IntakeVerdict| matches!(v, IntakeVerdict::Recorded(_, State::Ready));
                ensure!(done.verdicts.iter().all(new), "not recorded: {:?}", done.verdicts);
            }
            Ok(())
        });
        try_join_all(recording).await?;
        ledger.bury(incarnation).await?;
        Ok(next.into_inner() as f64 / began.elapsed().as_secs_f64())
    })
}
