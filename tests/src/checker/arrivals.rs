//! What came to the receiver: twice only in doubt, labelled, with one key; and outcomes that agree with it.

use super::{
    Findings,
    case::{Case, Cases},
    evidence::{Disturbance, Evidence, Harm, Policy},
};
use crate::receiver::{answer::Behaviour, journaling::Arrival};

/// How long after the receiver's answer an outcome may still be uncommitted, in milliseconds, unless the evidence says otherwise.
const COMMIT_MS: u64 = 500;

/// How long after the ledger was away an outcome may still be uncommitted, in nanoseconds: connections are made again.
const REACH: u64 = 3_000_000_000;

/// How long after a kill what was sent before it may still lie unread in the receiver's buffers, in nanoseconds.
const AFTER_KILL: u64 = 300_000_000;

/// How long after SIGCONT an attempt from before may still be under way, in nanoseconds.
const AFTER_STOP: u64 = 2_000_000_000;

/// A second request comes only after a first that was not taken, or that cannot be known; then it is labelled.
pub(super) fn twice_only_in_doubt_and_labelled(
    cases: &Cases<'_>,
    evidence: &Evidence,
    findings: &mut Findings,
) {
    for case in cases.by_id.values() {
        if let Some(odd) = case.arrivals.iter().find(|arrival| arrival.key != case.id) {
            findings.broke(format!("{}: came with the key `{}`", case.id, odd.key));
        }
        for (index, arrival) in case.arrivals.iter().enumerate() {
            let earlier = &case.arrivals[..index];
            judge_numbers(case, earlier, arrival, findings);
            judge_repeat(case, earlier, arrival, evidence, findings);
        }
    }
}

fn judge_numbers(case: &Case<'_>, earlier: &[&Arrival], arrival: &Arrival, findings: &mut Findings) {
    if arrival.attempt == 0 || earlier.iter().any(|other| other.attempt >= arrival.attempt) {
        findings.broke(format!("{}: attempt {} came out of order", case.id, arrival.attempt));
    }
}

fn judge_repeat(
    case: &Case<'_>,
    earlier: &[&Arrival],
    arrival: &Arrival,
    evidence: &Evidence,
    findings: &mut Findings,
) {
    let interrupted = |other: &&&Arrival| interrupted(other, evidence);
    let doubtful = earlier.iter().filter(|other| other.behaviour != Behaviour::Unavailable);
    let mut doubtful = doubtful.peekable();
    if doubtful.peek().is_none() {
        // A label without a request that came before: that attempt was interrupted before it was sent.
        if arrival.labelled && evidence.disturbances.is_empty() {
            findings.broke(format!("{}: labelled although nothing happened", case.id));
        }
        return;
    }
    findings.duplicates += 1;
    if !arrival.labelled {
        findings.broke(format!("{}: attempt {} is a duplicate without a label", case.id, arrival.attempt));
    }
    if case.wish.is_some_and(|wish| wish.policy == Policy::Fail) {
        findings.broke(format!("{}: sent again in doubt on a route that fails", case.id));
    }
    for other in doubtful {
        if !other.behaviour.in_doubt() && !interrupted(&other) {
            findings.broke(format!(
                "{}: attempt {} was answered {:?} undisturbed, and was repeated ({})",
                case.id,
                other.attempt,
                other.behaviour,
                next_harm(other, &evidence.disturbances)
            ));
        }
    }
}

/// Whether the gateway may have been prevented from committing what this request came to: by a kill or a stop before it was
/// committed. While the ledger is away nothing is; that alone is no reason to repeat anything.
fn interrupted(arrival: &Arrival, evidence: &Evidence) -> bool {
    let committed = committed(arrival, evidence);
    evidence.disturbances.iter().any(|harm| {
        let until = match harm.harm {
            Harm::Kill => harm.to + AFTER_KILL,
            Harm::Stop => harm.to + AFTER_STOP,
            Harm::Away => return false,
        };
        harm.from <= committed && arrival.at <= until
    })
}

/// What was done next after a request came, and when: for whoever looks into it.
fn next_harm(arrival: &Arrival, disturbances: &[Disturbance]) -> String {
    let later = disturbances.iter().filter(|harm| harm.to >= arrival.at).min_by_key(|harm| harm.from);
    later.map_or_else(
        || "nothing was done after it".to_owned(),
        |harm| {
            let ms = |at: u64| (i128::from(at) - i128::from(arrival.at)) / 1_000_000;
            format!("next: {:?} from {} to {} ms after it came", harm.harm, ms(harm.from), ms(harm.to))
        },
    )
}

/// By when the outcome of a request was committed if nothing but the ledger's absences prevented it.
fn committed(arrival: &Arrival, evidence: &Evidence) -> u64 {
    let answered = match arrival.behaviour {
        Behaviour::Slow(ms) => arrival.at + ms * 1_000_000,
        _ => arrival.at,
    };
    // In the order of time, which they were noted in: one absence may lead into the next.
    let commit = if evidence.commit_ms == 0 { COMMIT_MS } else { evidence.commit_ms } * 1_000_000;
    let absences = evidence.disturbances.iter().filter(|harm| harm.harm == Harm::Away);
    absences.fold(answered + commit, |committed, away| {
        if away.from <= committed && away.to + REACH >= answered {
            committed.max(away.to + REACH)
        } else {
            committed
        }
    })
}

/// `delivered` only if the receiver took it; what it took undisturbed is `delivered`; a refusal was one.
pub(super) fn outcomes_are_true(cases: &Cases<'_>, evidence: &Evidence, findings: &mut Findings) {
    for case in cases.by_id.values() {
        let Some(report) = case.last_report() else { continue };
        let harmed = |arrival: &&&Arrival| interrupted(arrival, evidence);
        let took = case.arrivals.iter().any(|arrival| arrival.behaviour.took());
        let took_calmly = case.arrivals.iter().any(|a| a.behaviour.took() && !harmed(&a));
        let in_doubt = case.arrivals.iter().any(|arrival| arrival.behaviour.in_doubt());
        let refused = case.arrivals.iter().any(|arrival| arrival.behaviour == Behaviour::Refused);
        // An attempt that was begun and never arrived was interrupted before it was sent.
        let unsent = usize::try_from(report.attempts).is_ok_and(|begun| begun > case.arrivals.len());
        let disturbed = !evidence.disturbances.is_empty()
            && (unsent || case.arrivals.iter().any(|arrival| harmed(&arrival)));
        let spent = case.arrivals.iter().all(|arrival| !arrival.behaviour.took()) && report.attempts > 1;
        let plausible = match (report.status.as_str(), report.code.as_deref()) {
            ("delivered", Some("ok")) => took,
            ("failed", Some("backend-refused")) => refused && !took_calmly,
            ("failed", Some("uncertain")) => (in_doubt || disturbed) && !took_calmly,
            ("failed", Some("not-taken")) => spent,
            // Only of what was certainly never taken can it be said that its time ran out.
            ("expired", Some("ttl-expired")) => !took && !in_doubt,
            ("rejected", Some("quota-exceeded")) => evidence.limit.is_some() && case.arrivals.is_empty(),
            _ => false,
        };
        if !plausible {
            findings.broke(format!("{}: {report:?} does not follow from {:?}", case.id, case.arrivals));
        }
        let highest = case.arrivals.iter().map(|arrival| arrival.attempt).max().unwrap_or(0);
        if report.attempts < highest {
            findings.broke(format!("{}: reports fewer attempts than came ({highest})", case.id));
        }
        if evidence.disturbances.is_empty() && unsent {
            findings.broke(format!("{}: reports attempts that never came ({})", case.id, report.attempts));
        }
    }
}
