//! One gateway for the whole room, a customer for each test, and what holds for every refusal.

use std::{
    collections::BTreeSet,
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use naru_tests::{
    customer::{Customer, basic},
    gateway::{Gateway, Setup},
};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::stage::{Beside, beside_others, within};

/// How long an answer, or the end of a connection, is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Customers of the gateway: a test has one for itself, so that its messages can be counted.
const CUSTOMERS: usize = 96;

/// The members that a problem may have.
const MEMBERS: [&str; 6] = ["type", "title", "status", "code", "detail", "instance"];

/// Words by which an answer would tell what it is made of.
const INSIDES: [&str; 10] =
    ["actix", "hyper", "tokio", "panicked", "backtrace", "src/", ".rs", "rustc", "sqlite", "/tmp"];

struct Room {
    gateway: Gateway,
    taken: AtomicUsize,
}

/// The gateway lives as long as a test holds it: nothing is left behind by the last one.
static ROOM: Mutex<Weak<Room>> = Mutex::new(Weak::new());

fn room() -> Arc<Room> {
    let mut kept = ROOM.lock();
    if let Some(room) = kept.upgrade()
        && room.taken.load(Ordering::Relaxed) < CUSTOMERS
    {
        return room;
    }
    let config = "[ingress]\nguess_wait_ms = 0\n".to_owned();
    let setup = Setup { customers: CUSTOMERS, quota: Some(1 << 40), config, ..Setup::default() };
    let room = Arc::new(Room { gateway: Gateway::spawn(&setup).unwrap(), taken: AtomicUsize::new(0) });
    *kept = Arc::downgrade(&room);
    room
}

/// A test's visit to the room.
pub(super) struct Visit {
    room: Arc<Room>,
    index: usize,
    _beside: Beside,
}

impl Visit {
    pub(super) fn begin() -> Self {
        let beside = beside_others();
        let room = room();
        let index = room.taken.fetch_add(1, Ordering::Relaxed);
        Self { room, index, _beside: beside }
    }

    pub(super) fn gateway(&self) -> &Gateway {
        &self.room.gateway
    }

    /// The live user, `ID:PW:API_KEY`.
    pub(super) fn live(&self) -> &str {
        &self.gateway().users.live[self.index]
    }

    /// The same of the sandbox.
    pub(super) fn sandbox(&self) -> &str {
        &self.gateway().users.sandbox[self.index]
    }

    /// The header by which the live user proves itself, with its end.
    pub(super) fn proof(&self) -> String {
        format!("Authorization: {}\r\n", basic(self.live()))
    }

    /// A whole head up to where more headers may stand, without its empty line.
    pub(super) fn head(&self, method: &str, target: &str) -> String {
        format!("{method} {target} HTTP/1.1\r\nHost: naru\r\n{}", self.proof())
    }

    /// A call with a JSON body.
    pub(super) fn call(&self, target: &str, body: &[u8]) -> Vec<u8> {
        let head = self.head("POST", target);
        let rest = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), rest.as_bytes(), body].concat()
    }

    /// A call that would be answered `202`, were it read as one.
    pub(super) fn good(&self) -> Vec<u8> {
        self.call("/v1.0/messages", text("smuggled").to_string().as_bytes())
    }

    pub(super) fn open(&self) -> TcpStream {
        let stream = TcpStream::connect_timeout(&self.gateway().address(), PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Sends bytes with a good call right behind them, and reads to the end of the connection, which must come: one answer, and
    /// none to what was behind.
    pub(super) fn closes(&self, case: &str, bytes: &[u8]) -> Answer {
        let mut stream = self.open();
        // That it closes before all was written is an answer too.
        drop(stream.write_all(&[bytes, &self.good()].concat()));
        let (answer, behind) = to_end(&mut stream, case);
        assert!(behind.is_empty(), "{case}: what was behind it was answered: {}", lossy(&behind));
        answer.must_be_proper(case, self);
        answer
    }

    /// Sends bytes with a good call right behind them and says that no more comes; every answer until the connection ends.
    pub(super) fn all(&self, case: &str, bytes: &[u8]) -> Vec<Answer> {
        let mut stream = self.open();
        drop(stream.write_all(&[bytes, &self.good()].concat()));
        drop(stream.shutdown(Shutdown::Write));
        let mut answered = Vec::new();
        let ended = stream.read_to_end(&mut answered);
        assert!(!ended.is_err_and(|error| error.kind() != io::ErrorKind::ConnectionReset), "{case}: no end");
        let mut answers = Vec::new();
        while let Some((answer, end)) = Answer::of(&answered) {
            answer.must_be_proper(case, self);
            answers.push(answer);
            answered.drain(..end);
        }
        answers
    }

    /// Sends bytes and reads one answer.
    pub(super) fn answer(&self, case: &str, bytes: &[u8]) -> Answer {
        let mut stream = self.open();
        drop(stream.write_all(bytes));
        let answer = one(&mut stream, case);
        answer.must_be_proper(case, self);
        answer
    }

    /// What a test's end asks: so many messages exist, by what was charged and by what was reported, and the gateway still works.
    pub(super) fn made(&self, live: usize, sandbox: usize) {
        let target = self.gateway().address();
        let mut customers = [
            (Customer::live(target, self.live(), PATIENCE), live),
            (Customer::sandbox(target, self.sandbox(), PATIENCE), sandbox),
        ];
        for (customer, count) in &mut customers {
            let last = customer.send(&text("last"), None).unwrap();
            assert_eq!(last.status, 202, "it still works: {}", last.json());
            let mut reports = Vec::new();
            within(PATIENCE, "every message is reported", || {
                reports.extend(customer.take_reports().unwrap());
                (reports.len() > *count).then_some(())
            });
            assert_eq!(reports.len(), *count + 1, "messages that exist: {reports:?}");
        }
        let mut used = 0;
        // A little later than it is reported it is settled.
        within(PATIENCE, "every message is charged", || {
            let quota = customers[0].0.get("/quota").unwrap().json();
            used = quota["quotas"][0]["used"].as_u64().unwrap();
            (used > live as u64).then_some(())
        });
        assert_eq!(used, live as u64 + 1, "messages that were charged");
        let log = std::fs::read_to_string(self.gateway().home().join("gateway.log")).unwrap();
        for word in self.secrets().into_iter().chain(["panicked".to_owned()]) {
            assert!(!log.contains(&word), "the log tells {word:?}");
        }
    }

    /// What no answer and no log may repeat.
    fn secrets(&self) -> Vec<String> {
        let parts = |user: &str| user.split(':').skip(1).map(str::to_owned).collect::<Vec<_>>();
        let proofs = [self.live(), self.sandbox()].map(|user| basic(user).replace("Basic ", ""));
        [parts(self.live()), parts(self.sandbox()), proofs.to_vec()].concat()
    }
}

/// A message that is good.
pub(super) fn text(reference: &str) -> Value {
    json!({ "channel": "sms", "recipient": "+821012345600", "body": "hello", "reference": reference })
}

pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).into_owned()
}

/// What was answered.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The first answer in these bytes, and where it ends.
    fn of(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(head) = parsed.parse(bytes).ok()? else { return None };
        let headers: Vec<(String, String)> = (parsed.headers.iter())
            .map(|header| (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let end = head + length.map_or(0, |(_, value)| value.parse().unwrap());
        let body = bytes.get(head..end)?.to_vec();
        Some((Self { status: parsed.code?, headers, body }, end))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The problem's code; empty if there is none.
    pub(super) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// All of it that may not differ between failures that are equivalent.
    pub(super) fn but_for_instance(&self) -> (u16, BTreeSet<(String, String)>, Value) {
        // Whether more of a body was to come is the caller's own doing.
        let own = ["date", "request-id", "content-length", "connection"];
        let headers = self.headers.iter().filter(|(name, _)| !own.contains(&name.as_str())).cloned();
        // In which order they come is the library's own doing.
        let headers: BTreeSet<(String, String)> = headers.collect();
        let mut problem = self.json();
        if let Some(members) = problem.as_object_mut() {
            members.remove("instance");
        }
        (self.status, headers, problem)
    }

    /// What holds for every answer, and for every refusal.
    fn must_be_proper(&self, case: &str, visit: &Visit) {
        let whole = format!("{:?} {}", self.headers, String::from_utf8_lossy(&self.body));
        for secret in visit.secrets() {
            assert!(!whole.contains(&secret), "{case}: it repeats a secret: {whole}");
        }
        assert_eq!(self.header("server"), None, "{case}: it tells what it is");
        if self.status < 400 || self.body.is_empty() {
            return;
        }
        // A batch of which nothing was accepted is answered item by item too.
        if let Some(results) = self.json()["results"].as_array() {
            results.iter().for_each(|item| must_be_a_problem(case, &item["problem"]));
        } else {
            assert_eq!(self.header("content-type"), Some("application/problem+json"), "{case}: {whole}");
            let problem = self.json();
            must_be_a_problem(case, &problem);
            assert_eq!(problem["status"], self.status, "{case}");
            assert_eq!(problem["instance"].as_str(), self.header("request-id"), "{case}");
        }
        let told = whole.to_ascii_lowercase();
        for word in INSIDES {
            assert!(!told.contains(word), "{case}: it tells {word:?}: {whole}");
        }
        let version = env!("CARGO_PKG_VERSION");
        assert!(!told.contains(version), "{case}: it tells its version: {whole}");
    }
}

/// That it has the members that a problem must have, and no others.
pub(super) fn must_be_a_problem(case: &str, problem: &Value) {
    let members = problem.as_object().unwrap_or_else(|| panic!("{case}: no problem: {problem}"));
    let strange: Vec<_> = members.keys().filter(|name| !MEMBERS.contains(&name.as_str())).collect();
    assert!(strange.is_empty(), "{case}: {strange:?}: {problem}");
    for name in MEMBERS.into_iter().filter(|name| *name != "detail") {
        assert!(members.contains_key(name), "{case}: no {name}: {problem}");
    }
}

/// Reads one answer.
pub(super) fn one(stream: &mut TcpStream, case: &str) -> Answer {
    let mut bytes = Vec::new();
    let mut chunk = [0; 65_536];
    loop {
        if let Some((answer, _)) = Answer::of(&bytes) {
            return answer;
        }
        let count =
            stream.read(&mut chunk).unwrap_or_else(|e| panic!("{case}: no answer: {e}: {}", lossy(&bytes)));
        assert!(count > 0, "{case}: it closed without an answer: {}", lossy(&bytes));
        bytes.extend_from_slice(&chunk[..count]);
    }
}

/// Reads to the end of the connection: the first answer, and what is behind it.
pub(super) fn to_end(stream: &mut TcpStream, case: &str) -> (Answer, Vec<u8>) {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{case}: it does not close: {error}: {}", lossy(&bytes)),
    }
    let (answer, end) = Answer::of(&bytes).unwrap_or_else(|| panic!("{case}: no answer: {}", lossy(&bytes)));
    (answer, bytes.split_off(end))
}

/// That failures which are equivalent cannot be told from each other.
pub(super) fn must_be_alike(answers: &[(String, Answer)]) {
    for (case, answer) in answers {
        let (first, expected) = &answers[0];
        assert_eq!(answer.but_for_instance(), expected.but_for_instance(), "{case} against {first}");
    }
}
