//! The benchmark: everything in one run, each figure beside the bare thing it is to be compared with.

use std::{path::Path, process::Command};

use anyhow::ensure;
use naru_shared::domain::OnUncertain;
use rustix::fs::statfs;

use super::{
    cpu, fsync,
    stage::{self, Measured, counter, gateway, measure, per_1000, tally},
    table::Table,
    table_route,
};
use crate::{
    gateway::{Helper, Programs, RouteSpec},
    load::Summary,
};

/// Rates at which end to end is tried, in messages a second, from the highest down by a tenth each.
const HIGHEST_RATE: f64 = 12_000.0;
const LOWEST_RATE: f64 = 1_000.0;

/// Messages of the stage of a route into a table.
const TABLE_ROWS: usize = 100_000;

/// `f_type` of a file system in memory (`statfs(2)`): a sync there costs nothing and proves nothing.
const TMPFS: i64 = 0x0102_1994;

/// What to measure, and for how long.
#[derive(Debug, Clone)]
pub struct Options {
    /// Seconds of each stage but the long one.
    pub seconds: f64,
    /// Seconds of the end-to-end stages.
    pub long_seconds: f64,
    /// Letters of the stages to run; empty: all.
    pub only: String,
}

struct Suite<'a> {
    programs: Programs,
    options: &'a Options,
    table: Table,
    say: &'a mut dyn FnMut(&str),
}

/// Runs the stages; `say` is told what is being measured.
///
/// # Errors
/// If a stage cannot be done, or the temporary directory is not on a disk.
pub fn run(options: &Options, say: &mut dyn FnMut(&str)) -> anyhow::Result<Table> {
    let home = std::env::temp_dir();
    let mut table = Table::default();
    ground(&mut table, &home)?;
    let mut suite = Suite { programs: Programs::find()?, options, table, say };
    let wanted = |letter| options.only.is_empty() || options.only.contains(letter);
    if wanted('a') || wanted('b') {
        suite.accepts_beside_the_bare_handler()?;
    }
    if wanted('c') {
        suite.batches_beside_raw_sqlite(&home)?;
    }
    if wanted('d') {
        suite.end_to_end_over_http()?;
        suite.end_to_end_simulated()?;
    }
    if wanted('e') {
        suite.calm()?;
    }
    if wanted('l') {
        let Suite { programs, table, say, .. } = &mut suite;
        table_route::run(programs, TABLE_ROWS, options.seconds, table, say)?;
    }
    Ok(suite.table)
}

/// What everything stands on: the machine, and what a sync costs. Refuses a directory in memory.
pub(super) fn ground(table: &mut Table, home: &Path) -> anyhow::Result<()> {
    let kind = statfs(home)?.f_type;
    ensure!(kind != TMPFS, "{} is in memory: set TMPDIR to a directory on a disk", home.display());
    let sync = fsync::percentiles(home, 1_000)?;
    let cores = std::thread::available_parallelism()?;
    table.tell("machine", format!("{cores} cores, everything on it over loopback"));
    let figure = format!("p50 {:.2} ms, p99 {:.2} ms", sync.p50 / 1e3, sync.p99 / 1e3);
    table.tell("fdatasync of 4 KiB", figure);
    Ok(())
}

impl Suite<'_> {
    fn seconds(&self) -> String {
        self.options.seconds.to_string()
    }

    fn accepts_beside_the_bare_handler(&mut self) -> anyhow::Result<()> {
        (self.say)("a: the bare handler");
        let seconds = self.seconds();
        let bare = Helper::start(&self.programs, &["bare"])?;
        let base = stage::load(&self.programs, &bare.address.to_string(), &["--seconds", &seconds])?;
        drop(bare);
        self.table.tell("(a) bare actix-web handler, 64 connections", calls(&base));
        for workers in [false, true] {
            let name = if workers { "workers on (simulator)" } else { "workers off" };
            (self.say)(&format!("b: accepts, {name}"));
            let naru = gateway(RouteSpec::simulator("demo"), workers)?;
            let accepted = measure(&self.programs, &naru, &["--seconds", &seconds])?;
            let what = format!("(b) accept one by one, durable, 64 connections, {name}");
            let ratio = accepted.load.calls_per_second() / base.calls_per_second();
            let slower = accepted.load.latency.p99 / base.latency.p99.max(1.0);
            let figure = format!("{}, {}", calls(&accepted.load), cost(&accepted));
            if workers {
                self.table.tell(&what, format!("{figure}: {ratio:.2} of (a)"));
            } else {
                self.table.judge(
                    &what,
                    format!("{figure}: {ratio:.2} of (a)"),
                    "≥ 0.35 of (a)",
                    ratio >= 0.35,
                );
                let figure = format!("{slower:.1} × that of (a)");
                self.table.judge("(b) its p99", figure, "≤ 5 × that of (a)", slower <= 5.0);
            }
        }
        Ok(())
    }

    fn batches_beside_raw_sqlite(&mut self, home: &Path) -> anyhow::Result<()> {
        (self.say)("c: raw SQLite, then batches of 500");
        let dir = tempfile::tempdir_in(home)?;
        let seconds = self.seconds();
        let path = dir.path().display().to_string();
        let mut raw = Command::new(&self.programs.proof);
        let raw = raw.args(["raw-sqlite", "--dir", &path, "--seconds", &seconds]).output()?;
        let raw: serde_json::Value = serde_json::from_slice(&raw.stdout)?;
        let rows = raw["rows_per_second"].as_f64().unwrap_or(0.0);
        let what = format!("(c) raw SQLite, the same {} bytes, 500 rows a transaction, synced", raw["bytes"]);
        self.table.tell(&what, format!("{rows:.0} rows/s"));
        let naru = gateway(RouteSpec::simulator("demo"), false)?;
        let arguments = ["--batch", "500", "--connections", "8", "--seconds", &seconds];
        let accepted = measure(&self.programs, &naru, &arguments)?;
        let rate = accepted.load.accepted_per_second();
        let ratio = rate / rows;
        let figure = format!(
            "{rate:.0} messages/s, a call p50 {:.1} ms, {}: {ratio:.2} of raw",
            accepted.load.latency.p50 / 1e3,
            cost(&accepted)
        );
        self.table.judge(
            "(c) accept batches of 500, 8 connections, workers off",
            figure,
            "≥ 0.40 of raw",
            ratio >= 0.4,
        );
        Ok(())
    }

    fn end_to_end_over_http(&mut self) -> anyhow::Result<()> {
        let receiver = Helper::start(&self.programs, &["receiver"])?;
        let route =
            || RouteSpec { concurrency: 256, ..RouteSpec::http("demo", receiver.address, OnUncertain::Fail) };
        let mut rate = HIGHEST_RATE;
        while rate >= LOWEST_RATE {
            // A short try first: only a rate that holds for seconds is worth the long run.
            (self.say)(&format!("d: end to end over HTTP at {rate:.0}/s"));
            let naru = gateway(route(), true)?;
            tally(&receiver)?;
            let tried = measure(&self.programs, &naru, &["--rate", &rate.to_string(), "--seconds", "5"])?;
            let behind = tried.load.accepted_in_all.saturating_sub(tally(&receiver)?.received);
            if seconds_of(behind, rate) > 1.0 || tried.load.accepted_per_second() < 0.98 * rate {
                rate *= 0.9;
                continue;
            }
            std::thread::sleep(std::time::Duration::from_secs(2));
            tally(&receiver)?;
            let seconds = self.options.long_seconds.to_string();
            let before = cpu::nanos_of(naru.pid()?);
            let done = measure(&self.programs, &naru, &["--rate", &rate.to_string(), "--seconds", &seconds])?;
            let arrived = tally(&receiver)?;
            let spent = cpu::nanos_of(naru.pid()?).saturating_sub(before);
            let backlog = done.load.accepted_in_all.saturating_sub(arrived.received);
            if seconds_of(backlog, rate) <= 1.0 && done.load.accepted_per_second() >= 0.98 * rate {
                let cpu = per_1000(spent, arrived.received);
                let figure = format!(
                    "{rate:.0} messages/s for {seconds} s, backlog {backlog} at its end, accept p50 {:.2} p99 {:.2} ms, travel p50 {:.2} p99 {:.2} ms, peak {:.0} MB",
                    done.load.latency.p50 / 1e3,
                    done.load.latency.p99 / 1e3,
                    arrived.travel.p50 / 1e3,
                    arrived.travel.p99 / 1e3,
                    done.peak_mb
                );
                self.table.judge(
                    "(d) end to end over HTTP, one by one",
                    figure,
                    "≥ 8,000/s, backlog ≤ 1 s",
                    rate >= 8_000.0,
                );
                let figure = format!("{cpu:.3} CPU s per 1,000");
                self.table.judge("(d) CPU of Naru, end to end", figure, "≤ 0.18", cpu <= 0.18);
                return Ok(());
            }
            rate *= 0.9;
        }
        self.table.judge(
            "(d) end to end over HTTP",
            format!("no rate down to {rate:.0}/s was held"),
            "≥ 8,000/s",
            false,
        );
        Ok(())
    }

    fn end_to_end_simulated(&mut self) -> anyhow::Result<()> {
        (self.say)("d: end to end with the simulator");
        let naru = gateway(RouteSpec::simulator("demo"), true)?;
        let seconds = self.seconds();
        let before = cpu::nanos_of(naru.pid()?);
        measure(&self.programs, &naru, &["--rate", &HIGHEST_RATE.to_string(), "--seconds", &seconds])?;
        let ended = counter(&naru, "naru_attempts_total")?;
        let spent = cpu::nanos_of(naru.pid()?).saturating_sub(before);
        let rate = ended / (self.options.seconds + 2.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count below 2^53")]
        let cpu = per_1000(spent, ended as u64);
        let figure = format!(
            "{rate:.0} messages/s ended of {HIGHEST_RATE:.0} that were offered, {cpu:.3} CPU s per 1,000"
        );
        self.table.tell("(d) end to end with the simulator", figure);
        Ok(())
    }

    fn calm(&mut self) -> anyhow::Result<()> {
        (self.say)("e: calm, 100 messages a second");
        let receiver = Helper::start(&self.programs, &["receiver"])?;
        let naru = gateway(RouteSpec::http("demo", receiver.address, OnUncertain::Fail), true)?;
        let arguments = ["--rate", "100", "--connections", "8", "--seconds", &self.seconds()];
        measure(&self.programs, &naru, &arguments)?;
        let travel = tally(&receiver)?.travel;
        let (p50, p99) = (travel.p50 / 1e3, travel.p99 / 1e3);
        let figure = format!("p50 {p50:.2} ms, p99 {p99:.2} ms");
        let met = p50 <= 3.0 && p99 <= 10.0;
        self.table.judge("(e) calm, 100/s: call sent → arrival", figure, "p50 ≤ 3 ms, p99 ≤ 10 ms", met);
        Ok(())
    }
}

fn calls(summary: &Summary) -> String {
    format!(
        "{:.0}/s, p50 {:.2} ms, p99 {:.2} ms",
        summary.calls_per_second(),
        summary.latency.p50 / 1e3,
        summary.latency.p99 / 1e3
    )
}

fn cost(measured: &Measured) -> String {
    format!("{:.4} CPU s per 1,000, peak {:.0} MB", measured.cpu_per_1000, measured.peak_mb)
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people to read")]
fn seconds_of(messages: u64, rate: f64) -> f64 {
    messages as f64 / rate.max(1.0)
}
