//! A roll-out, as docs/rollout.md tells an operator to do it, and with its mistakes: two fronts and two workers behind a
//! balancer are replaced one by one, while clients call, by a release with one more version of envelopes and one more
//! migration.

mod steps;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use steps::Steps;

use super::{LEASE_MS, crowd::Crowd, setup};
use crate::{
    checker::{
        self, Findings,
        evidence::{Evidence, Said},
    },
    deployment::{Deployment, Shape},
    gateway::{Helper, Programs},
    witness::{self, Journals},
};

/// What a run does.
#[derive(Debug, Clone, Copy)]
pub struct RolloutPlan {
    /// Every draw of the run follows from it.
    pub seed: u64,
    /// Calls in a second.
    pub rate: usize,
    /// How often all of it is done.
    pub times: usize,
    /// How long the messages may take to end afterwards.
    pub patience: Duration,
}

impl RolloutPlan {
    /// Once, under a small load.
    #[must_use]
    pub const fn small(seed: u64) -> Self {
        Self { seed, rate: 60, times: 1, patience: Duration::from_secs(150) }
    }

    /// Again and again, under a larger one.
    #[must_use]
    pub const fn full(seed: u64) -> Self {
        Self { rate: 250, times: 4, ..Self::small(seed) }
    }
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Rolled {
    /// The checker's judgement.
    pub findings: Findings,
    /// What it judged.
    pub evidence: Evidence,
    /// Processes that were ended and begun again.
    pub replaced: usize,
    /// Deliveries of packs that an older worker left for a newer one.
    pub left_for_newer: u64,
    /// Log lines that told an operator of it.
    pub told_of_newer: usize,
    /// Answers that were no `202`, with how many there were.
    pub others: BTreeMap<String, usize>,
}

/// More than can be called for in any run.
const WISHES: usize = 200_000;

/// Runs a plan and judges it; `say` is told how it goes.
///
/// # Errors
/// If the run itself cannot be done, or a process does not do what the procedure says; broken promises are in the findings.
pub fn run(plan: RolloutPlan, say: &mut dyn FnMut(&str)) -> anyhow::Result<Rolled> {
    let programs = Programs::find()?;
    let journals = Journals::begin()?;
    let (arrivals, seed) = (journals.arrivals().display().to_string(), plan.seed.to_string());
    let rough = ["journaling-receiver", "--seed", &seed, "--journal", &arrivals];
    let receiver = Helper::start(&programs, &rough)?;
    let mut setup = setup(500, &receiver);
    // A balancer that asks four times a second and believes the second refusal knows within a second of a front that ends.
    setup.config = format!("{}[ingress]\ndrain_notice_ms = 2000\n", setup.config);
    let mut site = Deployment::prepare(&Shape { setup, ..Shape::default() })?;
    let environment = vec![journals.subscriber()];
    site.start(&environment)?;
    let crowd = Crowd::gather(plan.seed, WISHES, None, &site);
    let mut rolled = Rolled::default();
    let ends = AtomicBool::new(false);
    let done = thread::scope(|scope| {
        scope.spawn(|| pace(&crowd, plan.rate, &ends));
        let mut steps =
            Steps { site: &mut site, environment: &environment, crowd: &crowd, rolled: &mut rolled };
        let done = (0..plan.times).try_for_each(|_| steps.all(say));
        ends.store(true, Ordering::SeqCst);
        done
    });
    crowd.enough(0);
    done.inspect_err(|_| say(&site.log_tails()))?;
    say("the roll-out is done; waiting until everything has ended");
    rolled.evidence.wishes = crowd.disperse()?;
    witness::gather(&mut site, &journals, plan.patience, &mut rolled.evidence)?;
    rolled.findings = checker::check(&rolled.evidence);
    rolled.others = others(&rolled.evidence);
    Ok(rolled)
}

/// Lets clients call so often, whatever happens to those before.
fn pace(crowd: &Crowd, rate: usize, ends: &AtomicBool) {
    let tick = Duration::from_millis(20);
    let mut owed = 0.0;
    while !ends.load(Ordering::SeqCst) {
        owed += rate as f64 * tick.as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few calls at a time")]
        let now = owed as usize;
        crowd.release(now);
        owed -= now as f64;
        thread::sleep(tick);
    }
}

fn others(evidence: &Evidence) -> BTreeMap<String, usize> {
    let mut others = BTreeMap::new();
    for said in evidence.wishes.iter().flat_map(|wish| &wish.said) {
        if !matches!(said, Said::Accepted { .. }) {
            *others.entry(format!("{said:?}")).or_default() += 1;
        }
    }
    others
}

impl Rolled {
    /// The run in lines for people.
    #[must_use]
    pub fn told(&self, plan: RolloutPlan) -> String {
        let found = &self.findings;
        let mut text = format!(
            "seed {}: {} processes replaced under {} calls a second; {} calls, {} answered 202, others {:?}\n\
             packs left for newer workers {} times, told in {} lines\n\
             lost {}, unexpected {}; arrivals {}, duplicates {}; finals {:?}\n\
             units due {} = used {}; events {}; broken promises: {}\n",
            plan.seed,
            self.replaced,
            plan.rate,
            found.wished,
            found.accepted,
            self.others,
            self.left_for_newer,
            self.told_of_newer,
            found.lost,
            found.unexpected,
            found.arrivals,
            found.duplicates,
            found.finals,
            found.due,
            found.used,
            found.events,
            found.broken.len(),
        );
        found.broken.iter().take(20).for_each(|broken| text.extend(["  - ", broken, "\n"]));
        text
    }
}

const _: () = assert!(LEASE_MS < 10_000, "a worker that ended badly would be seen within the run");
