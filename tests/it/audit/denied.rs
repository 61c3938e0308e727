//! Denials as an operator reads them after the fact.

use std::time::Duration;

use naru_tests::{
    customer::basic,
    gateway::{Gateway, Setup},
    wire::Wire,
};
use serde_json::Value;

use super::json;
use crate::stage::beside_others;

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn denials_are_kept_by_customer_and_code_and_nothing_of_what_was_guessed() {
    let _beside = beside_others();
    let mut gateway = Gateway::spawn(&Setup { customers: 2, ..Setup::default() }).unwrap();
    let listen = gateway.listen();
    for _ in 0..30 {
        for user in ["c1-live:guessed-wrong:k1", "no-such-id:p:k"] {
            let header = format!("Authorization: {}", basic(user));
            let reply = Wire::new(listen, PATIENCE).call("GET", "/v1.0/quota", &[header], b"").unwrap();
            assert_eq!(reply.status, 401);
        }
    }
    // What was counted of the minute that has begun is kept at the end.
    gateway.drain().unwrap();
    let all = json(&gateway, "audit denials");
    let count = |customer: &str| -> u64 {
        let rows = all.as_array().unwrap().iter();
        let of = rows.filter(|row| row["customer"] == customer && row["code"] == "unauthorized");
        of.map(|row| row["times"].as_u64().unwrap()).sum()
    };
    assert_eq!((count("c1"), count("(unknown)")), (30, 30), "{all}");
    let some = json(&gateway, "audit denials --customer c1 --code unauthorized --since 2020-01-01T00:00:00Z");
    assert!(some.as_array().is_some_and(|rows| !rows.is_empty()), "{some}");
    assert!(some.as_array().unwrap().iter().all(|row| row["customer"] == "c1"));
    let none = json(&gateway, "audit denials --code suspended");
    assert_eq!(none, Value::Array(Vec::new()));
    let text = all.to_string();
    assert!(!text.contains("guessed") && !text.contains("no-such-id"), "{text}");
}
