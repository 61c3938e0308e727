//! The checker itself: a run that kept every promise passes, and every way to break one is seen.

use super::{
    check,
    evidence::{Disturbance, EventSeen, Evidence, Harm, Policy, Said, Told, Wish},
};
use crate::receiver::{answer::Behaviour, journaling::Arrival};

fn arrival(at: u64, attempt: u32, behaviour: Behaviour) -> Arrival {
    let (id, reference) = ("msg_1".to_owned(), "r1".to_owned());
    let recipient = "01".to_owned();
    Arrival {
        at,
        key: id.clone(),
        attempt,
        labelled: false,
        id,
        reference,
        recipient,
        attached: None,
        behaviour,
    }
}

fn told(status: &str, code: &str) -> Told {
    Told {
        reader: 0,
        id: "msg_1".into(),
        revision: 1,
        reference: Some("r1".into()),
        key: Some("k".into()),
        recipient: "01".into(),
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
    let wish = Wish {
        customer: 0,
        reference: "r1".into(),
        recipient: "01".into(),
        units: 1,
        key: Some("k".into()),
        policy: Policy::Retry,
        attached: None,
        said,
    };
    Evidence {
        wishes: vec![wish],
        arrivals: vec![arrival(1_000, 1, Behaviour::Ok)],
        disturbances: Vec::new(),
        reports: vec![told("delivered", "ok")],
        views: [("msg_1".to_owned(), vec![told("delivered", "ok")])].into(),
        used: vec![1, 0],
        limit: None,
        outside: None,
        events: vec![event],
        commit_ms: 0,
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
    evidence.views = [("msg_1".to_owned(), vec![evidence.reports[0].clone()])].into();
    evidence
}

/// Its report is of revision 2, and nothing tells of the first.
fn revised(evidence: &mut Evidence) {
    evidence.reports[0].revision = 2;
    evidence.views = [("msg_1".to_owned(), vec![evidence.reports[0].clone()])].into();
    evidence.events[0].id = "msg_1.2".into();
    evidence.events[0].sequence = 2;
}

#[test]
fn a_revision_that_was_replaced_before_it_was_read_is_known_by_its_event() {
    let mut evidence = good();
    let first = evidence.events[0].clone();
    revised(&mut evidence);
    evidence.events.push(EventSeen { kind: "naru.message.failed".into(), ..first });
    assert_eq!(check(&evidence).broken, Vec::<String>::new());
}

#[test]
fn what_is_told_of_routes_acts_and_doubt_is_no_message_s_and_breaks_nothing() {
    let mut evidence = good();
    let about = |subject: &str, kind: &str| EventSeen {
        id: format!("x.{subject}"),
        subject: subject.into(),
        sequence: 7,
        kind: kind.into(),
    };
    let others = [
        about("route/carrier", "naru.route.resting"),
        about("catalog/customer/c0", "naru.customer.changed"),
        about("held/msg_1", "naru.uncertain.held"),
    ];
    evidence.outside = Some([evidence.events.clone(), others.to_vec()].concat());
    evidence.events.extend(others);
    assert_eq!(check(&evidence).broken, Vec::<String>::new());
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
    type Harmful = (&'static str, &'static str, fn(&mut Evidence));
    let harms: [Harmful; 24] = [
        ("lost", "was accepted and is unknown", |e| {
            e.views.clear();
            e.reports.clear();
            e.arrivals.clear();
        }),
        ("not final", "was accepted and is sending", |e| {
            e.views.values_mut().flatten().for_each(|v| v.status = "sending".into())
        }),
        ("no report", "has ended without a report", |e| e.reports.clear()),
        ("nobody asked", "nobody asked for it", |e| e.wishes.clear()),
        ("refused and sent", "was told [Refused", |e| {
            e.wishes[0].said = vec![Said::Refused { status: 429, code: "rate-limited".into() }];
        }),
        ("charged twice", "1 units are due and 2 are used", |e| e.used[0] = 2),
        ("no event", "never heard of it", |e| e.events.clear()),
        ("another event", "of no report", |e| e.events[0].kind = "naru.message.failed".into()),
        ("twice", "undisturbed, and was repeated", |e| {
            e.arrivals.push(Arrival { labelled: true, ..arrival(9_000, 2, Behaviour::Ok) });
        }),
        ("never arrived", "does not follow from []", |e| e.arrivals.clear()),
        ("another key", "came with the key `msg_2`", |e| e.arrivals[0].key = "msg_2".into()),
        ("a report of two minds", "was told in two ways", |e| {
            e.reports.push(Told { code: None, ..e.reports[0].clone() });
        }),
        ("a gap", "revisions [2]", revised),
        ("an event of what was never replaced", "of no report", |e| {
            let more = EventSeen { id: "msg_1.2".into(), sequence: 2, ..e.events[0].clone() };
            e.events.push(more);
        }),
        ("another is charged", "customer 1: 0 units are due and 1 are used", |e| e.used = vec![0, 1]),
        ("another reads the report", "of customer 0 and told to 1", |e| e.reports[0].reader = 1),
        ("another sees it too", "of customer 0 and told to 1", |e| {
            let seen = e.views.get_mut("msg_1").unwrap();
            seen.push(Told { reader: 1, ..seen[0].clone() });
        }),
        ("sent to somebody else", "for 01 and sent to 02", |e| e.arrivals[0].recipient = "02".into()),
        ("told of somebody else", "is told as", |e| e.reports[0].recipient = "02".into()),
        ("another key is told", "is told as", |e| e.reports[0].key = None),
        ("dearer than it is", "is told as", |e| {
            e.views.values_mut().flatten().chain(&mut e.reports).for_each(|told| told.units = 2);
            e.used[0] = 2;
        }),
        ("two ids", "was told of Some(\"msg_2\") and of msg_1", |e| {
            e.wishes[0].said.insert(0, Said::Unknown { id: "msg_2".into() })
        }),
        ("beyond the limit", "1 units are used of Some(0)", |e| e.limit = Some(0)),
        ("refused below the limit", "could use more than 1", |e| {
            e.limit = Some(2);
            let said = Said::Refused { status: 429, code: "quota-exceeded".into() };
            e.wishes.push(Wish { reference: "r2".into(), said: vec![said], ..e.wishes[0].clone() });
        }),
    ];
    for (name, words, harm) in harms {
        let mut evidence = good();
        harm(&mut evidence);
        let broken = check(&evidence).broken;
        // By the rule that is about it, not only by another that minds too.
        assert!(broken.iter().any(|sentence| sentence.contains(words)), "{name}: {broken:#?}");
    }
}

#[test]
fn what_was_recorded_and_never_told_of_must_end_too() {
    let mut stuck = good();
    let wish = &mut stuck.wishes[0];
    let silent =
        Wish { reference: "r2".into(), said: vec![Said::Unknown { id: "msg_2".into() }], ..wish.clone() };
    stuck.wishes.push(silent);
    let view = Told { id: "msg_2".into(), reference: Some("r2".into()), ..told("queued", "-") };
    stuck.views.insert("msg_2".into(), vec![view]);
    assert_eq!(check(&stuck).broken, Vec::<String>::new(), "its id is known, and no more");
    stuck.views.get_mut("msg_2").unwrap()[0].status = "ready".into();
    assert_eq!(check(&stuck).broken.len(), 1, "{:?}", check(&stuck).broken);
}

#[test]
fn at_a_limit_some_are_refused_or_rejected_and_nothing_of_them_is_sent() {
    let mut full = good();
    full.limit = Some(1);
    let said = Said::Accepted { id: "msg_2".into() };
    let late = Wish { reference: "r2".into(), said: vec![said], ..full.wishes[0].clone() };
    let refused = Said::Refused { status: 429, code: "quota-exceeded".into() };
    full.wishes.push(Wish { reference: "r3".into(), said: vec![refused], ..late.clone() });
    full.wishes.push(late);
    let rejected = Told {
        id: "msg_2".into(),
        reference: Some("r2".into()),
        attempts: 0,
        ..told("rejected", "quota-exceeded")
    };
    full.reports.push(rejected.clone());
    full.views.insert("msg_2".into(), vec![rejected]);
    let kind = "naru.message.rejected".into();
    full.events.push(EventSeen { id: "msg_2.1".into(), subject: "msg_2".into(), sequence: 1, kind });
    assert_eq!(check(&full).broken, Vec::<String>::new());
    let arrived = Arrival {
        id: "msg_2".into(),
        key: "msg_2".into(),
        reference: "r2".into(),
        ..full.arrivals[0].clone()
    };
    full.arrivals.push(arrived);
    assert!(!check(&full).broken.is_empty(), "rejected and sent");
}

#[test]
fn an_absence_of_the_ledger_is_no_reason_to_repeat_and_leaves_doubt_until_it_is_over() {
    let away = |from, to| Disturbance { harm: Harm::Away, from, to };
    let mut alone = repeated();
    alone.disturbances = vec![away(2_000, 3_900_000_000)];
    assert_eq!(check(&alone).broken.len(), 1, "nobody died: {:?}", check(&alone).broken);
    let mut dead = alone.clone();
    dead.disturbances.push(kill(4_000_000_000));
    assert_eq!(
        check(&dead).broken,
        Vec::<String>::new(),
        "whoever had it in hand died before it could commit"
    );
    dead.disturbances[0] = away(1_000_000_000, 3_900_000_000);
    assert_eq!(check(&dead).broken.len(), 1, "it was committed before: {:?}", check(&dead).broken);
}

#[test]
fn what_a_balancer_says_of_a_call_that_it_sent_is_no_answer() {
    let reply = |status, body: &str| {
        Ok(crate::wire::Reply { status, head: String::new(), body: body.as_bytes().to_vec() })
    };
    for status in [502, 504] {
        assert_eq!(Said::of_call(&reply(status, "<html>")), Said::Unanswered);
    }
    let refused = |code: &str| Said::Refused { status: 503, code: code.to_owned() };
    assert_eq!(Said::of_call(&reply(503, "<html>")), refused(""), "it had nobody to send it to");
    assert_eq!(Said::of_call(&reply(503, r#"{"code":"draining"}"#)), refused("draining"));
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

#[test]
fn who_listens_outside_must_hear_of_every_outcome_too() {
    let mut evidence = good();
    evidence.outside = Some(evidence.events.clone());
    assert_eq!(check(&evidence).broken, Vec::<String>::new());
    evidence.outside = Some(Vec::new());
    assert_eq!(check(&evidence).broken, ["msg_1.1: delivered and nobody outside heard of it"]);
    let other = EventSeen { id: "msg_1.7".into(), ..evidence.events[0].clone() };
    evidence.outside = Some(vec![evidence.events[0].clone(), other]);
    assert!(
        check(&evidence).broken.iter().any(|broken| broken.contains("an event")),
        "another id of one outcome"
    );
}

#[test]
fn a_file_must_come_with_its_message_as_it_was() {
    let mut evidence = good();
    let broken =
        |evidence: &Evidence| check(evidence).broken.iter().any(|broken| broken.contains("attached"));
    evidence.wishes[0].attached = Some("r1".to_owned());
    assert!(broken(&evidence), "it did not come");
    evidence.arrivals[0].attached = Some("r2".to_owned());
    assert!(broken(&evidence), "another came");
    evidence.arrivals[0].attached = Some("r1".to_owned());
    assert_eq!(check(&evidence).broken, Vec::<String>::new());
}
