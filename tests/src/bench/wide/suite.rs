//! The stages, in one run on the same servers.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use naru_shared::domain::OnUncertain;

use super::{
    super::{suite::ground, table::Table},
    end_to_end::{self, Run},
    finished,
    site::{Parts, Site},
};
use crate::{
    deployment::Carries,
    gateway::{Helper, Programs, RouteSpec, Setup},
};

/// The lowest rate at which end to end is tried; from the highest down each is a tenth lower.
const LOWEST_RATE: f64 = 1_000.0;

/// The rate at which one process is compared with two: well below what is held.
const EASY_RATE: f64 = 2_000.0;

/// How long moving to the archive may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// What to measure, and for how long.
#[derive(Debug, Clone)]
pub struct Options {
    /// Seconds of each stage but the long one.
    pub seconds: f64,
    /// Seconds of the end-to-end stage.
    pub long_seconds: f64,
    /// Letters of the stages to run; empty: all.
    pub only: String,
    /// Finished messages in the ledger when it is measured again.
    pub finished: u64,
    /// The highest rate that is tried end to end.
    pub rate: f64,
}

pub(super) struct Suite<'a> {
    pub(super) site: Site,
    pub(super) receiver: Helper,
    pub(super) options: &'a Options,
    pub(super) table: Table,
    pub(super) say: &'a mut dyn FnMut(&str),
}

/// What is measured with an empty ledger and again with a full one.
#[derive(Default)]
struct Figures {
    intake: Option<f64>,
    rate: Option<f64>,
    cpu: Option<f64>,
    calm: Option<(f64, f64)>,
}

/// Seconds in which what ended is moved at least once: it is looked for each minute.
const ARCHIVED: f64 = 75.0;

/// Runs the stages; `say` is told what is being measured.
///
/// # Errors
/// If a stage cannot be done, or the temporary directory is not on a disk.
pub fn run(options: &Options, say: &mut dyn FnMut(&str)) -> anyhow::Result<Table> {
    let mut table = Table::default();
    ground(&mut table, &std::env::temp_dir())?;
    let programs = Programs::find()?;
    let receiver = Helper::start(&programs, &["receiver"])?;
    say("the engines start");
    let site = Site::prepare(setup(&receiver), Carries::RabbitMq)?;
    let mut suite = Suite { site, receiver, options, table, say };
    let wanted = |letter| options.only.is_empty() || options.only.contains(letter);
    if wanted('f') {
        suite.accepts_beside_raw_rabbitmq()?;
    }
    let figures = suite.figures(&wanted, "")?;
    if wanted('j') {
        suite.one_beside_two()?;
    }
    if wanted('k') && options.finished > 0 {
        suite.with_finished(&wanted, &figures)?;
    }
    Ok(suite.table)
}

/// One customer's messages to the receiver, as many at once as it takes.
pub(super) fn setup(receiver: &Helper) -> Setup {
    Setup {
        routes: vec![RouteSpec {
            concurrency: 256,
            ..RouteSpec::http("demo", receiver.address, OnUncertain::Fail)
        }],
        config:
            "[log]\nfilter = \"warn\"\n[ingress]\nroute_backlog = 100000000\ncustomer_backlog = 100000000\n"
                .to_owned(),
        ..Setup::default()
    }
}

impl Suite<'_> {
    fn figures(&mut self, wanted: &dyn Fn(char) -> bool, beside: &str) -> anyhow::Result<Figures> {
        let mut figures = Figures::default();
        if wanted('g') {
            figures.intake = Some(self.intake_beside_raw_inserts(beside)?);
            self.backlog(beside)?;
        }
        if wanted('h') {
            (figures.rate, figures.cpu) = self.end_to_end(beside)?.unzip();
        }
        if wanted('i') {
            figures.calm = Some(self.calm(beside)?);
        }
        Ok(figures)
    }

    pub(super) fn push(&self, parts: &Parts, rate: f64, seconds: f64) -> anyhow::Result<Run> {
        end_to_end::run(&self.site, parts, &self.receiver, rate, seconds, 64)
    }

    /// The highest rate that is held, and CPU seconds for 1,000 messages at it.
    fn end_to_end(&mut self, beside: &str) -> anyhow::Result<Option<(f64, f64)>> {
        let Some((run, rate)) = self.highest(beside)? else {
            let figure = format!("no rate down to {LOWEST_RATE:.0}/s was held");
            self.table.judge(&format!("(h) end to end over HTTP{beside}"), figure, "≥ 4,000/s", false);
            return Ok(None);
        };
        let cpu = self.tell_held(&run, rate, beside);
        self.archiving(rate * 0.8, beside)?;
        Ok(Some((rate, cpu)))
    }

    /// The highest rate that is held for long, and what came of it.
    pub(super) fn highest(&mut self, beside: &str) -> anyhow::Result<Option<(Run, f64)>> {
        let parts = self.site.run(1, 1)?;
        let mut rate = self.options.rate;
        while rate >= LOWEST_RATE {
            // A short try first: only a rate that holds for seconds is worth the long run.
            (self.say)(&format!("h: end to end over HTTP at {rate:.0}/s{beside}"));
            if self.push(&parts, rate, 5.0)?.holds(rate) {
                let run = self.push(&parts, rate, self.options.long_seconds)?;
                if run.holds(rate) {
                    return Ok(Some((run, rate)));
                }
            }
            rate *= 0.9;
        }
        Ok(None)
    }

    /// The move to the archive, minutes after the end of a message, falls into no run of a minute: here it comes at once.
    fn archiving(&mut self, rate: f64, beside: &str) -> anyhow::Result<()> {
        (self.say)(&format!("h: the archive at work at {rate:.0}/s{beside}"));
        let at_once = [("NARU_LEDGER__ARCHIVE_AFTER_MS", "1000".to_owned())];
        let parts = self.site.run_set(1, 1, &at_once)?;
        let count = "SELECT count(*) FROM naru.archive WHERE row > 0";
        let moved = |site: &Site| Ok::<u64, anyhow::Error>(site.deployment.psql(count)?.parse()?);
        // What ended in the runs before is moved first.
        let mut before = moved(&self.site)?;
        let deadline = Instant::now() + PATIENCE;
        while self.site.deployment.psql("SELECT count(*) FROM naru.message")? != "0" {
            ensure!(Instant::now() < deadline, "what has ended is not moved");
            thread::sleep(Duration::from_secs(1));
            before = moved(&self.site)?;
        }
        let run = self.push(&parts, rate, self.options.long_seconds.max(ARCHIVED))?;
        let count = moved(&self.site)?.saturating_sub(before);
        let cpu = run.cpu_per_1000();
        let figure = format!(
            "{cpu:.3} CPU s per 1,000 at {rate:.0}/s: {}; {count} were moved",
            run.spent.list(run.arrived.received)
        );
        let what = format!("(h) the same while what ended moves to the archive{beside}");
        self.table.judge(&what, figure, "some are moved", count > 0);
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people to read")]
    fn tell_held(&mut self, run: &Run, rate: f64, beside: &str) -> f64 {
        let accept = run.loads[0].latency;
        let figure = format!(
            "{rate:.0} messages/s for {} s, backlog {} at its end, accept p50 {:.2} p99 {:.2} ms, travel p50 {:.2} p99 {:.2} ms",
            self.options.long_seconds,
            run.behind(),
            accept.p50 / 1e3,
            accept.p99 / 1e3,
            run.arrived.travel.p50 / 1e3,
            run.arrived.travel.p99 / 1e3,
        );
        let goal = "≥ 4,000/s (9,000), backlog ≤ 1 s";
        self.table.judge(
            &format!("(h) end to end over HTTP, one by one{beside}"),
            figure,
            goal,
            rate >= 4_000.0,
        );
        let cpu = run.cpu_per_1000();
        let figure = format!(
            "{cpu:.3} CPU s per 1,000: {} (besides: the generator {:.3}, the receiver {:.3})",
            run.spent.list(run.arrived.received),
            run.loads[0].cpu_us_per_call / 1e3,
            run.receiver as f64 / 1e6 / run.arrived.received.max(1) as f64,
        );
        let what = format!("(h) CPU of Naru and the engines{beside}");
        self.table.judge(&what, figure, "≤ 0.35 (0.20)", cpu <= 0.35);
        cpu
    }

    fn calm(&mut self, beside: &str) -> anyhow::Result<(f64, f64)> {
        (self.say)(&format!("i: calm, 100 messages a second{beside}"));
        let parts = self.site.run(1, 1)?;
        let run = end_to_end::run(&self.site, &parts, &self.receiver, 100.0, self.options.seconds, 8)?;
        let (p50, p99) = (run.arrived.travel.p50 / 1e3, run.arrived.travel.p99 / 1e3);
        let figure = format!("p50 {p50:.2} ms, p99 {p99:.2} ms");
        let what = format!("(i) calm, 100/s: call sent → arrival{beside}");
        self.table.judge(&what, figure, "p50 ≤ 5 ms, p99 ≤ 20 ms", p50 <= 5.0 && p99 <= 20.0);
        Ok((p50, p99))
    }

    fn one_beside_two(&mut self) -> anyhow::Result<()> {
        let mut alone = 0.0;
        for (ingress, workers) in [(1, 1), (1, 2), (2, 1)] {
            (self.say)(&format!("j: {ingress} ingress and {workers} workers at {EASY_RATE:.0}/s"));
            let parts = self.site.run(ingress, workers)?;
            let run = self.push(&parts, EASY_RATE, self.options.seconds)?;
            let cpu = run.cpu_per_1000();
            let figure = format!("{cpu:.3} CPU s per 1,000: {}", run.spent.list(run.arrived.received));
            let what = format!("(j) {ingress} ingress, {workers} workers, {EASY_RATE:.0}/s");
            if ingress + workers == 2 {
                alone = cpu;
                self.table.tell(&what, figure);
            } else {
                let figure = format!("{figure}; {:.2} of one and one", cpu / alone);
                let held = run.holds(EASY_RATE) && cpu <= 1.5 * alone;
                self.table.judge(&what, figure, "held, ≤ 1.5 of one and one", held);
            }
        }
        Ok(())
    }

    fn with_finished(&mut self, wanted: &dyn Fn(char) -> bool, before: &Figures) -> anyhow::Result<()> {
        let count = self.options.finished;
        (self.say)(&format!("k: {count} finished messages are made"));
        // The workers make this month's partition.
        self.site.run(0, 1)?;
        self.site.run(0, 0)?;
        let took = finished::fill(&self.site, count, self.say)?;
        let size =
            self.site.deployment.psql("SELECT pg_size_pretty(pg_database_size(current_database()))")?;
        let what = format!("(k) {count} finished messages in the ledger");
        self.table.tell(&what, format!("{size}, made in {:.0} s", took.as_secs_f64()));
        let beside = format!(", {} finished", short(count));
        let after = self.figures(wanted, &beside)?;
        let mut compare = |what: &str, before: Option<f64>, after: Option<f64>, more_is_better: bool| {
            let (Some(before), Some(after)) = (before, after) else {
                let figure = format!("not measured: {before:?} without, {after:?} with");
                self.table.judge(&format!("(k) {what} with and without them"), figure, "measured", false);
                return;
            };
            let ratio = after / before;
            let met = if more_is_better { ratio >= 0.8 } else { ratio <= 1.2 };
            let goal = if more_is_better { "≥ 0.8" } else { "≤ 1.2" };
            self.table.judge(&format!("(k) {what} with and without them"), format!("{ratio:.2}"), goal, met);
        };
        if wanted('g') {
            compare("messages/s of intake", before.intake, after.intake, true);
        }
        if wanted('h') {
            compare("the rate held end to end", before.rate, after.rate, true);
            compare("CPU end to end", before.cpu, after.cpu, false);
        }
        if wanted('i') {
            compare("p50 when calm", before.calm.map(|c| c.0), after.calm.map(|c| c.0), false);
        }
        Ok(())
    }
}

fn short(count: u64) -> String {
    if count.is_multiple_of(1_000_000) { format!("{} M", count / 1_000_000) } else { count.to_string() }
}
