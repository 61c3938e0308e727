//! Whether the time of a refusal tells why: unknown ids, wrong secrets and revoked credentials, for each way in, on one gateway.
//!
//! A measurement that finds nothing proves something only if it would have found it. So the same is done once more on a gateway that
//! is slower by a little where the id is known, and there it must be told; and ids that nobody has are there twice, which must not be.

mod awake;
mod compare;
mod kinds;
mod samples;

use std::{collections::BTreeMap, time::Duration};

use awake::Awake;
pub use compare::{Comparison, TESTS, compare};
pub use kinds::Way;
use kinds::{IDS, Kind, kinds};
use samples::{BLOCK, Samples};
use serde::Serialize;

use crate::{
    faults::SABOTAGE,
    gateway::{GUESS_WAIT, Gateway, Setup},
};

/// How likely it is that anything is told apart in a whole run though nothing differs.
const LEVEL: f64 = 0.001;

/// What is not asked: by a few tens of nanoseconds eight ids differ from eight others of the same kind, because of where they lie in memory.
const MARGIN: Duration = Duration::from_nanos(100);

/// The same where nothing is optimised: a branch that costs nothing otherwise costs some hundreds there.
const UNOPTIMISED: Duration = Duration::from_micros(2);

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Every draw follows from it; what the machine does meanwhile does not.
    pub seed: u64,
    /// The ways, each with the blocks of 64 calls of each kind.
    pub ways: Vec<(Way, usize)>,
    /// What two kinds may differ by.
    pub margin: Duration,
    /// By how much the second gateway is slower where the id is known, and the blocks.
    pub planted: (Duration, usize),
}

impl Plan {
    /// 100,000 of each kind of Basic, and a fifth of that for the other ways.
    #[must_use]
    pub fn full(seed: u64) -> Self {
        let blocks = |calls: usize| calls.div_ceil(BLOCK);
        let of = |way: Way| (way, blocks(if way == Way::Basic { 100_000 } else { 20_000 }));
        Self {
            seed,
            ways: Way::ALL.into_iter().map(of).collect(),
            margin: MARGIN,
            planted: (Duration::from_nanos(500), blocks(100_000)),
        }
    }

    /// A few seconds, on programs that need not be optimised.
    #[must_use]
    pub fn small(seed: u64) -> Self {
        Self {
            seed,
            ways: vec![(Way::Basic, 24)],
            margin: UNOPTIMISED,
            planted: (Duration::from_micros(25), 8),
        }
    }
}

/// Two kinds beside each other.
#[derive(Debug, Clone, Serialize)]
pub struct Pair {
    /// Which.
    pub kinds: (&'static str, &'static str),
    /// What the tests say.
    #[serde(flatten)]
    pub compared: Comparison,
    /// Whether one knows from the time which it was.
    pub told_apart: bool,
}

/// What was seen of one way.
#[derive(Debug, Clone, Serialize)]
pub struct Seen {
    /// Which.
    pub way: Way,
    /// Calls of each kind.
    pub calls: usize,
    /// Half of a kind's calls took no longer, in microseconds.
    pub median_us: BTreeMap<&'static str, f64>,
    /// Each kind beside each other.
    pub pairs: Vec<Pair>,
    /// Answers that differ otherwise than by their date and id; one is as it should be.
    pub answers: usize,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Told {
    /// Every draw follows from it.
    pub seed: u64,
    /// What each single test may err with, for the whole run to err with a thousandth.
    pub level: f64,
    /// What two kinds may differ by, in nanoseconds.
    pub margin_ns: f64,
    /// Every way.
    pub ways: Vec<Seen>,
    /// The gateway that tells.
    pub planted: Seen,
    /// By how much it is slower where the id is known, in microseconds.
    pub planted_us: f64,
}

impl Told {
    /// What is not as it should be; empty if all is.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for seen in &self.ways {
            if seen.answers != 1 {
                broken.push(format!("{:?}: {} different answers", seen.way, seen.answers));
            }
            for pair in seen.pairs.iter().filter(|pair| pair.told_apart) {
                let Comparison { p, difference_ns, .. } = pair.compared;
                broken.push(format!(
                    "{:?}: {:?} differ by {difference_ns:.0} ns, p {p:.1e}",
                    seen.way, pair.kinds
                ));
            }
        }
        let unknown = |name: &str| name.starts_with("unknown");
        for pair in &self.planted.pairs {
            let across = unknown(pair.kinds.0) != unknown(pair.kinds.1);
            if across && !pair.told_apart {
                broken.push(format!(
                    "{} µs were planted between {:?} and not found",
                    self.planted_us, pair.kinds
                ));
            }
            if unknown(pair.kinds.0) && unknown(pair.kinds.1) && pair.told_apart {
                broken.push(format!("{:?} were told apart though nothing was planted there", pair.kinds));
            }
        }
        broken
    }
}

/// Measures. `say` is told how far it is.
///
/// # Errors
/// If the gateway does not run, or a call is not answered.
pub fn run(plan: &Plan, say: &mut dyn FnMut(&str) -> anyhow::Result<()>) -> anyhow::Result<Told> {
    let mut rng = fastrand::Rng::with_seed(plan.seed);
    let mut measured = Vec::new();
    let _awake = Awake::keep()?;
    let gateway = gateway(None)?;
    for (way, blocks) in &plan.ways {
        say(&format!("{way:?}: {} calls of each kind", blocks * BLOCK))?;
        measured.push((*way, measure(&gateway, *way, *blocks, &mut rng)?));
    }
    drop(gateway);
    let (later, blocks) = plan.planted;
    say(&format!("Basic, with {later:?} planted where the id is known: {} of each", blocks * BLOCK))?;
    let telling = self::gateway(Some(later))?;
    let planted = measure(&telling, Way::Basic, blocks, &mut rng)?;
    drop(telling);
    let pairs = |kinds: usize| kinds * (kinds - 1) / 2;
    let all = measured.iter().map(|(_, measured)| measured).chain([&planted]);
    let tests: usize = all.map(|(names, _)| TESTS * pairs(names.len())).sum();
    let (level, margin_ns) = (LEVEL / tests as f64, plan.margin.as_nanos() as f64);
    Ok(Told {
        seed: plan.seed,
        level,
        margin_ns,
        ways: measured.into_iter().map(|(way, measured)| judge(way, &measured, level, margin_ns)).collect(),
        planted: judge(Way::Basic, &planted, level, margin_ns),
        planted_us: later.as_secs_f64() * 1e6,
    })
}

type Measured = (Vec<&'static str>, Samples);

/// A gateway whose customers stand in the setup, so that most credentials need no command.
fn gateway(later: Option<Duration>) -> anyhow::Result<Gateway> {
    let setup = Setup {
        customers: 10 + 3 * IDS,
        config: "[log]\nfilter = \"warn\"\n".to_owned(),
        arguments: vec!["--workers".to_owned(), "0".to_owned()],
        ..Setup::default()
    };
    let mut gateway = Gateway::prepare(&setup)?;
    // What waits tells nothing: what is measured is that which does not.
    let mut environment = vec![(GUESS_WAIT, "0".to_owned())];
    environment.extend(later.map(|later| (SABOTAGE, format!("telling-door={}", later.as_nanos()))));
    gateway.start(&environment)?;
    Ok(gateway)
}

fn measure(gateway: &Gateway, way: Way, blocks: usize, rng: &mut fastrand::Rng) -> anyhow::Result<Measured> {
    let mut kinds = kinds(gateway, way)?;
    let samples = samples::collect(gateway.listen(), &mut kinds, blocks, rng)?;
    Ok((kinds.iter().map(|kind: &Kind| kind.name).collect(), samples))
}

fn judge(way: Way, (names, samples): &Measured, level: f64, margin_ns: f64) -> Seen {
    let aligned = samples.aligned();
    let mut pairs = Vec::new();
    for (second, name) in names.iter().enumerate() {
        for first in 0..second {
            let compared = compare(&aligned[first], &aligned[second], level, margin_ns);
            pairs.push(Pair { kinds: (names[first], *name), compared, told_apart: compared.p < level });
        }
    }
    let answers: std::collections::BTreeSet<&[u8]> =
        samples.answers.iter().map(|(_, answer)| &**answer).collect();
    Seen {
        way,
        calls: samples.times.first().map_or(0, Vec::len),
        median_us: names
            .iter()
            .zip(&samples.times)
            .map(|(name, times)| (*name, median(times) / 1e3))
            .collect(),
        pairs,
        answers: answers.len(),
    }
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
