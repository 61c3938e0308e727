//! Two ingress behind haproxy and two workers, over the engines.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::Site;
use crate::{
    deployment::Balancer,
    gateway::{self, Member, Programs, free_address},
};

/// As many of each as compose.yaml says.
const REPLICAS: usize = 2;

/// Settings of ingress that compose.yaml lays upon naru.toml: the secret that each is in. A test compares them.
pub const OF_INGRESS: [(&str, &str); 3] = [
    ("NARU_LEDGER__URL__FILE", "reads_url"),
    ("NARU_LEDGER__READS_URL__FILE", "reads_url"),
    ("NARU_CATALOG__URL__FILE", "reads_url"),
];

/// What runs. Dropping it drains the processes, then ends the rest.
pub struct Topology {
    ingress: Vec<Member>,
    workers: Vec<Member>,
    balancer: Balancer,
    user: String,
    program: PathBuf,
    site: Site,
}

impl Topology {
    /// Makes tables and somebody who may send, starts everything and waits until it is ready.
    ///
    /// # Errors
    /// If anything cannot be started.
    pub fn start(site: Site) -> anyhow::Result<Self> {
        let program = Programs::find()?.gateway;
        let verb = |arguments: &[&str]| gateway::verb(&program, &site.config(), arguments);
        verb(&["migrate"])?;
        verb(&["customer", "add", "demo"])?;
        verb(&["route", "add", "demo", "simulator", "--assign", "demo"])?;
        if site.is_on_aws() {
            verb(&["infra", "apply"])?;
        }
        let user = user(&verb(&["credential", "add", "demo", "--json"])?)?;
        let of_ingress = OF_INGRESS.map(|(name, secret)| (name, site.secret(secret).display().to_string()));
        let (mut ingress, mut workers, mut fronts) = (Vec::new(), Vec::new(), Vec::new());
        for number in 1..=REPLICAS {
            let (listen, operator) = (free_address()?, free_address()?);
            let more = ["--listen".to_owned(), listen.to_string()];
            ingress.push(member(&site, &program, &format!("ingress{number}"), operator, &more));
            workers.push(member(&site, &program, &format!("workers{number}"), free_address()?, &[]));
            fronts.push((listen, operator));
        }
        for front in &mut ingress {
            front.launch(&of_ingress)?;
        }
        for worker in &mut workers {
            worker.launch(&[])?;
        }
        let balancer = Balancer::start(&fronts)?;
        let mut topology = Self { ingress, workers, balancer, user, program, site };
        topology.members().try_for_each(Member::await_ready)?;
        topology.balancer.await_open()?;
        Ok(topology)
    }

    fn members(&mut self) -> impl Iterator<Item = &mut Member> {
        self.ingress.iter_mut().chain(&mut self.workers)
    }

    /// What customers call.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.balancer.address()
    }

    /// Who may call it, as `curl -u` takes it.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Each process and where its operator asks.
    pub fn operators(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        self.ingress.iter().chain(&self.workers).map(|member| (member.name(), member.operator()))
    }

    /// The program that runs.
    #[must_use]
    pub const fn program(&self) -> &PathBuf {
        &self.program
    }

    /// What it stands on.
    #[must_use]
    pub const fn site(&self) -> &Site {
        &self.site
    }
}

impl Drop for Topology {
    fn drop(&mut self) {
        for member in self.members() {
            // All at once; each is waited for, and judged, when it is dropped. One that somebody killed has ended.
            if !member.has_ended().unwrap_or(false) {
                drop(member.ask_to_end());
            }
        }
    }
}

/// A process, `ingress1` or the like, with the configuration of all.
fn member(site: &Site, program: &Path, name: &str, operator: SocketAddr, more: &[String]) -> Member {
    let part = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let mut arguments: Vec<String> = [part, "--config"].map(str::to_owned).to_vec();
    arguments.push(site.config().display().to_string());
    arguments.extend(["--operator-listen".to_owned(), operator.to_string()]);
    arguments.extend_from_slice(more);
    Member::new(name, program, arguments, operator, site.home())
}

/// A credential as `curl -u` takes it, from what `naru credential add --json` printed.
fn user(printed: &str) -> anyhow::Result<String> {
    let made: serde_json::Value = serde_json::from_str(printed)?;
    let part = |name: &str| made[name].as_str().with_context(|| format!("no {name} in {printed}"));
    Ok(format!("{}:{}:{}", part("id")?, part("password")?, part("api_key")?))
}
