//! Tells ingress, and whoever watches, how much waits: in the ledger and on the queues.

use std::{collections::BTreeMap, time::Duration};

use metrics::Gauge;
use naru_shared::{
    domain::{Lane, RouteName},
    ledger::LedgerError,
    metrics::{CALLBACKS_OLDEST_SECONDS, CALLBACKS_WAITING, OLDEST_SECONDS, QUEUE_PACKS, WAITING},
    queue::QueueName,
};

use super::delay;
use crate::{crew::Crew, patience, shell::Progress};

/// One gauge for each lane that had anything, so that it falls to zero when nothing is left.
#[derive(Default)]
pub(super) struct Gauges(BTreeMap<(RouteName, Lane), Gauge>);

/// Whether anything waits in the ledger.
pub(super) async fn observe(crew: &Crew, gauges: &mut Gauges) -> Result<bool, LedgerError> {
    let waiting = patience::ledger(crew.deps.ledger.waiting()).await?;
    let mut sums: BTreeMap<(RouteName, Lane), u64> = BTreeMap::new();
    for one in &waiting {
        *sums.entry((one.route.clone(), one.lane)).or_default() += one.messages;
    }
    for (route, lane) in sums.keys() {
        gauges.0.entry((route.clone(), *lane)).or_insert_with(|| {
            WAITING.of(&[("route", route.as_str()), ("lane", lane.as_str()), ("state", "waiting")])
        });
    }
    for (key, gauge) in &gauges.0 {
        #[expect(clippy::cast_precision_loss, reason = "a count of messages is far below 2^52")]
        gauge.set(sums.get(key).copied().unwrap_or_default() as f64);
    }
    let delays = delay::observe(crew, &waiting).await?;
    if let Err(error) = crew.deps.gate.observe_waiting(&waiting, &delays).await {
        tracing::debug!(%error, "the gate was not told what waits");
    }
    Ok(!waiting.is_empty())
}

/// Tells whoever watches how much waits for webhooks, and since when; whether anything does.
pub(super) async fn observe_callbacks(crew: &Crew) -> Result<bool, LedgerError> {
    let backlog = patience::ledger(crew.deps.callbacks.backlog()).await?;
    #[expect(clippy::cast_precision_loss, reason = "a count of events is far below 2^52")]
    CALLBACKS_WAITING.of(&[]).set(backlog.waiting as f64);
    let age = backlog.oldest.map_or(Duration::ZERO, |oldest| crew.now().since(oldest));
    CALLBACKS_OLDEST_SECONDS.of(&[]).set(age.as_secs_f64());
    Ok(backlog.waiting > 0)
}

/// How long a queue may take to say how much lies on it.
const DEPTH: Duration = Duration::from_secs(2);

/// Tells whoever watches how much lies on the queues, and since when; whether anything does, as far as they tell.
pub(super) async fn observe_queues(crew: &Crew, progress: &Progress) -> bool {
    let mut lies = false;
    for route in crew.routes() {
        for lane in Lane::ALL {
            progress.mark();
            let queue = QueueName { route: route.clone(), lane };
            let labels = [("route", route.as_str()), ("lane", lane.as_str())];
            match tokio::time::timeout(DEPTH, crew.deps.queue.depth(&queue)).await {
                Ok(Ok(depth)) => {
                    lies |= depth.packs > 0;
                    #[expect(clippy::cast_precision_loss, reason = "a count of packs is far below 2^52")]
                    QUEUE_PACKS.of(&labels).set(depth.packs as f64);
                    let age = depth.oldest.map_or(Duration::ZERO, |oldest| crew.now().since(oldest));
                    OLDEST_SECONDS.of(&labels).set(age.as_secs_f64());
                }
                Ok(Err(error)) => {
                    lies = true;
                    tracing::debug!(?queue, %error, "the queue does not tell how much lies on it");
                }
                Err(_elapsed) => {
                    lies = true;
                    tracing::debug!(?queue, "the queue does not tell in time how much lies on it");
                }
            }
        }
    }
    lies
}
