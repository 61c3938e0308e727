//! Reports are handed out under a lease, until they are acknowledged.

use std::{
    thread,
    time::{Duration, Instant},
};

use naru_tests::{
    customer::Customer,
    gateway::{Gateway, Setup},
};
use serde_json::{Value, json};

use super::{PATIENCE, refusal};
use crate::stage::{accept, beside_others, message, until};

/// What the documentation says.
const LEASE: Duration = Duration::from_secs(60);

fn page(customer: &mut Customer, query: &str) -> (Vec<Value>, bool) {
    let reply = customer.get(&format!("/reports{query}")).unwrap();
    assert_eq!((reply.status, &reply.json()["lease_seconds"]), (200, &json!(60)));
    let page = reply.json();
    (page["reports"].as_array().unwrap().clone(), page["more"].as_bool().unwrap())
}

fn acknowledge(customer: &mut Customer, reports: &[Value]) -> Value {
    let reply = customer.acknowledge(reports).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.json());
    reply.json()["acknowledged"].clone()
}

/// Waits for a minute and uses next to nothing meanwhile: others may run beside it.
#[test]
fn a_report_comes_again_after_its_lease_unless_it_was_acknowledged() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup { customers: 2, ..Setup::default() }).unwrap();
    let mut customer = gateway.customer(0);
    let ids: Vec<_> = ["a", "b", "c"].map(|name| accept(&mut customer, &message("sms", name), None)).to_vec();
    for id in &ids {
        until(&mut customer, id, &["delivered"], PATIENCE);
    }
    let began = Instant::now();
    let (first, more) = page(&mut customer, "?limit=2");
    assert_eq!((first.len(), more), (2, true));
    let (rest, more) = page(&mut customer, "");
    assert_eq!((rest.len(), more), (1, false));
    assert_eq!(page(&mut customer, "").0, Vec::<Value>::new(), "all are handed out");
    let waited = Instant::now();
    assert_eq!(page(&mut customer, "?wait=1").0, Vec::<Value>::new());
    assert!(waited.elapsed() >= Duration::from_millis(900), "{:?}", waited.elapsed());

    let strange = json!({ "id": first[0]["id"], "revision": 2 });
    assert_eq!(acknowledge(&mut customer, &[strange]), 0, "a revision that is not there");
    assert_eq!(acknowledge(&mut gateway.customer(1), &first), 0, "somebody else's");
    assert_eq!(acknowledge(&mut customer, &first), 2);
    assert_eq!(acknowledge(&mut customer, &first), 0, "they are read already");
    assert_eq!(refusal(&customer.acknowledge(&[]).unwrap()), (422, "empty-batch".to_owned()));

    thread::sleep((LEASE - Duration::from_secs(5)).saturating_sub(began.elapsed()));
    assert_eq!(page(&mut customer, "").0, Vec::<Value>::new(), "the lease holds");
    thread::sleep((LEASE + Duration::from_secs(1)).saturating_sub(began.elapsed()));
    let (again, more) = page(&mut gateway.customer(0), "?wait=5");
    assert_eq!((again, more), (rest.clone(), false), "as it was");
    assert_eq!(acknowledge(&mut gateway.customer(0), &rest), 1);
}
