//! One customer's quota at several fronts, of which one dies with a part of it in its hands.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    PATIENCE, at, code,
    loan::{borrow, customers::QUOTA},
    message,
};
use crate::stage::within;

const LIMIT: usize = 400;

/// Units before there is a limit.
const USED: usize = 50;

/// What fronts may let in beyond a limit, since they do not ask the ledger: what it refuses then.
const BEYOND: usize = LIMIT / 50;

/// As docs/redis.md tells: what a process that is killed had in hand is whole again after that.
const WHOLE: Duration = Duration::from_secs(60);

/// How exactly Redis knows since when units are in flight, and how often a refused caller asks here.
const SLACK: Duration = Duration::from_secs(15);

#[test]
fn a_quota_is_used_up_to_the_unit_and_whole_again_a_minute_after_a_front_was_killed() {
    let mut site = borrow();
    // What was used before there was a limit counts against it.
    let mut ids: Vec<String> = (0..USED)
        .map(|number| {
            let sent = at(&site, number % 2, QUOTA).send(&message(&format!("early {number}")), None);
            super::accepted(&sent.unwrap())
        })
        .collect();
    let limit = LIMIT.to_string();
    site.verb(&["quota", "set", &format!("c{QUOTA}"), &limit, "--period", "month"]).unwrap();
    within(PATIENCE, "the limit is in force", || {
        let told = at(&site, 1, QUOTA).get("/quota").unwrap().json();
        (told["quotas"][0]["limit"] == LIMIT).then_some(())
    });
    thread::sleep(Duration::from_secs(3));
    // Both fronts take calls at a pace for which they keep blocks of units in hand, then one dies.
    let mut fronts = [at(&site, 0, QUOTA), at(&site, 1, QUOTA)];
    for number in 0..LIMIT / 2 - USED {
        let reply = fronts[number % 2].send(&message(&format!("before {number}")), None).unwrap();
        ids.push(super::accepted(&reply));
    }
    site.ingress[0].kill().unwrap();
    let killed = Instant::now();
    // The other goes on until it is refused: some of the limit died with the first.
    let mut customer = at(&site, 1, QUOTA);
    let refused = loop {
        let reply = customer.send(&message("after"), None).unwrap();
        match code(&reply) {
            (202, _) => ids.push(super::accepted(&reply)),
            (429, code) if code == "quota-exceeded" => break ids.len(),
            other => panic!("{other:?}"),
        }
    };
    println!("refused after {refused} of {LIMIT}, {:?} after the kill", killed.elapsed());
    while ids.len() < LIMIT {
        let reply = customer.send(&message("later"), None).unwrap();
        match code(&reply) {
            (202, _) => ids.push(super::accepted(&reply)),
            (429, code) if code == "quota-exceeded" => thread::sleep(Duration::from_millis(500)),
            other => panic!("{other:?}"),
        }
        assert!(killed.elapsed() < WHOLE + SLACK, "{} of {LIMIT} after {:?}", ids.len(), killed.elapsed());
    }
    println!("{LIMIT} of {LIMIT} accepted {:?} after the kill", killed.elapsed());
    site.ingress[0].start(&[]).unwrap();
    exactly(&site, &mut ids);
}

/// As many as the limit are paid for, and hardly more are let in; each message has one end.
fn exactly(site: &super::Deployment, ids: &mut Vec<String>) {
    let mut fronts = [at(site, 0, QUOTA), at(site, 1, QUOTA)];
    for number in 0..40 {
        let reply = fronts[number % 2].send(&message("beyond"), None).unwrap();
        if reply.status == 202 {
            ids.push(super::accepted(&reply));
        } else {
            assert_eq!(code(&reply), (429, "quota-exceeded".to_owned()));
        }
    }
    assert!(ids.len() <= LIMIT + BEYOND, "{} were let in", ids.len());
    let mut told: BTreeMap<String, Value> = BTreeMap::new();
    within(PATIENCE, "each has its end", || {
        for report in fronts[0].take_reports().unwrap() {
            let before = told.insert(report["id"].as_str().unwrap().to_owned(), report);
            assert!(before.is_none(), "told of twice: {before:?}");
        }
        (told.len() >= ids.len()).then_some(())
    });
    let ended = |status: &str| told.values().filter(|report| report["status"] == status).count();
    println!("{} accepted: {} delivered, {} rejected", ids.len(), ended("delivered"), ended("rejected"));
    assert_eq!((ended("delivered"), ended("rejected")), (LIMIT, ids.len() - LIMIT));
    let quota = fronts[0].get("/quota").unwrap().json();
    assert_eq!((&quota["quotas"][0]["used"], &quota["quotas"][0]["remaining"]), (&LIMIT.into(), &0.into()));
}
