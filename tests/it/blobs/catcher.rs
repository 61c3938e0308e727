//! A receiver that keeps every request whole, so that a test can look at its bytes.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::Value;

use crate::stage::within;

/// The longest that a connection is left open without a word.
const SILENCE: Duration = Duration::from_secs(30);

/// A request as it came: its head, in lower case, and its body.
#[derive(Debug, Clone)]
pub(super) struct Caught {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

/// A part of a form: its head and its content.
pub(super) type Part = (String, Vec<u8>);

impl Caught {
    /// The parts of a form (RFC 2046 section 5.1.1).
    pub(super) fn parts(&self) -> Vec<Part> {
        let boundary = self.head.split("boundary=").nth(1).expect("a form").split("\r\n").next().unwrap();
        let boundary = format!("\r\n--{}", boundary.trim_matches('"'));
        let body = [b"\r\n", self.body.as_slice()].concat();
        let lower = body.to_ascii_lowercase();
        let find = |from: usize, what: &[u8]| {
            lower[from..].windows(what.len()).position(|window| window == what).map(|at| from + at)
        };
        let mut parts = Vec::new();
        let mut at = find(0, boundary.as_bytes()).expect("a first boundary") + boundary.len();
        while body[at..].starts_with(b"\r\n") {
            let head_end = find(at, b"\r\n\r\n").expect("a part's head");
            let end = find(head_end + 4, boundary.as_bytes()).expect("a part's end");
            let head = String::from_utf8(body[at + 2..head_end].to_vec()).unwrap();
            parts.push((head.to_lowercase(), body[head_end + 4..end].to_vec()));
            at = end + boundary.len();
        }
        assert!(body[at..].starts_with(b"--"), "a form ends");
        parts
    }

    /// The message of a form.
    pub(super) fn message(&self) -> Value {
        serde_json::from_slice(&self.parts()[0].1).unwrap()
    }
}

/// See the module.
pub(super) struct Catcher {
    address: SocketAddr,
    caught: Arc<Mutex<Vec<Caught>>>,
}

impl Catcher {
    pub(super) fn start() -> Self {
        Self::slow(Duration::ZERO)
    }

    /// One that takes so long for each answer.
    pub(super) fn slow(pause: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, caught) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<Caught>>>::default());
        let keep = Arc::clone(&caught);
        // Ends with the test's process; a connection ends with its client.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let keep = Arc::clone(&keep);
                thread::spawn(move || converse(&stream, &keep, pause));
            }
        });
        Self { address, caught }
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has come.
    pub(super) fn all(&self) -> Vec<Caught> {
        self.caught.lock().clone()
    }

    /// The first request with this in its body, once it has come.
    pub(super) fn of(&self, text: &str) -> Caught {
        let holds =
            |caught: &&Caught| caught.body.windows(text.len()).any(|window| window == text.as_bytes());
        within(super::PATIENCE, &format!("{text} arrives"), || self.caught.lock().iter().find(holds).cloned())
    }
}

fn converse(stream: &TcpStream, keep: &Mutex<Vec<Caught>>, pause: Duration) -> Option<()> {
    stream.set_read_timeout(Some(SILENCE)).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let head = head.to_lowercase();
        let length = head.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        keep.lock().push(Caught { head, body });
        thread::sleep(pause);
        let mut stream = stream;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()?;
    }
}
