//! `naru status --watch`, by a pipe and on a terminal.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use naru_tests::gateway::Gateway;
use serde_json::Value;

use super::{PATIENCE, setup, text};
use crate::stage::{accept, beside_others, until};

fn watching(gateway: &Gateway, more: &[&str]) -> Command {
    let mut command = Command::new(gateway.program());
    command.arg("--config").arg(gateway.config()).args(["status", "--watch", "--every", "200ms"]).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn ended(child: &mut Child) -> Option<i32> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    panic!("it does not end");
}

fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
}

#[test]
fn who_watches_sees_what_comes_until_he_is_interrupted_or_nobody_reads() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&setup()).unwrap();
    let mut customer = gateway.customer(0);
    let mut child = watching(&gateway, &["--json"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert!(first["rates"].is_null() && first["running"].is_string(), "{first}");
    let ids: Vec<String> = (0..20).map(|_| accept(&mut customer, &text("sms", "00"), None)).collect();
    for id in &ids {
        until(&mut customer, id, &["delivered"], PATIENCE);
    }
    let deadline = Instant::now() + PATIENCE;
    let mut came = false;
    while !came {
        let look: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let rates = look["rates"].as_array().unwrap().clone();
        came = rates.iter().any(|rate| rate["route"] == "demo" && rate["delivered"].as_f64() > Some(0.0));
        assert!(Instant::now() < deadline, "{look}");
    }
    interrupt(&child);
    assert_eq!(ended(&mut child), Some(0));

    let mut child = watching(&gateway, &[]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    assert!(line.contains("not ended") && line.contains("nothing waits"), "{line}");
    drop(lines);
    assert_eq!(ended(&mut child), Some(0), "nobody reads any more");
}

/// Opens a pseudo-terminal, runs the program on it, reads until the second look, interrupts it.
const ON_A_TERMINAL: &str = "import os, pty, select, signal, sys, time\n\
    pid, terminal = pty.fork()\n\
    if pid == 0: os.execv(sys.argv[1], sys.argv[1:])\n\
    seen, until = b'', time.time() + 30\n\
    while seen.count(b'\\x1b[H') < 3 and time.time() < until:\n\
    \x20   if select.select([terminal], [], [], 1)[0]: seen += os.read(terminal, 65536)\n\
    os.kill(pid, signal.SIGINT)\n\
    while True:\n\
    \x20   try:\n\
    \x20       if not os.read(terminal, 65536): break\n\
    \x20   except OSError: break\n\
    status = os.waitpid(pid, 0)[1]\n\
    assert seen.count(b'\\x1b[H') >= 3, seen\n\
    assert b'demo' in seen and b'\\x1b[J' in seen, seen\n\
    sys.exit(os.waitstatus_to_exitcode(status))";

#[test]
fn on_a_terminal_each_look_is_drawn_over_the_one_before() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&setup()).unwrap();
    let output = Command::new("python3")
        .args(["-c", ON_A_TERMINAL])
        .arg(gateway.program())
        .arg("--config")
        .arg(gateway.config())
        .args(["status", "--watch", "--every", "200ms"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
