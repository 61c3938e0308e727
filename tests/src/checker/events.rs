//! Every report reached the subscription, at least once, under one id.

use std::collections::HashSet;

use super::{Findings, case::Cases, evidence::Evidence};

/// One event id for each revision of each report, and no event of anything else.
pub(super) fn every_outcome_reached_the_subscriber(
    cases: &Cases<'_>,
    evidence: &Evidence,
    findings: &mut Findings,
) {
    let seen: HashSet<&str> = evidence.events.iter().map(|event| event.id.as_str()).collect();
    let mut expected = HashSet::new();
    for case in cases.by_id.values() {
        for (revision, report) in &case.reports {
            let id = format!("{}.{revision}", case.id);
            if !seen.contains(id.as_str()) {
                findings.broke(format!("{id}: {} and the subscriber never heard of it", report.status));
            }
            expected.insert(id);
        }
        for event in &case.events {
            let report = case.reports.get(&event.sequence);
            let fits = report.is_some_and(|r| event.kind == format!("naru.message.{}", r.status));
            if !fits || !expected.contains(&event.id) {
                findings.broke(format!("{}: an event {event:?} of no report", case.id));
            }
        }
    }
}
