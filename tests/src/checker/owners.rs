//! What is told of a message is told to its owner alone, and is what the owner wished for.

use super::{
    Findings,
    case::{Case, Cases},
    evidence::{Told, Wish},
};

/// Nobody sees another's message, and nothing of it was changed on its way.
pub(super) fn everything_is_its_owners(cases: &Cases<'_>, findings: &mut Findings) {
    for case in cases.by_id.values() {
        let Some(wish) = case.wish else { continue };
        for told in case.views.iter().chain(case.reports.values().copied()) {
            judge_told(case, wish, told, findings);
        }
        for arrival in case.arrivals.iter().filter(|arrival| arrival.recipient != wish.recipient) {
            findings.broke(format!("{}: for {} and sent to {}", case.id, wish.recipient, arrival.recipient));
        }
    }
}

fn judge_told(case: &Case<'_>, wish: &Wish, told: &Told, findings: &mut Findings) {
    if told.reader != wish.customer {
        findings.broke(format!("{}: of customer {} and told to {}", case.id, wish.customer, told.reader));
    }
    // Before intake has seen it, an id is all that is told of a message.
    let told_of = (told.recipient.as_str(), told.key.as_deref(), told.units);
    if told.status != "queued" && told_of != (wish.recipient.as_str(), wish.key.as_deref(), wish.units) {
        findings.broke(format!("{}: is told as {told:?} of {wish:?}", case.id));
    }
}

/// Whatever a client is told about one wish, it is told of one message.
pub(super) fn a_wish_has_one_id(cases: &Cases<'_>, findings: &mut Findings) {
    for wish in cases.wishes {
        let mut ids = wish.told_ids();
        let first = ids.next();
        if let Some(other) = ids.find(|id| Some(*id) != first) {
            findings.broke(format!("{}: was told of {first:?} and of {other}", wish.reference));
        }
    }
}
