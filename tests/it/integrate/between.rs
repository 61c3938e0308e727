//! What stands between a customer's program and the gateway: it is busy once, loses an answer once, and remembers every call.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use naru_tests::wire::{Reply, Wire};
use parking_lot::Mutex;

/// Longer than the longest poll.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest call that is read.
const CALL: usize = 1 << 20;

const BUSY: &str =
    r#"{"type":"/problems/overloaded","title":"Too many calls at once","status":503,"code":"overloaded"}"#;

/// One call of the program.
#[derive(Clone)]
pub struct Call {
    /// Its method and its path, without the query.
    pub name: String,
    /// As it came.
    pub bytes: Vec<u8>,
    /// What the gateway answered; none if it never saw the call.
    pub reply: Option<Reply>,
}

impl Call {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.bytes);
        text.lines().take_while(|line| !line.is_empty()).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

/// What becomes of a call.
#[derive(Clone, Copy)]
enum Way {
    /// It is answered `503` with `Retry-After`; the gateway never sees it.
    Busy,
    /// The gateway takes it, and its answer is lost with the connection.
    Lost,
    /// As if nobody stood between.
    Through,
}

/// Of the first sending and of the first look for reports nobody hears; of the second sending the answer is lost.
fn way(name: &str, nth: usize) -> Way {
    let (sends, looks) = (name.ends_with("/messages/batch"), name.ends_with("/reports"));
    match nth {
        0 if sends || looks => Way::Busy,
        1 if sends => Way::Lost,
        _ => Way::Through,
    }
}

/// It, at work until it is dropped.
pub struct Between {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    over: Arc<AtomicBool>,
    listens: Option<JoinHandle<()>>,
}

impl Between {
    /// Before this gateway.
    pub fn start(gateway: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (calls, over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (seen, ends) = (Arc::clone(&calls), Arc::clone(&over));
        let listens = thread::spawn(move || {
            for stream in listener.incoming() {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                let seen = Arc::clone(&seen);
                // It ends with the connection, which the program ends at the latest.
                thread::spawn(move || serve(stream.unwrap(), gateway, &seen));
            }
        });
        Self { address, calls, over, listens: Some(listens) }
    }

    /// Where the program calls.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The calls by this name, in order.
    pub fn calls(&self, name: &str) -> Vec<Call> {
        self.calls.lock().iter().filter(|call| call.name == name).cloned().collect()
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // So that it looks.
        drop(TcpStream::connect(self.address));
        if let Some(listens) = self.listens.take() {
            drop(listens.join());
        }
    }
}

/// The calls of one connection, until it ends.
fn serve(mut stream: TcpStream, gateway: SocketAddr, calls: &Mutex<Vec<Call>>) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    while let Some((name, bytes)) = read(&mut stream) {
        // The place is taken before anything is waited for.
        let (place, way) = {
            let mut calls = calls.lock();
            let way = way(&name, calls.iter().filter(|call| call.name == name).count());
            calls.push(Call { name, bytes, reply: None });
            (calls.len() - 1, way)
        };
        let call = calls.lock()[place].clone();
        let answer = match way {
            Way::Busy => busy(),
            Way::Lost | Way::Through => {
                let reply = Wire::new(gateway, PATIENCE).exchange(&call.bytes).unwrap();
                let whole = [reply.head.as_bytes(), &reply.body].concat();
                calls.lock()[place].reply = Some(reply);
                whole
            }
        };
        let is_last = call.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if matches!(way, Way::Lost) || stream.write_all(&answer).is_err() || is_last {
            return;
        }
    }
}

fn busy() -> Vec<u8> {
    let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 1";
    format!("{head}\r\nContent-Length: {}\r\n\r\n{BUSY}", BUSY.len()).into_bytes()
}

/// The name and the bytes of the next call; nothing once the connection has ended.
fn read(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(name) = whole(&bytes) {
            return Some((name, bytes));
        }
        let mut chunk = [0; 16_384];
        let count = stream.read(&mut chunk).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&chunk[..count]);
        assert!(bytes.len() < CALL, "a call without an end");
    }
}

/// The name of a call, once all of it is there.
fn whole(bytes: &[u8]) -> Option<String> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(bytes).unwrap() else { return None };
    let of = |name: &str| {
        let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value).into_owned())
    };
    assert_eq!(of("transfer-encoding"), None, "these programs know how long their bodies are");
    let length: usize = of("content-length").map_or(0, |length| length.parse().unwrap());
    let path = request.path.unwrap().split('?').next().unwrap();
    (bytes.len() >= head + length).then(|| format!("{} {path}", request.method.unwrap()))
}
