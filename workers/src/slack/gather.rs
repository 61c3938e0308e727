//! Takes events from the topic until there is something to post, and no longer than they may be in hand.

use std::time::{Duration, Instant};

use naru_shared::{
    domain::SubscriptionName,
    metrics,
    queue::Receipt,
    topic::{EventDelivery, TopicError},
};

use super::{
    Office,
    hand::Hand,
    rules::{Severity, severity},
    run::SlackError,
};
use crate::{crew::Crew, patience::rest, shell::Progress};

/// Events received together.
const GROUP: usize = 256;

/// With so many in hand a post goes out as soon as it may, though the window is not over.
const MANY: usize = 200;

/// Events taken to see whether Slack is back: nobody else's delivery is counted in vain.
const PROBE: usize = 10;

/// The longest wait for the first event.
const WAIT: Duration = Duration::from_secs(15);

/// The longest wait for the topic's answer to an acknowledgement.
const ANSWER: Duration = Duration::from_secs(20);

/// Waits until a moment, with signs of life, or until the process stops.
pub(super) async fn wait(crew: &Crew, until: Instant, progress: &Progress) {
    while !crew.stop.is_cancelled() {
        progress.mark();
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        rest(left.min(crew.config.stuck() / 4), &crew.stop).await;
    }
}

/// Events for one post. Nothing is taken before the post may go out within a window, so that nothing is in hand while Slack, or the
/// pace, keeps us waiting.
pub(super) async fn gather(
    crew: &Crew,
    office: &Office,
    name: &SubscriptionName,
    progress: &Progress,
) -> Result<Hand, SlackError> {
    let (slot, probing) = {
        let pace = office.pace.lock();
        (pace.next(Instant::now()), pace.is_failing())
    };
    let window = if probing { Duration::ZERO } else { office.settings.config.window() };
    wait(crew, slot.checked_sub(window).unwrap_or(slot), progress).await;
    let mut hand = Hand::default();
    while !crew.stop.is_cancelled() {
        progress.mark();
        let now = Instant::now();
        let over = hand.since().map(|since| (since + window).max(slot));
        let many = hand.count() >= MANY && now >= slot;
        if over.is_some_and(|over| now >= over) || many || (probing && !hand.is_empty()) {
            break;
        }
        let room = if probing { PROBE } else { hand.room().min(GROUP) };
        if room == 0 {
            wait(crew, over.unwrap_or(slot).min(slot), progress).await;
            continue;
        }
        // With many in hand the engine may give no more until some are acknowledged: then the slot ends the wait.
        let end = over.map(|over| if hand.count() >= MANY { over.min(slot) } else { over });
        let patience =
            end.map_or(WAIT, |end| end.saturating_duration_since(now)).min(crew.config.stuck() / 4);
        let received = tokio::select! {
            () = crew.stop.cancelled() => break,
            received = crew.deps.topic.receive(name, room, patience) => received,
        };
        match received {
            Ok(deliveries) => {
                sort(crew, office, name, deliveries, &mut hand).await?;
                metrics::SLACK_IN_HAND.of(&[]).set(u32::try_from(hand.count()).unwrap_or(u32::MAX));
            }
            // What is in hand is posted; the next round meets the error again.
            Err(_) if !hand.is_empty() => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(hand)
}

/// What counts goes into the hand; what does not is acknowledged.
async fn sort(
    crew: &Crew,
    office: &Office,
    name: &SubscriptionName,
    deliveries: Vec<EventDelivery>,
    hand: &mut Hand,
) -> Result<(), SlackError> {
    let (mut done, now) = (Vec::new(), Instant::now());
    for EventDelivery { event, receipt } in deliveries {
        let severity = severity(&office.settings.config.rules, &event.kind);
        if severity == Severity::Ignore {
            counted("ignored", 1);
            done.push(receipt);
            continue;
        }
        let (id, known) = {
            let recent = office.recent.lock();
            let id = recent.short(&event.id);
            (id, recent.knows(id))
        };
        if known {
            counted("repeated", 1);
            done.push(receipt);
        } else if !hand.add(&event, severity, id, receipt, now) {
            counted("repeated", 1);
        }
    }
    match acknowledge(crew, name, done).await {
        // It comes again and is passed over again; what is in hand must not be lost for it.
        Err(error) if !hand.is_empty() => {
            tracing::warn!(%error, "events that are not posted come again");
            Ok(())
        }
        other => other,
    }
}

/// Says what became of events.
pub(super) fn counted(outcome: &'static str, count: usize) {
    if count > 0 {
        metrics::SLACK_EVENTS.of(&[("outcome", outcome)]).increment(u64::try_from(count).unwrap_or(u64::MAX));
    }
}

/// Forgets events; every result is looked at.
pub(super) async fn acknowledge(
    crew: &Crew,
    name: &SubscriptionName,
    receipts: Vec<Receipt>,
) -> Result<(), SlackError> {
    let count = receipts.len();
    if count == 0 {
        return Ok(());
    }
    let results: Vec<Result<(), TopicError>> =
        tokio::time::timeout(ANSWER, crew.deps.topic.ack(name, receipts))
            .await
            .map_err(|_| SlackError::Silent)?;
    let taken = results.iter().filter(|result| result.is_ok()).count();
    if taken < count {
        metrics::ENGINE_ERRORS.of(&[("port", "topic")]).increment(1);
        return Err(SlackError::Unacknowledged(count - taken));
    }
    Ok(())
}
