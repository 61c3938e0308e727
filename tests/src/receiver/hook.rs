//! A webhook's target inside the test's own process: writes down what comes, and behaves as it is told.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde_json::Value;

/// How a target answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// With this status and more lines of the head, and an empty body.
    Status(u16, String),
    /// With a head that never ends, a byte at a time.
    Drip,
    /// With a head and a body of ten gigabytes.
    Endless,
    /// Never.
    Silent,
}

impl Manner {
    /// `204`.
    #[must_use]
    pub const fn well() -> Self {
        Self::status(204)
    }

    /// With a status.
    #[must_use]
    pub const fn status(status: u16) -> Self {
        Self::Status(status, String::new())
    }
}

/// One request that came.
#[derive(Debug, Clone)]
pub struct Posted {
    /// When its last byte was read.
    pub at: Instant,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// As it came.
    pub body: Vec<u8>,
}

impl Posted {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

#[derive(Default)]
struct Seen {
    posted: Mutex<Vec<Posted>>,
    connections: AtomicU64,
    /// Bytes of answers that were taken from us.
    written: AtomicU64,
    /// The longest that a connection without an end was kept.
    kept_ms: AtomicU64,
    over: AtomicBool,
}

/// See the module. It ends when dropped.
pub struct Target {
    address: SocketAddr,
    manner: Arc<Mutex<Manner>>,
    seen: Arc<Seen>,
}

impl Target {
    /// Listens on loopback.
    ///
    /// # Errors
    /// If it cannot.
    pub fn start(manner: Manner) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let target = Self {
            address: listener.local_addr()?,
            manner: Arc::new(Mutex::new(manner)),
            seen: Arc::default(),
        };
        let (manner, seen) = (Arc::clone(&target.manner), Arc::clone(&target.seen));
        thread::Builder::new().spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                if seen.over.load(Ordering::Acquire) {
                    return;
                }
                seen.connections.fetch_add(1, Ordering::AcqRel);
                let (manner, seen) = (Arc::clone(&manner), Arc::clone(&seen));
                // A connection that breaks ends its thread; the test looks at what came.
                drop(thread::Builder::new().spawn(move || drop(converse(&stream, &manner, &seen))));
            }
        })?;
        Ok(target)
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on it behaves so.
    pub fn behave(&self, manner: Manner) {
        *self.manner.lock() = manner;
    }

    /// What came, in the order in which it came.
    #[must_use]
    pub fn posted(&self) -> Vec<Posted> {
        self.seen.posted.lock().clone()
    }

    /// Connections that were made to it.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.seen.connections.load(Ordering::Acquire)
    }

    /// Bytes of its answers that were taken from it.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.seen.written.load(Ordering::Acquire)
    }

    /// The longest that an answer without an end was listened to.
    #[must_use]
    pub fn kept(&self) -> Duration {
        Duration::from_millis(self.seen.kept_ms.load(Ordering::Acquire))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.seen.over.store(true, Ordering::Release);
        // Wakes whoever accepts, so that it sees the end.
        drop(TcpStream::connect(self.address));
    }
}

fn converse(stream: &TcpStream, manner: &Mutex<Manner>, seen: &Seen) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut reader = BufReader::new(stream);
    while let Some(posted) = read(&mut reader)? {
        seen.posted.lock().push(posted);
        let manner = manner.lock().clone();
        let begun = Instant::now();
        let answered = answer(stream, &manner, seen);
        if !matches!(manner, Manner::Status(..)) {
            let kept = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            seen.kept_ms.fetch_max(kept, Ordering::AcqRel);
        }
        answered?;
    }
    Ok(())
}

fn read(reader: &mut impl BufRead) -> io::Result<Option<Posted>> {
    let (mut headers, mut line) = (Vec::new(), String::new());
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Posted { at: Instant::now(), headers, body }))
}

/// Ends with an error when the other side does.
fn answer(mut stream: &TcpStream, manner: &Manner, seen: &Seen) -> io::Result<()> {
    match manner {
        Manner::Status(status, more) => {
            stream.write_all(format!("HTTP/1.1 {status} X\r\n{more}Content-Length: 0\r\n\r\n").as_bytes())
        }
        Manner::Drip => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nX-Slow: ")?;
            loop {
                thread::sleep(Duration::from_millis(100));
                stream.write_all(b"a")?;
            }
        }
        Manner::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")?;
            let chunk = [b'a'; 64 * 1_024];
            for _ in 0..10_000_000_000_u64 / (64 * 1_024) {
                stream.write_all(&chunk)?;
                seen.written.fetch_add(64 * 1_024, Ordering::AcqRel);
            }
            Ok(())
        }
        Manner::Silent => {
            // Returns when the other side closes.
            let mut nothing = [0; 1];
            match stream.read(&mut nothing)? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(()),
            }
        }
    }
}
