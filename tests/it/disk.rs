//! A full disk: nothing accepted is lost, nothing refused is done, and it recovers by itself.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use naru_shared::domain::OnUncertain;
use naru_tests::{
    checker::{
        self,
        evidence::{Evidence, Policy, Said, Wish},
    },
    customer::Customer,
    gateway::{Gateway, RouteSpec, Setup},
    witness,
};
use serde_json::json;
use tempfile::TempDir;

use crate::stage::{Receiver, alone, until, within};

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

/// Fills what is left but for so many bytes.
fn fill(path: &Path, but: u64) {
    let mut filler = fs::File::create(path).unwrap();
    let block = vec![7; 64 * 1_024];
    while filler.write_all(&block).is_ok() {}
    let length = filler.metadata().unwrap().len();
    filler.set_len(length - but).unwrap();
}

/// A gateway whose data is on a small disk; who writes down what comes of it writes elsewhere.
struct Stand {
    gateway: Gateway,
    customer: Customer,
    receiver: Receiver,
    wishes: Vec<Wish>,
    filler: PathBuf,
    /// Dropped last: nothing may lie on it any more.
    _disk: Small,
}

impl Stand {
    fn new(low_disk_bytes: u64) -> Self {
        let (disk, receiver) = (Small::mount("24m"), Receiver::start(&[]));
        let setup = Setup {
            data: Some(disk.path().join("data")),
            routes: vec![RouteSpec::http("demo", receiver.process.address, OnUncertain::Fail)],
            config: format!("[process]\nlow_disk_bytes = {low_disk_bytes}\n"),
            quota: Some(1_000_000),
            subscription: Some(witness::SUBSCRIPTION.to_owned()),
            ..Setup::default()
        };
        let mut gateway = Gateway::prepare(&setup).unwrap();
        gateway.start(&[receiver.journals.subscriber()]).unwrap();
        let (customer, filler) = (gateway.customer(0), disk.path().join("filler"));
        Self { gateway, customer, receiver, wishes: Vec::new(), filler, _disk: disk }
    }

    /// One more message, and what was said of it.
    fn wish(&mut self) -> Said {
        let number = self.wishes.len();
        let wish = Wish {
            customer: 0,
            reference: format!("w-{number}"),
            recipient: format!("+8210{number:08}"),
            units: 1,
            key: Some(format!("k-{number}")),
            policy: Policy::Fail,
            attached: None,
            said: Vec::new(),
        };
        self.wishes.push(wish);
        self.ask(number)
    }

    fn ask(&mut self, number: usize) -> Said {
        let wish = &mut self.wishes[number];
        let message = json!({
            "channel": "sms", "recipient": wish.recipient, "body": "hello", "reference": wish.reference
        });
        wish.said.push(Said::of_call(&self.customer.send(&message, wish.key.as_deref())));
        wish.said.last().unwrap().clone()
    }

    /// Fifty refusals, and their codes.
    fn is_refused(&mut self) -> Vec<String> {
        let mut codes = Vec::new();
        for _ in 0..2_000 {
            match self.wish() {
                Said::Accepted { .. } => {}
                Said::Refused { status: 503, code } => codes.push(code),
                Said::Unknown { .. } => codes.push("accept-unknown".to_owned()),
                said => panic!("{said:?}"),
            }
            if codes.len() == 50 {
                return codes;
            }
        }
        panic!("a full disk refused only {} calls", codes.len());
    }

    /// There is room again: accepts go on, whoever was left in doubt asks again, and the checker judges all of it. Nobody
    /// was killed: it forgives nothing.
    fn recovers(mut self) {
        fs::remove_file(&self.filler).unwrap();
        within(Duration::from_secs(15), "accepts are taken again", || {
            matches!(self.wish(), Said::Accepted { .. }).then_some(())
        });
        let doubtful = |wish: &Wish| wish.accepted().is_none() && wish.in_doubt();
        for number in 0..self.wishes.len() {
            if doubtful(&self.wishes[number]) {
                let said = self.ask(number);
                assert!(matches!(said, Said::Accepted { .. }), "{said:?}");
            }
        }
        let mut evidence = Evidence { wishes: self.wishes, ..Evidence::default() };
        let patience = Duration::from_secs(60);
        witness::gather(&mut self.gateway, &self.receiver.journals, patience, &mut evidence).unwrap();
        let findings = checker::check(&evidence);
        assert_eq!(findings.broken, Vec::<String>::new());
        assert_eq!(findings.finals.keys().collect::<Vec<_>>(), ["delivered (ok)"]);
        assert!(findings.accepted > 200, "{findings:?}");
    }
}

#[test]
fn a_disk_that_is_nearly_full_refuses_accepts_delivers_what_it_has_and_recovers_by_itself() {
    let _alone = alone();
    let mut stand = Stand::new(4 << 20);
    for _ in 0..200 {
        assert!(matches!(stand.wish(), Said::Accepted { .. }));
    }
    fill(&stand.filler, 2 << 20);
    let codes = stand.is_refused();
    assert!(codes.iter().all(|code| code == "low-disk"), "{codes:?}");
    let accepted: Vec<String> = stand.wishes.iter().filter_map(Wish::accepted).map(str::to_owned).collect();
    for id in &accepted {
        until(&mut stand.customer, id, &["delivered"], Duration::from_secs(20));
    }
    stand.recovers();
}

#[test]
fn a_disk_that_is_full_to_the_last_byte_loses_nothing_and_recovers_by_itself() {
    let _alone = alone();
    let mut stand = Stand::new(0);
    for _ in 0..200 {
        assert!(matches!(stand.wish(), Said::Accepted { .. }));
    }
    fill(&stand.filler, 0);
    let codes = stand.is_refused();
    assert!(codes.iter().all(|code| code != "low-disk"), "{codes:?}");
    stand.recovers();
}
