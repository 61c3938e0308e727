//! One stage of the benchmark: a fresh gateway, a load, and what the gateway spent on it.

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};

use super::cpu;
use crate::{
    gateway::{Gateway, Helper, Programs, RouteSpec, Setup},
    load::Summary,
    receiver::lean::Tally,
    wire::Wire,
};

/// A load and what it cost.
pub(super) struct Measured {
    pub load: Summary,
    /// CPU seconds of the gateway for 1,000 accepted messages, warm-up included in both.
    pub cpu_per_1000: f64,
    /// Peak resident set of the gateway in MB.
    pub peak_mb: f64,
}

/// What the load generator is told besides its target and credential.
pub(super) fn load(programs: &Programs, target: &str, arguments: &[&str]) -> anyhow::Result<Summary> {
    let mut command = Command::new(&programs.proof);
    command.args(["load", "--target", target]).args(arguments).stderr(Stdio::inherit());
    let output = command.output()?;
    ensure!(output.status.success(), "the load generator failed");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Calls the gateway as told; every answer must be `202`.
pub(super) fn measure(
    programs: &Programs,
    gateway: &Gateway,
    arguments: &[&str],
) -> anyhow::Result<Measured> {
    let pid = gateway.pid()?;
    let before = cpu::nanos_of(pid);
    let mut all = vec!["--credential", &gateway.users.live[0]];
    all.extend_from_slice(arguments);
    let load = load(programs, &gateway.listen().to_string(), &all)?;
    let spent = cpu::nanos_of(pid).saturating_sub(before);
    ensure!(load.statuses.keys().all(|status| *status == 202), "answers: {:?}", load.statuses);
    Ok(Measured { cpu_per_1000: per_1000(spent, load.accepted_in_all), peak_mb: peak_mb(pid)?, load })
}

/// CPU seconds for 1,000.
#[expect(clippy::cast_precision_loss, reason = "a figure for people to read")]
pub(super) fn per_1000(nanos: u64, messages: u64) -> f64 {
    nanos as f64 / 1e9 / (messages.max(1) as f64 / 1e3)
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people to read")]
fn peak_mb(pid: u32) -> anyhow::Result<f64> {
    let kib = cpu::status_kib(pid, "VmHWM").context("the gateway's peak memory cannot be read")?;
    Ok(kib as f64 / 1_024.0)
}

/// A gateway for measuring: logs only warnings, never refuses for its backlog.
pub(super) fn gateway(route: RouteSpec, workers: bool) -> anyhow::Result<Gateway> {
    let backlog = "route_backlog = 100000000\ncustomer_backlog = 100000000";
    Gateway::spawn(&Setup {
        routes: vec![route],
        config: format!("[log]\nfilter = \"warn\"\n[ingress]\n{backlog}\n"),
        arguments: if workers { Vec::new() } else { vec!["--workers".to_owned(), "0".to_owned()] },
        ..Setup::default()
    })
}

/// What the lean receiver counted since the last time it was asked.
pub(super) fn tally(receiver: &Helper) -> anyhow::Result<Tally> {
    let reply = Wire::new(receiver.address, Duration::from_secs(5)).call("GET", "/stats", &[], b"")?;
    Ok(serde_json::from_slice(&reply.body)?)
}

/// The sum of a counter over its labels, from `/metrics`.
pub(super) fn counter(gateway: &Gateway, name: &str) -> anyhow::Result<f64> {
    counter_at(gateway.operator(), name)
}

/// As [`counter`], of whatever process answers its operator there.
pub(super) fn counter_at(operator: SocketAddr, name: &str) -> anyhow::Result<f64> {
    let reply = Wire::new(operator, Duration::from_secs(5)).call("GET", "/metrics", &[], b"")?;
    let text = String::from_utf8(reply.body)?;
    let of_name = text.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
    });
    Ok(of_name.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}
