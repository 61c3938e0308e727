//! `cargo xtask engines`: engines for a developer, and Naru on them, until they are no longer wanted.

use std::{io::Read, thread};

use anyhow::Context;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use super::{On, Site, Topology};
use crate::gateway::Programs;

/// What to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// PostgreSQL, RabbitMQ (or AWS) and Redis.
    Engines,
    /// Those, and two `naru ingress` behind haproxy and two `naru workers` on them.
    Naru,
}

/// Starts it, says where everything is, and ends everything at SIGINT, SIGTERM or the end of standard input.
///
/// # Errors
/// If something cannot be started, or a process does not end well.
pub fn run(wish: Wish, on: On, say: &mut dyn FnMut(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let site = Site::start(on)?;
    for line in engines(&site)? {
        say(&line)?;
    }
    let topology = if wish == Wish::Naru {
        let topology = Topology::start(site)?;
        for line in naru(&topology) {
            say(&line)?;
        }
        Running::Naru(Box::new(topology))
    } else {
        let (program, config) = (Programs::find()?.gateway, site.config());
        let typed = format!("  {} --config {}", program.display(), config.display());
        say(&format!("\nMake the tables, then run Naru on them:\n\n{typed} migrate\n{typed} up"))?;
        Running::Engines(Box::new(site))
    };
    say("\nCtrl-C, or the end of standard input, ends everything and removes it.")?;
    wait()?;
    say("Ending.")?;
    drop(topology);
    Ok(())
}

/// What is dropped at the end.
#[expect(dead_code, reason = "they are kept to be dropped")]
enum Running {
    Engines(Box<Site>),
    Naru(Box<Topology>),
}

fn engines(site: &Site) -> anyhow::Result<Vec<String>> {
    let (carrier, url) = site.carrier()?;
    Ok(vec![
        format!("PostgreSQL  {}", site.read_secret("ledger_url")?),
        format!("{carrier:<12}{url}"),
        format!("Redis       {}", site.read_secret("redis_url")?),
        format!("naru.toml   {}", site.config().display()),
    ])
}

fn naru(topology: &Topology) -> Vec<String> {
    let (address, user) = (topology.address(), topology.user());
    let message = r#"{"channel":"sms","recipient":"+821012345600","body":"Hello from Naru"}"#;
    let operators =
        topology.operators().map(|(name, operator)| format!("  {name}  http://{operator}/readyz"));
    let mut lines =
        vec![format!("Naru        http://{address}/v1.0 (haproxy before two ingress; two workers)")];
    lines.extend(operators);
    lines.push("\nSend a message (its route is a simulator: nothing leaves this machine):\n".to_owned());
    lines.push(format!(
        "  curl -sS -u '{user}' -H 'Content-Type: application/json' -d '{message}' http://{address}/v1.0/messages"
    ));
    lines.push("\nRead its report, as soon as there is one:\n".to_owned());
    lines.push(format!("  curl -sS -u '{user}' 'http://{address}/v1.0/reports?wait=20'"));
    lines.push("\nAsk as the operator:\n".to_owned());
    let (program, config) = (topology.program().display(), topology.site().config());
    // The emulator's keys are nobody's secret, and it takes no call without any.
    let keys =
        if topology.site().is_on_aws() { "AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test " } else { "" };
    lines.push(format!("  {keys}{program} --config {} status", config.display()));
    lines
}

/// Until somebody asks for the end.
fn wait() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            closed = input_closed() => closed.context("nobody reads standard input")?,
        }
        Ok(())
    })
}

/// Until standard input is at its end. What comes before is not read for anything; the thread ends with the process.
async fn input_closed() -> Result<(), oneshot::error::RecvError> {
    let (send, closed) = oneshot::channel();
    thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut ignored = [0; 256];
        while input.read(&mut ignored).is_ok_and(|count| count > 0) {}
        // If a signal came first, nobody waits any more.
        send.send(()).ok();
    });
    closed.await
}
