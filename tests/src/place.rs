//! A gateway of one process or of many, seen alike: who calls it, what an operator does to it, and how its workers die.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;

use crate::{
    customer::Customer,
    deployment::{Carries, Deployment, Shape},
    gateway::{self, Gateway, Setup},
    site::Site,
};

/// How long it may take until a command is seen to have begun.
const BEGINS: Duration = Duration::from_secs(30);

/// What a place stands on.
#[derive(Debug, Clone, Copy)]
pub enum On {
    /// One process with its embedded engines.
    Embedded,
    /// Two fronts and two workers over PostgreSQL, Redis, and this.
    Wide(Carries),
}

/// Where something happens.
pub enum Place {
    /// One process.
    One(Box<Gateway>),
    /// Two fronts and two workers.
    Many(Box<Deployment>),
}

impl Place {
    /// A place that runs and is ready.
    ///
    /// # Errors
    /// If it cannot be made or does not become ready.
    pub fn spawn(on: On, setup: &Setup) -> anyhow::Result<Self> {
        Ok(match on {
            On::Embedded => Self::One(Box::new(Gateway::spawn(setup)?)),
            On::Wide(carries) => {
                let shape = Shape { setup: setup.clone(), carries, ..Shape::default() };
                Self::Many(Box::new(Deployment::spawn(&shape)?))
            }
        })
    }

    /// A live customer's client.
    #[must_use]
    pub fn customer(&self, index: usize) -> Customer {
        match self {
            Self::One(gateway) => gateway.customer(index),
            Self::Many(site) => site.customer(index),
        }
    }

    /// Where customers and providers call.
    #[must_use]
    pub fn target(&self) -> SocketAddr {
        match self {
            Self::One(gateway) => gateway.target(),
            Self::Many(site) => site.target(),
        }
    }

    /// A directory for the test's own files; it goes with the place.
    #[must_use]
    pub fn home(&self) -> &Path {
        match self {
            Self::One(gateway) => gateway.home(),
            Self::Many(site) => site.home(),
        }
    }

    /// Runs one of the operator's verbs and returns what it printed.
    ///
    /// # Errors
    /// If it fails.
    pub fn verb(&self, arguments: &[&str]) -> anyhow::Result<String> {
        match self {
            Self::One(gateway) => gateway.verb(arguments),
            Self::Many(site) => site.verb(arguments),
        }
    }

    /// As [`Place::verb`], of a verb that answers in JSON.
    ///
    /// # Errors
    /// If it fails, or answers otherwise.
    pub fn told(&self, arguments: &[&str]) -> anyhow::Result<serde_json::Value> {
        let printed = self.verb(&[arguments, &["--json"]].concat())?;
        Ok(serde_json::from_str(&printed)?)
    }

    /// Begins one of the operator's verbs, which nobody waits for yet.
    ///
    /// # Errors
    /// If it does not start.
    pub fn begin(&self, arguments: &[&str]) -> anyhow::Result<Child> {
        let (program, config) = match self {
            Self::One(gateway) => (gateway.program(), gateway.config()),
            Self::Many(site) => (site.program(), site.config()),
        };
        let mut command = gateway::command(program, &config, arguments);
        Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?)
    }

    /// Begins a verb and kills it (SIGKILL) so long after it was seen to have begun; whether it was not done by then.
    ///
    /// # Errors
    /// If it does not start, or is not seen to have begun within half a minute.
    pub fn kill_once(
        &self,
        arguments: &[&str],
        later: Duration,
        begun: impl Fn() -> anyhow::Result<bool>,
    ) -> anyhow::Result<bool> {
        let mut child = self.begin(arguments)?;
        let deadline = Instant::now() + BEGINS;
        let seen = loop {
            match begun() {
                Ok(false) if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
                seen => break seen,
            }
        };
        if matches!(seen, Ok(true)) {
            thread::sleep(later);
        }
        // Whatever was seen, it does not outlive this.
        let done = child.try_wait()?;
        child.kill()?;
        child.wait()?;
        ensure!(seen?, "naru {arguments:?} was not seen to begin within {BEGINS:?}");
        Ok(done.is_none())
    }

    /// SIGKILL. A gateway of one process is killed by [`Place::revive`], since nobody could call it meanwhile.
    ///
    /// # Errors
    /// If it does not run.
    pub fn kill_a_worker(&mut self) -> anyhow::Result<()> {
        match self {
            Self::One(_) => Ok(()),
            Self::Many(site) => site.workers[0].kill(),
        }
    }

    /// What was killed runs again.
    ///
    /// # Errors
    /// If it does not become ready.
    pub fn revive(&mut self) -> anyhow::Result<()> {
        match self {
            Self::One(gateway) => {
                gateway.kill()?;
                gateway.start(&[])
            }
            Self::Many(site) => site.workers[0].start(&[]),
        }
    }

    /// Everything that has begun loses its worker: each is killed (SIGKILL), and begins anew.
    ///
    /// # Errors
    /// If one did not run, or does not become ready.
    pub fn kill_every_worker(&mut self) -> anyhow::Result<()> {
        let Self::Many(site) = self else { return self.revive() };
        site.workers.iter_mut().try_for_each(|worker| worker.kill())?;
        site.start(&[])
    }
}
