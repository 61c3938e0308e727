//! Every outcome that a sandbox call may ask for by its header, as documented.

use std::{collections::HashMap, time::Duration};

use naru_shared::domain::{OUTCOMES, Timestamp};
use naru_tests::{
    customer::Customer,
    gateway::{Gateway, RouteSpec, Setup},
};
use serde_json::{Value, json};

use super::{refusal, sandbox};
use crate::stage::{beside_others, message, until, within};

/// One of these outcomes waits for the end of an attempt's time, others for retries.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is asked for, and how it ends: status, code, a word of the detail, attempts, and the least milliseconds from the attempt to the end.
struct Fate(&'static str, (&'static str, &'static str), &'static str, u64, i64);

const FATES: [Fate; 11] = [
    Fate("delivered", ("delivered", "ok"), "simulated", 1, 0),
    Fate("delivered;delay=2", ("delivered", "ok"), "simulated", 1, 2_000),
    Fate("delivered;report=3", ("delivered", "ok"), "simulated", 1, 3_000),
    Fate("delivered;report=1;twice", ("delivered", "ok"), "simulated", 1, 1_000),
    Fate("failed", ("failed", "backend-refused"), "simulated", 1, 0),
    Fate("failed;code=\"30003\"", ("failed", "backend-refused"), "code 30003", 1, 0),
    Fate("failed;code=\"E1\";report=2", ("failed", "backend-refused"), "code E1", 1, 2_000),
    Fate("not-taken;times=1", ("delivered", "ok"), "simulated", 2, 0),
    Fate("not-taken", ("delivered", "ok"), "simulated", 3, 0),
    Fate("uncertain", ("failed", "uncertain"), "uncertain", 1, 0),
    Fate("silent", ("failed", "uncertain"), "", 1, 5_000),
];

fn send(customer: &mut Customer, simulate: &str) -> String {
    let header = [format!("Naru-Simulate: {simulate}")];
    let reply = customer.call("POST", "/messages", &header, Some(&message("sms", simulate))).unwrap();
    assert_eq!(reply.status, 202, "{simulate}: {}", reply.json());
    reply.json()["id"].as_str().unwrap().to_owned()
}

fn moment(view: &Value, name: &str) -> i64 {
    view[name].as_str().unwrap().parse::<Timestamp>().unwrap().as_millis()
}

fn gateway() -> Gateway {
    Gateway::spawn(&Setup { routes: vec![RouteSpec::simulator("demo")], ..Setup::default() }).unwrap()
}

#[test]
fn every_outcome_that_is_asked_for_is_what_happens() {
    let _beside = beside_others();
    let gateway = gateway();
    let mut customer = sandbox(&gateway, 0);
    let asked: Vec<(String, &Fate)> = FATES.iter().map(|fate| (send(&mut customer, fate.0), fate)).collect();
    let unreported = send(&mut customer, "unreported");
    let late = send(&mut customer, "late;report=2");
    for (id, Fate(simulate, end, detail, attempts, least)) in &asked {
        let view = until(&mut customer, id, &["delivered", "failed", "expired"], PATIENCE);
        let ended = (view["status"].as_str().unwrap(), view["code"].as_str().unwrap());
        assert_eq!((ended, view["attempts"].as_u64()), (*end, Some(*attempts)), "{simulate}: {view}");
        assert!(view["detail"].as_str().unwrap().contains(detail), "{simulate}: {view}");
        let took = moment(&view, "final_at") - moment(&view, "sent_at");
        assert!(took >= *least, "{simulate} ended {took} ms after its attempt");
        assert_eq!(view["revision"], 1, "{simulate}: {view}");
    }
    let view = until(&mut customer, &late, &["delivered"], PATIENCE);
    assert_eq!((view["revision"].as_u64(), view["code"].as_str()), (Some(2), Some("ok")), "{view}");
    let view = until(&mut customer, &unreported, &["sent"], PATIENCE);
    assert_eq!(view["final_at"], Value::Null, "no report ever comes");
    // What was told twice was told twice by now, and made one report.
    let mut reports: HashMap<String, Vec<u64>> = HashMap::new();
    within(PATIENCE, "every report", || {
        for report in customer.take_reports().unwrap() {
            let id = report["id"].as_str().unwrap().to_owned();
            reports.entry(id).or_default().push(report["revision"].as_u64().unwrap());
        }
        (reports.len() == asked.len() + 1).then_some(())
    });
    assert!(asked.iter().all(|(id, _)| reports[id] == [1]), "{reports:?}");
    let known = |word: &str| FATES.iter().any(|Fate(simulate, ..)| simulate.split(';').next() == Some(word));
    let elsewhere = ["late", "unreported", "rate-limited", "quota-exceeded", "unavailable"];
    let all = OUTCOMES.iter().all(|(word, ..)| known(word) || elsewhere.contains(word));
    assert!(all, "a documented outcome is not asked for");
}

#[test]
fn a_late_report_corrects_the_one_that_said_none_had_come() {
    let _beside = beside_others();
    let gateway = gateway();
    let mut customer = sandbox(&gateway, 0);
    let id = send(&mut customer, "late;report=3");
    let read = |customer: &mut Customer, revision: u64| {
        within(PATIENCE, "a report", || {
            let found = customer.take_reports().unwrap();
            let mine = found.into_iter().find(|report| report["id"] == *id)?;
            assert_eq!(mine["revision"], revision, "{mine}");
            Some(mine)
        })
    };
    let missed = read(&mut customer, 1);
    assert_eq!((missed["status"].as_str(), missed["code"].as_str()), (Some("expired"), Some("no-report")));
    let truth = read(&mut customer, 2);
    assert_eq!((truth["status"].as_str(), truth["code"].as_str()), (Some("delivered"), Some("ok")));
    let between = moment(&truth, "final_at") - moment(&missed, "final_at");
    assert!(between >= 2_500, "the truth came {between} ms later");
}

#[test]
fn a_call_that_asks_for_it_is_refused_without_effect() {
    let _beside = beside_others();
    let gateway = gateway();
    let mut customer = sandbox(&gateway, 0);
    for (simulate, expected, wait) in [
        ("rate-limited", (429, "rate-limited"), "1"),
        ("quota-exceeded;retry-after=60", (429, "quota-exceeded"), "60"),
        ("unavailable;retry-after=5", (503, "unavailable"), "5"),
    ] {
        let headers = [format!("Naru-Simulate: {simulate}"), "Idempotency-Key: same".to_owned()];
        for (path, body) in [
            ("/messages", message("sms", "refused")),
            ("/messages/batch", json!({ "messages": [message("sms", "refused")] })),
        ] {
            let reply = customer.call("POST", path, &headers, Some(&body)).unwrap();
            assert_eq!(refusal(&reply), (expected.0, expected.1.to_owned()), "{simulate} {path}");
            assert_eq!(reply.header("retry-after"), Some(wait), "{simulate} {path}");
        }
    }
    let read = customer.call("GET", "/reports", &["Naru-Simulate: unavailable".to_owned()], None).unwrap();
    assert_eq!(refusal(&read), (503, "unavailable".to_owned()));
    // The key is free: nothing was begun with it.
    let other = customer.call(
        "POST",
        "/messages",
        &["Idempotency-Key: same".to_owned()],
        Some(&message("sms", "other")),
    );
    let id = other.unwrap().json()["id"].as_str().unwrap().to_owned();
    until(&mut customer, &id, &["delivered"], PATIENCE);
    assert_eq!(customer.take_reports().unwrap().len(), 1);
}

#[test]
fn it_is_part_of_the_content_and_of_the_sandbox() {
    let _beside = beside_others();
    let gateway = gateway();
    let (mut customer, mut live) = (sandbox(&gateway, 0), gateway.customer(0));
    let wish = message("sms", "key");
    let call = |customer: &mut Customer, simulate: &str, key: &str| {
        let headers = [format!("Naru-Simulate: {simulate}"), format!("Idempotency-Key: {key}")];
        refusal(&customer.call("POST", "/messages", &headers, Some(&wish)).unwrap())
    };
    assert_eq!(call(&mut customer, "failed", "k").0, 202);
    assert_eq!(call(&mut customer, "failed", "k").0, 202);
    assert_eq!(call(&mut customer, "delivered", "k"), (422, "idempotency-conflict".to_owned()));
    assert_eq!(call(&mut customer, "failed;delay=5s", "l"), (422, "invalid-simulation".to_owned()));
    assert_eq!(call(&mut customer, "unheard-of", "l"), (422, "invalid-simulation".to_owned()));
    for simulate in ["failed", "unavailable", "nonsense;;"] {
        assert_eq!(call(&mut live, simulate, "l"), (422, "simulation-on-live".to_owned()), "{simulate}");
    }
    assert_eq!(live.take_reports().unwrap().len(), 0, "nothing was made of it");
    let batch = json!({ "messages": [message("sms", "a"), message("mms", "b")] });
    let reply = customer.call(
        "POST",
        "/messages/batch",
        &["Naru-Simulate: failed;code=\"7\"".to_owned()],
        Some(&batch),
    );
    for line in reply.unwrap().json()["results"].as_array().unwrap() {
        let view = until(&mut customer, line["id"].as_str().unwrap(), &["failed"], PATIENCE);
        assert!(view["detail"].as_str().unwrap().ends_with("code 7"), "{view}");
    }
}
