//! `202` means durable: seen in the system calls, since a killed process never loses the page cache.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use naru_tests::gateway::{Gateway, Setup};

use crate::stage::{accept, alone, message, within};

#[test]
fn the_answer_leaves_after_the_queue_s_log_was_synced() {
    let _alone = alone();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let mut customer = gateway.customer(0);
    // The first write of all may sync more than it must.
    accept(&mut customer, &message("sms", "first"), None);
    thread::sleep(Duration::from_secs(1));
    let trace = gateway.home().join("trace");
    let calls = "trace=pwrite64,fdatasync,fsync,write,writev,sendto,sendmsg";
    let mut strace = Command::new("strace")
        .args(["-f", "-y", "-s", "64", "-e", calls, "-o"])
        .arg(&trace)
        .args(["-p", &gateway.pid().unwrap().to_string()])
        .stderr(Stdio::null())
        .spawn()
        .expect("strace must be installed: apt-get install strace");
    within(Duration::from_secs(10), "strace writes", || fs::metadata(&trace).ok());
    thread::sleep(Duration::from_secs(1));
    accept(&mut customer, &message("sms", "second"), None);
    thread::sleep(Duration::from_millis(300));
    strace.kill().unwrap();
    strace.wait().unwrap();
    let text = fs::read_to_string(&trace).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let answer = lines.iter().position(|line| line.contains("202 Accepted")).expect(&text);
    let written = lines.iter().position(|line| line.contains("pwrite64(") && line.contains("queue.db-wal"));
    let written = written.expect(&text);
    let synced = synced(&lines[written..]).expect(&text) + written;
    assert!(written < synced && synced < answer, "{written} {synced} {answer}\n{text}");
}

/// The line on which a sync of the queue's log has returned.
fn synced(lines: &[&str]) -> Option<usize> {
    let begun = lines.iter().position(|line| line.contains("sync(") && line.contains("queue.db-wal"))?;
    if !lines[begun].contains("unfinished") {
        return lines[begun].contains("= 0").then_some(begun);
    }
    let thread = lines[begun].split(' ').next()?;
    let resumed =
        |line: &&&str| line.starts_with(thread) && line.contains("sync resumed") && line.contains("= 0");
    let rest = &lines[begun..];
    rest.iter().position(|line| resumed(&line)).map(|at| at + begun)
}
