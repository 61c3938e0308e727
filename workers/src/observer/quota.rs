//! Tells ingress of limits that are nearly used up: units may have been released since.

use std::sync::Arc;

use naru_shared::ledger::{LedgerError, QuotaUse};

use crate::{crew::Crew, patience};

/// Limits in one turn.
const LIMITS: usize = 500;

pub(super) async fn observe(crew: &Crew) -> Result<(), LedgerError> {
    let mut used = Vec::new();
    for (quota, day) in crew.watched_limits(LIMITS) {
        let units = patience::ledger(crew.deps.reads.used(&quota, day)).await?;
        crew.watch_limit(Arc::clone(&quota), day, units);
        used.push(QuotaUse { quota, day, seen: 0, used: units });
    }
    if !used.is_empty()
        && let Err(error) = crew.deps.gate.observe_quota(&used).await
    {
        tracing::debug!(%error, "the gate was not told of released units; it is told again with the next turn");
    }
    Ok(())
}

/// Tells ingress what intake saw.
pub(super) async fn tell(crew: &Crew) {
    let used = crew.take_used();
    if !used.is_empty()
        && let Err(error) = crew.deps.gate.observe_quota(&used).await
    {
        tracing::debug!(%error, "the gate was not told what is used; the ledger decides all the same");
    }
}
