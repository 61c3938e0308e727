//! The steps of a roll-out, in the order of docs/rollout.md; each waits for what an operator would wait for.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use super::Rolled;
use crate::{
    deployment::Deployment,
    durability::crowd::Crowd,
    gateway::Member,
    next::{self, RELEASE},
    wire::Wire,
};

/// How long what must come may take.
const SOON: Duration = Duration::from_secs(30);

/// Calls that are to be answered between two steps, so that each is taken under load.
const BETWEEN: usize = 40;

/// Which build a process is, and what it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Build {
    Old,
    New,
    /// The newer one, told to write the newer version.
    Told,
}

/// Who takes part.
pub(super) struct Steps<'a> {
    pub(super) site: &'a mut Deployment,
    pub(super) environment: &'a [(&'static str, String)],
    pub(super) crowd: &'a Crowd,
    pub(super) rolled: &'a mut Rolled,
}

impl Steps<'_> {
    /// All of it, from the old release to the new one; then one worker goes back and forth; at the end everything is old again,
    /// but for the tables.
    pub(super) fn all(&mut self, say: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut say = |step: &str| say(&format!("{:5.1?} {step}", began.elapsed()));
        if self.tables()? < next::release().tables() {
            self.a_worker_before_its_tables().context("a newer worker on older tables")?;
            say("a newer worker waited for its tables; two migrations at once made them");
        } else {
            self.worker(1, Build::New).context("the first worker")?;
        }
        self.worker(0, Build::New).context("the second worker")?;
        say("both workers are new");
        for front in 0..2 {
            self.front(front, Build::New).context("a front")?;
        }
        say("both fronts are new, and write what the old release reads");
        for front in 0..2 {
            self.front(front, Build::Told).context("a front that is told")?;
        }
        say("both fronts are told to write the newer version");
        self.worker(0, Build::Old).context("a worker that goes back")?;
        self.left_alone(0).context("an older worker beside fronts that write the newer version")?;
        say("an older worker leaves newer packs to the other one, and says so");
        self.worker(0, Build::New).context("a worker that is set right")?;
        for front in 0..2 {
            self.front(front, Build::Old).context("a front that goes back")?;
        }
        say("both fronts are the old release again, before any worker is");
        // What an older worker had put off is back by then.
        thread::sleep(Duration::from_secs(6));
        for worker in 0..2 {
            self.worker(worker, Build::Old).context("a worker that goes back")?;
        }
        say("everything is the old release again, on the newer tables");
        Ok(())
    }

    /// It refuses clearly and is not ready; once the tables are there it is, by itself.
    fn a_worker_before_its_tables(&mut self) -> anyhow::Result<()> {
        self.load()?;
        let environment = self.told(Build::New);
        let member = &mut self.site.workers[1];
        member.drain()?;
        member.launch(&environment)?;
        self.rolled.replaced += 1;
        let needed = next::release().tables();
        let why = format!("this program needs {needed}: run its `naru migrate`");
        let member = &self.site.workers[1];
        eventually("it says what it needs", || Ok(member.readiness().1.contains(&why)))?;
        ensure!(!member.is_ready(), "it must not be ready on older tables");
        let (first, second) = (self.migrate()?, self.migrate()?);
        for (number, migration) in [first, second].into_iter().enumerate() {
            let output = migration.wait_with_output()?;
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure!(output.status.success(), "migration {number}: {words}");
        }
        ensure!(self.tables()? == needed);
        self.site.workers[1].await_ready()
    }

    /// The newer release's `naru migrate`, under way.
    fn migrate(&self) -> anyhow::Result<std::process::Child> {
        let mut command = Command::new(self.site.program());
        command.env(RELEASE, "next").arg("--config").arg(self.site.config());
        command.args(["migrate", "--reader", "naru_ingress"]);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
        Ok(command.spawn()?)
    }

    fn tables(&self) -> anyhow::Result<i32> {
        Ok(self.site.psql("SELECT max(version) FROM naru.migration")?.parse()?)
    }

    /// Drains a worker and begins another in its place.
    fn worker(&mut self, number: usize, build: Build) -> anyhow::Result<()> {
        self.load()?;
        let environment = self.told(build);
        let member = &mut self.site.workers[number];
        member.drain()?;
        member.start(&environment)?;
        self.rolled.replaced += 1;
        let reads = if build == Build::Old { next::version() - 1 } else { next::version() };
        ensure!(counted(member, "naru_envelope_version{use=\"read\"}")? == u64::from(reads));
        Ok(())
    }

    /// Drains a front and begins another in its place; the balancer must send it calls before the next one goes.
    fn front(&mut self, number: usize, build: Build) -> anyhow::Result<()> {
        self.load()?;
        let environment = self.told(build);
        let member = &mut self.site.ingress[number];
        member.drain()?;
        member.start(&environment)?;
        self.rolled.replaced += 1;
        let writes = if build == Build::Told { next::version() } else { next::version() - 1 };
        ensure!(counted(member, "naru_envelope_version{use=\"written\"}")? == u64::from(writes));
        let member = &self.site.ingress[number];
        eventually("the balancer sends it calls", || Ok(counted(member, "naru_messages_accepted_total")? > 0))
    }

    /// The older worker meets packs that it cannot read, tells so, and sets none aside.
    fn left_alone(&mut self, number: usize) -> anyhow::Result<()> {
        let member = &self.site.workers[number];
        let left = || counted(member, "naru_envelopes_newer_total");
        eventually("it meets a newer pack", || Ok(left()? > 0))?;
        self.load()?;
        let member = &self.site.workers[number];
        self.rolled.left_for_newer += counted(member, "naru_envelopes_newer_total")?;
        let log = member.log();
        self.rolled.told_of_newer = log.lines().filter(|line| line.contains("\"envelopes-newer\"")).count();
        ensure!(self.rolled.told_of_newer > 0, "the operator is told:\n{}", member.log_tail());
        Ok(())
    }

    /// Calls are answered meanwhile, so that what comes next happens under load.
    fn load(&self) -> anyhow::Result<()> {
        let goal = self.crowd.decided() + BETWEEN;
        eventually("calls are answered", || Ok(self.crowd.decided() >= goal))
    }

    fn told(&self, build: Build) -> Vec<(&'static str, String)> {
        let mut environment = self.environment.to_vec();
        if build != Build::Old {
            environment.push((RELEASE, "next".to_owned()));
        }
        if build == Build::Told {
            environment.push(("NARU_INGRESS__ENVELOPE_VERSION", next::version().to_string()));
        }
        environment
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + SOON;
    while !holds()? {
        ensure!(Instant::now() < deadline, "not within {SOON:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The sum of a metric's values over labels that begin so.
fn counted(member: &Member, metric: &str) -> anyhow::Result<u64> {
    let mut wire = Wire::new(member.operator(), Duration::from_secs(5));
    let reply = wire.call("GET", "/metrics", &[], b"")?;
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    let values = text.lines().filter(|line| line.starts_with(metric));
    let values = values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    Ok(values.sum::<f64>() as u64)
}
