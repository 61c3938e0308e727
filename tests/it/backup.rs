//! A copy made while it runs, put back.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use naru_tests::{
    gateway::{Gateway, Setup},
    monotonic::nanos,
};
use parking_lot::Mutex;

use crate::stage::{accept, beside_others, message, until, used, within};

const PATIENCE: Duration = Duration::from_secs(15);

#[test]
fn a_copy_made_while_it_runs_holds_what_was_accepted_and_can_be_put_back() {
    let _beside = beside_others();
    let mut gateway = Gateway::spawn(&Setup { quota: Some(100), ..Setup::default() }).unwrap();
    let mut customer = gateway.customer(0);
    let before = accept(&mut customer, &message("sms", "before"), Some("before"));
    until(&mut customer, &before, &["delivered"], PATIENCE);
    let copy = gateway.home().join("copy").display().to_string();
    gateway.verb(&["backup", &copy]).unwrap();
    let after = accept(&mut customer, &message("sms", "after"), Some("after"));
    until(&mut customer, &after, &["delivered"], PATIENCE);
    assert!(gateway.verb(&["restore", &copy, "--replace"]).is_err(), "not while it runs");
    gateway.drain().unwrap();
    gateway.verb(&["restore", &copy, "--replace"]).unwrap();
    gateway.start(&[]).unwrap();
    let mut customer = gateway.customer(0);
    until(&mut customer, &before, &["delivered"], PATIENCE);
    assert_eq!(used(&gateway), 1);
    // The key still names the same message, which this copy has not seen.
    let again = accept(&mut customer, &message("sms", "after"), Some("after"));
    assert_eq!(again, after);
}

/// Calls on and on until told to stop, and writes down every id with the moment of its `202`.
fn accept_on(gateway: &Gateway, caller: usize, stop: &AtomicBool, accepted: &Mutex<Vec<(u64, String)>>) {
    let mut customer = gateway.customer(0);
    for call in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let id = accept(&mut customer, &message("sms", &format!("{caller}-{call}")), None);
        accepted.lock().push((nanos(), id));
    }
}

/// The files are copied one after the other while messages move from one to the next: none may fall between them.
#[test]
fn a_copy_made_under_load_loses_nothing_that_was_accepted_before_it() {
    let _beside = beside_others();
    let mut gateway = Gateway::spawn(&Setup { quota: Some(1_000_000), ..Setup::default() }).unwrap();
    let copy = gateway.home().join("copy").display().to_string();
    let (stop, accepted) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let began = thread::scope(|scope| {
        for caller in 0..8 {
            let (gateway, stop, accepted) = (&gateway, &stop, &accepted);
            scope.spawn(move || accept_on(gateway, caller, stop, accepted));
        }
        within(PATIENCE * 2, "many are accepted", || (accepted.lock().len() > 500).then_some(()));
        let began = nanos();
        let copied = gateway.verb(&["backup", &copy]);
        stop.store(true, Ordering::SeqCst);
        copied.unwrap();
        began
    });
    let accepted = accepted.into_inner();
    gateway.drain().unwrap();
    gateway.verb(&["restore", &copy, "--replace"]).unwrap();
    gateway.start(&[]).unwrap();
    let mut customer = gateway.customer(0);
    let before: Vec<&str> =
        accepted.iter().filter(|(at, _)| *at < began).map(|(_, id)| id.as_str()).collect();
    assert!(accepted.len() > before.len(), "nothing was accepted while it was copied");
    for id in &before {
        // What the copy's queue held may have been sent since: it waits for a person.
        until(&mut customer, id, &["delivered", "held"], PATIENCE);
    }
    let mut paid = 0;
    for (_, id) in &accepted {
        let view = customer.get(&format!("/messages/{id}")).unwrap().json();
        paid += u64::from(view["status"] == "delivered" || view["status"] == "held");
    }
    eprintln!("{} before the copy, {paid} in it, {} in all", before.len(), accepted.len());
    assert_eq!(
        used(&gateway),
        paid,
        "reserved for what is held, captured for what is delivered, nothing else"
    );
}
