//! A process has the secrets that its deployment was made with, or does not start.

use std::{fs, path::Path, process::Command, time::Duration};

use naru_shared::{key_file, keys::Secret};
use naru_tests::{
    deployment::{Deployment, Shape},
    gateway::{Gateway, Setup},
};

use crate::stage::{beside_others, within};

const PATIENCE: Duration = Duration::from_secs(30);

const OTHERS: &str = "not the secrets that this deployment was made with";

/// The same file with another secret that ids are derived from.
fn other_ids(known: &Path, made: &Path) {
    let ids = key_file::load(known).unwrap().ids;
    let text = fs::read_to_string(known).unwrap();
    let other = text.replace(ids.to_hex().as_str(), Secret::random().to_hex().as_str());
    assert_ne!(other, text);
    // Copied first, for its mode.
    fs::copy(known, made).unwrap();
    fs::write(made, other).unwrap();
}

#[test]
fn a_gateway_with_others_secrets_does_not_start_and_no_verb_makes_anything_with_them() {
    let _beside = beside_others();
    let mut gateway = Gateway::spawn(&Setup::default()).unwrap();
    gateway.drain().unwrap();
    let keys = gateway.home().join("data/keys.toml");
    let (kept, other) = (gateway.home().join("kept.toml"), gateway.home().join("other.toml"));
    fs::copy(&keys, &kept).unwrap();
    other_ids(&keys, &other);
    fs::copy(&other, &keys).unwrap();
    gateway.launch(&[]).unwrap();
    within(PATIENCE, "it ends", || gateway.has_ended().unwrap().then_some(()));
    assert!(gateway.log_tail().contains(OTHERS), "{}", gateway.log_tail());
    for verb in [&["check"][..], &["credential", "add", "c0"], &["quarantine", "list"]] {
        let mut command = Command::new(gateway.program());
        let output = command.arg("--config").arg(gateway.config()).args(verb).output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(OTHERS), "{verb:?}: {said}");
    }
    fs::copy(&kept, &keys).unwrap();
    gateway.start(&[]).unwrap();
    gateway.drain().unwrap();
}

#[test]
fn neither_front_nor_workers_start_with_others_secrets() {
    let _beside = beside_others();
    let mut site = Deployment::prepare(&Shape { ingress: 1, workers: 1, ..Shape::default() }).unwrap();
    let other = site.home().join("other.toml");
    other_ids(&site.home().join("keys.toml"), &other);
    let others = [("NARU_KEYS__FILE", other.display().to_string())];
    // Whoever made the tables had the secrets.
    for member in site.members() {
        member.launch(&others).unwrap();
        within(PATIENCE, "it ends", || member.has_ended().unwrap().then_some(()));
        assert!(member.log_tail().contains(OTHERS), "{}", member.log_tail());
    }
    site.start(&[]).unwrap();
    site.drain().unwrap();
}
