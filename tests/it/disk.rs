//! A full disk: nothing accepted is lost, and it recovers by itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use naru_tests::gateway::{Gateway, Setup};
use tempfile::TempDir;

use crate::stage::{alone, message, until, within};

/// A small file system of its own; unmounted when dropped.
struct Small(TempDir);

impl Small {
    fn mount(size: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        let status = mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(dir.path()).status().unwrap();
        assert!(status.success(), "this test must be root, to mount a small file system");
        Self(dir)
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let status = Command::new("umount").arg(self.0.path()).status().unwrap();
        assert!(status.success() || std::thread::panicking());
    }
}

/// Fills what is left.
fn fill(path: &Path) {
    let mut filler = fs::File::create(path).unwrap();
    let block = vec![7; 64 * 1_024];
    while std::io::Write::write_all(&mut filler, &block).is_ok() {}
}

fn survives(low_disk_bytes: u64) {
    let _alone = alone();
    let disk = Small::mount("24m");
    let setup = Setup {
        data: Some(disk.path().join("data")),
        config: format!("[process]\nlow_disk_bytes = {low_disk_bytes}\n"),
        quota: Some(1_000_000),
        ..Setup::default()
    };
    let mut gateway = Gateway::spawn(&setup).unwrap();
    let mut customer = gateway.customer(0);
    let filler = disk.path().join("filler");
    let mut accepted = Vec::new();
    let mut refused = 0;
    for number in 0..2_000 {
        if number == 200 {
            fill(&filler);
        }
        let reply =
            customer.send(&message("sms", &number.to_string()), Some(&format!("k-{number}"))).unwrap();
        match reply.status {
            202 => accepted.push(reply.json()["id"].as_str().unwrap().to_owned()),
            503 => refused += 1,
            status => panic!("{status} {}", reply.json()),
        }
        if refused >= 50 {
            break;
        }
    }
    assert!(refused > 0, "a full disk refused nothing of {}", accepted.len());
    fs::remove_file(&filler).unwrap();
    let recovered = within(Duration::from_secs(15), "accepts are taken again", || {
        let reply = customer.send(&message("sms", "after"), Some("k-after")).unwrap();
        (reply.status == 202).then(|| reply.json()["id"].as_str().unwrap().to_owned())
    });
    accepted.push(recovered);
    for id in &accepted {
        until(&mut customer, id, &["delivered"], Duration::from_secs(30));
    }
    gateway.drain().unwrap();
}

#[test]
fn a_disk_that_is_nearly_full_refuses_accepts_and_recovers_by_itself() {
    survives(4 << 20);
}

#[test]
fn a_disk_that_is_full_to_the_last_byte_loses_nothing_and_recovers_by_itself() {
    survives(0);
}
