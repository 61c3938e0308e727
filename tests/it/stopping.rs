//! Mistakes undone, on whole processes: messages stopped in the middle of a stream, the dead sent again, a recipient erased.

use std::time::Duration;

use naru_shared::domain::OnUncertain;
use naru_tests::{
    customer::Customer,
    deployment::{Carries, Deployment, Shape},
    engines::Flavour,
    gateway::{Gateway, RouteSpec, Setup},
    place::On,
    stopping::{Plan, run},
};
use serde_json::Value;

use crate::stage::{Receiver, accept, beside_others, message, until, within};

const PATIENCE: Duration = Duration::from_secs(60);

fn stops(on: On) {
    let _beside = beside_others();
    let told = run(on, &Plan::small()).unwrap_or_else(|error| panic!("{error:?}"));
    println!("{told}");
}

#[test]
fn a_stop_amid_a_stream_is_exact_and_can_be_undone_or_committed() {
    stops(On::Embedded);
}

#[test]
fn a_stop_amid_a_stream_is_exact_on_postgresql_and_rabbitmq() {
    stops(On::Wide(Carries::RabbitMq));
}

#[test]
fn a_stop_amid_a_stream_is_exact_on_postgresql_and_sqs() {
    stops(On::Wide(Carries::Aws { flavour: Flavour::Ministack, counted: false }));
}

/// Runs a verb that answers in JSON.
fn asked(verb: &dyn Fn(&[&str]) -> anyhow::Result<String>, arguments: &[&str]) -> Value {
    let printed = verb(&[arguments, &["--json"]].concat()).unwrap();
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {printed}"))
}

fn setup(receiver: &Receiver) -> Setup {
    let route = RouteSpec::http("carrier", receiver.process.address, OnUncertain::Fail);
    Setup { routes: vec![route], quota: Some(2), ..Setup::default() }
}

fn one_is_expired(
    customer: &mut Customer,
    verb: &dyn Fn(&[&str]) -> anyhow::Result<String>,
    key: &str,
) -> String {
    verb(&["route", "pause", "carrier"]).unwrap();
    // In force within a second.
    std::thread::sleep(Duration::from_millis(1_500));
    let mut sent = message("sms", key);
    sent["ttl"] = 1.into();
    let id = accept(customer, &sent, Some(key));
    until(customer, &id, &["expired"], PATIENCE);
    verb(&["route", "resume", "carrier"]).unwrap();
    id
}

/// What expired is sent again and delivered under another key, charged again within its customer's limit; then its recipient is
/// erased.
fn mended(customer: &mut Customer, receiver: &Receiver, verb: &dyn Fn(&[&str]) -> anyhow::Result<String>) {
    let id = one_is_expired(customer, verb, "first");
    let listed = asked(verb, &["dead", "list", "--customer", "c0"]);
    assert_eq!((listed[0]["id"].as_str(), &listed[0]["code"]), (Some(id.as_str()), &"ttl-expired".into()));
    let told = asked(verb, &["dead", "redrive", "--customer", "c0", "--dry-run"]);
    let expected = (&1.into(), &1.into(), &0.into());
    assert_eq!((&told["messages"], &told["units"], &told["perhaps_delivered"]), expected, "{told}");
    assert!(receiver.arrivals().is_empty(), "a dry run sends nothing");
    let told = asked(verb, &["dead", "redrive", "--customer", "c0"]);
    assert_eq!(told["outcomes"]["ready"], 1, "{told}");
    let view = until(customer, &id, &["delivered"], PATIENCE);
    assert_eq!(view["attempts"], 1, "the one that expired had none");
    let arrivals = receiver.arrivals();
    assert_eq!((arrivals.len(), &arrivals[0].id), (1, &id), "{arrivals:?}");
    assert_eq!((arrivals[0].key.clone(), arrivals[0].labelled), (format!("{id}.r1"), false));
    let mut all = Vec::new();
    within(PATIENCE, "the report of the second time", || {
        all.extend(customer.take_reports().unwrap());
        all.iter().any(|report| report["revision"] == 2 && report["charged"] == true).then_some(())
    });
    // One more unit is left, and two messages are dead.
    let dead = [one_is_expired(customer, verb, "second"), one_is_expired(customer, verb, "third")];
    let told = asked(verb, &["dead", "redrive", &dead[0], &dead[1]]);
    assert_eq!(
        (&told["outcomes"]["ready"], &told["outcomes"]["over-quota"]),
        (&1.into(), &1.into()),
        "{told}"
    );
    until(customer, &dead[0], &["delivered"], PATIENCE);
    until(customer, &dead[1], &["expired"], PATIENCE);
    let told = asked(verb, &["erase", "+821012345600", "--dry-run"]);
    assert_eq!((&told["erased"], &told["under_way"]), (&3.into(), &0.into()), "{told}");
    let told = asked(verb, &["erase", "+821012345600"]);
    let pseudonym = told["pseudonym"].as_str().unwrap().to_owned();
    assert_eq!(told["erased"], 3, "{told}");
    let shown = verb(&["message", "show", &id, "--json"]).unwrap();
    assert!(shown.contains(&pseudonym) && !shown.contains("1012345600"), "{shown}");
    assert_eq!(customer.get(&format!("/messages/{id}")).unwrap().json()["recipient"], pseudonym.as_str());
    let told = asked(verb, &["dead", "redrive", &dead[1]]);
    assert_eq!(told["outcomes"]["no-text"], 1, "its text is gone: {told}");
}

#[test]
fn what_expired_is_sent_again_and_a_recipient_is_erased() {
    let _beside = beside_others();
    let receiver = Receiver::start(&[]);
    let gateway = Gateway::spawn(&setup(&receiver)).unwrap();
    mended(&mut gateway.customer(0), &receiver, &|arguments| gateway.verb(arguments));
}

#[test]
fn what_expired_is_sent_again_and_a_recipient_is_erased_on_postgresql() {
    let _beside = beside_others();
    let receiver = Receiver::start(&[]);
    let shape = Shape { setup: setup(&receiver), ingress: 1, workers: 1, ..Shape::default() };
    let site = Deployment::spawn(&shape).unwrap();
    mended(&mut site.customer(0), &receiver, &|arguments| site.verb(arguments));
}

/// What comes while nothing runs waits on the queue; a rule that is given meanwhile stops it as it arrives.
#[test]
fn a_stop_while_nothing_runs_holds_what_is_still_on_the_queue() {
    let _beside = beside_others();
    let receiver = Receiver::start(&[]);
    let mut gateway = Gateway::prepare(&Setup { quota: Some(10), ..setup(&receiver) }).unwrap();
    gateway.argue(&["--workers", "0"]);
    gateway.start(&[]).unwrap();
    let id = accept(&mut gateway.customer(0), &message("sms", "first"), None);
    gateway.drain().unwrap();
    let verb = |gateway: &Gateway, arguments: &[&str]| asked(&|words| gateway.verb(words), arguments);
    let told = verb(&gateway, &["stop", "--route", "carrier", "--reason", "a mistake"]);
    assert_eq!((&told["counts"]["stopped"], &told["phase"]), (&0.into(), &"standing".into()), "{told}");
    gateway.argue(&[]);
    gateway.start(&[]).unwrap();
    let mut customer = gateway.customer(0);
    until(&mut customer, &id, &["stopped"], PATIENCE);
    let told = verb(&gateway, &["stop", "show", "1"]);
    assert_eq!((&told["counts"]["arrived"], &told["counts"]["stands"]), (&1.into(), &1.into()), "{told}");
    assert!(receiver.arrivals().is_empty());
    let reply = customer.cancel(&id).unwrap();
    assert_eq!(
        (reply.status, &reply.json()["status"]),
        (200, &"cancelled".into()),
        "its customer may still cancel it"
    );
    let told = verb(&gateway, &["stop", "undo", "1"]);
    assert_eq!((&told["counts"]["otherwise"], &told["phase"]), (&1.into(), &"ended".into()), "{told}");
    assert!(gateway.verb(&["stop", "commit", "1"]).is_err(), "it is over");
    assert!(gateway.verb(&["stop"]).is_err(), "a rule without a word stops nothing");
}
