//! A small HTTP/1.1 client that sends exactly the bytes it is given.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(15);

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["instance"].as_str(), self.header("request-id"));
        assert_eq!(problem["status"], self.status);
        problem["code"].as_str().unwrap().to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// One connection.
pub struct Wire(TcpStream);

impl Wire {
    pub async fn open(addr: SocketAddr) -> Self {
        Self(timeout(PATIENCE, TcpStream::connect(addr)).await.unwrap().unwrap())
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.0.write_all(bytes)).await.unwrap().unwrap();
    }

    /// The next answer; `None` when the connection ends first.
    pub async fn reply(&mut self) -> Option<Reply> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            let read = timeout(PATIENCE, self.0.read(&mut byte)).await.expect("an answer in time");
            if read.ok()? == 0 {
                return None;
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let mut headers: HashMap<String, String> = HashMap::new();
        // One that comes twice means the same as one with both values (RFC 9110 section 5.3).
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            let known = headers.entry(name.to_ascii_lowercase());
            known.and_modify(|all| *all = format!("{all}, {value}")).or_insert_with(|| value.to_owned());
        }
        let length = headers.get("content-length").map_or(0, |l| l.parse().unwrap());
        let mut body = vec![0; length];
        timeout(PATIENCE, self.0.read_exact(&mut body)).await.unwrap().ok()?;
        Some(Reply { status, headers, body })
    }

    /// Whether the other side ends the connection within a moment.
    pub async fn ends(&mut self) -> bool {
        let mut byte = [0];
        match timeout(Duration::from_secs(5), self.0.read(&mut byte)).await {
            Ok(Ok(n)) => n == 0,
            Ok(Err(_)) => true,
            Err(_) => false,
        }
    }
}
