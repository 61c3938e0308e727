//! A signer of its own: lines put together by hand, as a developer would in any language.

use std::time::{Duration, SystemTime};

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::{
    gateway::{Gateway, secret_of},
    wire::{Reply, Wire},
};

/// A call that will be signed; each test changes what it is about.
#[derive(Clone)]
pub struct Call {
    pub method: &'static str,
    pub path: String,
    pub query: String,
    pub host: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub digest: Option<String>,
    pub key_id: String,
    pub secret: Vec<u8>,
    pub created: i64,
    pub nonce: String,
    /// Parameters behind those, as they are written.
    pub more: String,
    pub covered: Vec<String>,
}

/// Whole seconds since 1970.
pub fn now() -> i64 {
    let since = clock().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a client has a clock of its own")]
fn clock() -> SystemTime {
    SystemTime::now()
}

pub fn digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64.encode(&Sha256::digest(body)))
}

impl Call {
    pub fn get(path: &str) -> Self {
        Self {
            method: "GET",
            path: path.to_owned(),
            query: String::new(),
            host: "naru".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            digest: None,
            key_id: "acme-hmac".to_owned(),
            secret: secret_of("acme-hmac"),
            created: now(),
            nonce: format!("nonce-{:016x}", fastrand::u64(..)),
            more: String::new(),
            covered: ["@method", "@authority", "@path", "@query"].map(str::to_owned).to_vec(),
        }
    }

    pub fn post(path: &str, body: &serde_json::Value) -> Self {
        let body = body.to_string().into_bytes();
        let mut call = Self { method: "POST", digest: Some(digest(&body)), body, ..Self::get(path) };
        call.headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        call.covered.push("content-digest".to_owned());
        call
    }

    pub fn by(mut self, key_id: &str) -> Self {
        key_id.clone_into(&mut self.key_id);
        self.secret = secret_of(key_id);
        self
    }

    /// A header that is signed too.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self.covered.push(name.to_ascii_lowercase());
        self
    }

    fn parameters(&self) -> String {
        let covered: Vec<String> = self.covered.iter().map(|name| format!("\"{name}\"")).collect();
        format!(
            "({});created={};nonce=\"{}\";keyid=\"{}\"{}",
            covered.join(" "),
            self.created,
            self.nonce,
            self.key_id,
            self.more
        )
    }

    fn value(&self, name: &str) -> String {
        match name {
            "@method" => self.method.to_owned(),
            "@authority" => self.host.to_ascii_lowercase(),
            "@path" => self.path.clone(),
            "@query" => format!("?{}", self.query.trim_start_matches('?')),
            "content-digest" => self.digest.clone().unwrap_or_default(),
            name => {
                let lines: Vec<&str> = self
                    .headers
                    .iter()
                    .filter(|(other, _)| other.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value.trim())
                    .collect();
                lines.join(", ")
            }
        }
    }

    fn base(&self) -> String {
        let mut lines: Vec<String> =
            self.covered.iter().map(|name| format!("\"{name}\": {}", self.value(name))).collect();
        lines.push(format!("\"@signature-params\": {}", self.parameters()));
        lines.join("\n")
    }

    /// What the signature headers say.
    pub fn signature(&self) -> [(String, String); 2] {
        let mut mac = <Hmac<Sha256>>::new_from_slice(&self.secret).unwrap();
        mac.update(self.base().as_bytes());
        let tag = BASE64.encode(&mac.finalize().into_bytes());
        [
            ("Signature-Input".to_owned(), format!("sig1={}", self.parameters())),
            ("Signature".to_owned(), format!("sig1=:{tag}:")),
        ]
    }

    /// As it is sent, signed.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes_with(&self.signature())
    }

    /// As it is sent, with the signature headers of another, or none.
    pub fn bytes_with(&self, signature: &[(String, String)]) -> Vec<u8> {
        let mut text =
            format!("{} {}{} HTTP/1.1\r\nHost: {}\r\n", self.method, self.path, self.query, self.host);
        let digest = self.digest.iter().map(|digest| ("Content-Digest".to_owned(), digest.clone()));
        for (name, value) in self.headers.iter().cloned().chain(digest).chain(signature.iter().cloned()) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        [text.as_bytes(), b"\r\n", &self.body[..]].concat()
    }

    pub async fn send(&self, gateway: &Gateway) -> Reply {
        gateway.raw(&self.bytes()).await
    }

    /// As `send`, but with the signature of another call.
    pub async fn send_with(&self, gateway: &Gateway, signed: &Self) -> Reply {
        gateway.raw(&self.bytes_with(&signed.signature())).await
    }
}

/// What any bytes are answered with; `None` when the connection ends without an answer, or nothing comes within a moment.
pub async fn try_raw(gateway: &Gateway, bytes: &[u8]) -> Option<Reply> {
    let mut wire = Wire::open(gateway.addr).await;
    wire.send(bytes).await;
    tokio::time::timeout(Duration::from_secs(12), wire.reply()).await.ok()?
}
