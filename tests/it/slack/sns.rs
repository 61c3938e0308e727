//! Slack where the topic is SNS: its queue is made by an operator, and until it is there Slack alone goes without.

use std::{thread, time::Duration};

use naru_tests::{
    deployment::{Carries, Deployment, Shape},
    engines::Flavour,
    receiver::hook::{Manner, Target},
};
use serde_json::json;

use super::{fail, opened, setup, sum};
use crate::{
    sns::{Boto, TOPIC},
    stage::{accept, beside_others, message, until, within},
};

const PATIENCE: Duration = Duration::from_secs(60);
const QUEUE: &str = "naru-main-copies-slack";

/// One front and one worker with Slack at this target; nothing runs yet.
fn prepare(target: &Target) -> Deployment {
    let carries = Carries::Aws { flavour: Flavour::Ministack, counted: false };
    let shape = Shape { setup: setup(target, ""), ingress: 1, workers: 1, carries, ..Shape::default() };
    Deployment::prepare(&shape).unwrap()
}

#[test]
fn failures_are_posted_from_the_topic_on_sns_and_counted_exactly() {
    const FAILURES: u64 = 300;
    let _beside = beside_others();
    let target = Target::start(Manner::status(200)).unwrap();
    let mut site = prepare(&target);
    site.start(&[]).unwrap();
    opened(|arguments| site.verb(arguments));
    fail(&mut site.customer(0), usize::try_from(FAILURES).unwrap());
    within(PATIENCE, "all are told of", || (sum(&target) >= FAILURES).then_some(()));
    thread::sleep(Duration::from_secs(3));
    assert_eq!(sum(&target), FAILURES, "none is told of twice");
    assert!(target.posted().len() < 60, "{} posts of {FAILURES} events", target.posted().len());
    let mut boto = Boto::start(&site.carrier.cloud().unwrap().emulator.endpoint());
    within(PATIENCE, "what was posted is forgotten", || boto.receive(QUEUE, 1).is_empty().then_some(()));
}

#[test]
fn while_its_queue_is_missing_the_log_says_so_and_everything_else_goes_on() {
    let _beside = beside_others();
    let target = Target::start(Manner::status(200)).unwrap();
    let mut site = prepare(&target);
    let mut boto = Boto::start(&site.carrier.cloud().unwrap().emulator.endpoint());
    let taken = boto.ask(&json!({ "do": "take_away", "queue": QUEUE, "topic": TOPIC }));
    assert_eq!(taken["taken"], QUEUE, "it was made before");
    site.verb(&["subscription", "add", "partner", "--outside"]).unwrap();
    boto.ask(&json!({ "do": "subscribe", "queue": "partner", "topic": TOPIC, "raw": true, "policy": {} }));
    site.start(&[]).unwrap();
    within(PATIENCE, "the log says what is missing", || {
        let log = site.workers[0].log();
        let line = log.lines().find(|line| line.contains("events for Slack wait"))?.to_owned();
        assert!(line.contains(QUEUE) && line.contains("naru infra apply"), "{line}");
        Some(())
    });
    let mut customer = site.customer(0);
    let id = accept(&mut customer, &message("sms", "meanwhile"), None);
    until(&mut customer, &id, &["delivered"], PATIENCE);
    fail(&mut customer, 100);
    let mut heard = 0;
    within(PATIENCE, "whoever else listens hears of all", || {
        heard += boto.receive("partner", 2).len();
        (heard >= 101).then_some(())
    });
    assert!(site.workers[0].is_ready() && target.posted().is_empty(), "nothing is posted");
    assert!(!site.workers[0].log().contains("\"events wait\""), "{}", site.workers[0].log_tail());
    site.verb(&["infra", "apply"]).unwrap();
    // It looks again every half minute.
    opened_within(&site, Duration::from_secs(90));
    fail(&mut customer, 100);
    within(PATIENCE, "what failed since is told of", || (sum(&target) >= 100).then_some(()));
    thread::sleep(Duration::from_secs(2));
    assert_eq!(sum(&target), 100, "what failed before its queue was there is not kept for Slack");
}

fn opened_within(site: &Deployment, patience: Duration) {
    within(patience, "the subscription is made", || {
        thread::sleep(Duration::from_millis(500));
        let listed = site.verb(&["subscription", "list"]).unwrap();
        listed.lines().any(|line| line.contains("slack") && line.contains("open")).then_some(())
    });
    thread::sleep(Duration::from_millis(1_500));
}
