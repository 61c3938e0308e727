//! A gateway of one process or of many, and what an operator does to it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::ensure;

use crate::{
    customer::Customer,
    deployment::{Carries, Deployment, Shape},
    gateway::{Gateway, Setup},
};

/// The command has begun by then, and is not done.
const MIDDLE: Duration = Duration::from_millis(20);

/// What a run stands on.
#[derive(Debug, Clone, Copy)]
pub enum On {
    /// One process with its embedded engines.
    Embedded,
    /// Two fronts and two workers over PostgreSQL, Redis, and this.
    Wide(Carries),
}

pub(super) enum Place {
    One(Box<Gateway>),
    Many(Box<Deployment>),
}

impl Place {
    pub(super) fn spawn(on: On, setup: &Setup) -> anyhow::Result<Self> {
        Ok(match on {
            On::Embedded => Self::One(Box::new(Gateway::spawn(setup)?)),
            On::Wide(carries) => {
                let shape = Shape { setup: setup.clone(), carries, ..Shape::default() };
                Self::Many(Box::new(Deployment::spawn(&shape)?))
            }
        })
    }

    pub(super) fn customer(&self, index: usize) -> Customer {
        match self {
            Self::One(gateway) => gateway.customer(index),
            Self::Many(site) => site.customer(index),
        }
    }

    pub(super) fn verb(&self, arguments: &[&str]) -> anyhow::Result<String> {
        match self {
            Self::One(gateway) => gateway.verb(arguments),
            Self::Many(site) => site.verb(arguments),
        }
    }

    fn program(&self) -> (&Path, PathBuf) {
        match self {
            Self::One(gateway) => (gateway.program(), gateway.config()),
            Self::Many(site) => (site.program(), site.config()),
        }
    }

    /// Begins a command and kills it before it is done.
    pub(super) fn kill_in_the_middle(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let (program, config) = self.program();
        let mut command = Command::new(program);
        command.args(arguments).arg("--config").arg(config);
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        // Its rule is in force before it is killed: until then the same command again would only begin.
        for _ in 0..200 {
            if self.verb(&["stop", "list"])?.contains("c0") {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        thread::sleep(MIDDLE);
        ensure!(child.try_wait()?.is_none(), "the command had ended before it was killed");
        child.kill()?;
        child.wait()?;
        ensure!(self.verb(&["stop", "list"])?.contains("c0"), "its rule stays in force");
        Ok(())
    }

    /// SIGKILL. A gateway of one process is killed by [`Place::revive`], since nobody could call it meanwhile.
    pub(super) fn kill_a_worker(&mut self) -> anyhow::Result<()> {
        match self {
            Self::One(_) => Ok(()),
            Self::Many(site) => site.workers[0].kill(),
        }
    }

    /// What was killed runs again.
    pub(super) fn revive(&mut self) -> anyhow::Result<()> {
        match self {
            Self::One(gateway) => {
                gateway.kill()?;
                gateway.start(&[])
            }
            Self::Many(site) => site.workers[0].start(&[]),
        }
    }
}
