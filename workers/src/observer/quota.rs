//! Tells ingress of limits that are nearly used up: units may have been released since.

use std::sync::Arc;

use naru_shared::{
    catalog::Entry,
    domain::{Day, Quota},
    ledger::{LedgerError, QuotaUse},
};

use crate::{crew::Crew, patience};

/// Limits in one turn.
const LIMITS: usize = 500;

/// Limits that were set since the last look. Until somebody says what is used of a new one, the gate takes it for unused.
#[derive(Default)]
pub(super) struct News {
    /// Up to which version of the catalog they were looked at.
    known: Option<u64>,
}

impl News {
    /// Tells the gate what is used of limits that were just set; of those from before this process, intake tells.
    pub(super) async fn tell(&mut self, crew: &Crew) -> Result<(), LedgerError> {
        let version = crew.deps.registry.version();
        let known = *self.known.get_or_insert(version);
        if version <= known {
            return Ok(());
        }
        let changes = match crew.deps.catalog.changes(known, LIMITS).await {
            Ok(changes) => changes,
            Err(error) => {
                tracing::debug!(%error, "whether limits were set is asked again");
                return Ok(());
            }
        };
        let mut used = Vec::new();
        for entry in &changes {
            let Entry::Quota(quota) = entry else { continue };
            if quota.ended {
                continue;
            }
            used.extend(use_of(crew, quota).await?);
        }
        if !used.is_empty()
            && let Err(error) = crew.deps.gate.observe_quota(&used).await
        {
            tracing::debug!(%error, "the gate was not told of limits that were set; it is told again");
            return Ok(());
        }
        let all = changes.len() < LIMITS;
        self.known = Some(changes.last().map_or(version, |last| if all { version } else { last.version() }));
        Ok(())
    }
}

/// What is used of a limit today; nothing if its customer is not known here.
async fn use_of(crew: &Crew, quota: &Quota) -> Result<Option<QuotaUse>, LedgerError> {
    let Ok(Some(profile)) = crew.deps.registry.profile(&quota.customer).await else { return Ok(None) };
    let day = Day::of(crew.now(), &profile.customer.time_zone);
    let units = patience::ledger(crew.deps.reads.used(quota, day)).await?;
    let quota = Arc::new(quota.clone());
    crew.watch_limit(Arc::clone(&quota), day, units);
    Ok(Some(QuotaUse { quota, day, seen: 0, used: units }))
}

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
