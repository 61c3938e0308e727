//! One address guesses at full speed, and a customer who pays calls from behind the same address: how long do its calls take?
//!
//! Whoever guesses is a process of its own. On one machine it would also take the processor from the gateway, which another machine
//! would not: it runs at the lowest priority. The same is done on a gateway that does not slow guesses: there they must be many more, or
//! the slowing does nothing.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use serde::Serialize;

use crate::{
    gateway::{GUESS_WAIT, Gateway, Programs, Setup},
    load::Summary,
    paying::{MULTIPLE, Round, calm, ratio},
};

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Rounds, each without and with the guesses.
    pub rounds: usize,
    /// How long the customer is timed.
    pub span: Duration,
    /// Connections that guess.
    pub connections: usize,
    /// A p99 that is no more than the machine's, in milliseconds.
    pub busy: f64,
}

impl Plan {
    /// Three rounds of 20 s.
    #[must_use]
    pub const fn full() -> Self {
        Self { rounds: 3, span: Duration::from_secs(20), connections: 64, busy: 0.0 }
    }

    /// A few seconds, on a machine that may do other things.
    #[must_use]
    pub const fn small() -> Self {
        Self { rounds: 1, span: Duration::from_secs(2), connections: 64, busy: 100.0 }
    }
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Told {
    /// Every round.
    pub rounds: Vec<Round>,
    /// The median over the rounds: the customer's p99 beside the guesses for one without.
    pub ratio: f64,
    /// Guesses answered in a second.
    pub guesses_per_second: f64,
    /// The same where nothing slows them.
    pub unslowed: Unslowed,
    /// What of the p99 may be the machine's, in milliseconds.
    pub busy: f64,
}

/// On a gateway that does not slow guesses.
#[derive(Debug, Clone, Serialize)]
pub struct Unslowed {
    /// The customer's p99 with them for one without.
    pub ratio: f64,
    /// Guesses answered in a second.
    pub guesses_per_second: f64,
}

impl Told {
    /// What is not as it should be; empty if all is.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let within = self.rounds.iter().all(|round| round.beside.p99 <= self.busy);
        if self.ratio > MULTIPLE && !within {
            broken.push(format!("a customer's p99 is {:.2} of what it is without guesses", self.ratio));
        }
        if self.guesses_per_second * 10.0 > self.unslowed.guesses_per_second {
            broken.push(format!(
                "guesses are hardly slowed: {:.0} a second, and {:.0} unslowed",
                self.guesses_per_second, self.unslowed.guesses_per_second
            ));
        }
        broken
    }
}

/// Measures.
///
/// # Errors
/// If a process does not run, a customer's call is not accepted, or a guess is answered otherwise than by `401`.
pub fn run(plan: &Plan, say: &mut dyn FnMut(&str) -> anyhow::Result<()>) -> anyhow::Result<Told> {
    let (rounds, guesses_per_second) = rounds(plan, plan.rounds, &[], say)?;
    let off = [(GUESS_WAIT, "0".to_owned())];
    let (unslowed, unslowed_guesses) = self::rounds(plan, 1, &off, say)?;
    Ok(Told {
        ratio: ratio(&rounds),
        rounds,
        guesses_per_second,
        unslowed: Unslowed { ratio: ratio(&unslowed), guesses_per_second: unslowed_guesses },
        busy: plan.busy,
    })
}

fn rounds(
    plan: &Plan,
    count: usize,
    environment: &[(&str, String)],
    say: &mut dyn FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<(Vec<Round>, f64)> {
    let config = "[log]\nfilter = \"warn\"\n".to_owned();
    let mut gateway = Gateway::prepare(&Setup { config, ..Setup::default() })?;
    gateway.start(environment)?;
    let guesses = gateway.home().join("guesses");
    fs::write(&guesses, wrong(&gateway.users.live[0])?)?;
    let (mut rounds, mut speeds) = (Vec::new(), Vec::new());
    for number in 1..=count {
        let alone = calm(&gateway, plan.span)?;
        let guesser = Guesser::start(&gateway, &guesses, plan)?;
        // What an address may do at once is over.
        std::thread::sleep(Duration::from_secs(1));
        let beside = calm(&gateway, plan.span)?;
        let speed = guesser.end()?;
        say(&format!(
            "round {number}: alone p50 {:.2} p99 {:.2} ms, beside {speed:.0} guesses a second p50 {:.2} p99 {:.2} ms",
            alone.p50, alone.p99, beside.p50, beside.p99
        ))?;
        rounds.push(Round { alone, beside });
        speeds.push(speed);
    }
    Ok((rounds, crate::paying::median(speeds.into_iter())))
}

/// Guesses for the very credential of the customer, and for ids that nobody has.
fn wrong(user: &str) -> anyhow::Result<String> {
    let id = user.split(':').next().context("a user has an id")?;
    let guess = |number: usize| match number % 2 {
        0 => format!("{id}:guess-{number}:key-of-{id}\n"),
        _ => format!("nobody-{number}:guess-{number}:key\n"),
    };
    Ok((0..2_000).map(guess).collect())
}

/// The process that guesses.
struct Guesser(Child);

impl Guesser {
    fn start(gateway: &Gateway, guesses: &Path, plan: &Plan) -> anyhow::Result<Self> {
        let seconds = plan.span.as_secs_f64() + 1.5;
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(Programs::find()?.proof);
        command.args(["load", "--target", &gateway.listen().to_string(), "--credentials"]).arg(guesses);
        // Without a body, since a call that is refused before its body was read ends its connection.
        command.args(["--get", "/v1.0/quota"]);
        command.args(["--connections", &plan.connections.to_string(), "--warm-up", "1"]);
        command.args(["--seconds", &seconds.to_string()]);
        Ok(Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?))
    }

    /// Waits for its end, which it has set itself; guesses in a second.
    fn end(mut self) -> anyhow::Result<f64> {
        let mut told = String::new();
        self.0.stdout.take().context("its output is piped")?.read_to_string(&mut told)?;
        ensure!(self.0.wait()?.success(), "whoever guesses failed");
        let summary: Summary = serde_json::from_str(&told)?;
        let only = summary.statuses.keys().all(|status| *status == 401);
        ensure!(only && summary.broken == 0, "guesses were answered {:?}", summary.statuses);
        Ok(summary.calls_per_second())
    }
}

impl Drop for Guesser {
    fn drop(&mut self) {
        // If it has ended there is nothing to end.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
