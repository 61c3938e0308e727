//! The journaling receiver: writes down every request before it answers, and misbehaves as it was told.
//!
//! A thread for each connection: it is slow on purpose, and must be simple enough to be believed.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answer::{Behaviour, Manners};
use crate::{journal::Journal, monotonic::nanos};

/// The longest that a connection is left open without a word.
const SILENCE: Duration = Duration::from_secs(60);

/// One request that came.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Arrival {
    /// When its last byte was read, in nanoseconds of the monotonic clock.
    pub at: u64,
    /// `Idempotency-Key`.
    pub key: String,
    /// `X-Naru-Attempt`.
    pub attempt: u32,
    /// `X-Naru-Possible-Duplicate` was there.
    pub labelled: bool,
    /// `id` in the body.
    pub id: String,
    /// `reference` in the body.
    pub reference: String,
    /// `recipient` in the body.
    pub recipient: String,
    /// What the attached file says, if there was one.
    #[serde(default)]
    pub attached: Option<String>,
    /// How it was answered.
    pub behaviour: Behaviour,
}

#[derive(Deserialize)]
struct Body {
    id: String,
    reference: Option<String>,
    recipient: String,
}

struct Receiver {
    journal: Journal,
    manners: Manners,
    arrivals: AtomicU64,
    open: AtomicU64,
}

/// Serves until the process is ended; `ready` learns the address. `GET` tells how much came and how much is open.
///
/// # Errors
/// If the address cannot be bound.
pub fn serve(
    listen: SocketAddr,
    journal: &Path,
    manners: Manners,
    ready: impl FnOnce(SocketAddr),
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen)?;
    let journal = Journal::open(journal)?;
    let receiver = Receiver { journal, manners, arrivals: AtomicU64::new(0), open: AtomicU64::new(0) };
    let receiver = Arc::new(receiver);
    ready(listener.local_addr()?);
    for stream in listener.incoming() {
        let (stream, receiver) = (stream?, Arc::clone(&receiver));
        // A connection that breaks is the business of the thread that served it, and of the checker.
        thread::Builder::new().spawn(move || drop(receiver.converse(stream)))?;
    }
    Ok(())
}

impl Receiver {
    fn converse(&self, mut stream: TcpStream) -> anyhow::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        let mut buffer = Vec::new();
        while let Some(length) = read_request(&mut stream, &mut buffer)? {
            let keep = self.answer(&mut stream, &buffer)?;
            buffer.drain(..length);
            if !keep {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Answers one request; `false` if the connection ends with it.
    fn answer(&self, stream: &mut TcpStream, request: &[u8]) -> anyhow::Result<bool> {
        let Some(arrival) = self.arrival(request)? else {
            let (arrivals, open) = (self.arrivals.load(Ordering::SeqCst), self.open.load(Ordering::SeqCst));
            write_answer(stream, 200, &json!({ "arrivals": arrivals, "open": open }).to_string())?;
            return Ok(true);
        };
        self.journal.append(&arrival)?;
        self.arrivals.fetch_add(1, Ordering::SeqCst);
        self.open.fetch_add(1, Ordering::SeqCst);
        let kept = behave(stream, arrival.behaviour);
        self.open.fetch_sub(1, Ordering::SeqCst);
        Ok(kept?)
    }

    fn arrival(&self, request: &[u8]) -> anyhow::Result<Option<Arrival>> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(length) = head.parse(request)? else { anyhow::bail!("half a head") };
        if head.method == Some("GET") {
            return Ok(None);
        }
        let value = |name: &str| {
            let header = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
            str::from_utf8(header.value).ok()
        };
        let end = length + value("content-length").map_or(Ok(0), str::parse::<usize>)?;
        let parts = parts(value("content-type").unwrap_or_default(), &request[length..end]);
        let body: Body = serde_json::from_slice(parts.first().copied().unwrap_or_default())?;
        let attached = parts.get(1).map(|file| file.strip_prefix(PNG).unwrap_or(file));
        let attempt = value("x-naru-attempt").unwrap_or("0").parse()?;
        let reference = body.reference.unwrap_or_default();
        Ok(Some(Arrival {
            at: nanos(),
            key: value("idempotency-key").unwrap_or_default().to_owned(),
            attempt,
            labelled: value("x-naru-possible-duplicate").is_some(),
            behaviour: self.manners.draw(&reference, attempt),
            id: body.id,
            reference,
            recipient: body.recipient,
            attached: attached.map(|file| String::from_utf8_lossy(file).into_owned()),
        }))
    }
}

/// What a PNG begins with.
pub const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The parts of a body: of `multipart/form-data` their contents, else the whole.
fn parts<'a>(kind: &str, body: &'a [u8]) -> Vec<&'a [u8]> {
    let Some(boundary) = kind.strip_prefix("multipart/form-data; boundary=") else { return vec![body] };
    let (mark, mut found, mut rest) = (format!("--{}", boundary.trim_matches('"')), Vec::new(), body);
    let find = |text: &[u8], what: &[u8]| text.windows(what.len()).position(|bytes| bytes == what);
    while let Some(begin) = find(rest, mark.as_bytes()) {
        rest = &rest[begin + mark.len()..];
        let (Some(head), Some(end)) = (find(rest, b"\r\n\r\n"), find(rest, format!("\r\n{mark}").as_bytes()))
        else {
            break;
        };
        found.push(rest.get(head + 4..end).unwrap_or_default());
    }
    found
}

fn behave(stream: &mut TcpStream, behaviour: Behaviour) -> io::Result<bool> {
    match behaviour {
        Behaviour::Ok => write_answer(stream, 200, "{}")?,
        Behaviour::Slow(ms) => {
            thread::sleep(Duration::from_millis(ms));
            write_answer(stream, 200, "{}")?;
        }
        Behaviour::Unavailable => write_answer(stream, 503, "{}")?,
        Behaviour::Refused => write_answer(stream, 400, "{}")?,
        Behaviour::Broken => write_answer(stream, 500, "{}")?,
        Behaviour::BadGateway => write_answer(stream, 502, "{}")?,
        Behaviour::Cut => {
            stream.write_all(b"HTTP/1.1 20")?;
            return Ok(false);
        }
        Behaviour::Hang => {
            // Until the other side gives up; at the longest until the read times out.
            return Ok(stream.read(&mut [0])? > 0);
        }
    }
    Ok(true)
}

fn write_answer(stream: &mut TcpStream, status: u16, body: &str) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes())
}

/// Reads until a whole request is in the buffer and tells its length; `None` once the other side has ended.
fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<Option<usize>> {
    loop {
        if let Some(length) = whole(buffer)? {
            return Ok(Some(length));
        }
        let mut chunk = [0; 16_384];
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Ok(None);
        }
        buffer.extend_from_slice(&chunk[..count]);
    }
}

fn whole(buffer: &[u8]) -> anyhow::Result<Option<usize>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(buffer)? else { return Ok(None) };
    let body = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let body = body.map_or(Ok(0), |header| str::from_utf8(header.value).unwrap_or("?").parse::<usize>())?;
    Ok((buffer.len() >= length + body).then_some(length + body))
}
