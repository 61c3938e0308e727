//! A copy made while it runs, put back.

use std::time::Duration;

use naru_tests::gateway::{Gateway, Setup};

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
