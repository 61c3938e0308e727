//! The lean receiver: one thread, answers `200` to every message, counts, and measures how long a message travelled.
//!
//! `GET /stats` tells the [`Tally`] and begins a new one.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::SocketAddr,
};

use hdrhistogram::Histogram;
use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use serde::{Deserialize, Serialize};

use crate::{
    load::{Percentiles, stamp_of},
    monotonic::nanos,
};

const LISTENER: Token = Token(usize::MAX);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}";
/// The longest request that is read; a message is under 300 KiB.
const REQUEST: usize = 512 * 1024;

/// What came since the last tally.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Messages.
    pub received: u64,
    /// Those labelled as possible duplicates.
    pub labelled: u64,
    /// From the sending of the accepting call to the arrival here.
    pub travel: Percentiles,
}

struct Peer {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

struct Receiver {
    poll: Poll,
    peers: HashMap<usize, Peer>,
    next: usize,
    tally: Tally,
    travel: Histogram<u64>,
}

/// Serves until the process is ended; `ready` learns the address.
///
/// # Errors
/// If the address cannot be bound.
pub fn serve(listen: SocketAddr, ready: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    let mut listener = TcpListener::bind(listen)?;
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    ready(listener.local_addr()?);
    let travel = Histogram::new_with_bounds(1_000, 3_600_000_000_000, 3)?;
    let mut receiver = Receiver { poll, peers: HashMap::new(), next: 0, tally: Tally::default(), travel };
    let mut events = Events::with_capacity(1_024);
    loop {
        if let Err(error) = receiver.poll.poll(&mut events, None)
            && error.kind() != io::ErrorKind::Interrupted
        {
            return Err(error.into());
        }
        for event in &events {
            if event.token() == LISTENER {
                receiver.welcome(&listener)?;
            } else {
                receiver.serve(event.token().0);
            }
        }
    }
}

impl Receiver {
    fn welcome(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            match listener.accept() {
                Ok((mut stream, _)) => {
                    stream.set_nodelay(true)?;
                    self.next += 1;
                    self.poll.registry().register(&mut stream, Token(self.next), Interest::READABLE)?;
                    let peer = Peer { stream, buffer: vec![0; 4_096], filled: 0 };
                    self.peers.insert(self.next, peer);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn serve(&mut self, token: usize) {
        let Some(mut peer) = self.peers.remove(&token) else { return };
        // A peer that ended or broke is dropped with its socket.
        if matches!(self.exchange(&mut peer), Ok(true)) {
            self.peers.insert(token, peer);
        }
    }

    /// Reads and answers what has come; `false` once the peer has ended.
    fn exchange(&mut self, peer: &mut Peer) -> anyhow::Result<bool> {
        loop {
            if peer.filled == peer.buffer.len() {
                anyhow::ensure!(peer.filled < REQUEST, "a request too long");
                peer.buffer.resize(peer.filled * 4, 0);
            }
            match peer.stream.read(&mut peer.buffer[peer.filled..]) {
                Ok(0) => return Ok(false),
                Ok(count) => peer.filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            }
            while let Some(length) = self.answer(peer)? {
                peer.buffer.copy_within(length..peer.filled, 0);
                peer.filled -= length;
            }
        }
    }

    /// Answers the first request of the buffer, if it is whole, and tells its length.
    fn answer(&mut self, peer: &mut Peer) -> anyhow::Result<Option<usize>> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(head) = request.parse(&peer.buffer[..peer.filled])? else {
            return Ok(None);
        };
        let value = |name: &str| {
            let header = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
            str::from_utf8(header.value).ok()
        };
        let length = value("content-length").map_or(Ok(0), |text| text.trim().parse::<usize>())?;
        if peer.filled < head + length {
            return Ok(None);
        }
        if request.method == Some("GET") {
            let tally = self.take_tally()?;
            peer.stream.write_all(tally.as_bytes())?;
        } else {
            self.tally.received += 1;
            self.tally.labelled += u64::from(value("x-naru-possible-duplicate").is_some());
            if let Some(sent) = stamp_of(&peer.buffer[head..head + length]) {
                self.travel.saturating_record(nanos().saturating_sub(sent));
            }
            peer.stream.write_all(OK)?;
        }
        Ok(Some(head + length))
    }

    fn take_tally(&mut self) -> anyhow::Result<String> {
        let mut tally = std::mem::take(&mut self.tally);
        tally.travel = Percentiles::of(&self.travel);
        self.travel.reset();
        let body = serde_json::to_string(&tally)?;
        Ok(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
    }
}
