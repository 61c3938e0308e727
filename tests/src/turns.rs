//! One customer floods a slow backend, and others send little beside it: how long do theirs wait, on each queue engine?
//!
//! A round is the others alone, and then the same others beside the flood, each on a gateway of its own. What is timed is from before
//! a call is written until its message is at the backend.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use naru_shared::domain::OnUncertain;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    customer::Customer,
    engines::{AwsEmulator, Flavour, REGION, RabbitMq, Redis},
    gateway::{Gateway, Helper, Programs, RouteSpec, Setup},
    journal,
    monotonic::nanos,
    receiver::journaling::Arrival,
    witness::Journals,
};

/// How long what was sent last may take to arrive.
const GRACE: Duration = Duration::from_secs(45);

/// What the others may wait at the most, as a multiple of what they wait alone.
const MULTIPLE: f64 = 2.0;

/// The queue under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum On {
    /// The embedded one.
    Sqlite,
    /// A broker.
    RabbitMq,
    /// An emulator of SQS, with a doorbell in Redis.
    Sqs,
}

impl On {
    /// Every engine.
    pub const ALL: [Self; 3] = [Self::Sqlite, Self::RabbitMq, Self::Sqs];

    /// As it is typed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::RabbitMq => "rabbitmq",
            Self::Sqs => "sqs",
        }
    }

    /// A wait that is within the engine's own bound, whatever the others' baseline: below it a multiple of a few milliseconds is the
    /// machine's noise, or the rhythm in which the engine is asked.
    #[must_use]
    pub const fn bound(self) -> Duration {
        match self {
            Self::Sqlite => Duration::from_millis(100),
            Self::RabbitMq => Duration::from_millis(200),
            Self::Sqs => Duration::from_secs(1),
        }
    }
}

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// What the backend takes for each message.
    pub slow: Duration,
    /// The route's couriers.
    pub couriers: u32,
    /// Others.
    pub others: usize,
    /// Each of them sends a message so often.
    pub every: Duration,
    /// How long they are timed.
    pub span: Duration,
    /// Rounds of both.
    pub rounds: usize,
    /// A wait that is no more than the machine's, where it is busy with other things and the programs are not optimised: within the
    /// engine's bound otherwise.
    pub busy: Duration,
}

/// Messages of the one who floods, for each one of all others together.
const FLOOD: usize = 100;

impl Plan {
    /// A backend of thirty seconds.
    #[must_use]
    pub const fn full() -> Self {
        Self {
            slow: Duration::from_secs(30),
            couriers: 64,
            others: 4,
            every: Duration::from_secs(4),
            span: Duration::from_secs(75),
            rounds: 3,
            busy: Duration::ZERO,
        }
    }

    /// A few seconds. Whoever had to wait for a courier would wait for most of the four seconds that the backend takes.
    #[must_use]
    pub const fn small() -> Self {
        Self {
            slow: Duration::from_secs(4),
            couriers: 24,
            others: 2,
            every: Duration::from_millis(1_000),
            span: Duration::from_secs(8),
            rounds: 1,
            busy: Duration::from_millis(1_500),
        }
    }
}

/// Waits in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Waits {
    /// Messages that were timed.
    pub messages: usize,
    /// Half of them waited no longer.
    pub p50: f64,
    /// Of a hundred, ninety-nine.
    pub p99: f64,
    /// All of them.
    pub most: f64,
}

/// One round.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Round {
    /// The others alone.
    pub alone: Waits,
    /// Beside the flood.
    pub beside: Waits,
    /// Messages of the flood that were accepted, and that the backend was sent.
    pub flood: (usize, usize),
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Told {
    /// On which engine.
    pub engine: On,
    /// Every round.
    pub rounds: Vec<Round>,
    /// The median of the rounds: p99 beside the flood for each p99 alone.
    pub ratio: f64,
    /// The median p99 beside the flood, in milliseconds.
    pub p99: f64,
    /// What the engine may take in any case, in milliseconds.
    pub bound: f64,
}

impl Told {
    /// Whether the others waited no longer than they may.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.ratio <= MULTIPLE || self.p99 <= self.bound
    }
}

/// Engines that outlive the rounds, and the configuration that names them.
struct Engines {
    config: String,
    environment: Vec<(&'static str, String)>,
    _keep: (Option<RabbitMq>, Option<AwsEmulator>, Option<Redis>),
}

impl Engines {
    fn start(on: On) -> anyhow::Result<Self> {
        let mut engines = Self { config: String::new(), environment: Vec::new(), _keep: (None, None, None) };
        match on {
            On::Sqlite => {}
            On::RabbitMq => {
                let broker = RabbitMq::start()?;
                engines.config = format!("[queue]\nkind = \"rabbitmq\"\nurl = {:?}\n", broker.url());
                engines._keep.0 = Some(broker);
            }
            On::Sqs => {
                let (emulator, redis) = (AwsEmulator::start(Flavour::Fauxqs)?, Redis::start()?);
                engines.config = format!(
                    "[queue]\nkind = \"sqs\"\nregion = {REGION:?}\nendpoint = {:?}\ncreate = true\n\
                     doorbell = {{ url = {:?} }}\n",
                    emulator.endpoint(),
                    redis.url()
                );
                engines.environment = emulator.environment().to_vec();
                engines._keep.1 = Some(emulator);
                engines._keep.2 = Some(redis);
            }
        }
        Ok(engines)
    }

    /// Lines of a process that shares nothing with the one before.
    fn config(&self, on: On) -> String {
        let own = format!("t{:07x}", fastrand::u32(..) >> 4);
        match on {
            On::Sqlite => String::new(),
            On::RabbitMq | On::Sqs => format!("{}namespace = {own:?}\n", self.config),
        }
    }
}

/// Runs every round on one engine.
///
/// # Errors
/// If a process does not run, a message is refused, or one of the others' does not arrive.
pub fn run(on: On, plan: &Plan, say: &mut dyn FnMut(&str) -> anyhow::Result<()>) -> anyhow::Result<Told> {
    let engines = Engines::start(on)?;
    let mut rounds = Vec::new();
    for number in 1..=plan.rounds {
        let (alone, _) = phase(on, &engines, plan, false)?;
        let (beside, flood) = phase(on, &engines, plan, true)?;
        say(&format!(
            "{} round {number}: alone p99 {:.1} ms of {}, beside {} accepted and {} sent p99 {:.1} ms",
            on.as_str(),
            alone.p99,
            alone.messages,
            flood.0,
            flood.1,
            beside.p99
        ))?;
        rounds.push(Round { alone, beside, flood });
    }
    let ratio = median(rounds.iter().map(|round| round.beside.p99 / round.alone.p99.max(0.1)));
    let p99 = median(rounds.iter().map(|round| round.beside.p99));
    Ok(Told { engine: on, rounds, ratio, p99, bound: on.bound().max(plan.busy).as_secs_f64() * 1_000.0 })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::INFINITY)
}

/// A gateway of its own, the others, and the flood if there is one.
fn phase(on: On, engines: &Engines, plan: &Plan, flooded: bool) -> anyhow::Result<(Waits, (usize, usize))> {
    let journals = Journals::begin()?;
    let (path, slow) = (journals.arrivals().display().to_string(), plan.slow.as_millis().to_string());
    let receiver =
        Helper::start(&Programs::find()?, &["journaling-receiver", "--journal", &path, "--slow-ms", &slow])?;
    let timeout = u32::try_from(plan.slow.as_millis() + 15_000)?;
    let route = RouteSpec {
        concurrency: plan.couriers,
        attempt_timeout_ms: timeout,
        ..RouteSpec::http("demo", receiver.address, OnUncertain::Fail)
    };
    // An attempt that takes so long needs a longer lease.
    let config = format!("{}[workers]\nlease_ms = 60000\n", engines.config(on));
    let setup = Setup { customers: plan.others + 1, routes: vec![route], config, ..Setup::default() };
    let mut gateway = Gateway::prepare(&setup)?;
    gateway.start(&engines.environment)?;
    let end = Instant::now() + plan.span;
    let (sent, accepted) = thread::scope(|scope| {
        let others: Vec<_> = (0..plan.others)
            .map(|number| {
                let customer = gateway.customer(number + 1);
                let offset = plan.every.mul_f64(number as f64 / plan.others as f64);
                scope.spawn(move || trickle(customer, offset, plan.every, end))
            })
            .collect();
        let flood = flooded.then(|| {
            let customer = gateway.customer(0);
            scope.spawn(move || pour(customer, plan, end))
        });
        let mut sent = HashMap::new();
        for other in others {
            sent.extend(other.join().map_err(|_| anyhow::anyhow!("a customer panicked"))??);
        }
        let accepted = match flood {
            Some(flood) => flood.join().map_err(|_| anyhow::anyhow!("the flood panicked"))??,
            None => 0,
        };
        anyhow::Ok((sent, accepted))
    })?;
    let (waits, all) = waits(&journals, &sent)?;
    // Most of the flood still waits: draining it would take hours.
    gateway.kill()?;
    Ok((waits, (accepted, all - sent.len())))
}

/// Sends a message now and then; when each was sent, by its id.
fn trickle(
    mut customer: Customer,
    offset: Duration,
    every: Duration,
    end: Instant,
) -> anyhow::Result<HashMap<String, u64>> {
    let mut sent = HashMap::new();
    let mut next = Instant::now() + offset;
    while next < end {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        next += every;
        let began = nanos();
        let reply = customer.send(&message(), None)?;
        ensure!(reply.status == 202, "{}", reply.json());
        let id = reply.json()["id"].as_str().context("an id")?.to_owned();
        sent.insert(id, began);
    }
    Ok(sent)
}

/// Sends a hundred times as much as all others together, from when each of them was there once; how many were accepted.
fn pour(mut customer: Customer, plan: &Plan, end: Instant) -> anyhow::Result<usize> {
    thread::sleep(plan.every);
    let each = plan.every / u32::try_from(plan.others)?;
    let batch: Vec<Value> = (0..FLOOD).map(|_| message()).collect();
    let (mut accepted, mut next) = (0, Instant::now());
    while next < end {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        next += each;
        let reply = customer.batch(&batch)?;
        // A full backlog is the flood's own business.
        ensure!([202, 429].contains(&reply.status), "{}", reply.json());
        accepted += usize::try_from(reply.json()["accepted"].as_u64().unwrap_or(0))?;
    }
    Ok(accepted)
}

fn message() -> Value {
    json!({ "channel": "sms", "recipient": "+821012345600", "body": "hello" })
}

/// How long the others' messages took, once all have arrived; and how many arrived in all.
fn waits(journals: &Journals, sent: &HashMap<String, u64>) -> anyhow::Result<(Waits, usize)> {
    let deadline = Instant::now() + GRACE;
    loop {
        let arrivals: Vec<Arrival> = journal::read(&journals.arrivals())?;
        let mut waited: Vec<f64> = arrivals
            .iter()
            .filter(|arrival| arrival.attempt == 1)
            .filter_map(|arrival| Some(arrival.at.saturating_sub(*sent.get(&arrival.id)?) as f64 / 1e6))
            .collect();
        if waited.len() == sent.len() && !waited.is_empty() {
            waited.sort_by(f64::total_cmp);
            let at = |part: usize| waited[(waited.len() * part).div_ceil(100).clamp(1, waited.len()) - 1];
            let waits = Waits { messages: waited.len(), p50: at(50), p99: at(99), most: at(100) };
            return Ok((waits, arrivals.len()));
        }
        ensure!(Instant::now() < deadline, "{} of {} arrived", waited.len(), sent.len());
        thread::sleep(Duration::from_millis(100));
    }
}
