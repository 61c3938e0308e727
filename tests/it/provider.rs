//! Providers that are served by configuration alone: stand-ins check every field of what comes, and answer as such providers do.

mod json;
mod pace;
mod reported;
mod standin;
mod tls;
mod twilio;
mod wide;

use std::{fs, path::Path, time::Duration};

use naru_tests::{
    customer::Customer,
    gateway::{Gateway, Setup},
};
use serde_json::{Value, json};

use crate::stage::within;

/// How long what must come may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What stands for every secret: nothing that is kept or told may have it.
const SECRET: &str = "s3cret-0123456789";

/// A gateway with events, and what its configuration file has beside.
fn gateway(config: &str) -> Gateway {
    let setup =
        Setup { subscription: Some("watch".to_owned()), config: config.to_owned(), ..Setup::default() };
    Gateway::spawn(&setup).unwrap()
}

/// Adds a route that is described by this text, and waits until the first customer's channel `sms` goes there.
fn add(gateway: &Gateway, description: &str, more: &[&str]) -> String {
    let file = gateway.home().join("provider.toml");
    fs::write(&file, description).unwrap();
    let file = file.display().to_string();
    let fixed = ["route", "add", "carrier", "http", "--provider", &file, "--allow-network", "127.0.0.0/8"];
    let network = ["--allow-network", "::1", "--assign", "c0/sms"];
    let shown = gateway.verb(&[&fixed, &network[..], more].concat()).unwrap();
    let mut customer = gateway.customer(0);
    within(PATIENCE, "the assignment is in force", || {
        let answer = customer.send(&message("+821000000000"), None).unwrap();
        (answer.json()["route"] == "carrier").then_some(())
    });
    shown
}

fn message(recipient: &str) -> Value {
    json!({ "channel": "sms", "recipient": recipient, "sender": "+15017122661", "body": "Hi & 안녕 {x}", "lane": "express" })
}

/// Sends a message, and returns its id.
fn send(customer: &mut Customer, recipient: &str) -> String {
    crate::stage::accept(customer, &message(recipient), None)
}

/// Whether any file below a folder holds these bytes.
fn holds(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holds(&path, bytes));
        } else if path.extension().is_none_or(|ending| ending != "toml")
            && fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes)
        {
            found.push(path.display().to_string());
        }
    }
    found
}
