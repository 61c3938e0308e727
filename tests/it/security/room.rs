//! A gateway, its customer, and what every refusal must be.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use naru_tests::{
    customer::basic,
    gateway::{Gateway, Setup},
};
use serde_json::Value;

use crate::stage::{Beside, beside_others, message, used};

/// How long an answer may take that is waited for by nobody.
pub(super) const AT_ONCE: Duration = Duration::from_secs(5);

/// What no answer may tell.
const INSIDE: [&str; 9] =
    ["actix", "panicked", "src/", ".rs:", "rustc", "sqlite", "password-of", "key-of-", "0.1.0"];

/// A gateway that none of these calls may change.
pub(super) struct Room {
    pub(super) gateway: Gateway,
    accepted: std::sync::atomic::AtomicU64,
    _beside: Beside,
}

/// What came back on a connection.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
    /// Whatever came behind the first answer.
    pub(super) behind: Vec<u8>,
    /// The connection was ended by the other side.
    pub(super) ended: bool,
    pub(super) after: Duration,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(super) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Room {
    /// With a quota, which tells how many messages were taken.
    pub(super) fn open() -> Self {
        let _beside = beside_others();
        // Hundreds of calls are refused here, and none need wait for it.
        let config = "[ingress]\nguess_wait_ms = 0\n".to_owned();
        let gateway = Gateway::spawn(&Setup { config, quota: Some(1_000_000), ..Setup::default() }).unwrap();
        Self { gateway, accepted: 0.into(), _beside }
    }

    pub(super) fn user(&self) -> &str {
        &self.gateway.users.live[0]
    }

    /// The line that proves the customer.
    pub(super) fn authorization(&self) -> String {
        format!("Authorization: {}\r\n", basic(self.user()))
    }

    /// A head: its first line and headers, each with its end.
    pub(super) fn head(&self, first: &str, headers: &str) -> String {
        format!("{first} HTTP/1.1\r\nHost: {}\r\n{}{headers}", self.gateway.listen(), self.authorization())
    }

    /// A good call.
    pub(super) fn good(&self) -> Vec<u8> {
        self.post("/v1.0/messages", "", message("sms", "good").to_string().as_bytes())
    }

    /// A call with a body of JSON.
    pub(super) fn post(&self, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
        let own =
            format!("Content-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
        [self.head(&format!("POST {path}"), &own).as_bytes(), body].concat()
    }

    /// What comes back to bytes, on a connection of their own, until it ends or nothing more comes for a while.
    pub(super) fn tell(&self, bytes: &[u8], patience: Duration) -> Option<Answer> {
        let mut stream = TcpStream::connect(self.gateway.listen()).unwrap();
        stream.set_read_timeout(Some(patience)).unwrap();
        stream.set_write_timeout(Some(AT_ONCE)).unwrap();
        let began = Instant::now();
        // Whoever refuses need not read to the end.
        let _whole = stream.write_all(bytes);
        listen(&mut stream, began)
    }

    /// That a call is refused so, ends its connection where it must, and that a good one behind it is not made.
    pub(super) fn refuses(&self, case: &str, bytes: &[u8], statuses: &[u16], ends: bool) -> Answer {
        let with = if ends { [bytes, &self.good()].concat() } else { bytes.to_vec() };
        let answer = self.tell(&with, AT_ONCE).unwrap_or_else(|| panic!("{case}: no answer"));
        assert!(statuses.contains(&answer.status), "{case}: {answer:?}");
        assert_fixed(case, &answer);
        if ends {
            // What hides behind it is no call: it is not answered, or refused.
            let behind = String::from_utf8_lossy(&answer.behind);
            assert!(behind.is_empty() || behind.starts_with("HTTP/1.1 400 "), "{case}: {behind}");
            assert!(answer.ended, "{case}: {answer:?}");
        }
        self.took_nothing(case);
        answer
    }

    /// That a call is accepted, which is counted.
    pub(super) fn accepts(&self, case: &str, bytes: &[u8], messages: u64) -> Answer {
        let answer =
            self.tell(bytes, Duration::from_millis(300)).unwrap_or_else(|| panic!("{case}: no answer"));
        assert_eq!(answer.status, 202, "{case}: {answer:?}");
        self.accepted.fetch_add(messages, std::sync::atomic::Ordering::Relaxed);
        self.took_nothing(case);
        answer
    }

    /// Nothing was charged but what was accepted.
    pub(super) fn took_nothing(&self, case: &str) {
        assert_eq!(used(&self.gateway), self.accepted.load(std::sync::atomic::Ordering::Relaxed), "{case}");
    }
}

/// The first answer, and what comes behind it.
pub(super) fn listen(stream: &mut TcpStream, began: Instant) -> Option<Answer> {
    let (mut bytes, mut ended, mut chunk) = (Vec::new(), false, [0; 16_384]);
    let mut after = Duration::ZERO;
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => ended = true,
            Ok(count) => {
                bytes.extend_from_slice(&chunk[..count]);
                if after.is_zero() {
                    after = began.elapsed();
                }
                // A second answer would come at once; an end that was announced may take its time.
                let announced =
                    String::from_utf8_lossy(&bytes).to_lowercase().contains("\r\nconnection: close\r\n");
                let patience = if announced { 5_000 } else { 600 };
                stream.set_read_timeout(Some(Duration::from_millis(patience))).unwrap();
                continue;
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => ended = true,
            Err(_) => {}
        }
        break;
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(head)) = response.parse(&bytes) else { return None };
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.map_or(0, |header| str::from_utf8(header.value).unwrap().parse().unwrap());
    let end = (head + length).min(bytes.len());
    Some(Answer {
        status: response.code.unwrap(),
        head: String::from_utf8_lossy(&bytes[..head]).into_owned(),
        body: bytes[head..end].to_vec(),
        behind: bytes[end..].to_vec(),
        ended,
        after,
    })
}

/// A problem with its fixed members, or an empty body; and nothing of the inside.
fn assert_fixed(case: &str, answer: &Answer) {
    let whole = format!("{}{}", answer.head, String::from_utf8_lossy(&answer.body));
    let told: Vec<&&str> = INSIDE.iter().filter(|word| whole.to_lowercase().contains(**word)).collect();
    assert!(told.is_empty(), "{case} tells {told:?}: {whole}");
    assert!(!answer.head.to_lowercase().contains("\r\nserver:"), "{case}: {}", answer.head);
    if answer.body.is_empty() {
        return;
    }
    assert!(
        answer.head.to_lowercase().contains("\r\ncontent-type: application/problem+json\r\n"),
        "{case}: {whole}"
    );
    let document = answer.json();
    let members: BTreeSet<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
    let known = BTreeSet::from(["type", "title", "status", "code", "detail", "instance"]);
    assert!(members.is_subset(&known) && members.contains("code"), "{case}: {document}");
    assert_eq!(document["status"], answer.status, "{case}");
    assert_eq!(document["type"], format!("/problems/{}", answer.code()), "{case}");
}

/// The document without what differs from call to call.
pub(super) fn lasting(answer: &Answer) -> Value {
    let mut document = answer.json();
    document.as_object_mut().unwrap().remove("instance").unwrap();
    document
}
