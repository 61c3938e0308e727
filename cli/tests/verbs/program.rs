//! The built program, run and watched.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde_json::Value;

const NARU: &str = env!("CARGO_BIN_EXE_naru");

/// How long a process may take to say that it is up, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program on this data directory, with nothing of the caller's environment.
pub fn naru(data: &Path) -> Command {
    let mut command = Command::new(NARU);
    command.env_clear().arg("--data").arg(data).stdin(Stdio::null());
    command
}

/// Runs a verb to its end.
pub fn run(data: &Path, args: &[&str]) -> Output {
    naru(data).args(args).output().unwrap()
}

/// What it wrote.
pub fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What it complained of.
pub fn complained(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs a verb with `--json` that must succeed.
pub fn json(data: &Path, args: &[&str]) -> Value {
    let output = naru(data).args(args).arg("--json").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", complained(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs a verb for its exit code.
pub fn code(data: &Path, args: &[&str]) -> i32 {
    run(data, args).status.code().unwrap()
}

/// A running `naru up`; killed when dropped.
pub struct Up {
    /// The process.
    pub child: Child,
    /// The lines it printed.
    pub greeting: Vec<String>,
}

impl Up {
    /// Starts it and waits until it says that it is up.
    pub fn start(data: &Path, more: &[&str]) -> Self {
        Self::start_logging_to(data, more, Stdio::null())
    }

    /// The same with its log somewhere else.
    pub fn start_logging_to(data: &Path, more: &[&str], log: Stdio) -> Self {
        Self::launch(naru(data), more, log)
    }

    /// The same with a directory to be in.
    pub fn start_in(home: &Path, data: &Path) -> Self {
        let mut command = naru(data);
        command.current_dir(home);
        Self::launch(command, &[], Stdio::null())
    }

    fn launch(mut command: Command, more: &[&str], log: Stdio) -> Self {
        command.args(["up", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"]).args(more);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (send, receive) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let first = receive.recv_timeout(PATIENCE).expect("naru up says that it is up");
        let mut greeting = vec![first];
        while let Ok(line) = receive.recv_timeout(Duration::from_millis(500)) {
            greeting.push(line);
        }
        Self { child, greeting }
    }

    /// SIGTERM, and its exit code.
    pub fn stop(mut self) -> i32 {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        for _ in 0..600 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("naru up did not end in time");
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It may have ended already; both answers are fine then.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A directory on which `up` has been once.
pub fn begun(root: &Path) -> PathBuf {
    let data = root.join("data");
    assert_eq!(Up::start(&data, &["--no-demo"]).stop(), 0);
    data
}

/// Sends one message with the printed curl's arguments; needs no curl: the line holds everything.
pub fn post(line: &str) -> String {
    post_with_key(line, None)
}

/// The same with an idempotency key.
pub fn post_with_key(line: &str, key: Option<&str>) -> String {
    let key = key.map(|key| format!("Idempotency-Key: {key}\r\n")).unwrap_or_default();
    let words: Vec<&str> = line.split('\'').collect();
    let (user, body, url) = (words[1], words[5], words[6].trim());
    let address = url.trim_start_matches("http://").split('/').next().unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let authorization = data_encoding::BASE64.encode(user.as_bytes());
    let request = format!(
        "POST /v1.0/messages HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         {key}Authorization: Basic {authorization}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The printed line that sends a message.
pub fn printed_curl(up: &Up) -> String {
    up.greeting.iter().find(|line| line.contains("/v1.0/messages")).unwrap().trim().to_owned()
}

/// Asks until the answer is the wanted one.
pub fn until(what: &str, mut look: impl FnMut() -> bool) {
    for _ in 0..300 {
        if look() {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("did not happen: {what}");
}
