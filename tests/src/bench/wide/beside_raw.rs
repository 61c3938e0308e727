//! Accepts and intake, each beside the raw engine that it stands on.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use super::{
    super::stage::{counter_at, load, tally},
    end_to_end,
    site::Parts,
    spent::{Counters, Spent},
    suite::Suite,
};
use crate::load::Call;

/// Messages of a backlog, and how long it may take.
const BACKLOG: u64 = 60_000;
const PATIENCE: Duration = Duration::from_secs(300);

/// Connections on which rows are inserted, raw and by the ledger.
const CONNECTIONS: &str = "4";

/// Rounds in which raw and product take turns, so that a noisy minute harms both.
const ROUNDS: u32 = 3;

impl Suite<'_> {
    /// What one of the measuring processes prints.
    fn measured(&self, name: &str, arguments: &[&str]) -> anyhow::Result<f64> {
        let printed = self.printed(name, arguments)?;
        printed["per_second"].as_f64().with_context(|| format!("{name} printed {printed}"))
    }

    pub(super) fn printed(&self, name: &str, arguments: &[&str]) -> anyhow::Result<serde_json::Value> {
        let mut command = Command::new(&self.site.programs.proof);
        // Emulators of AWS ask for some credentials, whatever they are.
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        let output = command.arg(name).args(arguments).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{name}: {errors}");
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Seconds of one round.
    fn round(&self) -> String {
        (self.options.seconds / f64::from(ROUNDS)).to_string()
    }

    pub(super) fn accepts_beside_raw_rabbitmq(&mut self) -> anyhow::Result<()> {
        let (mut raw, mut accepted, mut single) = (0.0, 0.0, 0.0);
        let (url, seconds) = (self.site.deployment.carrier.rabbit()?.url(), self.round());
        let ingress = self.site.run(1, 0)?;
        let target = ingress.fronts[0].to_string();
        let (mut of_batches, mut messages) = (None, 0);
        let base =
            ["--credential", &self.site.deployment.users.live[0], "--seconds", &seconds, "--warm-up", "1"];
        for round in 1..=ROUNDS {
            (self.say)(&format!("f: raw RabbitMQ, then accepts, round {round} of {ROUNDS}"));
            raw += self.measured("raw-rabbitmq", &["--url", &url, "--seconds", &seconds])?;
            let from = Counters::read(&self.site, &ingress);
            let batches = [&base[..], &["--batch", "500", "--connections", "8"]].concat();
            let called = load(&self.site.programs, &target, &batches)?;
            ensure!(called.statuses.keys().all(|status| *status == 202), "answers: {:?}", called.statuses);
            messages = called.accepted_in_all;
            of_batches = Some(from.until(&Counters::read(&self.site, &ingress)));
            accepted += called.accepted_per_second();
            single += load(&self.site.programs, &target, &base)?.accepted_per_second();
            self.empty_queues()?;
        }
        let rounds = f64::from(ROUNDS);
        let bytes = Call::message("sms", 1).to_string().len();
        let what =
            format!("(f) raw RabbitMQ: a quorum queue, {bytes} bytes each, persistent, 1,000 in flight");
        self.table.tell(&what, format!("{:.0} messages/s", raw / rounds));
        let ratio = accepted / raw;
        let cost = of_batches.map(|spent| spent.list(messages)).unwrap_or_default();
        let figure =
            format!("{:.0} messages/s: {ratio:.2} of raw; CPU s per 1,000: {cost}", accepted / rounds);
        let what = "(f) accept batches of 500, 8 connections, no workers";
        self.table.judge(what, figure, "≥ 0.5 of raw", ratio >= 0.5);
        let figure = format!("{:.0} messages/s: {:.2} of raw", single / rounds, single / raw);
        self.table.tell("(f) accept one by one, 64 connections, no workers", figure);
        Ok(())
    }

    /// Takes away what was accepted and is not to be delivered.
    fn empty_queues(&self) -> anyhow::Result<()> {
        let rabbit = self.site.deployment.carrier.rabbit()?;
        for lane in ["express", "bulk"] {
            // A lane that was never used has no queue.
            drop(rabbit.ctl(&["purge_queue", &format!("naru.main.demo.{lane}")]));
        }
        Ok(())
    }

    pub(super) fn intake_beside_raw_inserts(&mut self, beside: &str) -> anyhow::Result<f64> {
        let (mut raw, mut intake) = (0.0, 0.0);
        let (url, seconds) = (self.site.deployment.database().to_owned(), self.round());
        let arguments = ["--url", &url, "--connections", CONNECTIONS, "--seconds", &seconds];
        for round in 1..=ROUNDS {
            (self.say)(&format!("g: raw inserts, then intake{beside}, round {round} of {ROUNDS}"));
            raw += self.measured("raw-unnest", &arguments)?;
            intake += self.measured("wide-intake", &arguments)?;
            self.site.deployment.psql(
                "TRUNCATE naru.message, naru.content, naru.backlog, naru.unread; \
                 DELETE FROM naru.usage WHERE customer = 'measured'",
            )?;
        }
        let rounds = f64::from(ROUNDS);
        let what = format!("(g) raw `UNNEST` inserts of the same rows, 512 each, 4 connections{beside}");
        self.table.tell(&what, format!("{:.0} rows/s", raw / rounds));
        let ratio = intake / raw;
        let figure = format!("{:.0} messages/s: {ratio:.2} of raw", intake / rounds);
        let what = format!("(g) the ledger's intake, groups of 512, 4 connections{beside}");
        self.table.judge(&what, figure, "≥ 0.4 of raw", ratio >= 0.4);
        Ok(intake / rounds)
    }

    /// What waits on RabbitMQ is taken in by one process, and then delivered.
    pub(super) fn backlog(&mut self, beside: &str) -> anyhow::Result<()> {
        (self.say)(&format!("g: a backlog{beside}"));
        let ingress = self.site.run(1, 0)?;
        let calls = (BACKLOG / 500).to_string();
        let batches = ["--batch", "500", "--connections", "4", "--limit", &calls, "--seconds", "120"];
        let user = ["--credential", &self.site.deployment.users.live[0], "--warm-up", "0"];
        let load =
            load(&self.site.programs, &ingress.fronts[0].to_string(), &[&user[..], &batches[..]].concat())?;
        self.site.run(0, 0)?;
        let count = load.accepted_in_all;
        self.site.deployment.verb(&["route", "pause", "demo"])?;
        tally(&self.receiver)?;
        let (before, began) = (Counters::read(&self.site, &Parts::default()), Instant::now());
        let parts = self.site.run(0, 1)?;
        let deadline = began + PATIENCE;
        #[expect(clippy::cast_precision_loss, reason = "a count below 2^53")]
        while counter_at(parts.workers[0], "naru_intake_messages_total")? < count as f64 {
            ensure!(Instant::now() < deadline, "the backlog is not taken in");
            thread::sleep(Duration::from_millis(20));
        }
        let (between, taken) = (Counters::read(&self.site, &parts), began.elapsed());
        self.site.deployment.verb(&["route", "resume", "demo"])?;
        let began = Instant::now();
        end_to_end::arrive(&self.receiver, count)?;
        let (after, delivered) = (Counters::read(&self.site, &parts), began.elapsed());
        let mut told = |what: &str, took: Duration, spent: Spent| {
            #[expect(clippy::cast_precision_loss, reason = "a count below 2^53")]
            let rate = count as f64 / took.as_secs_f64();
            let cost = format!("{:.3} CPU s per 1,000: {}", spent.per_1000(count), spent.list(count));
            self.table.tell(&format!("(g) {what}{beside}"), format!("{rate:.0} messages/s, {cost}"));
        };
        told(
            &format!("{count} messages on RabbitMQ, taken in by one process"),
            taken,
            before.until(&between),
        );
        told("the same, taken from the ledger and delivered", delivered, between.until(&after));
        Ok(())
    }
}
