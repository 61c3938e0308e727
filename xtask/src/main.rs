//! `cargo xtask`: the development commands of Naru.

mod bench;
mod engines;
mod needs;
mod prove;
mod release;
mod test;
mod tools;

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Development commands of Naru")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what the tests need, and run every test
    Test {
        /// Passed on to `cargo test`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        more: Vec<String>,
    },
    /// Only install what the tests need
    Needs,
    /// PostgreSQL, RabbitMQ and Redis for a developer, on free loopback ports, until Ctrl-C
    Engines {
        /// Also run Naru on them: two ingress behind haproxy, and two workers
        #[arg(long)]
        naru: bool,
        /// With an emulator of AWS in place of RabbitMQ
        #[arg(long)]
        aws: bool,
    },
    /// Measure, each figure beside the bare thing it is compared with
    Bench {
        /// Passed on to the benchmark
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        more: Vec<String>,
    },
    /// The proofs in full size
    Prove {
        /// Passed on to the durability run
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        more: Vec<String>,
    },
    /// Everything that must hold before a change is merged
    Ci,
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Task::Test { more } => test::run(&more)?,
        Task::Needs => needs::install()?,
        Task::Engines { naru, aws } => engines::run(naru, aws)?,
        Task::Bench { more } => bench::run(&more)?,
        Task::Prove { more } => prove::run(&more)?,
        Task::Ci => run(Command::new("bash").arg(".ci/run"))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a command to its end, its output shown.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let status =
        command.stdin(Stdio::null()).status().with_context(|| format!("{command:?} cannot be run"))?;
    if !status.success() {
        bail!("{command:?} failed: {status}");
    }
    Ok(())
}
