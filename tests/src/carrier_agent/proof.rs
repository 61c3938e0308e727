//! Carriers at work while workers are killed: every report is right in the end, each revision once.

use std::{collections::HashSet, thread, time::Duration};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{CarrierAgent, Database, compare, send};
use crate::{
    deployment::{Carrier, Carries, Deployment, Shape},
    engines::{MariaDb, Postgres},
    gateway::Setup,
};

/// A worker's rows are another's after so long.
const CONFIG: &str = "[workers]\nlease_ms = 5000\nsweep_ms = 1000\n";

/// How large a run is.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Messages.
    pub rows: usize,
    /// Deaths of workers.
    pub kills: usize,
    /// As many of them at least while the agent is at work.
    pub least: usize,
    /// Between two of them.
    pub pause: Duration,
    /// Every draw of the agent follows from it.
    pub seed: u64,
    /// How long the agent, and then the reports, may take.
    pub patience: Duration,
}

impl Plan {
    /// One that takes half a minute; its agent may have done before the last of the deaths.
    #[must_use]
    pub const fn small(seed: u64) -> Self {
        let (pause, patience) = (Duration::from_millis(800), Duration::from_secs(180));
        Self { rows: 1_500, kills: 4, least: 2, pause, seed, patience }
    }

    /// 50,000 messages and ten deaths.
    #[must_use]
    pub const fn full(seed: u64) -> Self {
        let (pause, patience) = (Duration::from_secs(4), Duration::from_secs(1_500));
        Self { rows: 50_000, kills: 10, least: 10, pause, seed, patience }
    }
}

fn deployment(carries: Carries) -> anyhow::Result<Deployment> {
    Deployment::spawn(&Shape {
        carries,
        setup: Setup { config: CONFIG.to_owned(), ..Setup::default() },
        ..Shape::default()
    })
}

/// Makes the route, and gives the password of the carrier's role.
fn add(site: &Deployment, arguments: &[&str]) -> anyhow::Result<String> {
    let rest = ["--assign", "c0/sms", "--attempt-timeout", "3s", "--json"];
    let told: Value = serde_json::from_str(&site.verb(&[&["route", "add"], arguments, &rest].concat())?)?;
    ensure!(told["backend"]["kind"] == "table", "{told}");
    if matches!(site.carrier, Carrier::Aws(_)) {
        site.verb(&["infra", "apply"])?;
    }
    Ok(told["carrier"]["password"].as_str().context("a role was made")?.to_owned())
}

/// The table of this project on PostgreSQL, by a role with no rights but the carrier's; how many reports came.
///
/// # Errors
/// If a report is wrong, or nothing comes of it in time.
pub fn on_postgres(plan: &Plan, carries: Carries) -> anyhow::Result<usize> {
    let mut site = deployment(carries)?;
    let carrier = Postgres::start()?;
    let url = carrier.database()?;
    let password = add(&site, &["carrier", "table", &url, "--carrier", "agent_a"])?;
    let name = url.rsplit('/').next().unwrap_or_default().to_owned();
    let database = Database { port: carrier.port(), user: "agent_a".to_owned(), password, name };
    run(&mut site, "naru", &database, plan, true)
}

/// `em_tran` and its log tables on MariaDB; how many reports came.
///
/// # Errors
/// As [`on_postgres`].
pub fn on_mariadb(plan: &Plan) -> anyhow::Result<usize> {
    let mut site = deployment(Carries::RabbitMq)?;
    let carrier = MariaDb::start()?;
    let name = carrier.database()?;
    let url = carrier.url(&name);
    let password = add(&site, &["carrier", "table", &url, "--mapping", "em_tran", "--carrier", "agent_b"])?;
    // This agent moves its rows to log tables, as its kind does: it needs more than the columns of a report.
    carrier.sql(&name, &format!("GRANT ALL ON {name}.* TO 'agent_b'@'%'"))?;
    let database = Database { port: carrier.port(), user: "agent_b".to_owned(), password, name };
    run(&mut site, "em_tran", &database, plan, false)
}

fn run(
    site: &mut Deployment,
    mapping: &str,
    database: &Database,
    plan: &Plan,
    corrected_twice: bool,
) -> anyhow::Result<usize> {
    let mut agent = CarrierAgent::start(mapping, database, plan.rows, plan.seed)?;
    // The route is in force within a second.
    thread::sleep(Duration::from_secs(2));
    let mut customer = site.customer(0);
    let sent = thread::scope(|scope| {
        let sending = scope.spawn(|| send(&mut customer, "sms", plan.rows));
        harm(site, &mut agent, plan)?;
        sending.join().map_err(|_panic| anyhow::anyhow!("whoever sends panicked"))?
    })?;
    ensure!(sent.keys().collect::<HashSet<_>>().len() == plan.rows, "an id was given twice");
    let truths = agent.truth(plan.patience)?;
    compare(&mut site.customer(0), &truths, &sent, |_| corrected_twice, plan.patience)
}

/// Kills one worker after the other while the agent is at work.
fn harm(site: &mut Deployment, agent: &mut CarrierAgent, plan: &Plan) -> anyhow::Result<()> {
    for time in 0..plan.kills {
        thread::sleep(plan.pause);
        if agent.has_ended()? {
            ensure!(time >= plan.least, "the agent had ended after {time} of {} deaths", plan.least);
            return Ok(());
        }
        let number = time % site.workers.len();
        site.workers[number].kill()?;
        thread::sleep(Duration::from_millis(300));
        site.workers[number].start(&[])?;
    }
    Ok(())
}
