//! Messages that wait: for their time, for their route, for nothing any more.

use std::{thread, time::Duration};

use naru_shared::domain::{Clock, SystemClock, Timestamp};
use naru_tests::{
    customer::Customer,
    gateway::{Gateway, Setup},
};
use serde_json::{Value, json};

use super::{PATIENCE, refusal};
use crate::stage::{accept, alone, message, reports, until, used};

fn gateway() -> Gateway {
    Gateway::spawn(&Setup { quota: Some(100), ..Setup::default() }).unwrap()
}

fn later(reference: &str, time: Duration) -> (Value, Timestamp) {
    let at = SystemClock.now().plus(time);
    let mut wish = message("sms", reference);
    wish["send_at"] = json!(at);
    (wish, at)
}

fn only_report(customer: &mut Customer, id: &str) -> Value {
    let all = reports(customer, 1, PATIENCE);
    assert_eq!((all.len(), all[0]["id"].as_str()), (1, Some(id)));
    all[0].clone()
}

#[test]
fn a_scheduled_message_is_delivered_at_its_time_and_not_before() {
    let _alone = alone();
    let gateway = gateway();
    let mut customer = gateway.customer(0);
    let (wish, at) = later("later", Duration::from_secs(3));
    let id = accept(&mut customer, &wish, None);
    until(&mut customer, &id, &["scheduled"], Duration::from_secs(2));
    assert_eq!(used(&gateway), 1, "its charge is reserved");
    let view = until(&mut customer, &id, &["delivered"], PATIENCE);
    let sent: Timestamp = view["sent_at"].as_str().unwrap().parse().unwrap();
    assert!(sent >= at && sent < at.plus(Duration::from_secs(2)), "{sent:?} for {at:?}");
    assert_eq!(only_report(&mut customer, &id)["charged"], true);
}

#[test]
fn what_waits_on_a_paused_route_expires_and_gives_its_charge_back() {
    let _alone = alone();
    let gateway = gateway();
    let mut customer = gateway.customer(0);
    gateway.verb(&["route", "pause", "demo"]).unwrap();
    thread::sleep(Duration::from_secs(1));
    let mut wish = message("sms", "short");
    wish["ttl"] = 3.into();
    let id = accept(&mut customer, &wish, None);
    until(&mut customer, &id, &["ready"], Duration::from_secs(2));
    assert_eq!(used(&gateway), 1);
    let view = until(&mut customer, &id, &["expired"], PATIENCE);
    let moments = ["accepted_at", "final_at"].map(|name| view[name].as_str().unwrap().parse().unwrap());
    let [accepted, ended]: [Timestamp; 2] = moments;
    assert!(ended >= accepted.plus(Duration::from_secs(3)), "{view}");
    let report = only_report(&mut customer, &id);
    assert_eq!(
        (&report["status"], &report["code"], &report["charged"], &report["attempts"]),
        (&json!("expired"), &json!("ttl-expired"), &json!(false), &json!(0))
    );
    let quota = customer.get("/quota").unwrap().json();
    assert_eq!((&quota["quotas"][0]["used"], &quota["quotas"][0]["remaining"]), (&json!(0), &json!(100)));
    gateway.verb(&["route", "resume", "demo"]).unwrap();
    let next = accept(&mut customer, &message("sms", "next"), None);
    until(&mut customer, &next, &["delivered"], PATIENCE);
    assert_eq!(customer.get(&format!("/messages/{id}")).unwrap().json()["status"], "expired");
}

#[test]
fn what_waits_of_a_suspended_customer_waits_and_is_told_until_it_is_resumed() {
    let _alone = alone();
    let gateway = Gateway::spawn(&Setup { customers: 2, ..Setup::default() }).unwrap();
    let (mut first, mut second) = (gateway.customer(0), gateway.customer(1));
    gateway.verb(&["route", "pause", "demo"]).unwrap();
    thread::sleep(Duration::from_secs(1));
    let waiting = accept(&mut first, &message("sms", "waits"), None);
    until(&mut first, &waiting, &["ready"], Duration::from_secs(2));
    gateway.verb(&["customer", "suspend", "c0"]).unwrap();
    thread::sleep(Duration::from_secs(1));
    gateway.verb(&["route", "resume", "demo"]).unwrap();
    let id = accept(&mut second, &message("sms", "goes"), None);
    until(&mut second, &id, &["delivered"], PATIENCE);
    let told: Value = serde_json::from_str(&gateway.verb(&["--json", "status"]).unwrap()).unwrap();
    assert_eq!((told["waiting"].as_array().unwrap().len(), &told["waiting"][0]["messages"]), (1, &json!(1)));
    assert_eq!(told["waiting"][0]["why"], "c0 is suspended: naru customer resume c0");
    gateway.verb(&["customer", "resume", "c0"]).unwrap();
    thread::sleep(Duration::from_secs(1));
    until(&mut first, &waiting, &["delivered"], PATIENCE);
}

#[test]
fn a_scheduled_message_is_cancelled_and_gives_its_charge_back() {
    let _alone = alone();
    let gateway = gateway();
    let mut customer = gateway.customer(0);
    let (wish, _) = later("never", Duration::from_secs(3_600));
    let id = accept(&mut customer, &wish, None);
    until(&mut customer, &id, &["scheduled"], PATIENCE);
    assert_eq!(used(&gateway), 1);
    let done = customer.cancel(&id).unwrap();
    assert_eq!((done.status, &done.json()["status"]), (200, &json!("cancelled")));
    let report = only_report(&mut customer, &id);
    assert_eq!(
        (&report["status"], &report["code"], &report["charged"], &report["attempts"]),
        (&json!("cancelled"), &json!("cancelled"), &json!(false), &json!(0))
    );
    assert_eq!(used(&gateway), 0);
}

#[test]
fn what_was_delivered_cannot_be_cancelled() {
    let _alone = alone();
    let gateway = gateway();
    let mut customer = gateway.customer(0);
    let id = accept(&mut customer, &message("sms", "done"), None);
    until(&mut customer, &id, &["delivered"], PATIENCE);
    assert_eq!(refusal(&customer.cancel(&id).unwrap()), (409, "not-cancellable".to_owned()));
    assert_eq!(customer.get(&format!("/messages/{id}")).unwrap().json()["status"], "delivered");
    assert_eq!(used(&gateway), 1);
}
