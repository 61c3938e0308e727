//! What README.md tells a newcomer to type, typed.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use naru_tests::gateway::free_address;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::stage::{alone, within};

const PATIENCE: Duration = Duration::from_secs(30);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The files that a crate's program is built from.
fn sources(of: &Path) -> Vec<PathBuf> {
    let mut found = vec![of.join("Cargo.toml")];
    let mut folders = vec![of.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}

/// The shell blocks of README.md, in order.
fn blocks() -> Vec<String> {
    let readme = text("README.md");
    readme
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().trim_end().to_owned())
        .collect()
}

/// The program that README's first command builds, as it was built for these tests.
pub(crate) fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let found = own.ancestors().skip(1).take(2).map(|dir| dir.join("naru")).find(|path| path.is_file());
    let program = found.expect("`naru` is not built: cargo build --bin naru");
    // Only a run of the whole workspace builds it anew; an old one would prove nothing.
    let built = fs::metadata(&program).unwrap().modified().unwrap();
    for source in ["shared", "ingress", "workers", "cli"]
        .map(|part| root().join(part))
        .iter()
        .flat_map(|part| sources(part))
    {
        let changed = fs::metadata(&source).unwrap().modified().unwrap();
        assert!(changed <= built, "`naru` is older than {}: cargo build --bin naru", source.display());
    }
    program
}

/// A shell's command with nothing of the caller's settings.
fn shell(command: &str, home: &Path) -> Command {
    let mut bash = Command::new("bash");
    bash.args(["-c", command]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    bash.current_dir(home).stdin(Stdio::null());
    bash
}

pub(crate) fn run(command: &str, home: &Path) -> String {
    let output: Output = shell(command, home).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A process that is ended when the test is, and the lines it prints.
pub(crate) struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Process {
    pub(crate) fn start(command: &str, home: &Path) -> Self {
        let mut bash = shell(&format!("exec {command}"), home);
        let log = fs::File::create(home.join("log")).unwrap();
        let mut child = bash.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let printed = BufReader::new(child.stdout.take().unwrap()).lines();
        let (send, lines) = mpsc::channel();
        thread::spawn(move || printed.map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { child, lines }
    }

    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    /// SIGTERM; it must end with success.
    pub(crate) fn stop(mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let status = within(PATIENCE, "it ends when asked", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `naru up` as README says, and the lines that it prints to try it with.
struct Up {
    home: TempDir,
    process: Process,
    send: String,
    read: String,
    assign: String,
}

impl Up {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let command = &blocks()[0];
        let arguments = command.strip_prefix("cargo run --release --bin naru --").expect(command);
        let program = program();
        let free = "--listen 127.0.0.1:0 --operator-listen 127.0.0.1:0";
        let process = Process::start(&format!("{}{arguments} {free}", program.display()), home.path());
        let listen = process.line();
        let listen =
            listen.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
        let mut printed = Vec::new();
        while printed.len() < 3 {
            let line = process.line();
            printed.extend(line.strip_prefix("  ").map(str::to_owned));
        }
        let user = printed[0].split('\'').nth(1).unwrap();
        let secrets = user.strip_prefix("demo-live:").unwrap();
        let told = blocks()[2]
            .replace("PASSWORD:API_KEY", secrets)
            .replace("127.0.0.1:8080", &listen)
            .replace("/naru/target/release/naru", &program.display().to_string())
            .replace("/naru/naru-data", &home.path().join("naru-data").display().to_string());
        let told: Vec<&str> = told.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(told, printed, "README shows what is printed");
        let [send, read, assign] = printed.try_into().unwrap();
        Self { home, process, send, read, assign }
    }

    /// The printed line that sends, its answer's status asked for as well.
    fn send(&self) -> String {
        let said = run(&format!("{} -w '\\n%{{http_code}}'", self.send), self.home.path());
        let (body, status) = said.rsplit_once('\n').unwrap();
        assert_eq!(status, "202", "{body}");
        let body: Value = serde_json::from_str(body).unwrap();
        body["id"].as_str().unwrap().to_owned()
    }

    /// The printed line that reads the report.
    fn read(&self) -> Vec<Value> {
        let page: Value = serde_json::from_str(&run(&self.read, self.home.path())).unwrap();
        page["reports"].as_array().unwrap().clone()
    }
}

fn assert_delivered(reports: &[Value], id: &str) {
    let [report] = reports else { panic!("{reports:?}") };
    assert_eq!((report["id"].as_str(), report["status"].as_str()), (Some(id), Some("delivered")));
}

#[test]
fn the_first_message_is_sent_and_reported_by_the_printed_lines() {
    let _alone = alone();
    let up = Up::start();
    let id = up.send();
    assert_delivered(&up.read(), &id);
    assert!(up.home.path().join("naru-data/ledger.db").is_file(), "its data lies where README says");
    up.process.stop();
}

#[test]
fn a_message_arrives_at_the_receiver_that_readme_shows() {
    let _alone = alone();
    let up = Up::start();
    let port = free_address().unwrap().port().to_string();
    let receiver = blocks()[3].replace("9000", &port);
    assert_ne!(receiver, blocks()[3], "the receiver's port");
    let receiver = Process::start(&receiver, up.home.path());
    within(PATIENCE, "the receiver listens", || TcpStream::connect(format!("127.0.0.1:{port}")).ok());
    run(&up.assign.replace(":9000", &format!(":{port}")), up.home.path());
    // What a verb changes is in force within a second.
    thread::sleep(Duration::from_secs(1));
    let id = up.send();
    assert_delivered(&up.read(), &id);
    let mut seen = Vec::new();
    while !seen.last().is_some_and(|line: &String| line.starts_with('{')) {
        seen.push(receiver.line().trim_start().to_owned());
    }
    let header = |name: &str| {
        let of = |line: &String| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then(|| value.to_owned())
        };
        seen.iter().find_map(of)
    };
    assert_eq!(header("Idempotency-Key"), Some(id.clone()), "{seen:?}");
    assert_eq!(header("X-Naru-Attempt"), Some("1".to_owned()), "{seen:?}");
    assert_eq!(header("X-Naru-Possible-Duplicate"), None, "{seen:?}");
    let body: Value = serde_json::from_str(seen.last().unwrap()).unwrap();
    assert_eq!((body["id"].as_str(), body["body"].as_str()), (Some(id.as_str()), Some("Hello from Naru")));
    up.process.stop();
}

#[test]
fn the_test_command_is_what_runs_before_a_change_is_merged() {
    let command = &blocks()[1];
    let called = text(".ci/run");
    let called: Vec<&str> = called.lines().filter_map(|line| line.strip_prefix("step \"tests\" ")).collect();
    assert_eq!(called, [command.as_str()]);
}
