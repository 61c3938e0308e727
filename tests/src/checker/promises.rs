//! Nothing accepted is lost, and nothing happens that was not asked for.

use super::{Findings, case::Cases};

/// Every id that a `202` named has ended, and a report of it could be read.
pub(super) fn nothing_is_lost(cases: &Cases<'_>, findings: &mut Findings) {
    for wish in cases.wishes {
        let Some(id) = wish.accepted() else { continue };
        findings.accepted += 1;
        let case = cases.by_id.get(id);
        let view = case.and_then(super::case::Case::view);
        let ended = view.is_some_and(super::evidence::Told::is_final);
        let reported = case.is_some_and(|case| !case.reports.is_empty());
        if !ended || !reported {
            findings.lost += 1;
            let status = view.map_or("unknown", |view| view.status.as_str());
            findings.broke(format!(
                "{id} ({}) was accepted and is {status}, reported: {reported}",
                wish.reference
            ));
        }
    }
}

/// What was recorded without a `202` ends too; `queued` is also said of an id that was only minted.
pub(super) fn nothing_stands_still(cases: &Cases<'_>, findings: &mut Findings) {
    for case in cases.by_id.values() {
        let accepted = case.wish.is_some_and(|wish| wish.accepted() == Some(case.id));
        let stands = |view: &super::evidence::Told| !view.is_final() && view.status != "queued";
        if let Some(view) = case.view().filter(|view| !accepted && stands(view)) {
            findings.broke(format!("{}: nobody was told of it, and it stays {}", case.id, view.status));
        }
    }
}

/// Every message belongs to a wish, every wish to one message, and a refused call to none.
pub(super) fn nothing_is_unexpected(cases: &Cases<'_>, findings: &mut Findings) {
    let unwished = cases.by_id.values().filter(|case| case.wish.is_none() && !is_empty(case));
    for case in unwished.collect::<Vec<_>>() {
        findings.unexpected += 1;
        findings.broke(format!("{}: nobody asked for it", case.id));
    }
    for wish in cases.wishes {
        let ids = cases.by_reference.get(wish.reference.as_str());
        let ids: Vec<&str> = ids.into_iter().flatten().copied().collect();
        let allowed = wish.accepted().map_or_else(|| usize::from(wish.in_doubt()), |_| 1);
        let foreign = wish.accepted().is_some_and(|accepted| ids.iter().any(|id| *id != accepted));
        if ids.len() > allowed || foreign {
            findings.unexpected += 1;
            findings.broke(format!("{}: was told {:?} and became {ids:?}", wish.reference, wish.said));
        } else if wish.accepted().is_none() && !ids.is_empty() {
            findings.accepted_unanswered += 1;
        }
    }
}

/// An id that a client only heard of and that the API does not know.
fn is_empty(case: &super::case::Case<'_>) -> bool {
    case.views.is_empty() && case.arrivals.is_empty() && case.reports.is_empty() && case.events.is_empty()
}

/// Whatever file was attached came with its message, unharmed; and none came with another.
pub(super) fn what_was_attached_came(cases: &Cases<'_>, findings: &mut Findings) {
    for case in cases.by_id.values() {
        let Some(wish) = case.wish else { continue };
        for arrival in case.arrivals.iter().filter(|arrival| arrival.attached != wish.attached) {
            let (wished, came) = (&wish.attached, &arrival.attached);
            findings.broke(format!("{}: attached was {wished:?}, and {came:?} came", case.id));
        }
    }
}
