//! One keep-alive connection: a request under way, and the answer as far as it has come.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    sync::Arc,
};

use mio::net::TcpStream;
use rustls::{ClientConfig, ClientConnection};

use super::{Call, tls};

/// Room for an answer; a batch of 1,000 answers with about 150 KiB.
const ANSWER: usize = 512 * 1024;

/// A whole answer.
pub(super) struct Answer {
    /// Its status.
    pub status: u16,
    /// Messages that it says were accepted.
    pub accepted: u64,
}

/// A connection and its call.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    request: Vec<u8>,
    written: usize,
    answer: Vec<u8>,
    filled: usize,
    /// When the call under way counts from, in nanoseconds; `None` while there is none.
    pub(super) begun: Option<u64>,
}

impl Connection {
    pub(super) fn open(target: SocketAddr, config: Option<&Arc<ClientConfig>>) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect_timeout(&target, std::time::Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        let tls = config.map(|config| tls::begin(config, &stream)).transpose()?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            tls,
            request: Vec::new(),
            written: 0,
            answer: vec![0; ANSWER],
            filled: 0,
            begun: None,
        })
    }

    pub(super) fn begin(&mut self, call: &Call, from: u64, now: u64) -> io::Result<()> {
        call.write_into(&mut self.request, now);
        self.written = 0;
        self.filled = 0;
        self.begun = Some(from);
        self.write()
    }

    /// Writes what the socket takes; the rest goes when it is writable again.
    pub(super) fn write(&mut self) -> io::Result<()> {
        while self.written < self.request.len() {
            let rest = &self.request[self.written..];
            let wrote = match &mut self.tls {
                None => self.stream.write(rest),
                Some(tls) => rustls::Stream::new(&mut **tls, &mut self.stream).write(rest),
            };
            match wrote {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // What is enciphered may wait for the socket.
        self.tls.as_mut().map_or(Ok(()), |tls| tls::flush(tls, &mut self.stream))
    }

    /// Reads what has come; the answer once it is whole.
    pub(super) fn read(&mut self) -> io::Result<Option<Answer>> {
        loop {
            let room = &mut self.answer[self.filled..];
            let read = match &mut self.tls {
                None => self.stream.read(room),
                Some(tls) => rustls::Stream::new(&mut **tls, &mut self.stream).read(room),
            };
            match read {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            if let Some(answer) = parse(&self.answer[..self.filled])? {
                // The next bytes can only come after the next call: nothing is left to drain.
                return Ok(Some(answer));
            }
        }
    }
}

fn parse(bytes: &[u8]) -> io::Result<Option<Answer>> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(bytes).map_err(|error| invalid(error.to_string()))? {
        httparse::Status::Complete(head) => head,
        httparse::Status::Partial => return Ok(None),
    };
    let status = response.code.unwrap_or(0);
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| str::from_utf8(header.value).ok()?.trim().parse::<usize>().ok())
        .ok_or_else(|| invalid(format!("an answer {status} without a length")))?;
    let Some(body) = bytes.get(head..head + length) else { return Ok(None) };
    Ok(Some(Answer { status, accepted: accepted(status, body) }))
}

/// A batch says how many it accepted, first thing; a single call accepted one.
fn accepted(status: u16, body: &[u8]) -> u64 {
    if status != 202 {
        return 0;
    }
    let Some(rest) = body.strip_prefix(b"{\"accepted\":") else { return 1 };
    rest.iter().take_while(|b| b.is_ascii_digit()).fold(0, |sum, b| sum * 10 + u64::from(b - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_what_it_accepted_once_it_is_whole() {
        let whole = b"HTTP/1.1 202 Accepted\r\ncontent-length: 28\r\n\r\n{\"accepted\":499,\"refused\":1}";
        assert!(parse(&whole[..whole.len() - 1]).unwrap().is_none());
        let answer = parse(whole).unwrap().unwrap();
        assert_eq!((answer.status, answer.accepted), (202, 499));
        let single = parse(b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}").unwrap().unwrap();
        assert_eq!(single.accepted, 1);
        let refused = parse(b"HTTP/1.1 429 Too\r\ncontent-length: 0\r\n\r\n").unwrap().unwrap();
        assert_eq!((refused.status, refused.accepted), (429, 0));
        assert!(parse(b"HTTP/1.1 202 Accepted\r\n\r\n").is_err());
    }
}
