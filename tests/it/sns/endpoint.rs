//! Somebody who is told of events over HTTP: an endpoint of Python's own library, subscribed and confirmed as AWS documents it.

use std::{collections::BTreeSet, time::Duration};

use naru_tests::{
    deployment::{Carries, Deployment, Shape},
    engines::Flavour,
};
use serde_json::{Value, json};

use super::{Boto, TOPIC};
use crate::stage::{accept, beside_others, message, until, within};

const PATIENCE: Duration = Duration::from_secs(30);

/// What came to a path of the endpoint, in order: the kind of the post, and its body.
fn heard(boto: &mut Boto, path: &str) -> Vec<(String, String)> {
    let all = boto.ask(&json!({ "do": "heard" }));
    let here = all.as_array().unwrap().iter().filter(|post| post["path"] == path);
    let text = |post: &Value, field: &str| post[field].as_str().unwrap().to_owned();
    here.map(|post| (text(post, "kind"), text(post, "body"))).collect()
}

/// Ids of events that came to a path, and each as it is.
fn events(boto: &mut Boto, path: &str, raw: bool) -> Vec<Value> {
    let posts = heard(boto, path);
    assert_eq!(
        posts[0],
        ("SubscriptionConfirmation".to_owned(), "200".to_owned()),
        "the first is asked to confirm"
    );
    let read = |(kind, body): &(String, String)| {
        assert_eq!(kind, "Notification");
        let body: Value = serde_json::from_str(body).unwrap();
        if raw {
            return body;
        }
        assert_eq!(body["Type"], "Notification", "{body}");
        let event: Value = serde_json::from_str(body["Message"].as_str().unwrap()).unwrap();
        assert_eq!(body["MessageAttributes"]["kind"]["Value"], event["type"], "{body}");
        event
    };
    posts[1..].iter().map(read).collect()
}

fn ids(events: &[Value]) -> BTreeSet<String> {
    events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_http_endpoint_that_confirmed_hears_of_the_same_events_as_a_queue() {
    let _beside = beside_others();
    let carries = Carries::Aws { flavour: Flavour::Ministack, counted: false };
    let mut site =
        Deployment::prepare(&Shape { ingress: 1, workers: 1, carries, ..Shape::default() }).unwrap();
    site.verb(&["subscription", "add", "partner", "--outside"]).unwrap();
    site.verb(&["infra", "apply"]).unwrap();
    let mut boto = Boto::start(&site.carrier.cloud().unwrap().emulator.endpoint());
    boto.ask(&json!({ "do": "subscribe", "queue": "partner", "topic": TOPIC, "raw": true, "policy": {} }));
    for (path, raw) in [("/raw", true), ("/wrapped", false)] {
        let said = boto.ask(&json!({ "do": "endpoint_at", "path": path, "topic": TOPIC, "raw": raw }));
        assert_eq!(said["first"], "pending confirmation", "{said}");
        assert_eq!(said["attributes"]["PendingConfirmation"], "false", "{said}");
    }
    site.start(&[]).unwrap();
    let mut customer = site.customer(0);
    let expected: BTreeSet<String> =
        (0..12).map(|number| accept(&mut customer, &message("sms", &format!("r{number}")), None)).collect();
    for id in &expected {
        until(&mut customer, id, &["delivered"], PATIENCE);
    }
    let about = |events: &[Value]| -> BTreeSet<String> {
        events.iter().map(|event| event["subject"].as_str().unwrap().to_owned()).collect()
    };
    let told = [("/raw", true), ("/wrapped", false)].map(|(path, raw)| {
        within(PATIENCE, &format!("{path} hears of every message"), || {
            let events = events(&mut boto, path, raw);
            about(&events).is_superset(&expected).then_some(events)
        })
    });
    let queued: Vec<Value> = boto
        .receive("partner", 5)
        .iter()
        .map(|message| serde_json::from_str(message["body"].as_str().unwrap()).unwrap())
        .collect();
    assert!(about(&queued).is_superset(&expected), "{queued:?}");
    for events in &told {
        assert_eq!(ids(events), ids(&queued), "the same as the queue has");
        assert!(events.iter().all(|event| queued.contains(event)), "and word for word");
    }
}
