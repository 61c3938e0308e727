//! Copies hold what messages name, and `naru check` reads every file.

use std::fs;

use naru_tests::gateway::Gateway;

use super::{PATIENCE, carrying, catcher::Catcher, file, png, setup, upload};
use crate::stage::{accept, beside_others, until};

#[test]
fn a_copy_holds_attachments_and_a_check_names_what_is_damaged() {
    let _beside = beside_others();
    let catcher = Catcher::start();
    let mut gateway = Gateway::spawn(&setup(&catcher)).unwrap();
    let content = png("to be restored");
    let id = upload(&gateway, 0, "image/png", &content);
    let copy = gateway.home().join("copy");
    let copied = gateway.verb(&["backup", &copy.display().to_string(), "--json"]).unwrap();
    assert!(copied.contains("\"blobs\":1") || copied.contains("\"blobs\": 1"), "{copied}");
    gateway.verb(&["check"]).unwrap();
    let path = file(&gateway, &id);
    fs::write(&path, "no blob").unwrap();
    let found = gateway.verb(&["check"]).unwrap_err().to_string();
    assert!(found.contains("unsafe"), "{found}");
    gateway.drain().unwrap();
    let copy = copy.display().to_string();
    gateway.verb(&["restore", &copy, "--replace"]).unwrap();
    gateway.verb(&["check"]).unwrap();
    gateway.start(&[]).unwrap();
    let mut customer = gateway.customer(0);
    let message = accept(&mut customer, &carrying(&[&id]), None);
    until(&mut customer, &message, &["delivered"], PATIENCE);
    assert!(catcher.of(&message).parts()[1].1 == content);
}
