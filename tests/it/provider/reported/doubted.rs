//! What cannot be known of an attempt, and is known later: a backend that never answers, one that answers 502 after it delivered, a worker
//! that is killed meanwhile. What the route says decides, charges follow, and a late truth corrects.

use std::{collections::BTreeMap, sync::Arc, thread, time::Duration};

use parking_lot::Mutex;
use serde_json::json;

use super::{
    PATIENCE, Site,
    site::{Caller, basic},
    text,
};
use crate::{
    provider::standin::{Call, Reply, StandIn},
    stage::{accept, beside_others, until, within},
};

/// What becomes of an attempt, by the recipient's last digit.
const SILENT: &str = "+15005550001";
const BROKEN: &str = "+15005550002";
const KILLED: &str = "+15005550003";

/// What reached the backend, as it came: id, attempt, and whether it was labelled.
type Reached = Arc<Mutex<Vec<(String, String, bool)>>>;

/// A backend that takes every message and never says so.
fn backend(reached: &Reached) -> StandIn {
    let reached = Arc::clone(reached);
    StandIn::start(move |call: &Call| {
        let text = String::from_utf8_lossy(&call.body).into_owned();
        let attempt = call.header("x-naru-attempt").to_owned();
        let (again, labelled) = (attempt != "1", call.header("x-naru-possible-duplicate") == "true");
        reached.lock().push((call.header("idempotency-key").to_owned(), attempt, labelled));
        if !again && !text.contains(BROKEN) {
            // Longer than an attempt may take, and than a worker is missed.
            thread::sleep(Duration::from_secs(8));
        }
        if again { Reply::new(200, "{}") } else { Reply::new(502, "delivered, and broken") }
    })
}

struct Doubted {
    _backend: StandIn,
    reached: Reached,
    caller: Caller,
    secrets: BTreeMap<&'static str, String>,
}

impl Doubted {
    fn join(site: &Site) -> Self {
        let reached = Reached::default();
        let backend = backend(&reached);
        let url = format!("http://127.0.0.1:{}/", backend.port());
        let mut secrets = BTreeMap::new();
        for policy in ["fail", "hold", "retry"] {
            let channel = format!("c0/{policy}");
            let add = [
                "route",
                "add",
                policy,
                "http",
                &url,
                "--reports",
                "basic",
                "--on-uncertain",
                policy,
                "--attempt-timeout",
                "1500ms",
                "--allow-network",
                "127.0.0.0/8",
                "--assign",
                &channel,
                "--json",
            ];
            let shown: serde_json::Value = serde_json::from_str(&site.verb(&add)).unwrap();
            secrets.insert(policy, shown["callback_secret"].as_str().unwrap().to_owned());
        }
        site.settle(&["fail", "hold", "retry"]);
        Self { _backend: backend, reached, caller: site.caller(), secrets }
    }

    /// The provider tells the truth, by the id that it was given.
    fn tell(&self, policy: &'static str, id: &str, status: &str) {
        let proof = basic(policy, &self.secrets[policy]);
        let body = json!({ "id": id, "status": status }).to_string();
        assert_eq!(self.caller.post(policy, &[("Authorization", &proof)], &body).0, 200);
    }

    /// Attempts that reached the backend, and whether each was labelled.
    fn reached(&self, id: &str) -> Vec<(String, bool)> {
        let all = self.reached.lock();
        all.iter()
            .filter(|(of, ..)| of == id)
            .map(|(_, attempt, labelled)| (attempt.clone(), *labelled))
            .collect()
    }
}

fn on(mut site: Site) {
    let doubted = Doubted::join(&site);
    let mut customer = site.customer();
    let mut messages: Vec<(&'static str, &str, String)> = Vec::new();
    for policy in ["fail", "hold", "retry"] {
        for recipient in [SILENT, BROKEN] {
            let mut message = text(recipient);
            (message["channel"], message["ttl"]) = (policy.into(), 60.into());
            messages.push((policy, recipient, accept(&mut customer, &message, None)));
        }
    }
    for policy in ["fail", "hold", "retry"] {
        let mut message = text(KILLED);
        (message["channel"], message["ttl"]) = (policy.into(), 60.into());
        messages.push((policy, KILLED, accept(&mut customer, &message, None)));
    }
    let killed: Vec<&String> =
        messages.iter().filter(|(_, to, _)| *to == KILLED).map(|(.., id)| id).collect();
    within(PATIENCE, "the attempts are under way", || {
        killed.iter().all(|id| !doubted.reached(id).is_empty()).then_some(())
    });
    // Both workers of a site of many: one of them has the attempt.
    site.kill(0);
    site.kill(2);
    let once = || vec![("1".to_owned(), false)];
    let mut customer = site.customer();
    for (policy, _, id) in &messages {
        let (state, charged) = match *policy {
            "fail" => ("failed", false),
            "hold" => ("held", false),
            _ => ("sent", false),
        };
        let view = until(&mut customer, id, &[state], PATIENCE);
        assert_eq!(view["charged"], charged, "{policy}: {view}");
        if *policy == "retry" {
            let reached = doubted.reached(id);
            assert_eq!(reached.first(), once().first());
            assert!(reached.len() >= 2 && reached[1..].iter().all(|(_, labelled)| *labelled), "{reached:?}");
        } else {
            assert_eq!(view["code"], "uncertain");
            assert_eq!(doubted.reached(id), once(), "{policy}: reached once");
        }
    }
    // What failed is released; what is held and what is sent is reserved.
    assert_eq!(site.used(), 6);
    for (policy, _, id) in &messages {
        doubted.tell(policy, id, "delivered");
        doubted.tell(policy, id, "delivered");
    }
    for (policy, _, id) in &messages {
        let view = until(&mut customer, id, &["delivered"], PATIENCE);
        let revision = if *policy == "fail" { 2 } else { 1 };
        assert_eq!(
            (view["revision"].as_u64(), view["charged"].as_bool()),
            (Some(revision), Some(true)),
            "{policy}"
        );
    }
    assert_eq!(site.used(), 9);
}

#[test]
fn what_was_in_doubt_is_as_its_route_says_until_the_truth_comes() {
    let _beside = beside_others();
    on(Site::embedded());
}

#[test]
fn what_was_in_doubt_is_as_its_route_says_over_postgresql_rabbitmq_and_redis() {
    let _beside = beside_others();
    on(Site::wide());
}

#[test]
fn what_was_in_doubt_is_as_its_route_says_on_sqs() {
    let _beside = beside_others();
    on(Site::on_sqs());
}
