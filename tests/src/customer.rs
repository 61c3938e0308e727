//! A customer's program: the calls of the API over one connection.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::wire::{CallError, Held, Reply, Wire};

/// How long an acknowledgement is repeated.
const ACKNOWLEDGED: Duration = Duration::from_secs(10);

/// A customer with a Basic credential.
#[derive(Debug)]
pub struct Customer {
    wire: Wire,
    authorization: String,
    base: &'static str,
}

impl Customer {
    /// A live customer; `user` is `ID:PW:API_KEY`.
    #[must_use]
    pub fn live(target: SocketAddr, user: &str, patience: Duration) -> Self {
        Self { wire: Wire::new(target, patience), authorization: basic(user), base: "/v1.0" }
    }

    /// The same on the sandbox.
    #[must_use]
    pub fn sandbox(target: SocketAddr, user: &str, patience: Duration) -> Self {
        Self { base: "/sandbox/v1.0", ..Self::live(target, user, patience) }
    }

    /// One call under the base path.
    ///
    /// # Errors
    /// As [`Wire::call`].
    pub fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[String],
        body: Option<&Value>,
    ) -> Result<Reply, CallError> {
        let request = self.request(method, path, headers, body);
        self.wire.exchange(&request)
    }

    /// As [`Customer::call`], but for its last byte, on a connection of its own.
    ///
    /// # Errors
    /// As [`Wire::call`].
    pub fn hold(&mut self, method: &str, path: &str, body: &Value) -> Result<Held, CallError> {
        let request = self.request(method, path, &[], Some(body));
        self.wire.hold(&request)
    }

    fn request(&self, method: &str, path: &str, headers: &[String], body: Option<&Value>) -> Vec<u8> {
        let mut all = vec![format!("Authorization: {}", self.authorization)];
        all.extend_from_slice(headers);
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        if body.is_some() {
            all.push("Content-Type: application/json".to_owned());
        }
        self.wire.request(method, &format!("{}{path}", self.base), &all, &bytes)
    }

    /// `POST /messages`.
    ///
    /// # Errors
    /// As [`Wire::call`].
    pub fn send(&mut self, message: &Value, key: Option<&str>) -> Result<Reply, CallError> {
        let headers: Vec<String> = key.map(|key| format!("Idempotency-Key: {key}")).into_iter().collect();
        self.call("POST", "/messages", &headers, Some(message))
    }

    /// `POST /attachments`: a file of this media type.
    ///
    /// # Errors
    /// As [`Wire::call`].
    pub fn attach(&mut self, media_type: &str, file: &[u8]) -> Result<Reply, CallError> {
        let headers =
            [format!("Authorization: {}", self.authorization), format!("Content-Type: {media_type}")];
        self.wire.call("POST", &format!("{}/attachments", self.base), &headers, file)
    }

    /// `POST /messages/batch`.
    ///
    /// # Errors
    /// As [`Wire::call`].
    pub fn batch(&mut self, messages: &[Value]) -> Result<Reply, CallError> {
        self.call("POST", "/messages/batch", &[], Some(&json!({ "messages": messages })))
    }

    /// `GET` of a path.
    ///
    /// # Errors
    /// As [`Wire::call`].
    pub fn get(&mut self, path: &str) -> Result<Reply, CallError> {
        self.call("GET", path, &[], None)
    }

    /// `GET` of a page outside of every version, without a credential.
    ///
    /// # Errors
    /// As [`Wire::call`].
    pub fn page(&mut self, path: &str) -> Result<Reply, CallError> {
        self.wire.call("GET", path, &[], b"")
    }

    /// `DELETE /messages/{id}`.
    ///
    /// # Errors
    /// As [`Wire::call`].
    pub fn cancel(&mut self, id: &str) -> Result<Reply, CallError> {
        self.call("DELETE", &format!("/messages/{id}"), &[], None)
    }

    /// `POST /reports/ack` of what `GET /reports` gave.
    ///
    /// # Errors
    /// As [`Wire::call`].
    pub fn acknowledge(&mut self, reports: &[Value]) -> Result<Reply, CallError> {
        let named: Vec<Value> =
            reports.iter().map(|r| json!({ "id": r["id"], "revision": r["revision"] })).collect();
        self.call("POST", "/reports/ack", &[], Some(&json!({ "reports": named })))
    }

    /// Reads and acknowledges every report that is there now. What was read is never given up: an acknowledgement that is refused
    /// for what passes is repeated, and a later page that fails leaves the earlier ones.
    ///
    /// # Errors
    /// If nothing can be read, or what was read not be acknowledged in time.
    pub fn take_reports(&mut self) -> anyhow::Result<Vec<Value>> {
        let mut all = Vec::new();
        loop {
            match self.read_reports() {
                Ok(page) if page.is_empty() => return Ok(all),
                Ok(page) => {
                    self.acknowledge_surely(&page)?;
                    all.extend(page);
                }
                Err(error) if all.is_empty() => return Err(error),
                Err(_) => return Ok(all),
            }
        }
    }

    fn read_reports(&mut self) -> anyhow::Result<Vec<Value>> {
        let reply = self.get("/reports?limit=500")?;
        anyhow::ensure!(reply.status == 200, "reports: {} {}", reply.status, reply.json());
        Ok(reply.json()["reports"].as_array().cloned().unwrap_or_default())
    }

    fn acknowledge_surely(&mut self, page: &[Value]) -> anyhow::Result<()> {
        let deadline = Instant::now() + ACKNOWLEDGED;
        loop {
            let answer = self.acknowledge(page);
            match &answer {
                Ok(reply) if reply.status == 200 => return Ok(()),
                Ok(reply) => anyhow::ensure!(reply.status == 503, "acknowledge: {reply:?}"),
                // The connection may have ended with its front.
                Err(_) => {}
            }
            anyhow::ensure!(Instant::now() < deadline, "acknowledge: {answer:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The value of `Authorization` for `ID:PW:API_KEY` (RFC 7617).
#[must_use]
pub fn basic(user: &str) -> String {
    format!("Basic {}", data_encoding::BASE64.encode(user.as_bytes()))
}
