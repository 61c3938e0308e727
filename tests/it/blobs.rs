//! Attachments, from a customer's upload to the backend that takes them, over files and over a bucket; and claim checks.

mod backup;
mod catcher;
mod claims;
mod delivery;
mod hard;
mod over_aws;
mod s3;
mod upload;

use std::{path::PathBuf, process::Command, time::Duration};

use naru_tests::{
    customer::{Customer, basic},
    gateway::{Gateway, RouteSpec, Setup},
    wire::{Reply, Wire},
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

/// What a PNG begins with, and then what it is to hold.
fn png(text: &str) -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n", text.as_bytes()].concat()
}

/// `POST /attachments` as this user of that base.
fn post(gateway: &Gateway, user: &str, base: &str, headers: &[&str], content: &[u8]) -> Reply {
    let mut all = vec![format!("Authorization: {}", basic(user))];
    all.extend(headers.iter().map(|&header| header.to_owned()));
    let mut wire = Wire::new(gateway.listen(), PATIENCE);
    let request = wire.request("POST", &format!("{base}/attachments"), &all, content);
    wire.exchange(&request).unwrap()
}

/// An upload of a customer that must be taken; its id.
pub(crate) fn upload(gateway: &Gateway, index: usize, media_type: &str, content: &[u8]) -> String {
    let user = gateway.users.live[index].clone();
    let reply = post(gateway, &user, "/v1.0", &[&format!("Content-Type: {media_type}")], content);
    assert_eq!(reply.status, 201, "{}", reply.json());
    reply.json()["id"].as_str().unwrap().to_owned()
}

/// A message that carries these.
fn carrying(ids: &[&str]) -> Value {
    json!({ "channel": "mms", "recipient": "+821012345600", "subject": "pictures", "attachments": ids })
}

/// Whether a message was refused, and how: status, code and sentence.
fn refused(customer: &mut Customer, message: &Value) -> (u16, String, String) {
    let reply = customer.send(message, None).unwrap();
    let told = reply.json();
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    (reply.status, text("code"), text("detail"))
}

/// The first report of a message.
fn report(customer: &mut Customer, id: &str) -> Value {
    crate::stage::within(PATIENCE, &format!("a report of {id}"), || {
        customer.take_reports().unwrap().into_iter().find(|report| report["id"] == id)
    })
}

/// A gateway whose `mms` goes to a receiver.
fn setup(catcher: &catcher::Catcher) -> Setup {
    let uncertain = naru_shared::domain::OnUncertain::Fail;
    let routes = vec![RouteSpec::simulator("demo"), RouteSpec::http("mms", catcher.address(), uncertain)];
    Setup { customers: 2, routes, quota: Some(1_000), ..Setup::default() }
}

/// Where an attachment of the first live customer lies on disk.
fn file(gateway: &Gateway, id: &str) -> PathBuf {
    let folder = gateway.home().join("data/blobs/attachments/live");
    let owners = folder.read_dir().unwrap().map(|owner| owner.unwrap().path().join(id));
    owners.into_iter().find(|path| path.exists()).unwrap_or_else(|| panic!("{id} does not lie on disk"))
}

/// Runs a program that must succeed; what it printed.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
