//! What rules did.

use naru_shared::ledger::{StopCounts, StopFilter, StopRule};
use serde::Serialize;

use crate::{desk::Desk, exit::Failure};

/// A rule and what it did.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    rule: StopRule,
    counts: StopCounts,
    /// Attempts of which nobody will ever tell: their worker is dead. Workers that live find and settle them.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<u64>,
}

/// A rule that must be there.
pub(super) async fn rule(desk: &Desk, number: i64) -> anyhow::Result<StopRule> {
    let found = desk.ledger()?.mends.stops(Some(number)).await?.pop();
    found.ok_or_else(|| Failure::NotFound("stop", number.to_string()).into())
}

pub(super) async fn list(desk: &Desk) -> anyhow::Result<()> {
    let rules = desk.ledger()?.mends.stops(None).await?;
    desk.out.rows(&rules, &["stop", "phase", "what", "ordered", "by", "reason"], |rule| {
        let order = &rule.order;
        vec![
            rule.number.to_string(),
            rule.phase.as_str().to_owned(),
            words(&order.filter),
            order.made_at.to_string(),
            order.actor.clone(),
            order.reason.clone().unwrap_or_default(),
        ]
    })
}

pub(super) async fn one(desk: &Desk, number: i64) -> anyhow::Result<()> {
    say(desk, number, None).await
}

/// As [`one`], of a rule that was carried out.
pub(super) async fn done(desk: &Desk, number: i64, lost: u64) -> anyhow::Result<()> {
    say(desk, number, Some(lost)).await
}

async fn say(desk: &Desk, number: i64, lost: Option<u64>) -> anyhow::Result<()> {
    let rule = rule(desk, number).await?;
    let counts = desk.ledger()?.mends.stop_counts(number).await?;
    let lines = lines(&rule, &counts, lost);
    let order = naru_shared::ledger::StopOrder { counts: None, ..rule.order };
    desk.out.one(&Shown { rule: StopRule { order, ..rule }, counts, lost }, &lines)
}

fn words(filter: &StopFilter) -> String {
    let StopFilter { customer, route, channel, lane, reference, since } = filter;
    let all = [
        customer.as_ref().map(|name| format!("customer {name}")),
        route.as_ref().map(|name| format!("route {name}")),
        channel.as_ref().map(|name| format!("channel {name}")),
        lane.map(|lane| format!("lane {}", lane.as_str())),
        reference.as_ref().map(|text| format!("reference {text}")),
        since.map(|at| format!("since {at}")),
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn lines(rule: &StopRule, counts: &StopCounts, lost: Option<u64>) -> Vec<(&'static str, String)> {
    let order = &rule.order;
    let flights: Vec<String> =
        counts.in_flight_now.iter().map(|(state, messages)| format!("{messages} {state}")).collect();
    let mut lines = vec![
        ("stop", rule.number.to_string()),
        ("phase", rule.phase.as_str().to_owned()),
        ("what", words(&order.filter)),
        ("ordered", format!("{} by {}", order.made_at, order.actor)),
        ("reason", order.reason.clone().unwrap_or_default()),
        ("stopped", counts.stopped.to_string()),
        ("arrived later", counts.arrived.to_string()),
        ("came back", counts.came_back.to_string()),
        ("taken over", counts.taken_over.to_string()),
        ("in flight", format!("{} ({})", counts.in_flight, flights.join(", "))),
        ("lost", lost.filter(|lost| *lost > 0).map(|lost| lost.to_string()).unwrap_or_default()),
        ("stands", counts.stands.to_string()),
        ("undone", counts.undone.to_string()),
        ("cancelled", counts.cancelled.to_string()),
        ("otherwise", counts.otherwise.to_string()),
    ];
    lines.retain(|(_, value)| !value.is_empty() && value != "0 ()");
    lines
}
