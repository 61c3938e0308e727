//! Every final state has its report, and money agrees with reports.

use super::{
    Findings,
    case::{Case, Cases},
    evidence::Evidence,
};

/// The latest revision says what the last state says; revisions are counted without gaps.
pub(super) fn every_final_has_one_report(cases: &Cases<'_>, evidence: &Evidence, findings: &mut Findings) {
    for case in cases.by_id.values() {
        let Some(last) = case.last_report() else {
            if case.view.is_some_and(super::evidence::Told::is_final) {
                findings.broke(format!("{}: has ended without a report", case.id));
            }
            continue;
        };
        findings.corrected += u64::from(last.revision > 1);
        let code = last.code.as_deref().unwrap_or("-");
        *findings.finals.entry(format!("{} ({code})", last.status)).or_default() += 1;
        judge_last(case, last, findings);
        if !case.reports.keys().copied().eq(1..=last.revision) {
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

fn judge_last(case: &Case<'_>, last: &super::evidence::Told, findings: &mut Findings) {
    let Some(view) = case.view else {
        return findings.broke(format!("{}: is reported and unknown", case.id));
    };
    if (view.revision, &view.status, &view.code) != (last.revision, &last.status, &last.code) {
        findings.broke(format!("{}: stands as {view:?} and is reported as {last:?}", case.id));
    }
    if last.charged != (last.status == "delivered") {
        findings.broke(format!("{}: {} and charged: {}", case.id, last.status, last.charged));
    }
    if !matches!(last.status.as_str(), "delivered" | "failed") {
        findings.broke(format!("{}: ended as {} ({:?})", case.id, last.status, last.code));
    }
}

/// The units of what was delivered are the units used.
pub(super) fn what_is_due_is_used(cases: &Cases<'_>, findings: &mut Findings) {
    let last = cases.by_id.values().filter_map(Case::last_report);
    findings.due = last.filter(|report| report.status == "delivered").map(|report| report.units).sum();
    if findings.due != findings.used {
        findings.broke(format!("{} units are due and {} are used", findings.due, findings.used));
    }
}
