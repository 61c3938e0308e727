//! The processes of a proof or benchmark that are not Naru: each subcommand is one.
//!
//! Each prints one line of JSON first (its address) or last (its figures), for the process that started it to read.

mod args;
mod door;

use std::{io::Write, net::SocketAddr, path::PathBuf, time::Duration};

use args::{Command, Load, Rows};
use clap::Parser;
use naru_tests::{
    bench::{Table, bare, fsync, raw_sqlite, scale, suite, wide as bench_wide},
    carrier_agent::proof as carriers,
    compose, cost,
    deployment::Carries,
    durability::{
        self, Outcome,
        rollout::{self, RolloutPlan},
        wide::{self, WidePlan},
    },
    engines::Flavour,
    idle,
    load::{self, Call, Plan},
    monotonic::nanos,
    place::On,
    proving::Shape,
    receiver::{answer::Manners, journaling, lean},
    stopping, turns,
};
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Load(load) => say(&serde_json::to_value(load::run(&plan(&load)?)?)?),
        Command::Bare { listen, workers } => Ok(bare::serve(listen, workers, say_address)?),
        Command::Receiver { listen } => lean::serve(listen, say_address),
        Command::JournalingReceiver { listen, journal, seed, first, slow_ms } => {
            let manners = seed.map(Manners::rough).or_else(|| slow_ms.map(Manners::slow));
            let manners = manners.or_else(|| first.map(Manners::at_first));
            journaling::serve(listen, &journal, manners.unwrap_or(Manners::GOOD), say_address)
        }
        Command::Rollout { seed, small } => roll_out(rollout_plan(seed.unwrap_or_else(nanos), small)),
        Command::Carriers { seed, small, rows } => carriers(seed.unwrap_or_else(nanos), small, rows),
        Command::Turns { engine, small } => turns_of(engine.as_deref(), small),
        Command::Door(door) => door::run(door),
        Command::Stop { small, wide, aws } => stop(small, wide, aws),
        Command::Durability { seed, small, wide, aws } => {
            let seed = seed.unwrap_or_else(nanos);
            if wide { durability_wide(seed, small, aws) } else { durability(seed, small) }
        }
        Command::Cost { seconds, details } => cost(span(seconds), details),
        Command::Idle { wide, aws, seconds, details } => report(None, |say| match (wide, aws) {
            (true, true) => idle::run_aws(span(seconds), details, say),
            (true, false) => idle::run_wide(span(seconds), details, say),
            (false, _) => idle::run(span(seconds), say),
        }),
        Command::Bench { out, seconds, long_seconds, only, wide: true, aws, finished, rate } => {
            let options = bench_wide::suite::Options { seconds, long_seconds, only, finished, rate };
            if aws {
                return report(out, |say| bench_wide::aws::run(&options, say));
            }
            report(out, |say| bench_wide::suite::run(&options, say))
        }
        Command::Bench { out, seconds, long_seconds, only, wide: false, .. } => {
            let options = suite::Options { seconds, long_seconds, only };
            report(out, |say| suite::run(&options, say))
        }
        Command::Engines { naru, aws } => {
            let on = if aws { compose::On::Aws } else { compose::On::RabbitMq };
            let wish = if naru { compose::Wish::Naru } else { compose::Wish::Engines };
            compose::run(wish, on, &mut |line| Ok(writeln!(std::io::stdout(), "{line}")?))
        }
        Command::Scale => report(None, scale::run),
        Command::RawSqlite { dir, rows, seconds } => {
            let row = Call::message("sms", 1).to_string();
            let file = dir.join("raw.db");
            let rate = raw_sqlite::rows_per_second(&file, row.as_bytes(), rows, span(seconds))?;
            say(&json!({ "rows_per_second": rate, "bytes": row.len() }))
        }
        Command::RawRabbitmq { url, in_flight, seconds } => {
            let body = Call::message("sms", 1).to_string();
            let seconds = span(seconds);
            say_rate(bench_wide::raw_rabbitmq::confirmed_per_second(
                &url,
                body.as_bytes(),
                in_flight,
                seconds,
            )?)
        }
        Command::RawSqs { endpoint, bytes, seconds } => {
            let rates = raw_sqs_rates(&endpoint, bytes, span(seconds))?;
            say(&json!({ "sent_per_second": rates.sent, "received_per_second": rates.received }))
        }
        Command::RawUnnest(Rows { url, connections, rows, seconds }) => {
            say_rate(bench_wide::raw_unnest::rows_per_second(&url, connections, rows, span(seconds))?)
        }
        Command::WideIntake(Rows { url, connections, rows, seconds }) => {
            say_rate(bench_wide::intake::messages_per_second(&url, connections, rows, span(seconds))?)
        }
        Command::Fsync { dir } => say(&serde_json::to_value(fsync::percentiles(&dir, 1_000)?)?),
    }
}

fn cost(span: Duration, details: bool) -> anyhow::Result<()> {
    let mut said = Ok(());
    let table = cost::run(span, details, &mut |line| said = writeln!(std::io::stderr(), "{line}"))?;
    said?;
    Ok(write!(std::io::stdout(), "{table}")?)
}

fn carriers(seed: u64, small: bool, rows: Option<usize>) -> anyhow::Result<()> {
    let plan = if small { carriers::Plan::small(seed) } else { carriers::Plan::full(seed) };
    let plan = carriers::Plan { rows: rows.unwrap_or(plan.rows), ..plan };
    let postgres = carriers::on_postgres(&plan, Carries::RabbitMq)?;
    let sqs = carriers::on_postgres(&plan, Carries::Aws { flavour: Flavour::Fauxqs, counted: false })?;
    let mariadb = carriers::on_mariadb(&plan)?;
    say(
        &json!({ "seed": seed, "rows": plan.rows, "kills": plan.kills, "reports": { "naru_on_postgresql": postgres,
        "naru_on_postgresql_over_sqs": sqs, "em_tran_on_mariadb": mariadb } }),
    )
}

fn stop(small: bool, wide: bool, aws: bool) -> anyhow::Result<()> {
    let plan = if small { stopping::Plan::small() } else { stopping::Plan::full() };
    let on = match (wide, aws) {
        (_, true) => On::Wide(Carries::Aws { flavour: Flavour::Ministack, counted: false }),
        (true, false) => On::Wide(Carries::RabbitMq),
        (false, false) => On::Embedded,
    };
    say(&stopping::run(on, &plan)?)
}

fn turns_of(engine: Option<&str>, small: bool) -> anyhow::Result<()> {
    let plan = if small { turns::Plan::small() } else { turns::Plan::full() };
    let mut kept = true;
    for on in turns::On::ALL.into_iter().filter(|on| engine.is_none_or(|name| name == on.as_str())) {
        let told = turns::run(on, &plan, &mut |line| Ok(writeln!(std::io::stderr(), "{line}")?))?;
        kept &= told.is_kept();
        say(&serde_json::to_value(&told)?)?;
    }
    anyhow::ensure!(kept, "others waited for longer than they may");
    Ok(())
}

fn durability(seed: u64, small: bool) -> anyhow::Result<()> {
    let plan = if small { durability::Plan::small(seed) } else { durability::Plan::full(seed) };
    judge(seed, |say| durability::run(&plan, say))
}

/// The credentials are anybody's: an emulator does not ask.
fn raw_sqs_rates(endpoint: &str, bytes: usize, span: Duration) -> anyhow::Result<bench_wide::raw_sqs::Rates> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(bench_wide::raw_sqs::rates(endpoint, bytes, span))
}

fn durability_wide(seed: u64, small: bool, aws: bool) -> anyhow::Result<()> {
    let plan = if small { WidePlan::small(seed) } else { WidePlan::full(seed) };
    let plan = if aws { plan.on_aws() } else { plan };
    judge(seed, |say| wide::run(&plan, say))
}

const fn rollout_plan(seed: u64, small: bool) -> RolloutPlan {
    if small { RolloutPlan::small(seed) } else { RolloutPlan::full(seed) }
}

fn roll_out(plan: RolloutPlan) -> anyhow::Result<()> {
    let mut said = Ok(());
    let rolled = rollout::run(plan, &mut |line| said = writeln!(std::io::stderr(), "{line}"))?;
    said?;
    write!(std::io::stdout(), "{}", rolled.told(plan))?;
    anyhow::ensure!(rolled.findings.broken.is_empty(), "promises were broken");
    anyhow::ensure!(rolled.others.is_empty(), "not every call was answered 202");
    Ok(())
}

fn judge(seed: u64, run: impl FnOnce(&mut dyn FnMut(&str)) -> anyhow::Result<Outcome>) -> anyhow::Result<()> {
    let mut said = Ok(());
    let outcome = run(&mut |line| said = writeln!(std::io::stderr(), "{line}"))?;
    said?;
    write!(std::io::stdout(), "{}", outcome.told(seed))?;
    if outcome.findings.broken.is_empty() {
        return Ok(());
    }
    let kept = std::env::temp_dir().join(format!("naru-evidence-{seed}.json"));
    std::fs::write(&kept, serde_json::to_vec(&outcome.evidence)?)?;
    anyhow::bail!("promises were broken; what was judged is in {}", kept.display())
}

/// Runs what makes a table, prints it, and fails if a goal was missed.
fn report(
    out: Option<PathBuf>,
    run: impl FnOnce(&mut dyn FnMut(&str)) -> anyhow::Result<Table>,
) -> anyhow::Result<()> {
    let mut said = Ok(());
    let table = run(&mut |line| said = writeln!(std::io::stderr(), "{line}"))?;
    said?;
    write!(std::io::stdout(), "{table}")?;
    if let Some(path) = out {
        std::fs::write(path, table.to_string())?;
    }
    anyhow::ensure!(table.missed() == 0, "{} goals were missed", table.missed());
    Ok(())
}

fn plan(load: &Load) -> anyhow::Result<Plan> {
    let many = load.credentials.as_ref().map(std::fs::read_to_string).transpose()?.unwrap_or_default();
    let mut credentials: Vec<Option<&str>> = many.lines().map(Some).collect();
    credentials.extend(load.credential.as_deref().map(Some));
    if credentials.is_empty() {
        credentials.push(None);
    }
    let count = credentials.len().max(if load.batch > 1 { 4 } else { 256 });
    let calls = (0..count).map(|i| call(load, credentials[i % credentials.len()], i)).collect();
    Ok(Plan {
        target: load.target,
        tls: None,
        calls,
        connections: load.connections,
        rate: load.rate,
        warm_up: span(load.warm_up),
        duration: span(load.seconds),
        limit: load.limit,
    })
}

fn call(load: &Load, credential: Option<&str>, index: usize) -> Call {
    let authorization =
        credential.map(|c| format!("Basic {}", data_encoding::BASE64.encode(c.trim().as_bytes())));
    if let Some(path) = &load.get {
        let host = load.target.to_string();
        let shape = Shape { host: &host, method: "GET", path, body: "" };
        return Call::as_it_is(shape.basic(credential.unwrap_or_default().trim()));
    }
    let (path, body) = if load.batch > 1 {
        let messages: Vec<_> =
            (0..load.batch).map(|i| Call::message(&load.channel, index * load.batch + i)).collect();
        ("/v1.0/messages/batch", json!({ "messages": messages }))
    } else {
        ("/v1.0/messages", Call::message(&load.channel, index))
    };
    Call::post(&load.target.to_string(), path, authorization.as_deref(), &body.to_string())
}

fn span(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.max(0.0))
}

fn say(value: &serde_json::Value) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}

fn say_rate(per_second: f64) -> anyhow::Result<()> {
    say(&json!({ "per_second": per_second }))
}

fn say_address(address: SocketAddr) {
    // Whoever started this process reads the line; if nobody does, there is nobody to serve.
    if say(&json!({ "address": address.to_string() })).is_err() {
        std::process::exit(1);
    }
}
