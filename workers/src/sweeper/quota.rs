//! Tells ingress of limits that were used up: units may have been released since.

use naru_shared::ledger::{LedgerError, QuotaUse};

use crate::{crew::Crew, patience};

pub(super) async fn observe(crew: &Crew) -> Result<(), LedgerError> {
    let watched = crew.take_watched_limits();
    let mut used = Vec::with_capacity(watched.len());
    let mut failed = Ok(());
    for (quota, day) in watched {
        if failed.is_err() {
            crew.watch_limit(quota, day);
            continue;
        }
        match patience::ledger(crew.deps.reads.used(&quota, day)).await {
            Ok(units) => {
                if units >= quota.limit {
                    crew.watch_limit(quota.clone(), day);
                }
                used.push(QuotaUse { quota, day, seen: 0, used: units });
            }
            Err(error) => {
                crew.watch_limit(quota, day);
                failed = Err(error);
            }
        }
    }
    if !used.is_empty()
        && let Err(error) = crew.deps.gate.observe_quota(&used).await
    {
        tracing::warn!(%error, "the gate was not told of released units; it is told again with the next intake");
    }
    failed
}
