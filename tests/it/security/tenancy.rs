//! What is another customer's is as if it were not there, and no member of a message says whose it is or what it costs.

use std::time::Duration;

use naru_tests::{
    customer::Customer,
    gateway::{Gateway, Setup},
};
use serde_json::{Value, json};

use crate::stage::{accept, beside_others, message, reports, until};

const PATIENCE: Duration = Duration::from_secs(15);

/// An answer without the number of the request and the id that was asked for.
fn bare(mut document: Value, id: &str) -> String {
    document.as_object_mut().unwrap().retain(|name, _| !["instance", "request_id"].contains(&name.as_str()));
    document.to_string().replace(id, "ID")
}

#[test]
fn another_customers_message_is_as_if_it_were_not_there() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup { customers: 2, ..Setup::default() }).unwrap();
    let id = accept(&mut gateway.customer(0), &message("sms", "mine"), None);
    let mut other = gateway.customer(1);
    // As long as the other, and of nobody.
    let nobody = {
        let (head, tail) = id.split_at(id.len() - 4);
        format!("{head}{}", tail.chars().rev().collect::<String>())
    };
    let (theirs, none) =
        (other.get(&format!("/messages/{id}")).unwrap(), other.get(&format!("/messages/{nobody}")).unwrap());
    assert_eq!((theirs.status, none.status), (404, 404));
    assert_eq!(bare(theirs.json(), &id), bare(none.json(), &nobody));
    let (theirs, none) = (other.cancel(&id).unwrap(), other.cancel(&nobody).unwrap());
    assert_eq!((theirs.status, none.status), (404, 404));
    assert_eq!(bare(theirs.json(), &id), bare(none.json(), &nobody));
    assert_eq!(gateway.customer(0).get(&format!("/messages/{id}")).unwrap().status, 200);
}

#[test]
fn another_customers_reports_are_neither_read_nor_acknowledged() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup { customers: 2, ..Setup::default() }).unwrap();
    let id = accept(&mut gateway.customer(0), &message("sms", "mine"), None);
    until(&mut gateway.customer(0), &id, &["delivered"], PATIENCE);
    let mut other = gateway.customer(1);
    assert_eq!(other.get("/reports?limit=500").unwrap().json()["reports"], json!([]));
    let read = other.acknowledge(&[json!({ "id": id, "revision": 1 })]).unwrap();
    assert_eq!((read.status, &read.json()["acknowledged"]), (200, &json!(0)));
    // Nor is it another environment's.
    let mut sandbox = Customer::sandbox(gateway.address(), &gateway.users.sandbox[0], PATIENCE);
    let read = sandbox.acknowledge(&[json!({ "id": id, "revision": 1 })]).unwrap();
    assert_eq!((read.status, &read.json()["acknowledged"]), (200, &json!(0)));
    let mine = reports(&mut gateway.customer(0), 1, PATIENCE);
    assert_eq!((&mine[0]["id"], mine.len()), (&json!(id), 1), "{mine:?}");
}

#[test]
fn no_member_of_a_message_says_whose_it_is_or_what_it_costs() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup { customers: 2, ..Setup::default() }).unwrap();
    let mut customer = gateway.customer(0);
    for (name, value) in [
        ("customer", json!("c1")),
        ("customer_id", json!("c1")),
        ("units", json!(0)),
        ("price", json!(-1)),
        ("attempts", json!(0)),
        ("max_attempts", json!(1_000_000)),
        ("state", json!("delivered")),
        ("id", json!("x")),
        ("__proto__", json!({ "customer": "c1" })),
    ] {
        let mut body = message("sms", "r");
        body[name] = value;
        let reply = customer.send(&body, None).unwrap();
        assert!([400, 422].contains(&reply.status), "{name}: {} {}", reply.status, reply.json());
    }
    assert_eq!(customer.send(&message("sms", "r"), None).unwrap().status, 202);
}
