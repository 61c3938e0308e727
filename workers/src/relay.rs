//! Publishes what the outbox holds: claimed by lease, published, deleted.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use naru_shared::{
    catalog::{Acts, Entry, Kind},
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

/// Acts published at once.
const ACTS: usize = 64;

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

/// What the relay has looked at.
#[derive(Default)]
struct Known {
    /// The catalog as of this version: its subscriptions, and its acts.
    version: Option<u64>,
    /// Acts are left in somebody's hands, who may have died: a look when their lease is over.
    acts_at: Option<Instant>,
}

impl Known {
    fn wait(&self) -> Duration {
        self.acts_at.map_or(IDLE, |at| at.saturating_duration_since(Instant::now()).min(IDLE))
    }
}

async fn run(crew: Arc<Crew>, progress: Progress) {
    let mut known = Known::default();
    let mut backoff = Backoff::default();
    while !crew.end.is_cancelled() {
        progress.mark();
        match round(&crew, &mut known).await {
            Ok(true) => backoff.reset(),
            Ok(false) => {
                backoff.reset();
                tokio::select! {
                    () = crew.end.cancelled() => {}
                    () = crew.deps.outbox.await_events(known.wait()) => {}
                    () = crew.deps.registry.changed(known.version.unwrap_or_default()) => {}
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
async fn round(crew: &Crew, known: &mut Known) -> Result<bool, RelayError> {
    // Subscriptions first: an event is written because somebody listens, so that somebody must have a queue for it.
    let version = crew.deps.registry.version();
    let changed = known.version != Some(version);
    if changed {
        sync_subscriptions(crew).await?;
    }
    // Whoever changed the catalog wrote its acts with the change, so that only a change (or a death) leaves any.
    let now = Instant::now();
    let mut more = false;
    if changed || known.acts_at.is_some_and(|at| at <= now) {
        let left = publish_acts(crew).await?;
        more = left == Left::Free;
        known.acts_at = match left {
            Left::Nothing => None,
            Left::Free => Some(now),
            Left::Claimed => Some(now + LEASE),
        };
    }
    known.version = Some(version);
    Ok(publish(crew).await? || more)
}

/// Acts that are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    /// There may be some that nobody has claimed.
    Free,
    /// Others have claimed them, or they were not taken this time.
    Claimed,
}

/// Publishes one group of the catalog's acts.
async fn publish_acts(crew: &Crew) -> Result<Left, RelayError> {
    let Acts { rows, left } = crew.deps.catalog.claim_acts(ACTS, LEASE).await?;
    if rows.is_empty() {
        return Ok(if left > 0 { Left::Claimed } else { Left::Nothing });
    }
    let (done, all) = hand_over(crew, rows).await?;
    let count = u64::try_from(done.len()).unwrap_or(u64::MAX);
    crew.deps.catalog.published_acts(done).await?;
    metrics::RELAYED.of(&[]).increment(count);
    all?;
    Ok(Left::Free)
}

/// Publishes what there is, group after group, until nothing is left.
pub(crate) async fn flush(crew: &Crew) {
    // As in every round: what is published for somebody without a queue yet would be lost to them.
    if let Err(error) = sync_subscriptions(crew).await {
        tracing::warn!(error = %Causes(&error), "events stay in the outbox until the next start");
        return;
    }
    loop {
        match publish_all(crew).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(error = %Causes(&error), "events stay in the outbox until the next start");
                return;
            }
        }
    }
}

/// Publishes a group of acts and one of the outbox; whether there may be more.
async fn publish_all(crew: &Crew) -> Result<bool, RelayError> {
    let left = publish_acts(crew).await?;
    Ok(publish(crew).await? || left == Left::Free)
}

async fn publish(crew: &Crew) -> Result<bool, RelayError> {
    let max = crew.config.relay_group.max(1);
    let claimed = patience::ledger(crew.deps.outbox.claim(max, LEASE)).await?;
    if claimed.is_empty() {
        return Ok(false);
    }
    let full = claimed.len() == max;
    let (done, all) = hand_over(crew, claimed).await?;
    if !done.is_empty() {
        let count = u64::try_from(done.len()).unwrap_or(u64::MAX);
        patience::ledger(crew.deps.outbox.delete(done)).await?;
        metrics::RELAYED.of(&[]).increment(count);
    }
    all?;
    Ok(full)
}

/// Publishes events: the rows of those that the topic has, and whether it has all.
async fn hand_over(
    crew: &Crew,
    claimed: Vec<OutboxRow>,
) -> Result<(Vec<i64>, Result<(), RelayError>), RelayError> {
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
    Ok((done, if refused == 0 { Ok(()) } else { Err(RelayError::Refused(refused, why)) }))
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
