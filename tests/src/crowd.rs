//! Thousands of connections on which nobody calls, beside a customer who does: how long do its calls take, and what does the gateway
//! spend on them?
//!
//! They are held by a process of its own (`proof hold`). Each has made one call, so that it may stay open for as long as the gateway keeps
//! connections alive; one on which no call ever came would be closed after five seconds.

mod hold;

use std::{
    fs,
    io::Read,
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
pub use hold::hold;
use serde::Serialize;

use crate::{
    bench::cpu,
    gateway::{Gateway, Programs, Setup, wait_for_line},
    paying::{MULTIPLE, Round, calm, ratio},
    wire::Wire,
};

/// What one connection may cost, in resident KiB.
const KIB_EACH: f64 = 32.0;

/// How long the gateway may take to see that they are gone.
const GONE: Duration = Duration::from_secs(15);

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Connections that are idle.
    pub connections: usize,
    /// Rounds, each without and with them.
    pub rounds: usize,
    /// How long the customer is timed.
    pub span: Duration,
    /// A p99 that is no more than the machine's, in milliseconds.
    pub busy: f64,
}

impl Plan {
    /// Ten thousand.
    #[must_use]
    pub const fn full() -> Self {
        Self { connections: 10_000, rounds: 3, span: Duration::from_secs(20), busy: 0.0 }
    }

    /// A thousand, on a machine that may do other things.
    #[must_use]
    pub const fn small() -> Self {
        Self { connections: 1_000, rounds: 1, span: Duration::from_secs(3), busy: 100.0 }
    }
}

/// What a process holds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Held {
    /// Resident KiB.
    pub resident_kib: u64,
    /// Descriptors.
    pub descriptors: usize,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Told {
    /// Connections that were idle, from the first to the last moment.
    pub connections: usize,
    /// Every round.
    pub rounds: Vec<Round>,
    /// The median over the rounds: the customer's p99 beside them for one without.
    pub ratio: f64,
    /// What the gateway holds without them, with them the first time, with them the last time, and once they have gone.
    pub held: [Held; 4],
    /// Resident KiB for each of them.
    pub kib_each: f64,
    /// What of the p99 may be the machine's, in milliseconds.
    pub busy: f64,
}

impl Told {
    /// What is not as it should be; empty if all is.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let within = self.rounds.iter().all(|round| round.beside.p99 <= self.busy);
        if self.ratio > MULTIPLE && !within {
            broken.push(format!("a customer's p99 is {:.2} of what it is without them", self.ratio));
        }
        if self.kib_each > KIB_EACH {
            broken.push(format!("each takes {:.1} KiB", self.kib_each));
        }
        let [before, first, last, after] = self.held;
        if last.resident_kib > first.resident_kib + first.resident_kib / 4 {
            broken.push(format!(
                "with as many it grew from {} to {} KiB",
                first.resident_kib, last.resident_kib
            ));
        }
        // A few are the customer's, and the databases'.
        if last.descriptors > before.descriptors + self.connections + 64
            || after.descriptors > before.descriptors + 64
        {
            broken.push(format!("descriptors: {:?}", self.held.map(|held| held.descriptors)));
        }
        broken
    }
}

/// Measures.
///
/// # Errors
/// If a process does not run, a connection is closed before its time, or a customer's call is not accepted.
pub fn run(plan: &Plan, say: &mut dyn FnMut(&str) -> anyhow::Result<()>) -> anyhow::Result<Told> {
    let config = "[log]\nfilter = \"warn\"\n".to_owned();
    let gateway = Gateway::spawn(&Setup { config, ..Setup::default() })?;
    let (mut rounds, mut with) = (Vec::new(), Vec::new());
    let mut before = None;
    for number in 1..=plan.rounds {
        let alone = calm(&gateway, plan.span)?;
        let without = held(&gateway)?;
        before.get_or_insert(without);
        let crowd = Crowd::gather(&gateway, plan.connections)?;
        ensure!(open(&gateway)? >= plan.connections as f64, "the gateway does not have them all");
        let beside = calm(&gateway, plan.span)?;
        let now = held(&gateway)?;
        ensure!(open(&gateway)? >= plan.connections as f64, "the gateway closed some");
        let stayed = crowd.leave()?;
        ensure!(stayed == plan.connections, "{stayed} of {} stayed open", plan.connections);
        say(&format!(
            "round {number}: alone p50 {:.2} p99 {:.2} ms, beside {stayed} idle p50 {:.2} p99 {:.2} ms, {} KiB and {} descriptors",
            alone.p50, alone.p99, beside.p50, beside.p99, now.resident_kib, now.descriptors
        ))?;
        rounds.push(Round { alone, beside });
        with.push(now);
        let deadline = Instant::now() + GONE;
        while open(&gateway)? > 64.0 {
            ensure!(Instant::now() < deadline, "the gateway keeps connections that are gone");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    let (first, last) = (with.first().copied(), with.last().copied());
    let (before, first, last) =
        (before.context("a round")?, first.context("a round")?, last.context("a round")?);
    let more = first.resident_kib.saturating_sub(before.resident_kib);
    Ok(Told {
        connections: plan.connections,
        ratio: ratio(&rounds),
        rounds,
        held: [before, first, last, held(&gateway)?],
        kib_each: more as f64 / plan.connections as f64,
        busy: plan.busy,
    })
}

fn held(gateway: &Gateway) -> anyhow::Result<Held> {
    let pid = gateway.pid()?;
    let resident_kib = cpu::status_kib(pid, "VmRSS").context("the system does not tell what is resident")?;
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
    Ok(Held { resident_kib, descriptors })
}

/// Connections that the gateway says are open.
fn open(gateway: &Gateway) -> anyhow::Result<f64> {
    let reply = Wire::new(gateway.operator(), Duration::from_secs(5)).call("GET", "/metrics", &[], b"")?;
    let text = String::from_utf8(reply.body)?;
    let line = text.lines().find_map(|line| line.strip_prefix("naru_http_connections "));
    Ok(line.context("the gateway does not tell its connections")?.trim().parse()?)
}

/// The process that holds them.
struct Crowd {
    child: Child,
    input: Option<ChildStdin>,
}

impl Crowd {
    fn gather(gateway: &Gateway, connections: usize) -> anyhow::Result<Self> {
        let mut command = Command::new(Programs::find()?.proof);
        command.args(["hold", "--target", &gateway.listen().to_string()]);
        command.args(["--connections", &connections.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take();
        let mut crowd = Self { child, input };
        let said: serde_json::Value = serde_json::from_str(&wait_for_line(&mut crowd.child)?)?;
        ensure!(said["open"] == connections, "they did not all come: {said}");
        Ok(crowd)
    }

    /// Has it close them; how many had stayed open.
    fn leave(mut self) -> anyhow::Result<usize> {
        drop(self.input.take());
        let mut told = String::new();
        self.child.stdout.take().context("its output is piped")?.read_to_string(&mut told)?;
        ensure!(self.child.wait()?.success(), "whoever holds them failed");
        let said: serde_json::Value = serde_json::from_str(&told)?;
        Ok(usize::try_from(said["open"].as_u64().context("how many stayed open")?)?)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // If it has ended there is nothing to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
