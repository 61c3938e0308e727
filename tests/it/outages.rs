//! What several processes do while an engine is away, slow, or silent; and how they keep limits together. One deployment of
//! three fronts and two workers serves all of these tests: two fronts run, the third is started by who needs it.

mod callers;
mod limits;
mod loan;
mod postgres;
mod quotas;
mod rabbit;
mod redis;
mod revocation;
mod round_trips;

use std::time::{Duration, Instant};

use naru_tests::{customer::Customer, deployment::Deployment, wire::Reply};
use serde_json::{Value, json};

/// How long anything may take to come right by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long reports are lent to who reads them.
const LEASE: Duration = Duration::from_secs(60);

fn message(reference: &str) -> Value {
    json!({ "channel": "sms", "recipient": "+821012345600", "body": "hello", "reference": reference })
}

/// A live customer at one of the fronts.
fn at(site: &Deployment, front: usize, index: usize) -> Customer {
    site.customer_at(front, index)
}

fn code(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["code"].as_str().unwrap_or_default().to_owned())
}

fn accepted(reply: &Reply) -> String {
    assert_eq!(reply.status, 202, "{}", reply.json());
    reply.json()["id"].as_str().unwrap().to_owned()
}

/// Sends until it is accepted, refused meanwhile for nothing but what passes; the id.
fn accepted_in_the_end(customer: &mut Customer, reference: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let reply = customer.send(&message(reference), Some(reference));
        match &reply {
            Ok(reply) if reply.status == 202 => return accepted(reply),
            Ok(reply) => assert!([429, 503].contains(&reply.status), "{}", reply.json()),
            // A connection may have ended with its front.
            Err(_) => {}
        }
        assert!(Instant::now() < deadline, "{reply:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Every one of these messages is told of as delivered, each once. Others may be told of only where they were in doubt.
fn delivered(customer: &mut Customer, ids: &[String]) {
    let mut open: std::collections::BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    // A read whose answer failed after the reports were lent gives them out again only when the lease is over.
    let deadline = Instant::now() + PATIENCE + LEASE;
    while !open.is_empty() {
        if Instant::now() > deadline {
            let stand = |id: &&str| customer.get(&format!("/messages/{id}")).map(|reply| reply.json());
            panic!("not told of: {:#?}", open.iter().map(stand).collect::<Vec<_>>());
        }
        let reports = customer.take_reports().unwrap_or_else(|error| {
            println!("reports are not read: {error:#}");
            Vec::new()
        });
        for report in reports {
            assert_eq!(report["status"], "delivered", "{report}");
            let known = open.remove(report["id"].as_str().unwrap());
            assert!(known || report["reference"] == "doubtful", "nobody's, or told of before: {report}");
        }
    }
}
