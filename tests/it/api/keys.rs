//! Idempotency keys.

use std::{thread, time::Duration};

use naru_tests::gateway::{Gateway, Setup};

use super::{PATIENCE, refusal, sandbox};
use crate::stage::{accept, beside_others, message, reports, until, used};

#[test]
fn a_key_in_flight_is_a_409_and_the_first_call_is_answered() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    // Somebody else writes to the queue's file: publishes wait.
    let queue = rusqlite::Connection::open(gateway.home().join("data/queue.db")).unwrap();
    queue.execute_batch("BEGIN IMMEDIATE").unwrap();
    let wish = message("sms", "slow");
    let first = thread::scope(|scope| {
        let mut customer = gateway.customer(0);
        let wish = &wish;
        let first = scope.spawn(move || customer.send(wish, Some("k")).unwrap());
        thread::sleep(Duration::from_millis(500));
        let second = gateway.customer(0).send(wish, Some("k")).unwrap();
        assert_eq!(refusal(&second), (409, "key-in-flight".to_owned()));
        assert!(second.header("retry-after").is_some());
        assert!(!first.is_finished(), "the first call was not in flight");
        queue.execute_batch("ROLLBACK").unwrap();
        first.join().unwrap()
    });
    assert_eq!(first.status, 202);
    let third = gateway.customer(0).send(&wish, Some("k")).unwrap();
    assert_eq!((third.status, third.json()), (202, first.json()));
}

#[test]
fn the_same_content_gets_the_same_answer_and_another_is_refused() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup { quota: Some(100), ..Setup::default() }).unwrap();
    let mut customer = gateway.customer(0);
    let first = customer.send(&message("sms", "a"), Some("order-77")).unwrap();
    let again = customer.send(&message("sms", "a"), Some("\"order-77\"")).unwrap();
    assert_eq!((first.status, again.status), (202, 202));
    assert_eq!((&first.body, first.header("location")), (&again.body, again.header("location")));
    let other = customer.send(&message("sms", "b"), Some("order-77")).unwrap();
    assert_eq!(refusal(&other), (422, "idempotency-conflict".to_owned()));
    let elsewhere = sandbox(&gateway, 0).send(&message("sms", "b"), Some("order-77")).unwrap();
    assert_eq!(elsewhere.status, 202, "the sandbox has keys of its own");
    let id = first.json()["id"].as_str().unwrap().to_owned();
    until(&mut customer, &id, &["delivered"], PATIENCE);
    let late = customer.send(&message("sms", "a"), Some("order-77")).unwrap();
    assert_eq!(late.body, first.body, "the first answer, also after delivery");
    assert_eq!(used(&gateway), 1);
    assert_eq!(reports(&mut customer, 1, PATIENCE).len(), 1);
}

#[test]
fn a_key_names_the_same_message_after_a_kill() {
    let _beside = beside_others();
    let mut gateway = Gateway::spawn(&Setup { quota: Some(100), ..Setup::default() }).unwrap();
    let mut customer = gateway.customer(0);
    let first = accept(&mut customer, &message("sms", "a"), Some("order-77"));
    until(&mut customer, &first, &["delivered"], PATIENCE);
    gateway.kill().unwrap();
    gateway.start(&[]).unwrap();
    let mut customer = gateway.customer(0);
    assert_eq!(accept(&mut customer, &message("sms", "a"), Some("order-77")), first);
    // One that is sent after it is there: so was the other.
    let next = accept(&mut customer, &message("sms", "b"), None);
    until(&mut customer, &next, &["delivered"], PATIENCE);
    assert_eq!(reports(&mut customer, 2, PATIENCE).len(), 2);
    assert_eq!(used(&gateway), 2);
    let view = customer.get(&format!("/messages/{first}")).unwrap().json();
    assert_eq!((view["attempts"].as_u64(), view["revision"].as_u64()), (Some(1), Some(1)));
}
