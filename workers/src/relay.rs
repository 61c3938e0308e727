//! Publishes what the outbox holds: claimed by lease, published, deleted.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use naru_shared::{
    catalog::{Entry, Kind},
    causes::Causes,
    metrics,
    outbox::OutboxRow,
};

use crate::{
    crew::Crew,
    patience::{self, Backoff},
    shell::{Progress, Routine},
};

/// How long a claim lasts; publishing is bounded well below.
const LEASE: Duration = Duration::from_secs(30);

/// The longest wait for the topic's answer.
const ANSWER: Duration = Duration::from_secs(20);

/// The longest wait of an idle relay.
const IDLE: Duration = Duration::from_secs(5);

/// Subscriptions read from the catalog at once.
const PAGE: usize = 100;

/// The actor of the relay.
pub(crate) fn routine(crew: &Arc<Crew>) -> Routine {
    let relaying = Arc::clone(crew);
    Routine {
        name: "relay",
        of: String::new(),
        run: Box::new(move |progress| run(Arc::clone(&relaying), progress).boxed()),
        watch: Box::new(|| ()),
        stuck: crew.config.stuck(),
        stop: crew.end.clone(),
    }
}

/// Why a round of the relay ended early.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Ledger(#[from] naru_shared::ledger::LedgerError),
    #[error(transparent)]
    Topic(#[from] naru_shared::topic::TopicError),
    #[error(transparent)]
    Catalog(#[from] naru_shared::catalog::CatalogError),
    #[error("{0} events were not taken by the topic")]
    Refused(usize, #[source] Option<naru_shared::topic::TopicError>),
    #[error("the topic did not answer in time")]
    Silent,
}

async fn run(crew: Arc<Crew>, progress: Progress) {
    let mut known = None;
    let mut backoff = Backoff::default();
    while !crew.end.is_cancelled() {
        progress.mark();
        match round(&crew, &mut known).await {
            Ok(true) => backoff.reset(),
            Ok(false) => {
                backoff.reset();
                tokio::select! {
                    () = crew.end.cancelled() => {}
                    () = crew.deps.outbox.await_events(IDLE) => {}
                    () = crew.deps.registry.changed(known.unwrap_or_default()) => {}
                }
            }
            Err(error) => {
                metrics::ENGINE_ERRORS.of(&[("port", "topic")]).increment(1);
                if backoff.is_news() {
                    tracing::warn!(error = %Causes(&error), "events wait");
                }
                backoff.pause(&crew.end).await;
            }
        }
    }
}

/// Publishes one group; whether there may be more.
async fn round(crew: &Crew, known: &mut Option<u64>) -> Result<bool, RelayError> {
    // Subscriptions first: an event is written because somebody listens, so that somebody must have a queue for it.
    let version = crew.deps.registry.version();
    if *known != Some(version) {
        sync_subscriptions(crew).await?;
        *known = Some(version);
    }
    publish(crew).await
}

/// Publishes what there is, group after group, until nothing is left.
pub(crate) async fn flush(crew: &Crew) {
    // As in every round: what is published for somebody without a queue yet would be lost to them.
    if let Err(error) = sync_subscriptions(crew).await {
        tracing::warn!(error = %Causes(&error), "events stay in the outbox until the next start");
        return;
    }
    loop {
        match publish(crew).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(error = %Causes(&error), "events stay in the outbox until the next start");
                return;
            }
        }
    }
}

async fn publish(crew: &Crew) -> Result<bool, RelayError> {
    let max = crew.config.relay_group.max(1);
    let claimed = patience::ledger(crew.deps.outbox.claim(max, LEASE)).await?;
    if claimed.is_empty() {
        return Ok(false);
    }
    let full = claimed.len() == max;
    let (rows, events): (Vec<i64>, Vec<_>) =
        claimed.into_iter().map(|OutboxRow { row, event }| (row, event)).unzip();
    let results = tokio::time::timeout(ANSWER, crew.deps.topic.publish(events)).await;
    let results = results.map_err(|_elapsed| RelayError::Silent)?;
    let (asked, mut why) = (rows.len(), None);
    let mut done = Vec::with_capacity(asked);
    for (row, result) in rows.into_iter().zip(results) {
        match result {
            Ok(()) => done.push(row),
            Err(error) => why = why.or(Some(error)),
        }
    }
    let refused = asked - done.len();
    if !done.is_empty() {
        let count = u64::try_from(done.len()).unwrap_or(u64::MAX);
        patience::ledger(crew.deps.outbox.delete(done)).await?;
        metrics::RELAYED.of(&[]).increment(count);
    }
    if refused > 0 {
        return Err(RelayError::Refused(refused, why));
    }
    Ok(full)
}

/// Makes the topic's subscriptions those of the catalog.
async fn sync_subscriptions(crew: &Crew) -> Result<(), RelayError> {
    let mut after = String::new();
    loop {
        let page = crew.deps.catalog.list(Kind::Subscription, "", &after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.key();
        for entry in &page {
            let Entry::Subscription(subscription) = entry else { continue };
            // Whoever listens outside has a queue by means of their own; one of ours by that name has ended.
            if subscription.ended || subscription.outside {
                crew.deps.topic.unsubscribe(&subscription.name).await?;
            } else {
                crew.deps.topic.subscribe(&subscription.name).await?;
            }
        }
        if page.len() < PAGE {
            return Ok(());
        }
    }
}
