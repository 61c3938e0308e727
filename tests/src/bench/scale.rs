//! Size: a million messages waiting, a hundred thousand customers.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use naru_shared::domain::OnUncertain;

use super::{
    cpu,
    stage::{self, load, per_1000, tally},
    table::Table,
};
use crate::gateway::{Gateway, Helper, Programs, RouteSpec, Setup};

/// Messages that are said to wait.
const MANY: u64 = 1_000_000;
/// Messages that wait when few do.
const FEW: u64 = 1_000;
/// How long what waits may take to reach the ledger, and to leave it.
const PATIENCE: Duration = Duration::from_secs(600);

/// Runs both proofs of size; `say` is told how it goes.
///
/// # Errors
/// If they cannot be done; goals are judged in the table.
pub fn run(say: &mut dyn FnMut(&str)) -> anyhow::Result<Table> {
    let programs = Programs::find()?;
    let mut table = Table::default();
    say("1,000 messages waiting");
    let (few_mb, few_rate) = waiting(&programs, FEW)?;
    say("1,000,000 messages waiting");
    let (many_mb, many_rate) = waiting(&programs, MANY)?;
    let figure = format!("{many_mb:.0} MB, and {few_mb:.0} MB with 1,000");
    let met = many_mb <= 300.0 && many_mb <= 1.5 * few_mb;
    table.judge("peak RSS with 1,000,000 waiting", figure, "≤ 300 MB and ≤ 1.5 ×", met);
    let figure = format!("{many_rate:.0}/s, and {few_rate:.0}/s with 1,000");
    table.judge("end to end with 1,000,000 waiting", figure, "≥ 0.8 ×", many_rate >= 0.8 * few_rate);
    say("10 customers");
    let few = customers(&programs, 10, 10)?;
    say("100,000 customers, 10,000 of them active");
    let many = customers(&programs, 100_000, 10_000)?;
    let figure = format!("{many:.4} CPU s per 1,000, and {few:.4} with 10");
    table.judge("100,000 customers, after a restart", figure, "≤ 1.2 ×", many <= 1.2 * few);
    Ok(table)
}

/// Peak memory in MB, and the rate at which new messages of another route arrive, while so many wait.
#[expect(clippy::cast_precision_loss, reason = "figures for people to read")]
fn waiting(programs: &Programs, messages: u64) -> anyhow::Result<(f64, f64)> {
    let receiver = Helper::start(programs, &["receiver"])?;
    let backlog =
        "[log]\nfilter = \"warn\"\n[ingress]\nroute_backlog = 100000000\ncustomer_backlog = 100000000\n";
    let mut gateway = Gateway::spawn(&Setup {
        routes: vec![
            RouteSpec { concurrency: 256, ..RouteSpec::http("busy", receiver.address, OnUncertain::Fail) },
            RouteSpec::http("idle", receiver.address, OnUncertain::Fail),
        ],
        config: backlog.to_owned(),
        ..Setup::default()
    })?;
    gateway.verb(&["route", "pause", "idle"])?;
    thread::sleep(Duration::from_secs(2));
    let calls = (messages / 500).to_string();
    let target = gateway.listen().to_string();
    let user = gateway.users.live[0].clone();
    let fill = ["--credential", &user, "--batch", "500", "--channel", "idle", "--connections", "4"];
    let limit = ["--limit", &calls, "--seconds", "600", "--warm-up", "0"];
    let filled = load(programs, &target, &[&fill[..], &limit[..]].concat())?;
    ensure!(filled.accepted_in_all == messages, "{} of {messages} were accepted", filled.accepted_in_all);
    await_waiting(&gateway, messages)?;
    gateway.drain()?;
    gateway.start(&[])?;
    tally(&receiver)?;
    let busy =
        ["--credential", &user, "--channel", "busy", "--rate", "9000", "--seconds", "10", "--warm-up", "0"];
    load(programs, &target, &busy)?;
    let rate = tally(&receiver)?.received as f64 / 10.0;
    let peak = cpu::status_kib(gateway.pid()?, "VmHWM").context("peak memory cannot be read")?;
    Ok((peak as f64 / 1_024.0, rate))
}

/// Waits until the ledger holds so many messages that have not ended, by the operator's own word.
fn await_waiting(gateway: &Gateway, messages: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status: serde_json::Value = serde_json::from_str(&gateway.verb(&["status", "--json"])?)?;
        let routes = status["routes"].as_array().cloned().unwrap_or_default();
        let found = routes.iter().find(|route| route["route"] == "idle");
        if found.and_then(|route| route["not_ended"].as_u64()) == Some(messages) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the messages do not reach the ledger: {status}");
        thread::sleep(Duration::from_secs(1));
    }
}

/// CPU seconds for 1,000 messages of so many active customers, right after a restart.
fn customers(programs: &Programs, customers: usize, active: usize) -> anyhow::Result<f64> {
    let mut gateway = Gateway::spawn(&Setup {
        customers,
        config: "[log]\nfilter = \"warn\"\n".to_owned(),
        ..Setup::default()
    })?;
    gateway.drain()?;
    gateway.start(&[])?;
    let users = gateway.home().join("users");
    std::fs::write(&users, gateway.users.live[..active].join("\n"))?;
    let before = cpu::nanos_of(gateway.pid()?);
    let users = users.display().to_string();
    let arguments = ["--credentials", &users, "--rate", "4000", "--seconds", "20", "--warm-up", "0"];
    let done = load(programs, &gateway.listen().to_string(), &arguments)?;
    ensure!(done.statuses.keys().all(|status| *status == 202), "answers: {:?}", done.statuses);
    let ended = || stage::counter(&gateway, "naru_attempts_total");
    let deadline = Instant::now() + PATIENCE;
    #[expect(clippy::cast_precision_loss, reason = "a count below 2^53")]
    while ended()? < done.accepted_in_all as f64 {
        ensure!(Instant::now() < deadline, "the messages do not end");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(per_1000(cpu::nanos_of(gateway.pid()?).saturating_sub(before), done.accepted_in_all))
}
