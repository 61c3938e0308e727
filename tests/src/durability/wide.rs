//! The durability run over engines that processes share: two fronts and two workers behind a balancer; processes are killed and
//! stopped, engines are restarted, and the network before them fails, while clients call.

mod acts;
mod harm;
mod stage;

use std::time::{Duration, Instant};

use stage::Stage;

use super::{ATTACHED, Outcome, RESERVE, crowd::Crowd, setup};
use crate::{
    checker,
    deployment::{Carrier, Carries, Deployment, Shape},
    engines::Flavour,
    faults,
    gateway::{Helper, Programs},
    outside::Outside,
    witness::{self, Journals},
};

/// What a run does.
#[derive(Debug, Clone)]
pub struct WidePlan {
    /// Every draw of the run follows from it.
    pub seed: u64,
    /// Messages wished for.
    pub messages: usize,
    /// SIGKILLs at random moments, of each process in turn; more come with the windows and while engines are away.
    pub kills: usize,
    /// SIGSTOPs for longer than a lease, of fronts and of workers each.
    pub stops: usize,
    /// How often a process is killed in each window.
    pub windows: usize,
    /// Restarts of each engine.
    pub restarts: usize,
    /// Failures of the network of each manner, before one engine after the other.
    pub faults: usize,
    /// Whether only workers are killed.
    pub workers_only: bool,
    /// What carries packs and events.
    pub carries: Carries,
    /// Times in which calls to the services of AWS fail, in each manner; of RabbitMQ there is nothing like it.
    pub refusals: usize,
    /// A promise broken on purpose, by the workers.
    pub sabotage: Option<&'static str>,
    /// How long everything may take to end once all harm is done.
    pub patience: Duration,
}

/// A message lives for 90 s; then comes the lease of whoever died with it in hand, and the machine.
const PATIENCE: Duration = Duration::from_secs(150);

/// How long an outcome may take to be committed where four processes, three engines, clients and receiver share a few cores.
const COMMIT_MS: u64 = 1_500;

impl WidePlan {
    /// A tenth of the full size.
    #[must_use]
    pub const fn small(seed: u64) -> Self {
        Self {
            seed,
            messages: 2_400,
            kills: 4,
            stops: 1,
            windows: 1,
            restarts: 1,
            faults: 1,
            workers_only: false,
            carries: Carries::RabbitMq,
            refusals: 0,
            sabotage: None,
            patience: PATIENCE,
        }
    }

    /// The full size.
    #[must_use]
    pub const fn full(seed: u64) -> Self {
        Self {
            messages: 24_000,
            kills: 48,
            stops: 4,
            windows: 2,
            restarts: 8,
            faults: 6,
            ..Self::small(seed)
        }
    }

    /// The same over the services of AWS.
    #[must_use]
    pub const fn on_aws(self) -> Self {
        let carries = Carries::Aws { flavour: Flavour::FauxqsOnDisk, counted: true };
        Self { carries, refusals: self.faults, ..self }
    }

    /// Nobody but a saboteur does harm, except for so many kills of workers.
    #[must_use]
    pub const fn sabotaged(seed: u64, sabotage: &'static str, kills: usize) -> Self {
        // Who kills loses messages, for which one would wait in vain.
        let patience = Duration::from_secs(if kills > 0 { 20 } else { 90 });
        let (workers_only, sabotage) = (true, Some(sabotage));
        let calm = Self { stops: 0, windows: 0, restarts: 0, faults: 0, ..Self::small(seed) };
        Self { messages: 600, kills, workers_only, sabotage, patience, ..calm }
    }
}

/// Runs a plan and judges it; `say` is told how it goes.
///
/// # Errors
/// If the run itself cannot be done; broken promises are in the findings.
pub fn run(plan: &WidePlan, say: &mut dyn FnMut(&str)) -> anyhow::Result<Outcome> {
    let programs = Programs::find()?;
    let journals = Journals::begin()?;
    let (arrivals, seed) = (journals.arrivals().display().to_string(), plan.seed.to_string());
    let rough = ["journaling-receiver", "--seed", &seed, "--journal", &arrivals];
    let receiver = Helper::start(&programs, &rough)?;
    let setup = setup(500, &receiver);
    let mut site =
        Deployment::prepare(&Shape { setup, carries: plan.carries, proxied: true, ..Shape::default() })?;
    let outside = match &site.carrier {
        Carrier::Aws(cloud) => Some(Outside::begin(&cloud.emulator, &journals.outside())?),
        Carrier::RabbitMq(_) => None,
    };
    let mut environment = vec![journals.subscriber()];
    if let Some(sabotage) = plan.sabotage {
        environment.push((faults::SABOTAGE, format!("{sabotage}={}", site.database())));
    }
    site.start(&environment)?;
    // Only these engines keep files that processes share.
    let attached = matches!(site.carrier, Carrier::Aws(_)).then_some(ATTACHED);
    let crowd = Crowd::gather(plan.seed, RESERVE * plan.messages, attached, &site);
    let mut outcome = Outcome::default();
    outcome.evidence.commit_ms = COMMIT_MS;
    outcome.evidence.outside = outside.as_ref().map(|_| Vec::new());
    let mut stage = Stage::new(plan, &mut site, &environment, &crowd, &receiver, &mut outcome);
    stage.play(plan, say)?;
    stage.make_well()?;
    let well = Instant::now();
    say("all harm is done; waiting until everything has ended");
    crowd.enough(plan.messages);
    outcome.evidence.wishes = crowd.disperse()?;
    let gathered =
        witness::gather_at(&mut site, &journals, plan.patience, &mut outcome.evidence, &mut || {
            outcome.ended_after = Some(well.elapsed());
        });
    outcome.findings = checker::check(&outcome.evidence);
    if plan.sabotage.is_none() && (gathered.is_err() || !outcome.findings.broken.is_empty()) {
        let kept = std::env::temp_dir().join(format!("naru-logs-{}", plan.seed));
        site.keep_logs(&kept)?;
        say(&format!("not as promised; the processes' logs are in {}", kept.display()));
    }
    gathered?;
    Ok(outcome)
}
