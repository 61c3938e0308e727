//! The stages over SQS, SNS and S3, beside what the emulator does by itself.

use super::{
    super::{suite::ground, table::Table},
    site::Site,
    suite::{Options, Suite, setup},
};
use crate::{
    deployment::Carries,
    engines::Flavour,
    gateway::{Helper, Programs},
};

/// Messages a second that are to be held end to end.
const GOAL: f64 = 3_000.0;

/// Bytes of a message of the raw emulator: about a pack of one.
const RAW_BYTES: &str = "1000";

/// Runs the stages; `say` is told what is being measured.
///
/// # Errors
/// If a stage cannot be done, or the temporary directory is not on a disk.
pub fn run(options: &Options, say: &mut dyn FnMut(&str)) -> anyhow::Result<Table> {
    let mut table = Table::default();
    ground(&mut table, &std::env::temp_dir())?;
    let programs = Programs::find()?;
    let receiver = Helper::start(&programs, &["receiver"])?;
    say("the engines and the emulator start");
    let carries = Carries::Aws { flavour: Flavour::Fauxqs, counted: false };
    let site = Site::prepare(setup(&receiver), carries)?;
    let mut suite = Suite { site, receiver, options, table, say };
    suite.raw_sqs()?;
    suite.held_on_aws()?;
    suite.calm_on_aws()?;
    Ok(suite.table)
}

impl Suite<'_> {
    fn raw_sqs(&mut self) -> anyhow::Result<()> {
        (self.say)("l: the emulator by itself");
        let endpoint = self.site.deployment.carrier.cloud()?.emulator.endpoint();
        let seconds = self.options.seconds.to_string();
        let raw = ["--endpoint", &endpoint, "--bytes", RAW_BYTES, "--seconds", &seconds];
        let printed = self.printed("raw-sqs", &raw)?;
        let figure = format!(
            "{:.0} sent, {:.0} received and deleted a second",
            printed["sent_per_second"].as_f64().unwrap_or_default(),
            printed["received_per_second"].as_f64().unwrap_or_default()
        );
        self.table.tell("(l) raw SQS (fauxqs, in memory): 1,000 bytes, batches of 10, 8 callers", figure);
        Ok(())
    }

    fn held_on_aws(&mut self) -> anyhow::Result<()> {
        let what = "(m) end to end over HTTP on SQS, PostgreSQL and Redis, one by one";
        let goal = format!("≥ {GOAL}/s, backlog ≤ 1 s");
        let Some((run, rate)) = self.highest("")? else {
            self.table.judge(what, "no rate was held".to_owned(), &goal, false);
            return Ok(());
        };
        let (accept, travel) = (run.loads[0].latency, run.arrived.travel);
        let figure = format!(
            "{rate:.0} messages/s for {} s, backlog {} at its end, accept p50 {:.2} p99 {:.2} ms, travel p50 {:.2} p99 {:.2} ms",
            self.options.long_seconds,
            run.behind(),
            accept.p50 / 1e3,
            accept.p99 / 1e3,
            travel.p50 / 1e3,
            travel.p99 / 1e3,
        );
        self.table.judge(what, figure, &goal, rate >= GOAL);
        let figure =
            format!("{:.3} CPU s per 1,000: {}", run.cpu_per_1000(), run.spent.list(run.arrived.received));
        self.table.tell("(m) CPU of Naru, the engines and the emulator", figure);
        Ok(())
    }

    fn calm_on_aws(&mut self) -> anyhow::Result<()> {
        (self.say)("n: calm, 100 messages a second");
        let parts = self.site.run(1, 1)?;
        let travel = self.push(&parts, 100.0, self.options.seconds)?.arrived.travel;
        let figure = format!("p50 {:.2} ms, p99 {:.2} ms", travel.p50 / 1e3, travel.p99 / 1e3);
        self.table.tell("(n) calm, 100/s: call sent → arrival", figure);
        Ok(())
    }
}
