//! Events as those see them who listen: what an operator does, what workers see, what becomes of messages, and who hears of it.

mod document;

use std::{collections::BTreeSet, net::SocketAddr, thread, time::Duration};

pub(crate) use document::says_what_was_caught;
use naru_shared::{
    domain::{Audience, Clock, Envelope, Lane, OnUncertain, SystemClock, kinds},
    queue::{Outgoing, Queue, QueueName, SqliteQueue},
    topic::{SqliteTopic, Topic},
};
use naru_tests::{
    gateway::{Gateway, RouteSpec, Setup},
    receiver::hook::{Manner, Target},
};
use serde_json::{Value, json};

use crate::stage::{accept, beside_others, message, until, within};

const PATIENCE: Duration = Duration::from_secs(30);

/// What stands for every secret that a URL may carry.
const SECRET: &str = "s3cret";

fn address(target: &Target) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], target.port()))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Envelopes that no worker can open lie on the queue already: one of a newer release, and one of nobody's.
fn strange_envelopes(gateway: &Gateway) {
    runtime().block_on(async {
        let queue = SqliteQueue::open(&gateway.home().join("data/queue.db"), PATIENCE).unwrap();
        let name = QueueName { route: "demo".parse().unwrap(), lane: Lane::Express };
        for text in ["999.key.mac\n{}", "no envelope"] {
            let envelope = Envelope(text.as_bytes().to_vec().into());
            let pack = Outgoing { queue: name.clone(), group: "c0".parse().unwrap(), envelope };
            for result in queue.publish(vec![pack]).await {
                result.unwrap();
            }
        }
    });
}

/// Everything that the subscription `watch` has, after the gateway has ended.
pub(crate) fn heard(gateway: &mut Gateway) -> Vec<Value> {
    gateway.drain().unwrap();
    runtime().block_on(async {
        let topic = SqliteTopic::open(&gateway.home().join("data/topic.db"), PATIENCE).unwrap();
        let (name, mut events) = ("watch".parse().unwrap(), Vec::new());
        loop {
            let received = topic.receive(&name, 100, Duration::from_millis(100)).await.unwrap();
            if received.is_empty() {
                return events;
            }
            events.extend(received.iter().map(|delivery| serde_json::to_value(&delivery.event).unwrap()));
        }
    })
}

/// What operators do: the secrets that were shown to them on the way.
fn acts(gateway: &Gateway, hook: &Target) -> Vec<String> {
    let verb = |line: &str| gateway.verb(&line.split(' ').collect::<Vec<_>>()).unwrap();
    let shown = |line: &str| serde_json::from_str::<Value>(&verb(&format!("{line} --json"))).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned();
    let mut secrets = vec![SECRET.to_owned()];
    verb("customer add acme --time-zone Asia/Seoul");
    let made = shown("credential add acme");
    secrets.extend([text(&made["password"]), text(&made["api_key"])]);
    verb(&format!("credential revoke {}", text(&made["id"])));
    verb(&format!(
        "route add keyed http http://127.0.0.1:9/send?key={SECRET} --allow-network 127.0.0.0/8 --assign acme"
    ));
    verb("route pause keyed");
    verb("route add other simulator");
    verb("route assign other acme");
    verb("quota set acme 10 --period month");
    verb("quota add acme 10");
    verb("subscription add other");
    verb("subscription remove other");
    let url = format!("http://127.0.0.1:{}/{SECRET}?key={SECRET}", hook.port());
    let made = shown(&format!("webhook add c0 main {url} --allow-network 127.0.0.0/8"));
    for shown in [made, shown("webhook rotate c0 main")] {
        secrets.extend(shown["secrets"].as_array().unwrap().iter().map(text));
    }
    verb("webhook test c0 main");
    verb(&format!("webhook add acme gone {url} --allow-network 127.0.0.0/8"));
    verb("webhook remove acme gone");
    verb("alarm set failing --kind failure-ratio --over 1h --percent 1 --least 1");
    verb("customer suspend acme");
    secrets
}

/// Messages that come to every end: delivered, failed, taken back, over, in doubt.
fn messages(gateway: &Gateway) {
    let mut customer = gateway.customer(0);
    let to = |channel: &str, digits: &str| {
        let mut message = message(channel, "r");
        message["recipient"] = json!(format!("+8210123456{digits}"));
        message
    };
    let delivered = accept(&mut customer, &to("sms", "00"), None);
    let failed = accept(&mut customer, &to("sms", "90"), None);
    let mut later = to("sms", "00");
    later["send_at"] = json!(SystemClock.now().plus(Duration::from_secs(3_600)));
    let taken_back = accept(&mut customer, &later, None);
    let mut hurried = to("dead", "00");
    hurried["ttl"] = json!(1);
    let late = accept(&mut customer, &hurried, None);
    let held = accept(&mut customer, &to("doubt", "97"), None);
    until(&mut customer, &delivered, &["delivered"], PATIENCE);
    until(&mut customer, &failed, &["failed"], PATIENCE);
    until(&mut customer, &held, &["held"], PATIENCE);
    gateway.verb(&["uncertain", "resolve", &held, "--as", "failed"]).unwrap();
    gateway.verb(&["opt-out", "add", "*", "010-9999-0000"]).unwrap();
    until(&mut customer, &taken_back, &["scheduled"], PATIENCE);
    assert_eq!(customer.cancel(&taken_back).unwrap().status, 200);
    until(&mut customer, &late, &["expired"], PATIENCE);
}

/// A key comes again with another content, after nobody remembers it who answers calls.
fn conflict(gateway: &mut Gateway) {
    let mut customer = gateway.customer(0);
    let first = accept(&mut customer, &message("sms", "first"), Some("a-key"));
    until(&mut customer, &first, &["delivered"], PATIENCE);
    gateway.drain().unwrap();
    gateway.start(&[]).unwrap();
    let again = accept(&mut gateway.customer(0), &message("sms", "second"), Some("a-key"));
    assert_eq!(again, first);
}

/// What lies in quarantine is removed by a person.
fn discard(gateway: &Gateway) {
    let aside: Value =
        serde_json::from_str(&gateway.verb(&["quarantine", "list", "--json"]).unwrap()).unwrap();
    let id = aside[0]["id"].as_str().unwrap_or_else(|| panic!("{aside}"));
    gateway.verb(&["quarantine", "discard", id]).unwrap();
}

/// A person stops what a customer has waiting, twice; sends what failed again; and erases a recipient.
fn mistakes(gateway: &Gateway) {
    let mut customer = gateway.customer(0);
    let stop = |channel: &str| {
        let told = gateway.verb(&["stop", "--customer", "c0", "--channel", channel, "--json"]).unwrap();
        let told: Value = serde_json::from_str(&told).unwrap();
        told["number"].as_u64().unwrap_or_else(|| panic!("{told}")).to_string()
    };
    let undone = stop("mms");
    gateway.verb(&["stop", "undo", &undone]).unwrap();
    let mut later = message("lms", "recalled");
    later["send_at"] = json!(SystemClock.now().plus(Duration::from_secs(3_600)));
    let recalled = accept(&mut customer, &later, None);
    until(&mut customer, &recalled, &["scheduled"], PATIENCE);
    let committed = stop("lms");
    until(&mut customer, &recalled, &["stopped"], PATIENCE);
    gateway.verb(&["stop", "commit", &committed]).unwrap();
    until(&mut customer, &recalled, &["cancelled"], PATIENCE);
    gateway.verb(&["dead", "redrive", "--customer", "c0", "--code", "ttl-expired"]).unwrap();
    gateway.verb(&["erase", "+821012345690"]).unwrap();
}

fn slack_tells_of(slack: &Target, kind: &str) {
    within(PATIENCE, &format!("Slack is told of {kind}"), || {
        let posted = slack.posted();
        posted.iter().any(|post| String::from_utf8_lossy(&post.body).contains(kind)).then_some(())
    });
}

fn gateway(slack: &Target, backend: &Target) -> Gateway {
    let url = slack.url();
    let config = format!(
        "[workers]\nbreaker_failures = 3\nalarm_ms = 200\n[slack]\nurl = {url:?}\nwindow_ms = 500\nallow_networks = [\"127.0.0.0/8\"]\n"
    );
    let routes = vec![
        RouteSpec::simulator("demo"),
        RouteSpec { on_uncertain: OnUncertain::Hold, ..RouteSpec::simulator("doubt") },
        RouteSpec::http("dead", address(backend), OnUncertain::Fail),
    ];
    let subscription = Some("watch".to_owned());
    Gateway::prepare(&Setup { routes, subscription, config, ..Setup::default() }).unwrap()
}

/// A backend that takes nothing for a while, then takes again.
fn rests_and_recovers(gateway: &Gateway, backend: &Target, slack: &Target) {
    let mut customer = gateway.customer(0);
    for number in 0..4 {
        accept(&mut customer, &message("dead", &number.to_string()), None);
    }
    slack_tells_of(slack, kinds::RESTING.name);
    backend.behave(Manner::status(200));
    slack_tells_of(slack, kinds::RECOVERED.name);
}

/// Customers hear of their own messages, and of what was asked for by hand.
fn customers_hear_of_their_messages_alone(hook: &Target) {
    let posted = hook.posted();
    let told: BTreeSet<String> =
        posted.iter().map(|post| post.event()["type"].as_str().unwrap().to_owned()).collect();
    let of = |name: &str| kinds::ALL.iter().find(|kind| kind.name == name).map(|kind| kind.audience);
    assert!(
        told.iter().all(|name| of(name).is_some_and(|audience| audience != Audience::Operator)),
        "{told:?}"
    );
    for name in [kinds::DELIVERED.name, kinds::FAILED.name, kinds::WEBHOOK_TEST.name] {
        assert!(told.contains(name), "{told:?}");
    }
}

#[test]
fn operators_hear_of_every_act_and_customers_of_their_messages_alone_and_nobody_of_a_secret() {
    let _beside = beside_others();
    let slack = Target::start(Manner::status(200)).unwrap();
    let hook = Target::start(Manner::well()).unwrap();
    let backend = Target::start(Manner::status(503)).unwrap();
    let mut gateway = gateway(&slack, &backend);
    strange_envelopes(&gateway);
    gateway.start(&[]).unwrap();
    within(PATIENCE, "Slack's subscription is made", || {
        let listed = gateway.verb(&["subscription", "list"]).unwrap();
        listed.lines().any(|line| line.contains("slack") && line.contains("open")).then_some(())
    });
    let secrets = acts(&gateway, &hook);
    thread::sleep(Duration::from_millis(1_500));
    messages(&gateway);
    rests_and_recovers(&gateway, &backend, &slack);
    slack_tells_of(&slack, kinds::HELD.name);
    for kind in [kinds::DELIVERED, kinds::FAILED] {
        within(PATIENCE, "the webhook is called", || {
            hook.posted().iter().any(|post| post.event()["type"] == kind.name).then_some(())
        });
    }
    slack_tells_of(&slack, kinds::ALARM_RAISED.name);
    gateway.verb(&["alarm", "remove", "failing"]).unwrap();
    slack_tells_of(&slack, kinds::ALARM_CLEARED.name);
    discard(&gateway);
    mistakes(&gateway);
    conflict(&mut gateway);
    within(PATIENCE, "the webhook is called", || {
        hook.posted().iter().any(|post| post.event()["type"] == kinds::CONFLICT.name).then_some(())
    });
    hook.behave(Manner::status(410));
    let mut customer = gateway.customer(0);
    accept(&mut customer, &message("sms", "gone"), None);
    slack_tells_of(&slack, kinds::WEBHOOK_DISABLED.name);
    let events = heard(&mut gateway);
    customers_hear_of_their_messages_alone(&hook);
    let told: BTreeSet<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let missing: Vec<&str> =
        kinds::ALL.iter().map(|kind| kind.name).filter(|name| !told.contains(name)).collect();
    assert_eq!(missing, document::NOT_CAUSED, "{told:?}");
    let ids: BTreeSet<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), events.len(), "one id is one event");
    for (kind, who) in [("naru.customer.created", "operator"), ("naru.subscription.created", "operator")] {
        let act = events.iter().rev().find(|event| event["type"] == kind).unwrap();
        assert_eq!(act["data"]["actor"]["kind"], who, "{act}");
    }
    let posts: Vec<String> =
        slack.posted().iter().map(|post| String::from_utf8_lossy(&post.body).into_owned()).collect();
    for text in events.iter().map(ToString::to_string).chain(posts) {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{secret} in {text}");
        }
    }
    let tested = hook.posted().iter().map(|post| post.event()).collect::<Vec<_>>();
    says_what_was_caught(&[events.clone(), tested].concat());
}
