//! What a target answers, and what follows.

use std::time::Duration;

use naru_tests::{
    gateway::{Gateway, Setup},
    receiver::hook::{Manner, Target},
};
use serde_json::json;

use super::{IN_FORCE, PATIENCE, add, show, verb};
use crate::stage::{accept, beside_others, message, within};

#[test]
fn what_was_not_taken_comes_again_with_the_same_id_and_gone_is_believed_at_once() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let target = Target::start(Manner::status(500)).unwrap();
    add(&gateway, "main", &target.url(), &[]);
    let mut customer = gateway.customer(0);
    let id = accept(&mut customer, &message("sms", "one"), None);
    within(PATIENCE, "the first attempt", || (!target.posted().is_empty()).then_some(()));
    target.behave(Manner::well());
    let failing = within(PATIENCE, "it is told that it fails", || {
        let shown = show(&gateway, "main");
        shown["failing_since"].is_string().then_some(shown)
    });
    assert_eq!((failing["waiting"].as_u64(), failing["last_answer"].as_str()), (Some(1), Some("HTTP 500")));
    within(PATIENCE, "the second attempt", || (target.posted().len() == 2).then_some(()));
    let posted = target.posted();
    let between = posted[1].at - posted[0].at;
    assert!(between > Duration::from_millis(4_900) && between < Duration::from_secs(9), "{between:?}");
    assert_eq!(posted[0].body, posted[1].body);
    assert_eq!(posted[1].header("webhook-id"), Some(format!("{id}.1").as_str()));
    within(PATIENCE, "it does not fail any more", || {
        let shown = show(&gateway, "main");
        (shown["failing_since"].is_null() && shown["waiting"] == 0).then_some(())
    });

    target.behave(Manner::status(410));
    accept(&mut customer, &message("sms", "two"), None);
    let gone = within(PATIENCE, "it is disabled", || {
        let shown = show(&gateway, "main");
        (shown["state"] == "disabled").then_some(shown)
    });
    assert_eq!((gone["why"].as_str(), gone["waiting"].as_u64()), (Some("gone"), Some(0)), "{gone}");
    target.behave(Manner::well());
    std::thread::sleep(IN_FORCE);
    let count = target.posted().len();
    accept(&mut customer, &message("sms", "three"), None);
    std::thread::sleep(IN_FORCE);
    assert_eq!(target.posted().len(), count, "a webhook that is disabled is not called");
    verb(&gateway, &["enable", "c0", "main"]);
    std::thread::sleep(IN_FORCE);
    let fourth = accept(&mut customer, &message("sms", "four"), None);
    within(PATIENCE, "it is called again", || {
        target.posted().last().filter(|posted| posted.event()["data"]["id"] == json!(fourth)).map(drop)
    });
}

#[test]
fn a_webhook_has_the_events_of_its_customer_environment_and_kinds_and_no_others() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup { customers: 2, ..Setup::default() }).unwrap();
    let [all, failed, sandbox] = [(); 3].map(|()| Target::start(Manner::well()).unwrap());
    add(&gateway, "all", &all.url(), &[]);
    add(&gateway, "failed", &failed.url(), &["--kind", "failed"]);
    add(&gateway, "sandbox", &sandbox.url(), &["--environment", "sandbox"]);
    let mut own = gateway.customer(0);
    accept(&mut gateway.customer(1), &message("sms", "another's"), None);
    accept(&mut own, &message("sms", "delivered"), None);
    let mut refused = message("sms", "failed");
    refused["recipient"] = json!("+821012345690");
    accept(&mut own, &refused, None);
    let patience = Duration::from_secs(25);
    let mut trial =
        naru_tests::customer::Customer::sandbox(gateway.listen(), &gateway.users.sandbox[0], patience);
    accept(&mut trial, &message("sms", "trial"), None);
    within(PATIENCE, "each has what is its own", || {
        let counts = [&all, &failed, &sandbox].map(|target| target.posted().len());
        (counts == [2, 1, 1]).then_some(())
    });
    std::thread::sleep(IN_FORCE);
    let references = |target: &Target| {
        let of = |posted: &naru_tests::receiver::hook::Posted| {
            posted.event()["data"]["reference"].as_str().unwrap().to_owned()
        };
        let mut references: Vec<String> = target.posted().iter().map(of).collect();
        references.sort_unstable();
        references
    };
    assert_eq!(references(&all), ["delivered", "failed"]);
    assert_eq!(references(&failed), ["failed"]);
    assert_eq!(references(&sandbox), ["trial"]);
    let listed = verb(&gateway, &["list", "c0"]);
    assert_eq!(listed.as_array().unwrap().len(), 3);
    for name in ["all", "failed", "sandbox"] {
        verb(&gateway, &["remove", "c0", name]);
    }
    assert_eq!(verb(&gateway, &["list"]), json!([]));
    assert_eq!(
        gateway.verb(&["subscription", "list", "--json"]).unwrap().matches("\"ended\": true").count(),
        1
    );
}

#[test]
fn what_could_not_be_called_or_be_read_on_its_way_is_refused_when_it_is_added() {
    let _beside = beside_others();
    let gateway = Gateway::prepare(&Setup::default()).unwrap();
    let refused =
        |arguments: &[&str]| gateway.verb(&[&["webhook", "add", "c0"], arguments].concat()).unwrap_err();
    let told = |arguments: &[&str], words: &str| {
        let error = format!("{:#}", refused(arguments));
        assert!(error.contains(words), "{arguments:?}: {error}");
    };
    told(&["a", "https://127.0.0.1/"], "is private, loopback or reserved");
    told(&["a", "https://169.254.169.254/"], "is private, loopback or reserved");
    told(&["a", "http://acme.example/"], "is not https");
    told(&["a", "ftp://acme.example/"], "must be http or https");
    told(&["a", "https://user:word@acme.example/"], "must be http or https");
    told(&["a", "https://acme.example/", "--kind", "naru.webhook.test"], "is not a kind of events");
    let error = gateway.verb(&["subscription", "add", "webhooks"]).unwrap_err();
    assert!(format!("{error:#}").contains("see naru webhook"), "{error:#}");
    gateway.verb(&["webhook", "add", "c0", "a", "https://acme.example/"]).unwrap();
    told(&["a", "https://acme.example/"], "exists already");
}
