//! Times of calls, one after the other on one connection, in an order that nobody can foresee.
//!
//! Every kind is drawn as often within each block, and the order within a block is random: a machine that becomes slower, or another
//! program that runs for a while, falls on all kinds alike, and so does what one call leaves behind for the next. What is compared is
//! how far each time is from the median of its block.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use super::kinds::Kind;

/// Calls of each kind in a block.
pub const BLOCK: usize = 64;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// The longest answer.
const ANSWER: usize = 16 * 1024;

/// What came of one way's calls.
#[derive(Debug)]
pub struct Samples {
    /// Nanoseconds of every kind, in the order in which they were made.
    pub times: Vec<Vec<f64>>,
    /// Every answer that was seen, without what differs from call to call.
    pub answers: Vec<(usize, Vec<u8>)>,
}

impl Samples {
    /// As `times`, each less the median of its block.
    #[must_use]
    pub fn aligned(&self) -> Vec<Vec<f64>> {
        let mut aligned = self.times.clone();
        let blocks = self.times.first().map_or(0, |times| times.len() / BLOCK);
        for block in 0..blocks {
            let part = block * BLOCK..(block + 1) * BLOCK;
            let mut all: Vec<f64> =
                self.times.iter().flat_map(|times| &times[part.clone()]).copied().collect();
            all.sort_by(f64::total_cmp);
            let middle = all[all.len() / 2];
            aligned.iter_mut().flat_map(|times| &mut times[part.clone()]).for_each(|time| *time -= middle);
        }
        aligned
    }
}

/// Makes `blocks` blocks of calls of every kind, and some before them that do not count.
///
/// # Errors
/// If a call is not answered.
pub fn collect(
    target: SocketAddr,
    kinds: &mut [Kind],
    blocks: usize,
    rng: &mut fastrand::Rng,
) -> anyhow::Result<Samples> {
    let mut caller = Caller::open(target)?;
    let mut samples = Samples { times: vec![Vec::new(); kinds.len()], answers: Vec::new() };
    let warm_up = (blocks / 20).clamp(2, 50);
    for block in 0..warm_up + blocks {
        let mut calls = Vec::with_capacity(kinds.len() * BLOCK);
        for (index, kind) in kinds.iter_mut().enumerate() {
            for _ in 0..BLOCK {
                calls.push((index, kind.call()?));
            }
        }
        rng.shuffle(&mut calls);
        for (index, call) in calls {
            let took = caller.call(&call)?;
            if block < warm_up {
                continue;
            }
            samples.times[index].push(took.as_nanos() as f64);
            let answer = (index, without_ids(&caller.answer[..caller.filled]));
            if !samples.answers.contains(&answer) {
                ensure!(samples.answers.len() < 64, "answers differ from call to call");
                samples.answers.push(answer);
            }
        }
    }
    Ok(samples)
}

/// A caller that does as little as it can between the first byte that it writes and the last that it reads.
struct Caller {
    stream: TcpStream,
    answer: Box<[u8]>,
    filled: usize,
}

impl Caller {
    fn open(target: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&target, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, answer: vec![0; ANSWER].into_boxed_slice(), filled: 0 })
    }

    fn call(&mut self, bytes: &[u8]) -> anyhow::Result<Duration> {
        self.filled = 0;
        let began = Instant::now();
        self.stream.write_all(bytes)?;
        loop {
            let count = self.stream.read(&mut self.answer[self.filled..])?;
            let ended = began.elapsed();
            if count == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof)).context("no whole answer came");
            }
            self.filled += count;
            if is_whole(&self.answer[..self.filled])? {
                return Ok(ended);
            }
        }
    }
}

fn is_whole(bytes: &[u8]) -> anyhow::Result<bool> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes)? else { return Ok(false) };
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| str::from_utf8(header.value).ok()?.parse::<usize>().ok());
    Ok(bytes.len() >= head + length.context("an answer without a length")?)
}

/// An answer with its date and the call's id, which stands in its head and in its body, blotted out.
fn without_ids(answer: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(answer);
    let (mut out, mut rest) = (String::with_capacity(text.len()), &*text);
    while let Some(at) = rest.find("req_") {
        let (before, id) = rest.split_at(at);
        let end = id.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(id.len());
        out.push_str(before);
        out.push_str("req_…");
        rest = &id[end..];
    }
    out.push_str(rest);
    let dated = |line: &str| line.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("date:"));
    let lines: Vec<&str> = out.split("\r\n").map(|line| if dated(line) { "date" } else { line }).collect();
    lines.join("\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_the_same_but_for_their_date_and_the_call_s_id() {
        let answer = |id: &str, date: &str, rest: &str| {
            let text = format!(
                "HTTP/1.1 401 Unauthorized\r\nrequest-id: {id}\r\nDate: {date}\r\n\r\n{{\"instance\":\"{id}\"{rest}}}"
            );
            without_ids(text.as_bytes())
        };
        let one = answer("req_01ab", "Mon, 01 Dec 2026", "");
        assert_eq!(one, answer("req_02cdef", "Tue, 02 Dec 2026", ""));
        assert_ne!(one, answer("req_01ab", "Mon, 01 Dec 2026", ","));
    }

    #[test]
    fn a_machine_that_becomes_slower_is_taken_out() {
        let times: Vec<f64> = (0..BLOCK * 3).map(|n| (n / BLOCK) as f64 * 1e6).collect();
        let later = times.iter().map(|time| time + 10.0).collect();
        let aligned = Samples { times: vec![times, later], answers: Vec::new() }.aligned();
        assert!(aligned[0].iter().zip(&aligned[1]).all(|(a, b)| b - a == 10.0 && a.abs() <= 10.0));
    }
}
