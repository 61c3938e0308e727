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

use crate::stage::{accept, alone, message, until, used};

const PATIENCE: Duration = Duration::from_secs(15);

#[test]
fn a_copy_made_while_it_runs_holds_what_was_accepted_and_can_be_put_back() {
    let _alone = alone();
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

/// Calls on and on until told to stop; every id with the moment of its `202`.
fn accept_on(gateway: &Gateway, caller: usize, stop: &AtomicBool) -> Vec<(u64, String)> {
    let mut customer = gateway.customer(0);
    let mut accepted = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let id = accept(&mut customer, &message("sms", &format!("{caller}-{}", accepted.len())), None);
        accepted.push((nanos(), id));
    }
    accepted
}

/// The files are copied one after the other while messages move from one to the next: none may fall between them.
#[test]
fn a_copy_made_under_load_loses_nothing_that_was_accepted_before_it() {
    let _alone = alone();
    let mut gateway = Gateway::spawn(&Setup { quota: Some(1_000_000), ..Setup::default() }).unwrap();
    let copy = gateway.home().join("copy").display().to_string();
    let stop = AtomicBool::new(false);
    let (accepted, began) = thread::scope(|scope| {
        let callers = (0..8).map(|caller| {
            let (gateway, stop) = (&gateway, &stop);
            scope.spawn(move || accept_on(gateway, caller, stop))
        });
        let callers: Vec<_> = callers.collect();
        thread::sleep(Duration::from_secs(1));
        let began = nanos();
        gateway.verb(&["backup", &copy]).unwrap();
        stop.store(true, Ordering::SeqCst);
        let accepted = callers.into_iter().flat_map(|caller| caller.join().unwrap());
        (accepted.collect::<Vec<_>>(), began)
    });
    gateway.drain().unwrap();
    gateway.verb(&["restore", &copy, "--replace"]).unwrap();
    gateway.start(&[]).unwrap();
    let mut customer = gateway.customer(0);
    let before: Vec<&str> =
        accepted.iter().filter(|(at, _)| *at < began).map(|(_, id)| id.as_str()).collect();
    assert!(before.len() > 200 && accepted.len() > before.len(), "{} of {}", before.len(), accepted.len());
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
