//! Takes events from the topic and writes a row for each webhook that wants one; then acknowledges.

use std::{sync::Arc, time::Duration};

use naru_shared::{
    callbacks::{NewCallback, Put, Written},
    catalog::CatalogError,
    domain::{InvalidName, SubscriptionName, Webhook},
    ledger::LedgerError,
    metrics,
    queue::Receipt,
    topic::{EventDelivery, TopicError},
};

use super::{SUBSCRIPTION, directory::Listing};
use crate::{
    crew::Crew,
    patience::{self, Backoff, rest},
    shell::Progress,
};

/// Events received together.
const GROUP: usize = 128;

/// The longest wait for the first of them.
const WAIT: Duration = Duration::from_secs(15);

/// The longest wait for the topic's answer to an acknowledgement.
const ANSWER: Duration = Duration::from_secs(20);

/// How long it rests where there is no webhook; the first one wakes it.
const IDLE: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
enum MatchError {
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("{0} events were not acknowledged, and come again")]
    Unacknowledged(usize),
    #[error("the topic did not answer in time")]
    Silent,
}

impl MatchError {
    /// Whether the subscription is only not there yet: it is made a moment after the first webhook.
    const fn is_of_beginning(&self) -> bool {
        matches!(self, Self::Topic(TopicError::Unknown(_)))
    }
}

pub(super) async fn run(crew: Arc<Crew>, progress: Progress) {
    let mut backoff = Backoff::default();
    while !crew.stop.is_cancelled() {
        progress.mark();
        let result = tokio::select! {
            () = crew.stop.cancelled() => return,
            result = round(&crew) => result,
        };
        match result {
            Ok(()) => backoff.reset(),
            Err(error) => {
                if backoff.is_news() && !error.is_of_beginning() {
                    tracing::warn!(%error, "events for webhooks wait");
                }
                backoff.pause(&crew.stop).await;
            }
        }
    }
}

async fn round(crew: &Crew) -> Result<(), MatchError> {
    let seen = crew.deps.registry.version();
    if !crew.hooks.directory.listing(crew).await?.any() {
        tokio::select! {
            () = crew.deps.registry.changed(seen) => {}
            () = rest(IDLE.min(crew.config.stuck() / 4), &crew.stop) => {}
        }
        return Ok(());
    }
    let name: SubscriptionName = SUBSCRIPTION.parse()?;
    let deliveries = crew.deps.topic.receive(&name, GROUP, WAIT.min(crew.config.stuck() / 4)).await?;
    if deliveries.is_empty() {
        return Ok(());
    }
    // Looked at again: a webhook may have come while nothing did.
    let listing = crew.hooks.directory.listing(crew).await?;
    write(crew, wanted(&listing, &deliveries)).await?;
    acknowledge(crew, &name, deliveries.into_iter().map(|delivery| delivery.receipt).collect()).await
}

fn wanted(listing: &Listing, deliveries: &[EventDelivery]) -> Vec<NewCallback> {
    let mut events = Vec::new();
    for EventDelivery { event, .. } in deliveries {
        let webhooks: Vec<&Arc<Webhook>> = listing.wanting(event).collect();
        if webhooks.is_empty() {
            continue;
        }
        // What came as JSON goes as JSON.
        let body = serde_json::to_string(event).unwrap_or_default();
        events.extend(webhooks.into_iter().map(|webhook| NewCallback {
            webhook: webhook.id(),
            event: event.id.clone(),
            body: body.clone(),
        }));
    }
    events
}

/// Writes all of them; what the database cannot digest is set apart, alone, and said.
async fn write(crew: &Crew, events: Vec<NewCallback>) -> Result<(), LedgerError> {
    if events.is_empty() {
        return Ok(());
    }
    match put(crew, events.clone()).await {
        Err(LedgerError::Indigestible(_)) => {}
        other => return other,
    }
    for event in events {
        let (webhook, id) = (event.webhook.clone(), event.event.clone());
        match put(crew, vec![event]).await {
            Err(LedgerError::Indigestible(error)) => {
                metrics::CALLBACKS.of(&[("outcome", "dropped")]).increment(1);
                tracing::error!(%webhook, event = id, %error, "an event cannot be kept for a webhook");
            }
            other => other?,
        }
    }
    Ok(())
}

async fn put(crew: &Crew, events: Vec<NewCallback>) -> Result<(), LedgerError> {
    let Put { written, newly_full } =
        patience::ledger(crew.deps.callbacks.put(events, crew.config.webhook_waiting)).await?;
    let lost = written.iter().filter(|what| **what == Written::Full).count();
    if lost > 0 {
        metrics::CALLBACKS.of(&[("outcome", "not-kept")]).increment(u64::try_from(lost).unwrap_or(u64::MAX));
    }
    for webhook in newly_full {
        super::switch::told_full(crew, &webhook).await;
    }
    Ok(())
}

async fn acknowledge(crew: &Crew, name: &SubscriptionName, receipts: Vec<Receipt>) -> Result<(), MatchError> {
    let count = receipts.len();
    let results = tokio::time::timeout(ANSWER, crew.deps.topic.ack(name, receipts)).await;
    let results = results.map_err(|_elapsed| MatchError::Silent)?;
    let taken = results.iter().filter(|result| result.is_ok()).count();
    if taken < count {
        metrics::ENGINE_ERRORS.of(&[("port", "topic")]).increment(1);
        return Err(MatchError::Unacknowledged(count - taken));
    }
    Ok(())
}
