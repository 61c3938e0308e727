//! Calls that are meant to harm: each is a good call that something was done to, drawn from a seed. What is refused must have no effect, nothing
//! may break, and nothing may pile up.

mod body;
mod call;
mod framing;
mod head;

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    path::Path,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
pub use call::Target;
use call::{Call, Done, Harm};
use naru_shared::domain::OnUncertain;
use serde::Serialize;
use serde_json::Value;

use crate::{
    gateway::{GUESS_WAIT, Gateway, Helper, Programs, RouteSpec, Setup},
    journal,
    receiver::journaling::Arrival,
    witness::Journals,
};

/// How long an answer, and everything accepted, is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a process may grow by, from when it is warm.
const GROWTH_KIB: u64 = 64 * 1024;

/// Callers at once.
const CALLERS: u64 = 4;

/// What was seen.
#[derive(Debug, Default, Serialize)]
pub struct Told {
    /// Every draw follows from it.
    pub seed: u64,
    /// Calls that were made.
    pub calls: u64,
    /// How many were answered by which status and code; `closed`: by none at all.
    pub answers: BTreeMap<String, u64>,
    /// Messages that were answered `202`, each of which arrived once.
    pub accepted: usize,
    /// Resident KiB once warm, and at the end.
    pub resident_kib: (u64, u64),
    /// Calls a second.
    pub rate: f64,
    /// The call that took longest to its end, in milliseconds, and what was done to it.
    pub slowest: (u64, String),
    /// Every broken promise, up to twenty.
    pub broken: Vec<String>,
}

/// What callers share.
struct Stage {
    seed: u64,
    target: Target,
    calls: u64,
    made: AtomicU64,
    broken: AtomicUsize,
}

/// What one caller saw.
#[derive(Default)]
struct Seen {
    answers: BTreeMap<String, u64>,
    accepted: HashSet<String>,
    slowest: (u64, String),
    broken: Vec<String>,
}

/// Makes so many calls, and judges.
///
/// # Errors
/// If a process does not run; broken promises are told, not returned.
pub fn run(calls: u64, seed: u64) -> anyhow::Result<Told> {
    let journals = Journals::begin()?;
    let path = journals.arrivals().display().to_string();
    let receiver = Helper::start(&Programs::find()?, &["journaling-receiver", "--journal", &path])?;
    let route = RouteSpec::http("demo", receiver.address, OnUncertain::Fail);
    let mut gateway = Gateway::prepare(&Setup { customers: 2, routes: vec![route], ..Setup::default() })?;
    // A refusal that waits does no more than one that does not, and takes longer.
    gateway.start(&[(GUESS_WAIT, "0".to_owned())])?;
    let stage = Stage {
        seed,
        target: Target::of(&gateway)?,
        calls,
        made: AtomicU64::new(0),
        broken: AtomicUsize::new(0),
    };
    let began = Instant::now();
    let (seen, resident_kib) = thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(|| caller(&stage))).collect();
        let watcher = scope.spawn(|| resident(gateway.pid()?, &stage));
        let seen: Vec<_> = callers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        // Whatever became of the callers, the watcher ends.
        stage.made.fetch_max(stage.calls, Ordering::Relaxed);
        let seen: Result<Vec<Seen>, _> = seen.into_iter().collect();
        let seen = seen.map_err(|_| anyhow::anyhow!("a caller panicked"))?;
        let watched = watcher.join().map_err(|_| anyhow::anyhow!("the watcher panicked"))??;
        anyhow::Ok((seen, watched))
    })?;
    let rate = calls as f64 / began.elapsed().as_secs_f64();
    let mut told = Told { seed, calls, resident_kib, rate, ..Told::default() };
    let mut accepted = HashSet::from(stage.target.ids.clone());
    for one in seen {
        one.answers.into_iter().for_each(|(answer, count)| *told.answers.entry(answer).or_default() += count);
        accepted.extend(one.accepted);
        told.slowest = told.slowest.max(one.slowest);
        told.broken.extend(one.broken);
    }
    told.accepted = accepted.len();
    judge(&gateway, &journals.arrivals(), &stage.target, &accepted, &mut told)?;
    told.broken.truncate(20);
    Ok(told)
}

/// Resident KiB once a tenth was made, and when all were.
fn resident(pid: u32, stage: &Stage) -> anyhow::Result<(u64, u64)> {
    let measured = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse().ok());
        kib.context("the system does not tell what is resident")
    };
    let mut warm = None;
    loop {
        let made = stage.made.load(Ordering::Relaxed);
        if warm.is_none() && made >= stage.calls / 10 {
            warm = Some(measured()?);
        }
        if made >= stage.calls {
            return Ok((warm.unwrap_or_default(), measured()?));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Makes calls until all are made.
fn caller(stage: &Stage) -> Seen {
    let mut seen = Seen::default();
    loop {
        let number = stage.made.fetch_add(1, Ordering::Relaxed);
        if number >= stage.calls {
            return seen;
        }
        // A run that is broken everywhere need not go on telling so.
        if stage.broken.load(Ordering::Relaxed) > 50 {
            continue;
        }
        let mut rng = fastrand::Rng::with_seed(stage.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (call, harm) = call::draw(&stage.target, number, &mut rng);
        let began = Instant::now();
        let answered = one(stage, &call, &harm, &mut seen);
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if took > seen.slowest.0 {
            seen.slowest = (took, format!("call {number}: {}", harm.told()));
        }
        if let Err(complaint) = answered {
            stage.broken.fetch_add(1, Ordering::Relaxed);
            seen.broken.push(format!("call {number} ({}): {complaint}", harm.told()));
        }
    }
}

/// Makes a call and looks at the answer.
fn one(stage: &Stage, call: &Call, harm: &Harm, seen: &mut Seen) -> Result<(), String> {
    let bytes = exchange(stage.target.address, &call.bytes(stage.target.address));
    let bytes = bytes.map_err(|error| format!("no end of it came: {error}"))?;
    let answer = Answer::of(&bytes)?;
    *seen.answers.entry(answer.told()).or_default() += 1;
    answer.is_proper(&stage.target)?;
    seen.accepted.extend(answer.accepted());
    if harm.done == Done::Refused && answer.status.is_some_and(|status| status < 400) {
        return Err(format!("answered {}", answer.told()));
    }
    // Behind what has no clear end nothing may be taken for another call.
    let more = answer.behind > 0;
    if more && call.has_behind() { Err("what was hidden behind it was answered".to_owned()) } else { Ok(()) }
}

/// Writes all of it, says that nothing more comes, and reads to the end. That a server closes while it is written to is an answer too.
fn exchange(address: SocketAddr, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let written = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if is_over(&error) => Ok(answer),
        Err(error) => Err(error),
        Ok(_) => match written {
            Err(error) if !is_over(&error) => Err(error),
            _ => Ok(answer),
        },
    }
}

fn is_over(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
    matches!(error.kind(), ConnectionReset | BrokenPipe | NotConnected)
}

/// What came back.
struct Answer {
    /// None: nothing came.
    status: Option<u16>,
    head: String,
    body: Value,
    empty: bool,
    /// Bytes behind it.
    behind: usize,
}

impl Answer {
    fn of(bytes: &[u8]) -> Result<Self, String> {
        if bytes.is_empty() {
            return Ok(Self { status: None, head: String::new(), body: Value::Null, empty: true, behind: 0 });
        }
        // That it may go on is said first to a caller who asked (RFC 9110 section 10.1.1).
        if let Some(rest) = bytes.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n") {
            return Self::of(rest);
        }
        let shown = || String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Response::new(&mut headers);
        let Ok(httparse::Status::Complete(end)) = parsed.parse(bytes) else {
            return Err(format!("no answer of HTTP: {:?}", shown()));
        };
        let length = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
        let length =
            length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok()).unwrap_or(0);
        let body =
            bytes.get(end..end + length).ok_or_else(|| format!("an answer that is cut: {:?}", shown()))?;
        Ok(Self {
            status: parsed.code,
            head: String::from_utf8_lossy(&bytes[..end]).into_owned(),
            body: serde_json::from_slice(body).unwrap_or_default(),
            empty: body.is_empty(),
            behind: bytes.len() - end - length,
        })
    }

    fn told(&self) -> String {
        match self.status {
            None => "closed".to_owned(),
            Some(status) => format!("{status} {}", self.body["code"].as_str().unwrap_or("-")),
        }
    }

    /// Whether it is an answer that may be given at all.
    fn is_proper(&self, target: &Target) -> Result<(), String> {
        let Some(status) = self.status else { return Ok(()) };
        let code = self.body["code"].as_str();
        let by_design = matches!((status, code), (501, _) | (503, Some(_)) | (505, _));
        if status >= 500 && !by_design {
            return Err(format!("answered {}", self.told()));
        }
        if status >= 400 && code.is_none() && !self.empty && !self.body["results"].is_array() {
            return Err(format!("{status} is neither a problem nor empty"));
        }
        let whole = format!("{}{}", self.head, self.body);
        match target.canaries().into_iter().find(|canary| whole.contains(canary)) {
            Some(_) => Err(format!("{} repeats a secret", self.told())),
            None => Ok(()),
        }
    }

    /// The ids of messages that it accepts.
    fn accepted(&self) -> Vec<String> {
        if self.status != Some(202) {
            return Vec::new();
        }
        let id = |value: &Value| value["id"].as_str().map(str::to_owned);
        match self.body["results"].as_array() {
            Some(results) => {
                results.iter().filter(|item| item["result"] == "accepted").filter_map(id).collect()
            }
            None => id(&self.body).into_iter().collect(),
        }
    }
}

/// What can be seen only in the end: what arrived, what was logged, what grew, whether it still works.
fn judge(
    gateway: &Gateway,
    journal: &Path,
    target: &Target,
    accepted: &HashSet<String>,
    told: &mut Told,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let arrived = loop {
        let arrivals: Vec<Arrival> = journal::read(journal)?;
        let ids: HashSet<String> = arrivals.iter().map(|arrival| arrival.id.clone()).collect();
        if arrivals.len() > ids.len() {
            told.broken.push(format!("{} messages came twice", arrivals.len() - ids.len()));
        }
        if accepted.is_subset(&ids) || Instant::now() > deadline {
            break ids;
        }
        thread::sleep(Duration::from_millis(100));
    };
    let stray = arrived.difference(accepted).count();
    if stray > 0 {
        told.broken.push(format!("{stray} messages of refused calls arrived"));
    }
    // What was done to a call may have left it so short a time to live, or an attachment that is none, that it ended without an attempt.
    for id in accepted.difference(&arrived) {
        let reply = gateway.customer(0).call("GET", &format!("/messages/{id}"), &[], None)?;
        let view = reply.json();
        if !matches!(view["status"].as_str(), Some("failed" | "expired" | "rejected")) {
            told.broken
                .push(format!("{id} was accepted, and neither arrived nor ended: {} {view}", reply.status));
        }
    }
    let log = fs::read_to_string(gateway.home().join("gateway.log"))?;
    told.broken
        .extend(log.lines().filter(|line| line.contains("panicked")).map(|line| format!("logged: {line}")));
    if target.canaries().iter().any(|canary| log.contains(canary)) {
        told.broken.push("the log repeats a secret or a text".to_owned());
    }
    let (warm, end) = told.resident_kib;
    if end > warm + GROWTH_KIB {
        told.broken.push(format!("it grew from {warm} KiB to {end} KiB"));
    }
    let reply = gateway.customer(0).call("GET", "/quota", &[], None)?;
    ensure!(reply.status == 200, "it does not work any more: {}", reply.status);
    Ok(())
}
