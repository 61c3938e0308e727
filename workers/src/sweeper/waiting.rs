//! Tells ingress, and whoever watches, how much waits.

use std::collections::BTreeMap;

use metrics::Gauge;
use naru_shared::{
    domain::{Lane, RouteName},
    ledger::LedgerError,
    metrics::WAITING,
};

use crate::{crew::Crew, patience};

/// One gauge for each lane that had anything, so that it falls to zero when nothing is left.
#[derive(Default)]
pub(super) struct Gauges(BTreeMap<(RouteName, Lane), Gauge>);

pub(super) async fn observe(crew: &Crew, gauges: &mut Gauges) -> Result<(), LedgerError> {
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
    if let Err(error) = crew.deps.gate.observe_waiting(&waiting).await {
        tracing::warn!(%error, "the gate was not told what waits");
    }
    Ok(())
}
