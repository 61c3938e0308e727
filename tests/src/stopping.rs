//! An operator stops a customer's messages in the middle of a stream: what was stopped is counted to the row, nothing of it goes
//! out once the command has returned, and it goes on, or is cancelled, as the operator decides.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use naru_shared::domain::OnUncertain;
use serde_json::{Value, json};

use crate::{
    customer::Customer,
    gateway::{Helper, Programs, RouteSpec, Setup},
    journal,
    monotonic::nanos,
    place::{On, Place},
    receiver::journaling::Arrival,
    witness::Journals,
};

/// Messages of one call.
const BATCH: usize = 250;

/// What a message would do that begins after the command has returned is waited for.
const QUIET: Duration = Duration::from_secs(2);

/// The command has begun by then, and is not done.
const MIDDLE: Duration = Duration::from_millis(120);

/// A worker's rows are another's after so long.
const CONFIG: &str = "[workers]\nlease_ms = 5000\nsweep_ms = 1000\n";

/// How recipients begin, of the customer whose messages are stopped and of the other.
const OWN: &str = "+8210";
const OTHER: &str = "+8211";

/// How large a run is.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Messages of the customer whose messages are stopped; half as many come for the second stop.
    pub messages: usize,
    /// How long the backend takes for one, in milliseconds.
    pub slow_ms: u64,
    /// Attempts at once, of each worker.
    pub concurrency: u32,
    /// How long anything may take.
    pub patience: Duration,
}

impl Plan {
    /// One that takes half a minute.
    #[must_use]
    pub const fn small() -> Self {
        Self { messages: 2_000, slow_ms: 40, concurrency: 16, patience: Duration::from_secs(120) }
    }

    /// 100,000 messages.
    #[must_use]
    pub const fn full() -> Self {
        Self { messages: 100_000, slow_ms: 20, concurrency: 64, patience: Duration::from_secs(900) }
    }
}

/// A run and what was seen in it.
struct Run {
    place: Place,
    plan: Plan,
    journals: Journals,
    // Ends the receiver.
    _receiver: Helper,
    /// The latest report of each message of the first customer.
    reports: HashMap<String, Value>,
    reader: Customer,
    sent: usize,
}

/// Stops twice in the middle of a stream, lets the first go and commits the second; what was seen.
///
/// # Errors
/// If anything is not as an operator may expect.
pub fn run(on: On, plan: &Plan) -> anyhow::Result<Value> {
    let journals = Journals::begin()?;
    let path = journals.arrivals().display().to_string();
    let slow = plan.slow_ms.to_string();
    let arguments = ["journaling-receiver", "--journal", &path, "--slow-ms", &slow];
    let receiver = Helper::start(&Programs::find()?, &arguments)?;
    let route = RouteSpec {
        concurrency: plan.concurrency,
        attempt_timeout_ms: 2_500,
        ..RouteSpec::http("carrier", receiver.address, OnUncertain::Fail)
    };
    let setup = Setup {
        customers: 2,
        routes: vec![route],
        quota: Some(10_000_000),
        config: CONFIG.to_owned(),
        ..Setup::default()
    };
    let place = Place::spawn(on, &setup)?;
    let reader = place.customer(0);
    let mut run =
        Run { place, plan: *plan, journals, _receiver: receiver, reports: HashMap::new(), reader, sent: 0 };
    let undone = run.first().context("the stop that is undone")?;
    let committed = run.second().context("the stop that is committed")?;
    Ok(json!({ "messages": plan.messages, "undone": undone, "committed": committed }))
}

/// A stop that has returned.
struct Returned {
    number: String,
    at: u64,
    took: Duration,
    counts: Value,
}

fn count(counts: &Value, name: &str) -> u64 {
    counts[name].as_u64().unwrap_or(u64::MAX)
}

impl Run {
    /// The command is killed in its middle, a worker with it; the same command again returns, and the rule is undone.
    fn first(&mut self) -> anyhow::Result<Value> {
        let messages = self.plan.messages;
        let (accepted, others, returned) = self.amid(messages, true)?;
        let stopped = self.counted(&accepted, &returned)?;
        self.all_others_are_delivered(others.len())?;
        let told: Value = self.told(&["stop", "undo", &returned.number])?;
        ensure!(count(&told["counts"], "undone") == stopped.len() as u64, "{told}");
        self.await_reports("everything that was stopped goes on", |reports| {
            stopped.iter().all(|id| reports.contains_key(id))
        })?;
        ensure!(stopped.iter().all(|id| self.reports[id]["status"] == "delivered"), "not all is delivered");
        let mut arrivals: BTreeMap<&str, u32> = BTreeMap::new();
        let seen = self.arrivals()?;
        seen.iter().for_each(|arrival| *arrivals.entry(arrival.id.as_str()).or_default() += 1);
        ensure!(stopped.iter().all(|id| arrivals.get(id.as_str()) == Some(&1)), "not each is delivered once");
        Ok(json!({ "took_ms": returned.took.as_millis(), "counts": told["counts"] }))
    }

    /// The rule is committed.
    fn second(&mut self) -> anyhow::Result<Value> {
        let messages = self.plan.messages / 2;
        let (accepted, _, returned) = self.amid(messages, false)?;
        let stopped = self.counted(&accepted, &returned)?;
        let told: Value = self.told(&["stop", "commit", &returned.number])?;
        ensure!(count(&told["counts"], "cancelled") == stopped.len() as u64, "{told}");
        self.await_reports("everything that was stopped is reported", |reports| {
            stopped.iter().all(|id| reports.contains_key(id))
        })?;
        for id in &stopped {
            let report = &self.reports[id];
            let ended = (&report["status"], &report["code"], &report["revision"]);
            ensure!(ended == (&"cancelled".into(), &"recalled".into(), &1.into()), "{report}");
        }
        let delivered = self.reports.values().filter(|report| report["status"] == "delivered").count();
        ensure!(self.used()? == delivered as u64, "only what was delivered is paid for");
        self.nothing_arrives(&stopped, returned.at)?;
        Ok(json!({ "took_ms": returned.took.as_millis(), "counts": told["counts"] }))
    }

    /// Sends a stream, and stops it once a part of it has arrived.
    fn amid(
        &mut self,
        messages: usize,
        harm: bool,
    ) -> anyhow::Result<(BTreeSet<String>, BTreeSet<String>, Returned)> {
        let before = self.arrived()?;
        let (mut own, mut other) = (self.place.customer(0), self.place.customer(1));
        let (first, patience) = (self.sent, self.plan.patience);
        self.sent += messages;
        let returned = AtomicBool::new(false);
        let goes_on = &returned;
        thread::scope(|scope| {
            let sending = scope.spawn(move || {
                let (mut accepted, mut others) = (BTreeSet::new(), BTreeSet::new());
                for part in (0..messages).step_by(BATCH) {
                    // The rest of the stream comes after the stop.
                    let deadline = Instant::now() + patience;
                    while part >= messages / 4 * 3 && !goes_on.load(Ordering::Acquire) {
                        ensure!(Instant::now() < deadline, "the stop does not return");
                        thread::sleep(Duration::from_millis(5));
                    }
                    let size = BATCH.min(messages - part);
                    accepted.extend(send((&mut own, OWN), first + part, size, patience)?);
                    others.extend(send((&mut other, OTHER), first + part, size / 10, patience)?);
                }
                anyhow::Ok((accepted, others))
            });
            self.within("a part of the stream arrives", |run| Ok(run.arrived()? >= before + messages / 20))?;
            let stopped = self.stop(harm);
            returned.store(true, Ordering::Release);
            let stopped = stopped?;
            let (accepted, others) =
                sending.join().map_err(|_panic| anyhow::anyhow!("whoever sends panicked"))??;
            ensure!(accepted.len() == messages, "an id was given twice");
            Ok((accepted, others, stopped))
        })
    }

    fn stop(&mut self, harm: bool) -> anyhow::Result<Returned> {
        let order = ["stop", "--customer", "c0", "--reason", "sent by mistake"];
        let begun = Instant::now();
        if harm {
            // Its rule is in force before it is killed: until then the same command again would only begin.
            let in_force = || anyhow::Ok(self.place.verb(&["stop", "list"])?.contains("c0"));
            self.place.kill_once(&order, MIDDLE, in_force)?;
            ensure!(in_force()?, "its rule stays in force");
            self.place.kill_a_worker()?;
        }
        let told = self.told(&order)?;
        let returned = Returned {
            number: told["number"].to_string(),
            at: nanos(),
            took: begun.elapsed(),
            counts: told["counts"].clone(),
        };
        if harm {
            let rules: Value = self.told(&["stop", "list"])?;
            ensure!(rules.as_array().is_some_and(|rules| rules.len() == 1), "it is one rule: {rules}");
            self.place.revive()?;
        }
        Ok(returned)
    }

    /// Every message is either stopped or reported, to the row; which are stopped.
    fn counted(
        &mut self,
        accepted: &BTreeSet<String>,
        returned: &Returned,
    ) -> anyhow::Result<BTreeSet<String>> {
        let stopped_then = count(&returned.counts, "stopped");
        ensure!(stopped_then > 0, "nothing was stopped: {}", returned.counts);
        let deadline = Instant::now() + self.plan.patience;
        let counts = loop {
            self.read_reports()?;
            let told: Value = self.told(&["stop", "show", &returned.number])?;
            let ended = accepted.iter().filter(|id| self.reports.contains_key(*id)).count() as u64;
            if ended + count(&told["counts"], "stands") == accepted.len() as u64 {
                break told["counts"].clone();
            }
            let left = format!("{ended} of {} ended, {}", accepted.len(), told["counts"]);
            ensure!(Instant::now() < deadline, "not everything is accounted for: {left}");
            thread::sleep(Duration::from_millis(300));
        };
        thread::sleep(QUIET);
        self.read_reports()?;
        let stopped: BTreeSet<String> =
            accepted.iter().filter(|id| !self.reports.contains_key(*id)).cloned().collect();
        ensure!(stopped.len() as u64 == count(&counts, "stands"), "{} stopped, but {counts}", stopped.len());
        let came = ["stopped", "arrived", "came_back"].map(|name| count(&counts, name));
        ensure!(came.iter().sum::<u64>() == stopped.len() as u64, "{counts}");
        ensure!(came[1] >= accepted.len() as u64 / 4, "a quarter came later: {counts}");
        ensure!(came[0] == stopped_then, "what waited was counted when the command returned: {counts}");
        self.nothing_arrives(&stopped, returned.at)?;
        let delivered = self.reports.values().filter(|report| report["status"] == "delivered").count();
        let used = self.used()?;
        ensure!(used == (delivered + stopped.len()) as u64, "{used} used: what is stopped stays reserved");
        Ok(stopped)
    }

    /// Nothing of the customer arrived since, and nothing that was stopped ever did.
    fn nothing_arrives(&self, stopped: &BTreeSet<String>, since: u64) -> anyhow::Result<()> {
        for arrival in self.arrivals()? {
            let own = arrival.recipient.starts_with(OWN);
            ensure!(!(own && arrival.at > since), "{} arrived after the stop had returned", arrival.id);
            ensure!(!stopped.contains(&arrival.id), "{} was stopped and arrived", arrival.id);
        }
        Ok(())
    }

    fn all_others_are_delivered(&self, count: usize) -> anyhow::Result<()> {
        let mut other = self.place.customer(1);
        let deadline = Instant::now() + self.plan.patience;
        let mut reports = HashMap::new();
        while reports.len() < count {
            for report in other.take_reports()? {
                reports.insert(report["id"].to_string(), report["status"].clone());
            }
            ensure!(Instant::now() < deadline, "{} of {count} of the other customer", reports.len());
            thread::sleep(Duration::from_millis(50));
        }
        // What a killed worker held cannot be known.
        let failed = reports.values().filter(|status| **status != "delivered").count();
        ensure!(failed <= self.plan.concurrency as usize, "{failed} of the other customer failed");
        Ok(())
    }

    fn told(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let printed = self.place.verb(&[arguments, &["--json"]].concat())?;
        serde_json::from_str(&printed).with_context(|| format!("{arguments:?} said {printed}"))
    }

    fn used(&mut self) -> anyhow::Result<u64> {
        let quotas = self.reader.get("/quota").map_err(|error| anyhow::anyhow!("{error:?}"))?.json();
        quotas["quotas"][0]["used"].as_u64().with_context(|| format!("{quotas}"))
    }

    fn read_reports(&mut self) -> anyhow::Result<()> {
        for report in self.reader.take_reports()? {
            let id = report["id"].as_str().context("a report without an id")?.to_owned();
            self.reports.insert(id, report);
        }
        Ok(())
    }

    fn await_reports(
        &mut self,
        what: &str,
        enough: impl Fn(&HashMap<String, Value>) -> bool,
    ) -> anyhow::Result<()> {
        self.within(what, |run| {
            run.read_reports()?;
            Ok(enough(&run.reports))
        })
    }

    fn within(
        &mut self,
        what: &str,
        mut ask: impl FnMut(&mut Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + self.plan.patience;
        while !ask(self)? {
            ensure!(Instant::now() < deadline, "not in time: {what}");
            thread::sleep(Duration::from_millis(30));
        }
        Ok(())
    }

    fn arrivals(&self) -> anyhow::Result<Vec<Arrival>> {
        journal::read(&self.journals.arrivals())
    }

    /// How many requests came, without reading what they were.
    fn arrived(&self) -> anyhow::Result<usize> {
        match std::fs::read(self.journals.arrivals()) {
            Ok(text) => Ok(text.split(|byte| *byte == b'\n').count().saturating_sub(1)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

/// Sends so many bulk messages, each again until it is accepted; their ids. The first customer's recipients are told from the
/// second's by their numbers.
fn send(
    (customer, place): (&mut Customer, &str),
    first: usize,
    count: usize,
    patience: Duration,
) -> anyhow::Result<Vec<String>> {
    let mut left: Vec<Value> = (first..first + count)
        .map(|number| {
            json!({ "key": format!("k-{number}"), "channel": "sms", "lane": "bulk", "body": "a mistake",
                "recipient": format!("{place}{number:08}"), "reference": format!("r-{number}") })
        })
        .collect();
    let mut ids = Vec::with_capacity(count);
    let deadline = Instant::now() + patience;
    while !left.is_empty() {
        ensure!(Instant::now() < deadline, "{} messages were not accepted", left.len());
        let Ok(reply) = customer.batch(&left) else {
            thread::sleep(Duration::from_millis(200));
            continue;
        };
        let answer = reply.json();
        let Some(results) = answer["results"].as_array() else {
            thread::sleep(Duration::from_millis(200));
            continue;
        };
        let mut refused = Vec::new();
        for (message, result) in left.iter().zip(results) {
            match result["id"].as_str() {
                Some(id) if result["result"] == "accepted" => ids.push(id.to_owned()),
                _ => refused.push(message.clone()),
            }
        }
        if !refused.is_empty() {
            thread::sleep(Duration::from_millis(200));
        }
        left = refused;
    }
    Ok(ids)
}
