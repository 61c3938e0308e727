//! Connections that are opened, called on once, and then held.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

/// How long a connection and its one answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Connections from one address of the loopback network: fewer than it has ports to give.
const FROM_ONE: usize = 20_000;

/// Descriptors besides.
const BESIDES: u64 = 64;

/// Opens so many connections, says so, holds them until its input ends, and says how many are open still.
///
/// # Errors
/// If one cannot be opened or is not answered.
pub fn hold(
    target: SocketAddr,
    count: usize,
    mut until: impl Read,
    mut say: impl FnMut(usize) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    allow(count as u64 + BESIDES)?;
    let mut held = Vec::with_capacity(count);
    for number in 0..count {
        let opened = open(target, number).with_context(|| format!("connection {number}"))?;
        held.push(opened);
    }
    say(held.len())?;
    until.read_to_end(&mut Vec::new())?;
    say(held.iter().filter(|stream| is_open(stream)).count())
}

/// Raises what this process may open, as far as it may.
fn allow(descriptors: u64) -> anyhow::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < descriptors) {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    let allowed = getrlimit(Resource::Nofile).current.is_none_or(|current| current >= descriptors);
    ensure!(allowed, "{descriptors} descriptors are needed, and the system allows {maximum:?}");
    Ok(())
}

fn open(target: SocketAddr, number: usize) -> anyhow::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
    if let IpAddr::V4(four) = target.ip()
        && four.is_loopback()
        && number >= FROM_ONE
    {
        let from = Ipv4Addr::new(127, 0, 0, u8::try_from(1 + number / FROM_ONE)?);
        socket.bind(&SocketAddr::from((from, 0)).into())?;
    }
    socket.connect_timeout(&target.into(), PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut stream = TcpStream::from(socket);
    stream.write_all(format!("GET /problems/not-found HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes())?;
    let mut answer = vec![0; 64 * 1024];
    let mut filled = 0;
    while !is_whole(&answer[..filled])? {
        let count = stream.read(&mut answer[filled..])?;
        ensure!(count > 0, "it was closed before its answer");
        filled += count;
    }
    stream.set_nonblocking(true)?;
    Ok(stream)
}

fn is_whole(bytes: &[u8]) -> anyhow::Result<bool> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes)? else { return Ok(false) };
    ensure!(response.code == Some(200), "it was answered {:?}", response.code);
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| str::from_utf8(header.value).ok()?.parse::<usize>().ok());
    Ok(bytes.len() >= head + length.context("an answer without a length")?)
}

/// Whether nothing came: neither an end nor a word.
fn is_open(mut stream: &TcpStream) -> bool {
    matches!(stream.read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
