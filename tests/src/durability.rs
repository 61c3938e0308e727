//! The durability run: clients call, a receiver misbehaves, the gateway is killed and stopped again and again; in the end
//! everything is read over the API and judged.

mod crowd;
mod in_flight;
pub mod rollout;
mod rounds;
pub mod wide;

use std::{collections::BTreeMap, time::Duration};

use crowd::Crowd;
use naru_shared::domain::OnUncertain;

use crate::{
    checker::{self, Findings, evidence::Evidence},
    faults,
    gateway::{Gateway, Helper, Programs, RouteSpec, Setup},
    witness::{self, Journals},
};

/// What a run does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Every draw of the run follows from it.
    pub seed: u64,
    /// Messages wished for.
    pub messages: usize,
    /// Random SIGKILLs while calls, intakes and attempts are under way.
    pub kills: usize,
    /// SIGSTOPs for longer than a lease.
    pub stops: usize,
    /// How often the process is killed in each window.
    pub windows: usize,
    /// A promise broken on purpose.
    pub sabotage: Option<&'static str>,
    /// How often due messages are looked for, in milliseconds.
    pub sweep_ms: u64,
    /// How long the messages may take to end once all harm is done.
    pub patience: Duration,
}

impl Plan {
    /// A tenth of the full size.
    #[must_use]
    pub const fn small(seed: u64) -> Self {
        let patience = Duration::from_secs(150);
        Self {
            seed,
            messages: 2_400,
            kills: 8,
            stops: 2,
            windows: 1,
            sabotage: None,
            sweep_ms: 500,
            patience,
        }
    }

    /// Nobody but a saboteur does harm, except for so many kills.
    #[must_use]
    pub const fn sabotaged(seed: u64, sabotage: &'static str, kills: usize) -> Self {
        // One in fifty runs has a message that its backend refuses four times: it waits for two minutes. Where messages are lost,
        // nothing ends however long one waits.
        let loses = matches!(sabotage.as_bytes(), b"early-ack");
        let patience = Duration::from_secs(if loses { 40 } else { 200 });
        let sabotage = Some(sabotage);
        Self { seed, messages: 1_200, kills, stops: 0, windows: 0, sabotage, sweep_ms: 20, patience }
    }

    /// The full size.
    #[must_use]
    pub const fn full(seed: u64) -> Self {
        let patience = Duration::from_secs(300);
        Self {
            seed,
            messages: 24_000,
            kills: 60,
            stops: 10,
            windows: 2,
            sabotage: None,
            sweep_ms: 500,
            patience,
        }
    }
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The checker's judgement.
    pub findings: Findings,
    /// What it judged.
    pub evidence: Evidence,
    /// Random SIGKILLs.
    pub kills: usize,
    /// SIGKILLs of a process that was still starting.
    pub kills_while_starting: usize,
    /// SIGSTOPs.
    pub stops: usize,
    /// Deaths at each window.
    pub windows: BTreeMap<&'static str, usize>,
    /// Restarts of each engine.
    pub restarts: BTreeMap<String, usize>,
    /// Harm done to the network before each engine.
    pub faults: BTreeMap<String, usize>,
    /// How long after all harm was done everything had ended.
    pub ended_after: Option<Duration>,
    /// What was under way at each harm.
    pub in_flight: Vec<in_flight::InFlight>,
}

/// The lease of the run's gateway, in milliseconds: longer than an attempt and its grace.
const LEASE_MS: u64 = 3_500;

/// The time-out of one attempt, in milliseconds.
const ATTEMPT_MS: u32 = 1_200;

/// One message in so many has a file attached.
const ATTACHED: usize = 8;

/// So many times the plan's messages there may be: a window that is not passed is tried again, and somebody must pass it then.
const RESERVE: usize = 3;

/// Customers of the run: enough for one to be told, or charged, what is another's.
const CUSTOMERS: usize = 2;

/// Runs a plan and judges it; `say` is told how it goes.
///
/// # Errors
/// If the run itself cannot be done; broken promises are in the findings.
pub fn run(plan: &Plan, say: &mut dyn FnMut(&str)) -> anyhow::Result<Outcome> {
    let programs = Programs::find()?;
    let journals = Journals::begin()?;
    let arrivals = journals.arrivals().display().to_string();
    let seed = plan.seed.to_string();
    let rough = ["journaling-receiver", "--seed", &seed, "--journal", &arrivals];
    let receiver = Helper::start(&programs, &rough)?;
    let mut gateway = Gateway::prepare(&setup(plan.sweep_ms, &receiver))?;
    let mut environment = vec![journals.subscriber()];
    if let Some(sabotage) = plan.sabotage {
        let ledger = gateway.home().join("data/ledger.db");
        environment.push((faults::SABOTAGE, format!("{sabotage}={}", ledger.display())));
    }
    let crowd = Crowd::gather(plan.seed, RESERVE * plan.messages, Some(ATTACHED), &gateway);
    let mut outcome = Outcome::default();
    rounds::all(plan, &mut gateway, &environment, &crowd, &receiver, &mut outcome, say)?;
    say("all harm is done; waiting until everything has ended");
    gateway.start(&environment)?;
    crowd.enough(plan.messages);
    outcome.evidence.wishes = crowd.disperse()?;
    witness::gather(&mut gateway, &journals, plan.patience, &mut outcome.evidence)?;
    outcome.findings = checker::check(&outcome.evidence);
    Ok(outcome)
}

fn setup(sweep_ms: u64, receiver: &Helper) -> Setup {
    let route = |name: &str, on_uncertain| RouteSpec {
        attempt_timeout_ms: ATTEMPT_MS,
        concurrency: 32,
        ..RouteSpec::http(name, receiver.address, on_uncertain)
    };
    Setup {
        customers: CUSTOMERS,
        routes: vec![route("retry", OnUncertain::Retry), route("fail", OnUncertain::Fail)],
        quota: Some(1_000_000_000),
        subscription: Some(witness::SUBSCRIPTION.to_owned()),
        config: format!("[workers]\nlease_ms = {LEASE_MS}\nsweep_ms = {sweep_ms}\n"),
        ..Setup::default()
    }
}

impl Outcome {
    /// The run in lines for people.
    #[must_use]
    pub fn told(&self, seed: u64) -> String {
        let found = &self.findings;
        let mut text = format!(
            "seed {}: {} wished, {} accepted, {} accepted but unanswered\n",
            seed, found.wished, found.accepted, found.accepted_unanswered
        );
        let mut line = |line: String| text.extend([line.as_str(), "\n"]);
        line(format!(
            "kills {} (and {} while starting), stops {}, windows {:?}",
            self.kills, self.kills_while_starting, self.stops, self.windows
        ));
        if let Some(ended) = self.ended_after {
            let (restarts, faults) = (&self.restarts, &self.faults);
            line(format!("restarts {restarts:?}, network {faults:?}, all had ended {ended:.1?} after"));
        }
        line(format!("under way at each harm (median): {}", in_flight::medians(&self.in_flight)));
        line(format!("lost {}, unexpected {}", found.lost, found.unexpected));
        line(format!(
            "arrivals {}, duplicates {} (all in doubt and labelled unless said below), labelled {}",
            found.arrivals, found.duplicates, found.labelled
        ));
        line(format!("finals {:?}, corrected {}", found.finals, found.corrected));
        line(format!(
            "units due {} = used {}; events {} (outside {})",
            found.due, found.used, found.events, found.outside
        ));
        line(format!("broken promises: {}", found.broken.len()));
        found.broken.iter().take(20).for_each(|broken| line(format!("  - {broken}")));
        text
    }
}
