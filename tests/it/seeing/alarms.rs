//! Alarms, raised once and cleared once, whoever is killed meanwhile.

use std::{fs, time::Duration};

use naru_tests::{customer::Customer, gateway::Gateway};
use serde_json::Value;

use super::{PATIENCE, Verb, setup, text, wide};
use crate::stage::{accept, beside_others, until, within};

fn raised(verb: Verb<'_>) -> Vec<String> {
    let status: Value = serde_json::from_str(&verb(&["status", "--json"])).unwrap();
    let alarms = status["alarms"].as_array().unwrap();
    alarms
        .iter()
        .map(|one| format!("{} {}", one["alarm"].as_str().unwrap(), one["subject"].as_str().unwrap()))
        .collect()
}

fn becomes(verb: Verb<'_>, expected: &[&str]) {
    within(PATIENCE, &format!("raised is {expected:?}"), || {
        std::thread::sleep(Duration::from_millis(100));
        (raised(verb) == expected).then_some(())
    });
}

fn set(verb: Verb<'_>) {
    verb(&["alarm", "set", "old", "--kind", "oldest-age", "--route", "demo", "--over", "1s"]);
    verb(&[
        "alarm",
        "set",
        "failing",
        "--kind",
        "failure-ratio",
        "--over",
        "4s",
        "--percent",
        "60",
        "--least",
        "5",
    ]);
    verb(&["alarm", "set", "silent", "--kind", "no-traffic", "--customer", "c0", "--over", "31d"]);
    let list = verb(&["alarm", "list"]);
    assert!(list.contains("express-waits") && list.contains("nothing has come of c0"), "{list}");
}

/// Every kind, one after the other; `hurt` is called while an alarm is raised.
fn alarms(customer: &mut Customer, verb: Verb<'_>, hurt: &mut dyn FnMut()) {
    set(verb);
    verb(&["route", "pause", "demo"]);
    // What operators change is in force within a second.
    std::thread::sleep(Duration::from_millis(1_500));
    let id = accept(customer, &text("sms", "00"), None);
    becomes(verb, &["old route/demo"]);
    hurt();
    becomes(verb, &["old route/demo"]);
    verb(&["route", "resume", "demo"]);
    until(customer, &id, &["delivered"], PATIENCE);
    becomes(verb, &[]);
    let ids: Vec<String> = (0..8).map(|_| accept(customer, &text("sms", "90"), None)).collect();
    for id in &ids {
        until(customer, id, &["failed"], PATIENCE);
    }
    becomes(verb, &["failing route/demo"]);
    becomes(verb, &[]);
    verb(&["alarm", "set", "silent", "--kind", "no-traffic", "--customer", "c0", "--over", "1s"]);
    becomes(verb, &["silent customer/c0"]);
    verb(&["alarm", "remove", "silent"]);
    becomes(verb, &[]);
}

/// Of each alarm one line when it was raised and one when it was cleared: they are written when the change took effect.
fn told_once(logs: &str) {
    for alarm in ["old", "failing", "silent"] {
        for what in ["an alarm is raised", "an alarm is cleared"] {
            let of = format!("\"alarm\":\"{alarm}\"");
            let count = logs.lines().filter(|line| line.contains(what) && line.contains(&of)).count();
            assert_eq!(count, 1, "{alarm}: {what}");
        }
    }
}

#[test]
fn an_alarm_is_told_once_though_the_process_is_killed_while_it_is_raised() {
    let _beside = beside_others();
    let gateway = std::cell::RefCell::new(Gateway::spawn(&setup()).unwrap());
    let mut customer = gateway.borrow().customer(0);
    let verb = |arguments: &[&str]| gateway.borrow().verb(arguments).unwrap();
    alarms(&mut customer, &verb, &mut || {
        gateway.borrow_mut().kill().unwrap();
        gateway.borrow_mut().start(&[]).unwrap();
    });
    told_once(&fs::read_to_string(gateway.borrow().home().join("gateway.log")).unwrap());
}

#[test]
fn an_alarm_is_told_once_by_two_workers_of_whom_one_is_killed() {
    let _beside = beside_others();
    let site = std::cell::RefCell::new(wide());
    let mut customer = site.borrow().customer(0);
    let verb = |arguments: &[&str]| site.borrow().verb(arguments).unwrap();
    alarms(&mut customer, &verb, &mut || site.borrow_mut().workers[0].kill().unwrap());
    let logs: String = site.borrow().workers.iter().map(naru_tests::gateway::Member::log).collect();
    told_once(&logs);
}
