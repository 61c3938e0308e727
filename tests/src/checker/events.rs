//! Every report reached the subscription, at least once, under one id.

use std::collections::HashSet;

use super::{
    Findings,
    case::Cases,
    evidence::{EventSeen, Evidence, FINAL},
};

/// One event id for each revision of each report, and no event of anything else.
pub(super) fn every_outcome_reached_the_subscriber(
    cases: &Cases<'_>,
    evidence: &Evidence,
    findings: &mut Findings,
) {
    let ids = |events: &'_ [EventSeen]| -> HashSet<String> {
        events.iter().map(|event| event.id.clone()).collect()
    };
    let seen = ids(&evidence.events);
    let outside = evidence.outside.as_deref().map(ids);
    for case in cases.by_id.values() {
        for (revision, report) in &case.reports {
            let id = format!("{}.{revision}", case.id);
            if !seen.contains(&id) {
                findings.broke(format!("{id}: {} and the subscriber never heard of it", report.status));
            }
            if outside.as_ref().is_some_and(|outside| !outside.contains(&id)) {
                findings.broke(format!("{id}: {} and nobody outside heard of it", report.status));
            }
        }
        for event in &case.events {
            let state = event.kind.strip_prefix("naru.message.").unwrap_or_default();
            // A later revision replaces an earlier one: then nobody reads that, and only its event tells of it.
            let replaced = case.last_report().is_some_and(|last| event.sequence < last.revision);
            let fits = match case.reports.get(&event.sequence) {
                Some(report) => state == report.status,
                None => replaced && FINAL.contains(&state),
            };
            if !fits || event.id != format!("{}.{}", case.id, event.sequence) {
                findings.broke(format!("{}: an event {event:?} of no report", case.id));
            }
        }
    }
}
