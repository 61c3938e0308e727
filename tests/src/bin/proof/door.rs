//! What the front door lets in, tells, and costs.

use std::{io::Write, net::SocketAddr};

use clap::Subcommand;
use naru_tests::{crowd, guessing, hostile, monotonic::nanos, timing, ways};
use serde_json::json;

use super::{report, say};

#[derive(Subcommand)]
pub enum Door {
    /// Calls that are meant to harm: good ones that something was done to.
    Hostile {
        /// Every draw follows from it; without it, from the clock.
        #[arg(long)]
        seed: Option<u64>,
        /// So many.
        #[arg(long, default_value_t = 1_000_000)]
        calls: u64,
    },
    /// Whether the time of a refusal tells why: unknown ids, wrong secrets, revoked credentials, in full size unless told otherwise.
    Timing {
        /// Every draw follows from it; without it, from the clock.
        #[arg(long)]
        seed: Option<u64>,
        /// A small run.
        #[arg(long)]
        small: bool,
    },
    /// What each way in costs: accepts a second beside Basic, and over TLS, in full size unless told otherwise.
    Ways {
        /// A small run.
        #[arg(long)]
        small: bool,
        /// Beside Basic only ways in whose name this is.
        #[arg(long, default_value = "")]
        only: String,
    },
    /// A customer's calls beside guesses at full speed from the same address, in full size unless told otherwise.
    Guessing {
        /// A small run.
        #[arg(long)]
        small: bool,
    },
    /// A customer's calls beside ten thousand idle connections.
    IdleConnections {
        /// A small run.
        #[arg(long)]
        small: bool,
    },
    /// Opens connections, makes one call on each, and holds them until the end of standard input.
    Hold {
        /// The server.
        #[arg(long)]
        target: SocketAddr,
        /// How many.
        #[arg(long, default_value_t = 10_000)]
        connections: usize,
    },
}

/// Runs one.
pub fn run(door: Door) -> anyhow::Result<()> {
    match door {
        Door::Hostile { seed, calls } => {
            let told = hostile::run(calls, seed.unwrap_or_else(nanos))?;
            say(&serde_json::to_value(&told)?)?;
            is_kept(&told.broken)
        }
        Door::Timing { seed, small } => {
            let seed = seed.unwrap_or_else(nanos);
            let plan = if small { timing::Plan::small(seed) } else { timing::Plan::full(seed) };
            let told = timing::run(&plan, &mut tell)?;
            say(&serde_json::to_value(&told)?)?;
            is_kept(&told.broken())
        }
        Door::Ways { small, only } => {
            let plan = if small { ways::Plan::small() } else { ways::Plan::full() };
            let plan = ways::Plan { only, ..plan };
            report(None, |say| ways::run(&plan, say))
        }
        Door::Guessing { small } => {
            let plan = if small { guessing::Plan::small() } else { guessing::Plan::full() };
            let told = guessing::run(&plan, &mut tell)?;
            say(&serde_json::to_value(&told)?)?;
            is_kept(&told.broken())
        }
        Door::IdleConnections { small } => {
            let plan = if small { crowd::Plan::small() } else { crowd::Plan::full() };
            let told = crowd::run(&plan, &mut tell)?;
            say(&serde_json::to_value(&told)?)?;
            is_kept(&told.broken())
        }
        Door::Hold { target, connections } => {
            crowd::hold(target, connections, std::io::stdin(), |open| say(&json!({ "open": open })))
        }
    }
}

fn tell(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stderr(), "{line}")?)
}

fn is_kept(broken: &[String]) -> anyhow::Result<()> {
    anyhow::ensure!(broken.is_empty(), "{} promises were broken: {broken:#?}", broken.len());
    Ok(())
}
