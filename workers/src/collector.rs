//! The collector: takes back the reports that come by themselves, and writes them into the ledger.
//!
//! What the ledger has is said to be kept afterwards, so that a report is read again rather than lost; the ledger makes no second
//! revision of what it knows.

use std::{sync::Arc, time::Instant};

use futures_util::FutureExt;
use naru_shared::{
    ledger::{Settled, Settlement},
    metrics,
};

use crate::{
    backend::{Report, Reports},
    courier::Desk,
    crew::Crew,
    outcome,
    patience::{Backoff, rest},
    shell::{Progress, Routine},
};

/// The part of the time that looking in vain may take at the most.
const PART: u32 = 10;

/// The actor of a route's collector.
pub(crate) fn routine(crew: &Arc<Crew>, desk: &Arc<Desk>) -> Routine {
    let (working, collecting) = (Arc::clone(crew), Arc::clone(desk));
    Routine {
        name: "collector",
        of: desk.name.to_string(),
        run: Box::new(move |progress| run(Arc::clone(&working), Arc::clone(&collecting), progress).boxed()),
        watch: Box::new(|| ()),
        stuck: crew.config.stuck(),
        stop: crew.end.clone(),
    }
}

async fn run(crew: Arc<Crew>, desk: Arc<Desk>, progress: Progress) {
    let mut backoff = Backoff::default();
    while !crew.end.is_cancelled() {
        progress.mark();
        let plan = desk.plan();
        let begun = Instant::now();
        let Some(reports) = plan.backend.as_ref().and_then(|backend| backend.reports()) else {
            rest(crew.config.poll(), &crew.end).await;
            continue;
        };
        match collect(&crew, reports).await {
            Ok(0) => {
                backoff.reset();
                rest(crew.config.poll().max(begun.elapsed() * PART), &crew.end).await;
            }
            Ok(_) => backoff.reset(),
            Err(error) => {
                if backoff.is_news() {
                    tracing::warn!(route = %desk.name, %error, "reports wait in the table");
                }
                backoff.pause(&crew.end).await;
            }
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Takes what came; how many.
async fn collect(crew: &Crew, source: &dyn Reports) -> Result<usize, Failure> {
    let reports = source.take().await?;
    if reports.is_empty() {
        return Ok(0);
    }
    let settlements = reports.iter().map(|report: &Report| Settlement {
        row: report.row,
        attempt: report.attempt,
        next: report.next.clone(),
    });
    let settlements: Vec<Settlement> = settlements.collect();
    let mut settled = Vec::with_capacity(settlements.len());
    for group in settlements.chunks(crew.config.settle_group.max(1)) {
        settled.extend(outcome::settle(crew, group).await?);
    }
    outcome::count(&settled);
    let unknown = settled.iter().filter(|settled| **settled == Some(Settled::Unknown)).count();
    if unknown > 0 {
        tracing::warn!(unknown, "a table tells of messages that the ledger does not know");
    }
    let count = reports.len();
    metrics::REPORTS_COLLECTED.of(&[]).increment(u64::try_from(count).unwrap_or(u64::MAX));
    source.kept(reports).await?;
    Ok(count)
}
