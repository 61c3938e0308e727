//! What a deployment at rest asks of its engines, counted at them, and what it costs its machine.

mod aws;
mod frames;
pub mod monitor;
mod statements;

use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
pub use aws::{Asked, RestingOnAws, run_aws};
pub use frames::CountingWire;
pub use monitor::{Counts, Monitor};
use serde_json::json;
pub use statements::Statements;

use crate::{
    bench::{Table, cpu},
    customer::Customer,
    deployment::{Deployment, Shape},
    gateway::{Gateway, Setup},
};

/// How long after the last message a deployment is at rest: loops that find nothing ask ever less often.
pub const SETTLING: Duration = Duration::from_secs(20);

/// The most that is allowed in a minute, of two fronts and two workers on two routes with a subscription.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Commands that clients send to Redis.
    pub commands: f64,
    /// Statements to PostgreSQL, begins and commits among them.
    pub statements: f64,
    /// AMQP frames that are heartbeats, both ways.
    pub heartbeats: f64,
    /// Other AMQP frames, both ways.
    pub frames: f64,
    /// CPU seconds of each process of the gateway.
    pub cpu_seconds: f64,
}

/// What holds. A build without optimisation costs more time, not more questions.
pub const BOUNDS: Bounds = Bounds {
    commands: 400.0,
    statements: 550.0,
    heartbeats: 150.0,
    frames: 500.0,
    cpu_seconds: if cfg!(debug_assertions) { 0.6 } else { 0.3 },
};

/// Two fronts and two workers at rest, watched.
pub struct Resting {
    /// The processes.
    pub site: Deployment,
    wire: CountingWire,
    monitor: Monitor,
    statements: Statements,
}

/// What was counted.
#[derive(Debug)]
pub struct Rest {
    span: Duration,
    commands: Counts,
    statements: Counts,
    frames: (u64, u64),
    cpu: BTreeMap<String, Duration>,
}

impl Resting {
    /// Starts everything, lets it work a little, and lets it come to rest.
    ///
    /// # Errors
    /// If it cannot be started, or does not work.
    pub fn begin() -> anyhow::Result<Self> {
        let setup =
            Setup { quota: Some(100_000), subscription: Some("watch".to_owned()), ..Setup::default() };
        let mut site = Deployment::prepare(&Shape { setup, ..Shape::default() })?;
        let wire = CountingWire::start(site.carrier.rabbit()?.port())?;
        let url = wire.before(&site.carrier.rabbit()?.url(), site.carrier.rabbit()?.port())?;
        site.start(&[("NARU_QUEUE__URL", url.clone()), ("NARU_TOPIC__URL", url)])?;
        let (monitor, statements) = (Monitor::of(site.redis.port())?, Statements::of(&site.postgres)?);
        let resting = Self { site, wire, monitor, statements };
        for front in [0, 1] {
            for number in 0..10 {
                delivered(&mut resting.site.customer_at(front, 0), &format!("{front}-{number}"))?;
            }
        }
        thread::sleep(SETTLING);
        Ok(resting)
    }

    /// Counts what happens meanwhile.
    ///
    /// # Errors
    /// If an engine does not tell.
    pub fn watch(&mut self, span: Duration) -> anyhow::Result<Rest> {
        let (frames, commands, cpu) = (self.wire.frames(), self.monitor.counts(), self.cpu()?);
        self.statements.take()?;
        let began = Instant::now();
        thread::sleep(span);
        let statements = self.statements.take()?;
        let span = began.elapsed();
        let after = self.wire.frames();
        let used = |(name, now): (String, Duration)| {
            let before = cpu.get(&name).copied().unwrap_or_default();
            (name, now.saturating_sub(before))
        };
        Ok(Rest {
            span,
            commands: monitor::since(&commands, &self.monitor.counts()),
            statements,
            frames: (after.0 - frames.0, after.1 - frames.1),
            cpu: self.cpu()?.into_iter().map(used).collect(),
        })
    }

    /// One message after all that rest: how long from the call until the API says that it is delivered.
    ///
    /// # Errors
    /// If it is not accepted or not delivered.
    pub fn wake(&self) -> anyhow::Result<Duration> {
        delivered(&mut self.site.customer(0), "after the rest")
    }

    fn cpu(&mut self) -> anyhow::Result<BTreeMap<String, Duration>> {
        let mut of = BTreeMap::new();
        for member in self.site.members() {
            of.insert(member.name().to_owned(), Duration::from_nanos(cpu::nanos_of(member.pid()?)));
        }
        let engines = [
            ("PostgreSQL", self.site.postgres.pid()),
            (self.site.carrier.name(), self.site.carrier.pid()),
            ("Redis", self.site.redis.pid()),
        ];
        for (name, pid) in engines {
            let pid = pid.with_context(|| format!("{name} does not run"))?;
            let nanos = family(pid).into_iter().map(cpu::nanos_of).sum();
            of.insert(name.to_owned(), Duration::from_nanos(nanos));
        }
        Ok(of)
    }
}

impl Rest {
    fn per_minute(&self, count: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a count of some minutes")]
        let count = count as f64;
        count * 60.0 / self.span.as_secs_f64()
    }

    /// The figures beside what is allowed.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut table = Table::default();
        let mut judge = |what: &str, count: f64, most: f64| {
            table.judge(what, format!("{count:.1} a minute"), &format!("≤ {most}"), count <= most);
        };
        let sum = |counts: &Counts| self.per_minute(counts.values().sum());
        judge("Redis commands", sum(&self.commands), BOUNDS.commands);
        judge("PostgreSQL statements", sum(&self.statements), BOUNDS.statements);
        judge("AMQP heartbeats", self.per_minute(self.frames.0), BOUNDS.heartbeats);
        judge("other AMQP frames", self.per_minute(self.frames.1), BOUNDS.frames);
        for (name, used) in &self.cpu {
            let seconds = used.as_secs_f64() * 60.0 / self.span.as_secs_f64();
            let figure = format!("{seconds:.3} CPU seconds a minute");
            if name.starts_with("ingress") || name.starts_with("workers") {
                let most = BOUNDS.cpu_seconds;
                table.judge(name, figure, &format!("≤ {most}"), seconds <= most);
            } else {
                table.tell(name, figure);
            }
        }
        table
    }

    /// What was asked, the most frequent first.
    #[must_use]
    pub fn details(&self) -> String {
        let mut all: Vec<(&String, &u64)> = self.commands.iter().chain(&self.statements).collect();
        all.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        all.iter()
            .map(|(what, count)| format!("{:8.1} a minute  {what}\n", self.per_minute(**count)))
            .collect()
    }
}

/// One process on engines of its own at rest: what it costs.
///
/// # Errors
/// If it cannot be run.
pub fn run(span: Duration, say: &mut dyn FnMut(&str)) -> anyhow::Result<Table> {
    say(&format!("a process comes to rest, and is watched for {span:?}"));
    let gateway = Gateway::spawn(&Setup { quota: Some(100_000), ..Setup::default() })?;
    delivered(&mut gateway.customer(0), "before")?;
    thread::sleep(SETTLING);
    let (pid, began) = (gateway.pid()?, Instant::now());
    let before = cpu::nanos_of(pid);
    thread::sleep(span);
    let used = Duration::from_nanos(cpu::nanos_of(pid) - before).as_secs_f64();
    let (seconds, most) = (used * 60.0 / began.elapsed().as_secs_f64(), BOUNDS.cpu_seconds);
    let mut table = Table::default();
    let figure = format!("{seconds:.3} CPU seconds a minute");
    table.judge("one process on engines of its own", figure, &format!("≤ {most}"), seconds <= most);
    woken(&mut table, delivered(&mut gateway.customer(0), "after")?);
    Ok(table)
}

fn woken(table: &mut Table, took: Duration) {
    let most = Duration::from_secs(1);
    table.judge("a message after that, until it is delivered", format!("{took:?}"), "≤ 1 s", took <= most);
}

/// Two fronts and two workers at rest: what they ask of their engines, and what everything costs.
///
/// # Errors
/// If it cannot be run.
pub fn run_wide(span: Duration, details: bool, say: &mut dyn FnMut(&str)) -> anyhow::Result<Table> {
    say(&format!("two fronts and two workers come to rest, and are watched for {span:?}"));
    let mut resting = Resting::begin()?;
    let rest = resting.watch(span)?;
    if details {
        say(&rest.details());
    }
    let mut table = rest.table();
    woken(&mut table, resting.wake()?);
    Ok(table)
}

/// A message of this deployment, from its call to the answer that says it is delivered.
fn delivered(customer: &mut Customer, reference: &str) -> anyhow::Result<Duration> {
    let message =
        json!({ "channel": "sms", "recipient": "+821012345600", "body": "hello", "reference": reference });
    let deadline = Instant::now() + Duration::from_secs(30);
    let began = Instant::now();
    let reply = customer.send(&message, None)?;
    ensure!(reply.status == 202, "{}", reply.json());
    let path = format!("/messages/{}", reply.json()["id"].as_str().unwrap_or_default());
    while customer.get(&path)?.json()["status"] != "delivered" {
        ensure!(Instant::now() < deadline, "{path} is not delivered");
        thread::sleep(Duration::from_millis(5));
    }
    Ok(began.elapsed())
}

/// A process and all that it started.
fn family(pid: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let parents: Vec<(u32, u32)> = processes
        .filter_map(|entry| {
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name may hold anything, also blanks; the parent is the second field after it.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, parent))
        })
        .collect();
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        at += 1;
    }
    found
}
