//! The checker itself: a run that kept every promise passes, and every way to break one is seen.

use super::{
    check,
    evidence::{Disturbance, EventSeen, Evidence, Harm, Policy, Said, Told, Wish},
};
use crate::receiver::{answer::Behaviour, journaling::Arrival};

fn arrival(at: u64, attempt: u32, behaviour: Behaviour) -> Arrival {
    let (id, reference) = ("msg_1".to_owned(), "r1".to_owned());
    Arrival { at, key: id.clone(), attempt, labelled: false, id, reference, behaviour }
}

fn told(status: &str, code: &str) -> Told {
    Told {
        id: "msg_1".into(),
        revision: 1,
        reference: Some("r1".into()),
        key: None,
        status: status.into(),
        code: Some(code.into()),
        units: 1,
        charged: status == "delivered",
        attempts: 1,
    }
}

/// One message, accepted, delivered, reported, charged and told of.
fn good() -> Evidence {
    let said = vec![Said::Accepted { id: "msg_1".into() }];
    let event = EventSeen {
        id: "msg_1.1".into(),
        subject: "msg_1".into(),
        sequence: 1,
        kind: "naru.message.delivered".into(),
    };
    Evidence {
        wishes: vec![Wish { reference: "r1".into(), key: None, policy: Policy::Retry, said }],
        arrivals: vec![arrival(1_000, 1, Behaviour::Ok)],
        disturbances: Vec::new(),
        reports: vec![told("delivered", "ok")],
        views: [("msg_1".to_owned(), Some(told("delivered", "ok")))].into(),
        used: 1,
        events: vec![event],
    }
}

fn kill(at: u64) -> Disturbance {
    Disturbance { harm: Harm::Kill, from: at, to: at }
}

/// Delivered at the second attempt, after a first that a kill interrupted.
fn repeated() -> Evidence {
    let mut evidence = good();
    let again = Arrival { labelled: true, ..arrival(5_000_000_000, 2, Behaviour::Ok) };
    evidence.arrivals.push(again);
    evidence.disturbances.push(kill(2_000));
    evidence.reports[0].attempts = 2;
    evidence.views = [("msg_1".to_owned(), Some(evidence.reports[0].clone()))].into();
    evidence
}

#[test]
fn what_kept_every_promise_passes() {
    assert_eq!(check(&good()).broken, Vec::<String>::new());
    let findings = check(&repeated());
    assert_eq!(findings.broken, Vec::<String>::new());
    assert_eq!((findings.duplicates, findings.labelled, findings.due, findings.used), (1, 1, 1, 1));
}

#[test]
fn every_broken_promise_is_seen() {
    type Harmful = (&'static str, fn(&mut Evidence));
    let harms: [Harmful; 13] = [
        ("lost", |e| {
            e.views.clear();
            e.reports.clear();
            e.arrivals.clear();
        }),
        ("not final", |e| e.views.values_mut().flatten().for_each(|v| v.status = "sending".into())),
        ("no report", |e| e.reports.clear()),
        ("nobody asked", |e| e.wishes.clear()),
        ("refused and sent", |e| {
            e.wishes[0].said = vec![Said::Refused { status: 429, code: "rate-limited".into() }];
        }),
        ("charged twice", |e| e.used = 2),
        ("no event", |e| e.events.clear()),
        ("another event", |e| e.events[0].kind = "naru.message.failed".into()),
        ("twice", |e| {
            e.arrivals.push(Arrival { labelled: true, ..arrival(9_000, 2, Behaviour::Ok) });
        }),
        ("never arrived", |e| e.arrivals.clear()),
        ("another key", |e| e.arrivals[0].key = "msg_2".into()),
        ("a report of two minds", |e| {
            e.reports.push(Told { code: None, ..e.reports[0].clone() });
        }),
        ("a gap", |e| e.reports[0].revision = 2),
    ];
    for (name, harm) in harms {
        let mut evidence = good();
        harm(&mut evidence);
        assert!(!check(&evidence).broken.is_empty(), "{name}");
    }
}

#[test]
fn a_duplicate_needs_a_doubt_a_label_and_a_route_that_retries() {
    let mut unlabelled = repeated();
    unlabelled.arrivals[1].labelled = false;
    let mut undisturbed = repeated();
    undisturbed.disturbances[0] = kill(4_000_000_000);
    let mut failing = repeated();
    failing.wishes[0].policy = Policy::Fail;
    let mut same_number = repeated();
    same_number.arrivals[1].attempt = 1;
    for (name, evidence) in [
        ("unlabelled", unlabelled),
        ("undisturbed", undisturbed),
        ("failing", failing),
        ("same number", same_number),
    ] {
        assert_eq!(check(&evidence).broken.len(), 1, "{name}: {:?}", check(&evidence).broken);
    }
}
