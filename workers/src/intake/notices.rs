//! What providers tell, from the queue into the ledger: whom a notice speaks of is settled by it; of whom nothing is known yet, it is kept
//! for a while, since a report may come before the answer that names its message was committed.

use naru_shared::{
    domain::{Notice, NoticePack, RouteName, kinds},
    ledger::{LedgerError, ParkedNotice, Settlement, SpokenOf},
    metrics,
};
use serde_json::json;

use super::record::Stopped;
use crate::{
    crew::Crew,
    herald::Sign,
    outcome,
    patience::{self, Backoff},
    shell::Progress,
};

/// What became of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The ledger has it.
    Matched,
    /// Nothing is known of its message.
    Unknown,
}

/// Takes in what providers told, however long the ledger is away. Everything here may be done twice.
pub(super) async fn take_in(crew: &Crew, packs: Vec<NoticePack>, progress: &Progress) -> Result<(), Stopped> {
    let mut backoff = Backoff::default();
    for pack in &packs {
        loop {
            progress.mark();
            match take_one(crew, pack).await {
                Ok(()) => break,
                Err(error) => {
                    if backoff.is_news() {
                        tracing::warn!(%error, route = %pack.route, "reports of a provider wait for the ledger");
                    }
                    backoff.pause(&crew.stop).await;
                }
            }
            if crew.stop.is_cancelled() {
                return Err(Stopped);
            }
        }
        backoff.reset();
    }
    Ok(())
}

async fn take_one(crew: &Crew, pack: &NoticePack) -> Result<(), LedgerError> {
    let NoticePack { route, notices } = pack;
    let fates = apply(crew, route, notices).await?;
    let now = crew.now();
    let until = now.plus(crew.config.early_report());
    let early =
        notices.iter().zip(&fates).filter(|(_, fate)| **fate == Fate::Unknown).map(|(notice, _)| {
            ParkedNotice { route: route.clone(), notice: notice.clone(), since: now, until }
        });
    let early: Vec<ParkedNotice> = early.collect();
    count(route, "matched", notices.len() - early.len());
    if early.is_empty() {
        return Ok(());
    }
    let parking = crew.deps.ledger.park(early.clone(), now, crew.config.early_reports);
    let kept = patience::ledger(parking).await?;
    count(route, "parked", kept.iter().filter(|kept| **kept).count());
    for (parked, _) in early.iter().zip(&kept).filter(|(_, kept)| !**kept) {
        unmatched(crew, parked, "too many wait already");
    }
    Ok(())
}

/// Settles what notices of a route's provider speak of; one fate for each.
///
/// # Errors
/// If the ledger is away: the same may be done again.
pub(crate) async fn apply(
    crew: &Crew,
    route: &RouteName,
    notices: &[Notice],
) -> Result<Vec<Fate>, LedgerError> {
    let found = match patience::ledger(crew.deps.ledger.spoken_of(route, notices)).await {
        // Whatever it is that cannot be looked for, it names no message.
        Err(LedgerError::Indigestible(_)) => vec![None; notices.len()],
        found => found?,
    };
    let spoken = notices.iter().zip(&found).filter_map(|(notice, of)| of.map(|of| settlement(notice, of)));
    let settlements: Vec<Settlement> = spoken.collect();
    for group in settlements.chunks(crew.config.settle_group.max(1)) {
        outcome::count(&outcome::settle(crew, group).await?);
    }
    Ok(found.iter().map(|of| if of.is_some() { Fate::Matched } else { Fate::Unknown }).collect())
}

fn settlement(notice: &Notice, of: SpokenOf) -> Settlement {
    Settlement { row: of.row, attempt: of.attempt, next: notice.next() }
}

fn count(route: &RouteName, result: &str, times: usize) {
    if times > 0 {
        let times = u64::try_from(times).unwrap_or(u64::MAX);
        metrics::NOTICES.of(&[("route", route.as_str()), ("result", result)]).increment(times);
    }
}

/// A notice that belongs to nothing that is known.
pub(crate) fn unmatched(crew: &Crew, parked: &ParkedNotice, why: &'static str) {
    let ParkedNotice { route, notice, .. } = parked;
    count(route, "unmatched", 1);
    let backend_id = notice.backend_id.as_deref();
    let message = notice.message.map(|id| id.to_string());
    tracing::warn!(%route, backend_id, message, why, "a provider reported what belongs to no message that is known");
    crew.herald.tell(Sign {
        kind: kinds::UNMATCHED,
        subject: format!("route/{route}"),
        data: json!({ "route": route, "backend_id": backend_id, "message": message, "said": notice.said, "why": why }),
    });
}
