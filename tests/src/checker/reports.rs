//! Every final state has its report, and money agrees with reports.

use super::{
    Findings,
    case::{Case, Cases},
    evidence::{Evidence, Told, Wish},
};

/// The latest revision says what the last state says; revisions are counted without gaps. One that was replaced before anybody
/// read it is known by its event.
pub(super) fn every_final_has_one_report(cases: &Cases<'_>, evidence: &Evidence, findings: &mut Findings) {
    for case in cases.by_id.values() {
        let Some(last) = case.last_report() else {
            if case.view().is_some_and(Told::is_final) {
                findings.broke(format!("{}: has ended without a report", case.id));
            }
            continue;
        };
        findings.corrected += u64::from(last.revision > 1);
        let code = last.code.as_deref().unwrap_or("-");
        *findings.finals.entry(format!("{} ({code})", last.status)).or_default() += 1;
        judge_last(case, last, evidence, findings);
        let is_told = |revision| case.reports.contains_key(&revision) || case.has_event_of(revision);
        if !(1..=last.revision).all(is_told) {
            findings.broke(format!("{}: revisions {:?}", case.id, case.reports.keys()));
        }
    }
    let mut read = std::collections::HashSet::new();
    for report in &evidence.reports {
        // Each is acknowledged when it is read, so each is read once.
        if !read.insert((&report.id, report.revision)) {
            findings.broke(format!("{} revision {} was handed out twice", report.id, report.revision));
        }
    }
}

fn judge_last(case: &Case<'_>, last: &Told, evidence: &Evidence, findings: &mut Findings) {
    let Some(view) = case.view() else {
        return findings.broke(format!("{}: is reported and unknown", case.id));
    };
    if (view.revision, &view.status, &view.code) != (last.revision, &last.status, &last.code) {
        findings.broke(format!("{}: stands as {view:?} and is reported as {last:?}", case.id));
    }
    if last.charged != (last.status == "delivered") {
        findings.broke(format!("{}: {} and charged: {}", case.id, last.status, last.charged));
    }
    let refused = last.status == "rejected" && evidence.limit.is_some();
    if !matches!(last.status.as_str(), "delivered" | "failed" | "expired") && !refused {
        findings.broke(format!("{}: ended as {} ({:?})", case.id, last.status, last.code));
    }
}

/// The units of what was delivered are the units used, of every customer; and never more than its limit.
pub(super) fn what_is_due_is_used(cases: &Cases<'_>, evidence: &Evidence, findings: &mut Findings) {
    for (customer, used) in evidence.used.iter().copied().enumerate() {
        let own = |case: &&Case<'_>| case.wish.is_some_and(|wish| wish.customer == customer);
        let last = cases.by_id.values().filter(own).filter_map(Case::last_report);
        let due: u64 = last.filter(|report| report.status == "delivered").map(|report| report.units).sum();
        if due != used {
            findings.broke(format!("customer {customer}: {due} units are due and {used} are used"));
        }
        if evidence.limit.is_some_and(|limit| used > limit) {
            findings.broke(format!("customer {customer}: {used} units are used of {:?}", evidence.limit));
        }
        let denied = |wish: &Wish| wish.customer == customer && wish.refused_for("quota-exceeded");
        if evidence.limit.is_some_and(|limit| used < limit) && cases.wishes.iter().any(denied) {
            findings.broke(format!("customer {customer}: was refused and could use more than {used}"));
        }
        findings.due += due;
        findings.used += used;
    }
}
