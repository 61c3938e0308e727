//! A good call, taken apart so that something can be done to it, and what was done.

use std::net::SocketAddr;

use anyhow::Context;
use data_encoding::BASE64;
use serde_json::{Value, json};

use super::{body, framing, head};
use crate::{customer::Customer, gateway::Gateway};

/// Who is called, as whom.
pub struct Target {
    /// Where.
    pub address: SocketAddr,
    /// `ID:PW:API_KEY` of a customer.
    pub user: String,
    /// The same for the sandbox.
    pub sandbox: String,
    /// A message of that customer, and one of another's.
    pub ids: [String; 2],
}

/// Stands in every message's text: no log may have it.
pub const TEXT: &str = "canary-of-a-text";

impl Target {
    /// As the first customer of a gateway, with a message of its own and one of the second's.
    ///
    /// # Errors
    /// If they are not accepted.
    pub fn of(gateway: &Gateway) -> anyhow::Result<Self> {
        let message = json!({ "channel": "sms", "recipient": "+821012345600", "body": TEXT });
        let id = |mut customer: Customer| {
            let reply = customer.send(&message, None)?;
            anyhow::Ok(reply.json()["id"].as_str().context("a message is accepted")?.to_owned())
        };
        Ok(Self {
            address: gateway.listen(),
            user: gateway.users.live[0].clone(),
            sandbox: gateway.users.sandbox[0].clone(),
            ids: [id(gateway.customer(0))?, id(gateway.customer(1))?],
        })
    }

    /// What no answer and no log may say.
    pub fn canaries(&self) -> Vec<&str> {
        let secrets = [&self.user, &self.sandbox].into_iter().flat_map(|user| user.split(':').skip(1));
        // A short word stands in many an answer by chance.
        secrets.filter(|secret| secret.len() >= 12).chain([TEXT]).collect()
    }
}

/// What must become of a call that something was done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It must be refused.
    Refused,
    /// It may still mean what it meant, or something else that is no harm.
    Open,
}

/// What was done.
#[derive(Debug, Clone)]
pub struct Harm {
    /// What must become of it.
    pub done: Done,
    names: Vec<&'static str>,
}

impl Harm {
    /// By name.
    pub fn told(&self) -> String {
        self.names.join(", ")
    }
}

/// How a body's end is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framing {
    /// By its length.
    Length,
    /// In chunks.
    Chunked,
    /// As these bytes say, in place of the header, its value and the body.
    Raw(Vec<u8>),
}

/// A call in parts.
#[derive(Debug, Clone)]
pub struct Call {
    /// The first word.
    pub method: String,
    /// The address.
    pub path: String,
    /// The last word of the first line.
    pub version: String,
    /// Lines of the head without their ends.
    pub head: Vec<Vec<u8>>,
    /// Without it there is no `Host`.
    pub host: bool,
    /// How each line of the head ends.
    pub end: &'static [u8],
    /// The body.
    pub body: Vec<u8>,
    /// And how its end is told.
    pub framing: Framing,
    /// Whether the call is read to the end of its body before it is answered with success.
    pub reads_body: bool,
    /// Whether it must be proved whose it is.
    pub proved: bool,
    /// Another call, which nobody may take for one.
    behind: Option<Vec<u8>>,
}

impl Call {
    /// The bytes on the wire.
    pub fn bytes(&self, host: SocketAddr) -> Vec<u8> {
        let mut bytes = format!("{} {} {}", self.method, self.path, self.version).into_bytes();
        bytes.extend_from_slice(self.end);
        let mut line = |text: &[u8]| {
            bytes.extend_from_slice(text);
            bytes.extend_from_slice(self.end);
        };
        if self.host {
            line(format!("Host: {host}").as_bytes());
        }
        self.head.iter().for_each(|text| line(text));
        match &self.framing {
            Framing::Length if self.reads_body || !self.body.is_empty() => {
                line(format!("Content-Length: {}", self.body.len()).as_bytes());
            }
            Framing::Chunked => line(b"Transfer-Encoding: chunked"),
            Framing::Length | Framing::Raw(_) => {}
        }
        match &self.framing {
            Framing::Length => {
                line(b"");
                bytes.extend_from_slice(&self.body);
            }
            Framing::Chunked => {
                line(b"");
                for chunk in self.body.chunks(1_000) {
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
            Framing::Raw(raw) => bytes.extend_from_slice(raw),
        }
        bytes.extend_from_slice(self.behind.as_deref().unwrap_or_default());
        bytes
    }

    /// Hides a call behind this one.
    pub fn hide(&mut self, target: &Target) {
        let body =
            json!({ "channel": "sms", "recipient": "+821012345600", "body": TEXT, "reference": "hidden" })
                .to_string();
        let hidden = format!(
            "POST /v1.0/messages HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            target.address,
            basic(&target.user),
            body.len()
        );
        self.behind = Some(hidden.into_bytes());
    }

    /// Whether one is hidden.
    pub fn has_behind(&self) -> bool {
        self.behind.is_some()
    }

    /// Whether its body is JSON.
    pub fn is_json(&self) -> bool {
        self.head.iter().any(|line| line == b"Content-Type: application/json")
    }

    /// The value of `Authorization` in its place.
    pub fn authorize(&mut self, value: &[u8]) {
        self.head.retain(|line| !line.starts_with(b"Authorization:"));
        self.head.push([b"Authorization: ", value].concat());
    }
}

/// `Authorization` of HTTP Basic.
pub fn basic(user: &str) -> String {
    format!("Basic {}", BASE64.encode(user.as_bytes()))
}

fn message(number: u64, item: usize) -> Value {
    json!({ "channel": "sms", "recipient": "+821012345600", "sender": "0215441234", "body": TEXT, "data": { "a": [1, { "b": null }] },
            "lane": "bulk", "reference": format!("h-{number}-{item}"), "ttl": 600 })
}

/// One of the calls that there are, as its developer would make it.
fn good(target: &Target, number: u64, rng: &mut fastrand::Rng) -> Call {
    let json =
        |method: &str, path: &str, body: &Value| (method.to_owned(), path.to_owned(), Some(body.to_string()));
    let plain = |method: &str, path: &str| (method.to_owned(), path.to_owned(), None);
    let own = &target.ids[0];
    let (method, path, body) = match rng.u8(0..16) {
        0..6 => json("POST", "/v1.0/messages", &message(number, 0)),
        6..9 => {
            let items: Vec<Value> = (0..rng.usize(1..5)).map(|item| message(number, item)).collect();
            json("POST", "/v1.0/messages/batch", &json!({ "messages": items }))
        }
        9 => plain("GET", &format!("/v1.0/messages/{own}")),
        10 => plain("GET", "/v1.0/reports?limit=5&wait=0"),
        11 => json("POST", "/v1.0/reports/ack", &json!({ "reports": [{ "id": own, "revision": 1 }] })),
        12 => plain("GET", "/v1.0/quota"),
        13 => ("POST".to_owned(), "/v1.0/attachments".to_owned(), Some("GIF89a".to_owned())),
        14 => json("POST", "/callbacks/v1.0/demo", &json!({ "id": own, "status": "delivered" })),
        _ => plain("GET", "/problems/not-found"),
    };
    let proved = path.starts_with("/v1.0/");
    let mut call = Call {
        reads_body: body.is_some(),
        proved,
        body: body.map(String::into_bytes).unwrap_or_default(),
        head: Vec::new(),
        version: "HTTP/1.1".to_owned(),
        host: true,
        end: b"\r\n",
        framing: Framing::Length,
        behind: None,
        method,
        path,
    };
    if call.reads_body {
        let kind = if call.path.ends_with("/attachments") { "image/gif" } else { "application/json" };
        call.head.push(format!("Content-Type: {kind}").into_bytes());
    }
    if proved {
        call.authorize(basic(&target.user).as_bytes());
    }
    if call.path.ends_with("/messages") && call.method == "POST" && rng.bool() {
        call.head.push(format!("Idempotency-Key: h-{number}").into_bytes());
    }
    call
}

/// Something that can be done to a call: `None` where it cannot be done to this one.
pub type Deed = fn(&mut Call, &Target, &mut fastrand::Rng) -> Option<Done>;

/// A call, and what was done to it: one or two things.
pub fn draw(target: &Target, number: u64, rng: &mut fastrand::Rng) -> (Call, Harm) {
    let mut call = good(target, number, rng);
    let mut harm = Harm { done: Done::Open, names: Vec::new() };
    let wanted = rng.usize(1..3);
    for _ in 0..20 {
        let among = rng.choice([head::DEEDS, framing::DEEDS, body::DEEDS]).unwrap_or(head::DEEDS);
        let Some((name, deed)) = rng.choice(among) else { continue };
        let before = call.clone();
        let Some(done) = deed(&mut call, target, rng) else {
            call = before;
            continue;
        };
        harm.names.push(name);
        // What was done last may undo what was done before: then only what always holds is asked of the answer.
        harm.done = if harm.names.len() == 1 { done } else { Done::Open };
        if harm.names.len() == wanted {
            break;
        }
    }
    (call, harm)
}
