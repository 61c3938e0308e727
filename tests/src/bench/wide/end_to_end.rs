//! Messages at a timetable's rate through everything: calls, queue, workers, ledger, receiver.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;

use super::{
    super::stage::{load, tally},
    site::{Parts, Site},
    spent::{Counters, Spent},
};
use crate::{gateway::Helper, load::Summary, receiver::lean::Tally};

/// How long what is still on its way may take to arrive.
const PATIENCE: Duration = Duration::from_secs(300);

/// What came of a load.
pub(super) struct Run {
    /// One summary for each ingress.
    pub(super) loads: Vec<Summary>,
    /// What had arrived when the last call was answered.
    pub(super) arrived: Tally,
    /// CPU from before the first call to then.
    pub(super) spent: Spent,
    /// CPU of the receiver meanwhile, in nanoseconds.
    pub(super) receiver: u64,
}

impl Run {
    pub(super) fn accepted(&self) -> u64 {
        self.loads.iter().map(|load| load.accepted_in_all).sum()
    }

    pub(super) fn accepted_per_second(&self) -> f64 {
        self.loads.iter().map(Summary::accepted_per_second).sum()
    }

    /// Messages that were accepted and had not arrived.
    pub(super) fn behind(&self) -> u64 {
        self.accepted().saturating_sub(self.arrived.received)
    }

    /// Whether so many a second were taken and had at most a second's worth under way at the end.
    #[expect(clippy::cast_precision_loss, reason = "a count of messages is far below 2^52")]
    pub(super) fn holds(&self, rate: f64) -> bool {
        self.behind() as f64 <= rate && self.accepted_per_second() >= 0.98 * rate
    }

    /// CPU seconds of Naru and the engines for 1,000 messages that arrived.
    pub(super) fn cpu_per_1000(&self) -> f64 {
        self.spent.per_1000(self.arrived.received)
    }
}

/// Calls every ingress among `parts`, `rate` messages a second in all, and returns once what was accepted has arrived.
pub(super) fn run(
    site: &Site,
    parts: &Parts,
    receiver: &Helper,
    rate: f64,
    seconds: f64,
    connections: usize,
) -> anyhow::Result<Run> {
    let fronts = &parts.fronts;
    ensure!(!fronts.is_empty(), "nobody accepts");
    let share = (rate / fronts.len() as f64).to_string();
    let (connections, seconds) = ((connections / fronts.len()).to_string(), seconds.to_string());
    let arguments = [
        "--credential",
        &site.deployment.users.live[0],
        "--rate",
        &share,
        "--seconds",
        &seconds,
        "--connections",
        &connections,
    ];
    tally(receiver)?;
    let (before, receiving) = (Counters::read(site, parts), super::super::cpu::nanos_of(receiver.pid()));
    let loads = thread::scope(|scope| {
        let calling: Vec<_> = fronts
            .iter()
            .map(|front| scope.spawn(|| load(&site.programs, &front.to_string(), &arguments)))
            .collect();
        let ended = calling.into_iter().map(|one| one.join());
        let known = ended.map(|load| load.unwrap_or_else(|_| anyhow::bail!("a generator panicked")));
        known.collect::<anyhow::Result<Vec<Summary>>>()
    });
    let arrived = tally(receiver)?;
    let spent = before.until(&Counters::read(site, parts));
    let receiver_spent = super::super::cpu::nanos_of(receiver.pid()).saturating_sub(receiving);
    let run = Run { loads: loads?, arrived, spent, receiver: receiver_spent };
    for load in &run.loads {
        ensure!(load.statuses.keys().all(|status| *status == 202), "answers: {:?}", load.statuses);
    }
    arrive(receiver, run.behind())?;
    Ok(run)
}

/// Waits until so many more have arrived.
pub(super) fn arrive(receiver: &Helper, mut left: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while left > 0 {
        ensure!(Instant::now() < deadline, "{left} messages do not arrive");
        thread::sleep(Duration::from_millis(200));
        left = left.saturating_sub(tally(receiver)?.received);
    }
    Ok(())
}
