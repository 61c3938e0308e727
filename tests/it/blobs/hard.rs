//! Many large files at once, and SIGKILL in the midst of uploads.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use naru_tests::{
    customer::basic,
    gateway::Gateway,
    wire::{CallError, Wire},
};
use parking_lot::Mutex;

use super::{PATIENCE, carrying, catcher::Catcher, png, setup, upload};
use crate::stage::{accept, alone, until};

const MIB: usize = 1 << 20;

/// Memory that a process had at the most, in bytes.
fn peak(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1_024
}

#[test]
fn many_large_files_at_once_are_sent_in_bounded_memory() {
    let _alone = alone();
    let catcher = Catcher::slow(Duration::from_millis(300));
    let gateway = Gateway::spawn(&setup(&catcher)).unwrap();
    let large = |n: usize| [png(&format!("{n}")), vec![u8::try_from(n).unwrap(); 8 * MIB]].concat();
    let ids: Vec<String> = (0..60).map(|n| upload(&gateway, 0, "image/png", &large(n))).collect();
    let pid = gateway.pid().unwrap();
    let before = peak(pid);
    let mut customer = gateway.customer(0);
    let messages: Vec<_> = ids.iter().map(|id| carrying(&[id])).collect();
    let told = customer.batch(&messages).unwrap().json();
    for result in told["results"].as_array().unwrap() {
        let id = result["id"].as_str().unwrap_or_else(|| panic!("{result}"));
        until(&mut customer, id, &["delivered"], PATIENCE * 2);
    }
    assert_eq!(catcher.all().len(), 60);
    // 64 MiB for attempts, 32 MiB that are remembered, and what the allocator has not given back yet; all at once would be
    // 480 MiB.
    let more = peak(pid).saturating_sub(before);
    assert!(more < 240 * MIB, "{} MiB more", more / MIB);
}

/// Uploads on and on until told to stop; writes down every id that was answered.
fn upload_on(gateway: &Gateway, caller: usize, stop: &AtomicBool, kept: &Mutex<Vec<String>>) {
    let headers =
        [format!("Authorization: {}", basic(&gateway.users.live[0])), "Content-Type: image/png".into()];
    let mut wire = Wire::new(gateway.listen(), PATIENCE);
    for call in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let content = [png(&format!("{caller}-{call}-{}", fastrand::u64(..))), vec![7; 64 * 1_024]].concat();
        let request = wire.request("POST", "/v1.0/attachments", &headers, &content);
        let answered: Result<_, CallError> = wire.exchange(&request);
        match answered {
            Ok(reply) if reply.status == 201 => {
                kept.lock().push(reply.json()["id"].as_str().unwrap().to_owned())
            }
            Ok(reply) => panic!("{}", reply.json()),
            // It was killed.
            Err(_) => return,
        }
    }
}

#[test]
fn whatever_was_answered_201_is_there_after_kill_9() {
    let _alone = alone();
    let catcher = Catcher::start();
    let mut gateway = Gateway::spawn(&setup(&catcher)).unwrap();
    let kept = Mutex::new(Vec::new());
    for round in 0..5 {
        let (stop, already) = (AtomicBool::new(false), kept.lock().len());
        thread::scope(|scope| {
            for caller in 0..4 {
                let (gateway, stop, kept) = (&gateway, &stop, &kept);
                scope.spawn(move || upload_on(gateway, caller, stop, kept));
            }
            // In the midst of something, each time somewhere else.
            while kept.lock().len() < already + 10 {
                thread::sleep(Duration::from_millis(3));
            }
            thread::sleep(Duration::from_millis(u64::from(fastrand::u32(..20))));
            let pid = rustix::process::Pid::from_raw(i32::try_from(gateway.pid().unwrap()).unwrap()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        });
        gateway.kill().unwrap();
        gateway.start(&[]).unwrap();
        let unfinished = gateway.home().join("data/blobs/unfinished");
        assert_eq!(unfinished.read_dir().unwrap().count(), 0, "round {round}: nothing half written stays");
    }
    let kept = kept.into_inner();
    let mut customer = gateway.customer(0);
    for id in &kept {
        let message = accept(&mut customer, &carrying(&[id]), None);
        until(&mut customer, &message, &["delivered"], PATIENCE);
    }
    assert_eq!(catcher.all().len(), kept.len());
    gateway.verb(&["check"]).unwrap();
}
