//! Webhooks from outside: who receives them are programs that we did not write, targets that mean harm, and a process that dies.

mod harm;
mod libraries;
mod target;
mod wide;

use std::{thread, time::Duration};

use naru_tests::gateway::Gateway;
use serde_json::Value;

/// How long what must come may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a change of the catalog may take until it is in force.
const IN_FORCE: Duration = Duration::from_millis(1_500);

/// Runs a verb with `--json`.
fn verb(gateway: &Gateway, arguments: &[&str]) -> Value {
    let all = [&["webhook"], arguments, &["--json"]].concat();
    serde_json::from_str(&gateway.verb(&all).unwrap()).unwrap()
}

/// Adds a webhook of the first customer that may call this machine, and waits until it is in force.
fn add(gateway: &Gateway, name: &str, url: &str, more: &[&str]) -> Value {
    let loopback = ["--allow-network", "127.0.0.0/8", "--allow-network", "::1"];
    let added = verb(gateway, &[&["add", "c0", name, url], &loopback[..], more].concat());
    thread::sleep(IN_FORCE);
    added
}

fn show(gateway: &Gateway, name: &str) -> Value {
    verb(gateway, &["show", "c0", name])
}
