//! A plain HTTP/1.1 client on one keep-alive connection: it hides nothing, retries nothing, and waits for nothing longer
//! than it was told to.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// The longest answer that is read.
const ANSWER: usize = 16 << 20;

/// What was sent of a call that failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No byte was sent: the call had no effect.
    #[error("not sent")]
    Unsent(#[source] io::Error),
    /// Bytes were sent and no whole answer came: the call may have had its effect.
    #[error("not answered")]
    Unanswered(#[source] io::Error),
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its head, as it came.
    pub head: String,
    /// Its body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The value of a header, if it came.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A client and its connection.
#[derive(Debug)]
pub struct Wire {
    target: SocketAddr,
    patience: Duration,
    stream: Option<TcpStream>,
}

impl Wire {
    /// A client of `target` that waits `patience` for each step.
    #[must_use]
    pub const fn new(target: SocketAddr, patience: Duration) -> Self {
        Self { target, patience, stream: None }
    }

    /// One call; `headers` are lines without their ends.
    ///
    /// # Errors
    /// Which says whether the call can have had an effect.
    pub fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[String],
        body: &[u8],
    ) -> Result<Reply, CallError> {
        let request = self.request(method, path, headers, body);
        self.exchange(&request)
    }

    /// The bytes of a call.
    #[must_use]
    pub fn request(&self, method: &str, path: &str, headers: &[String], body: &[u8]) -> Vec<u8> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.target);
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        if !body.is_empty() || method == "POST" {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }

    /// Writes bytes as they are and reads one answer.
    ///
    /// # Errors
    /// As [`Wire::call`].
    pub fn exchange(&mut self, bytes: &[u8]) -> Result<Reply, CallError> {
        let mut stream = self.connected().map_err(CallError::Unsent)?;
        stream.write_all(bytes).map_err(CallError::Unanswered)?;
        let (reply, keep) = read_reply(&mut stream).map_err(CallError::Unanswered)?;
        self.stream = keep.then_some(stream);
        Ok(reply)
    }

    /// Writes a call without its last byte: it is under way, and cannot be answered yet.
    ///
    /// # Errors
    /// As [`Wire::call`].
    pub fn hold(&mut self, bytes: &[u8]) -> Result<Held, CallError> {
        let mut stream = self.connected().map_err(CallError::Unsent)?;
        let (last, most) =
            bytes.split_last().ok_or_else(|| CallError::Unsent(io::ErrorKind::InvalidInput.into()))?;
        stream.write_all(most).map_err(CallError::Unanswered)?;
        Ok(Held { stream, last: *last })
    }

    /// The connection at hand if the other side has not ended it, else a new one.
    fn connected(&mut self) -> io::Result<TcpStream> {
        if let Some(stream) = self.stream.take()
            && is_silent(&stream)?
        {
            return Ok(stream);
        }
        let stream = TcpStream::connect_timeout(&self.target, self.patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.set_write_timeout(Some(self.patience))?;
        Ok(stream)
    }
}

/// A call of which the last byte is kept back.
#[derive(Debug)]
pub struct Held {
    stream: TcpStream,
    last: u8,
}

impl Held {
    /// Whether it is under way: neither answered nor cut.
    ///
    /// # Errors
    /// If the connection is not what it was.
    pub fn is_under_way(&self) -> io::Result<bool> {
        is_silent(&self.stream)
    }

    /// Writes the last byte.
    ///
    /// # Errors
    /// If the connection does not take it.
    pub fn let_go(&mut self) -> Result<(), CallError> {
        self.stream.write_all(&[self.last]).map_err(CallError::Unanswered)
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// If no whole answer comes.
    pub fn answer(mut self) -> Result<Reply, CallError> {
        Ok(read_reply(&mut self.stream).map_err(CallError::Unanswered)?.0)
    }
}

/// Whether the other side has neither said anything nor ended.
fn is_silent(stream: &TcpStream) -> io::Result<bool> {
    stream.set_nonblocking(true)?;
    let silent = matches!(stream.peek(&mut [0]), Err(e) if e.kind() == io::ErrorKind::WouldBlock);
    stream.set_nonblocking(false)?;
    Ok(silent)
}

fn read_reply(stream: &mut TcpStream) -> io::Result<(Reply, bool)> {
    let mut bytes = Vec::with_capacity(4_096);
    loop {
        if let Some(found) = parse(&bytes)? {
            return Ok(found);
        }
        let mut chunk = [0; 16_384];
        let count = stream.read(&mut chunk)?;
        if count == 0 || bytes.len() > ANSWER {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&chunk[..count]);
    }
}

fn parse(bytes: &[u8]) -> io::Result<Option<(Reply, bool)>> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) =
        response.parse(bytes).map_err(|error| invalid(&error.to_string()))?
    else {
        return Ok(None);
    };
    let status = response.code.unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut reply = Reply { status, head: text, body: Vec::new() };
    let length = match reply.header("content-length") {
        Some(text) => text.parse().map_err(|_| invalid("a length that is no number"))?,
        None if status == 204 || status == 304 => 0,
        None => return Err(invalid("an answer without a length")),
    };
    let Some(body) = bytes.get(head..head + length) else { return Ok(None) };
    reply.body = body.to_vec();
    let keep = !reply.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    Ok(Some((reply, keep)))
}
