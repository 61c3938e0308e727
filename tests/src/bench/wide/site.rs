//! The deployment that is measured, of whose processes as many run as a stage asks for.

use std::net::SocketAddr;

use crate::{
    deployment::{Carries, Deployment, Shape},
    gateway::{Programs, Setup},
};

/// See the module.
pub(super) struct Site {
    pub(super) programs: Programs,
    pub(super) deployment: Deployment,
}

/// The processes of Naru that run.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    /// Where customers call.
    pub(super) fronts: Vec<SocketAddr>,
    /// Where the operator asks the workers.
    pub(super) workers: Vec<SocketAddr>,
    /// All by name, with their ids.
    pub(super) pids: Vec<(String, u32)>,
}

impl Site {
    /// Starts the engines and writes what a deployment begins with. No process of Naru runs yet.
    pub(super) fn prepare(setup: Setup, carries: Carries) -> anyhow::Result<Self> {
        let shape = Shape { setup, carries, ..Shape::default() };
        Ok(Self { programs: Programs::find()?, deployment: Deployment::prepare(&shape)? })
    }

    /// Starts so many of each and waits until they are ready; what ran before is drained.
    pub(super) fn run(&mut self, ingress: usize, workers: usize) -> anyhow::Result<Parts> {
        self.run_set(ingress, workers, &[])
    }

    /// The same, with settings in the environment.
    pub(super) fn run_set(
        &mut self,
        ingress: usize,
        workers: usize,
        settings: &[(&str, String)],
    ) -> anyhow::Result<Parts> {
        self.deployment.drain()?;
        let mut parts = Parts::default();
        for number in 0..ingress {
            let member = &mut self.deployment.ingress[number];
            member.start(settings)?;
            parts.pids.push((member.name().to_owned(), member.pid()?));
            parts.fronts.push(self.deployment.front(number));
        }
        for member in self.deployment.workers.iter_mut().take(workers) {
            member.start(settings)?;
            parts.pids.push((member.name().to_owned(), member.pid()?));
            parts.workers.push(member.operator());
        }
        Ok(parts)
    }
}
