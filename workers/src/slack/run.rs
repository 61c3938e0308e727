//! The loop: gather, post, acknowledge.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use naru_shared::{
    catalog::CatalogError,
    causes::Causes,
    domain::{InvalidName, SubscriptionName},
    metrics,
    topic::TopicError,
};

use super::{
    Office, SLACK, blocks,
    gather::{acknowledge, counted, gather, wait},
    hand::Hand,
    post::{TOTAL, Verdict, post, told},
    subscription,
};
use crate::{
    crew::Crew,
    patience::{Backoff, rest},
    shell::Progress,
};

/// The shortest time that is worth a try.
const SHORTEST: Duration = Duration::from_millis(200);

/// The most that a stop waits for the last post.
const LAST: Duration = Duration::from_secs(4);

/// How long it rests where it cannot do anything; a change of the catalog wakes it where that may help.
const IDLE: Duration = Duration::from_secs(30);

/// Why a round ended early. Nothing is lost by it: what was in hand comes again.
#[derive(Debug, thiserror::Error)]
pub(super) enum SlackError {
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error("the subscription `slack` cannot be made yet, and nothing is posted")]
    Unprepared(#[source] TopicError),
    #[error("{0} events were not acknowledged, and come again")]
    Unacknowledged(usize),
    #[error("there was no answer in time")]
    Silent,
}

pub(super) async fn run(crew: Arc<Crew>, office: Arc<Office>, progress: Progress) {
    let mut backoff = Backoff::default();
    while !crew.stop.is_cancelled() {
        progress.mark();
        match round(&crew, &office, &progress).await {
            Ok(()) => backoff.reset(),
            // It is made a moment after the catalog says so.
            Err(SlackError::Topic(TopicError::Unknown(_))) => backoff.pause(&crew.stop).await,
            Err(error) => {
                if backoff.is_news() {
                    tracing::warn!(error = %Causes(&error), "events for Slack wait");
                }
                if matches!(error, SlackError::Unprepared(_)) {
                    wait(&crew, Instant::now() + IDLE, &progress).await;
                }
                backoff.pause(&crew.stop).await;
            }
        }
    }
}

async fn round(crew: &Crew, office: &Office, progress: &Progress) -> Result<(), SlackError> {
    let name: SubscriptionName = SLACK.parse()?;
    subscription::open(crew, office, &name).await?;
    let seen = crew.deps.registry.version();
    match gather(crew, office, &name, progress).await {
        Ok(hand) if hand.is_empty() => Ok(()),
        Ok(hand) => settle(crew, office, &name, hand, progress).await,
        Err(SlackError::Topic(TopicError::Unknown(_))) if subscription::has_ended(crew, &name).await? => {
            tokio::select! {
                () = crew.deps.registry.changed(seen) => {}
                () = rest(IDLE.min(crew.config.stuck() / 4), &crew.stop) => {}
            }
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Posts what is in hand and acknowledges it; or lets it go, to come again, when its time is over.
async fn settle(
    crew: &Crew,
    office: &Office,
    name: &SubscriptionName,
    hand: Hand,
    progress: &Progress,
) -> Result<(), SlackError> {
    let count = hand.count();
    let posted = try_until(crew, office, &hand, progress).await;
    metrics::SLACK_IN_HAND.of(&[]).set(0);
    if !posted {
        counted("returned", count);
        return Ok(());
    }
    counted("posted", count);
    let (ids, receipts) = hand.let_go();
    {
        // Before the acknowledgement: what comes again because it failed is known.
        let mut recent = office.recent.lock();
        ids.into_iter().for_each(|id| recent.add(id));
    }
    acknowledge(crew, name, receipts).await
}

/// Tries until it is posted, or what is in hand must be let go.
async fn try_until(crew: &Crew, office: &Office, hand: &Hand, progress: &Progress) -> bool {
    let begun = hand.since().unwrap_or_else(Instant::now);
    let end = begun + office.hold();
    loop {
        let stopping = crew.stop.is_cancelled();
        let slot = office.pace.lock().next(Instant::now());
        let end = if stopping { end.min(Instant::now() + LAST) } else { end };
        if slot + SHORTEST > end {
            return false;
        }
        if stopping {
            // The waits above end when the process stops; this one is short.
            tokio::time::sleep_until(slot.into()).await;
        } else {
            wait(crew, slot, progress).await;
            if crew.stop.is_cancelled() {
                continue;
            }
        }
        let left = end.saturating_duration_since(Instant::now());
        if left < SHORTEST / 2 {
            return false;
        }
        if once(office, hand, left.min(TOTAL), crew, progress).await == Verdict::Posted {
            return true;
        }
        if crew.stop.is_cancelled() {
            return false;
        }
    }
}

/// One try; what came of it sets the pace of the next.
async fn once(office: &Office, hand: &Hand, within: Duration, crew: &Crew, progress: &Progress) -> Verdict {
    let config = &office.settings.config;
    let message = blocks::message(hand, &config.title, office.bare.load(Ordering::Acquire));
    office.pace.lock().begun(Instant::now());
    let posting = post(&office.caller, config, &message, within);
    tokio::pin!(posting);
    let answered = loop {
        progress.mark();
        tokio::select! {
            answered = &mut posting => break answered,
            () = tokio::time::sleep(crew.config.stuck() / 4) => {}
        }
    };
    let verdict = Verdict::of(&answered);
    metrics::SLACK_POSTS.of(&[("result", verdict.as_str())]).increment(1);
    let mut pace = office.pace.lock();
    let now = Instant::now();
    match verdict {
        Verdict::Posted => {
            pace.taken();
            office.bare.store(false, Ordering::Release);
        }
        Verdict::Limited(asked) => pace.limited(now, asked),
        Verdict::Disliked => {
            office.bare.store(true, Ordering::Release);
            pace.failed(now, None);
        }
        Verdict::Refused => pace.failed(now, None),
        Verdict::Away(asked) => pace.failed(now, asked),
    }
    if verdict != Verdict::Posted && pace.failures().is_power_of_two() {
        let wait_s = pace.next(now).saturating_duration_since(now).as_secs();
        tracing::warn!(answer = told(&answered), events = hand.count(), wait_s, "Slack did not take a post");
    }
    verdict
}
