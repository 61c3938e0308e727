//! What a customer is promised of each call, asked of a whole process.

mod batch;
mod keys;
mod reports;
mod simulate;
mod simulator;
mod waiting;
mod who;

use std::time::Duration;

use naru_tests::{
    customer::{Customer, basic},
    gateway::Gateway,
    wire::{Reply, Wire},
};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(15);

/// A client of the sandbox.
fn sandbox(gateway: &Gateway, index: usize) -> Customer {
    Customer::sandbox(gateway.listen(), &gateway.users.sandbox[index], PATIENCE)
}

/// One `GET` of a whole path with these words as Basic credential.
fn get_as(gateway: &Gateway, user: &str, path: &str) -> Reply {
    let header = format!("Authorization: {}", basic(user));
    Wire::new(gateway.listen(), PATIENCE).call("GET", path, &[header], b"").unwrap()
}

/// Status and code of a refusal.
fn refusal(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["code"].as_str().unwrap_or_default().to_owned())
}

/// A message with another recipient.
fn to(recipient: &str, mut message: Value) -> Value {
    message["recipient"] = recipient.into();
    message
}
