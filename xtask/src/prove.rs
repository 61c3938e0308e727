//! `cargo xtask prove`: the proofs in full size.

use std::{process::Command, time::UNIX_EPOCH};

use anyhow::ensure;

use crate::release;

/// Arguments go to the durability runs and to the roll-out as they are (`--seed N` repeats a run).
///
/// # Errors
/// If it cannot be built or run, or a promise was broken.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    let durable = release::proof()?.arg("durability").args(arguments).status()?;
    ensure!(durable.success(), "the durability run failed");
    let wide = release::proof()?.args(["durability", "--wide"]).args(arguments).status()?;
    ensure!(wide.success(), "the durability run over shared engines failed");
    let aws = release::proof()?.args(["durability", "--wide", "--aws"]).args(arguments).status()?;
    ensure!(aws.success(), "the durability run over AWS failed");
    let rolled = release::proof()?.arg("rollout").args(arguments).status()?;
    ensure!(rolled.success(), "the roll-out under load failed");
    let carriers = release::proof()?.arg("carriers").args(arguments).status()?;
    ensure!(carriers.success(), "a carrier's report is wrong or missing");
    let turns = release::proof()?.arg("turns").status()?;
    ensure!(turns.success(), "a flood held up others on a slow backend");
    front_door(arguments)?;
    for on in [&["stop"][..], &["stop", "--wide"], &["stop", "--aws"]] {
        let stopped = release::proof()?.args(on).status()?;
        ensure!(stopped.success(), "a stop amid a stream was not exact");
    }
    let scale = release::proof()?.arg("scale").status()?;
    ensure!(scale.success(), "the scale run failed or missed a goal");
    let idle = release::proof()?.args(["idle", "--wide", "--details"]).status()?;
    ensure!(idle.success(), "a deployment at rest asked for more than it may");
    let idle = release::proof()?.args(["idle", "--wide", "--aws", "--details"]).status()?;
    ensure!(idle.success(), "a deployment at rest on AWS asked for more than it may");
    let full = ["bench", "--wide", "--only", "fghijk", "--finished", "10000000"];
    let full = release::proof()?.args(full).status()?;
    ensure!(full.success(), "the benchmark beside 10,000,000 finished messages failed or missed a goal");
    Ok(())
}

/// Some of the tests.
fn tests(which: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["test", "--locked", "--workspace"]).args(which);
    command
}

/// The seed that was asked for, else one that nobody had before.
fn seed(arguments: &[String]) -> String {
    let named = arguments.iter().skip_while(|argument| *argument != "--seed").nth(1).cloned();
    let now = || UNIX_EPOCH.elapsed().map_or(1, |since| since.as_secs());
    named.unwrap_or_else(|| now().to_string())
}

/// What the front door lets in, tells, and costs.
fn front_door(arguments: &[String]) -> anyhow::Result<()> {
    let readers = ["--lib", "--", "foreign::", "--no-capture"];
    let readers =
        tests(&readers).envs([("NARU_MUTATIONS", "1000000"), ("NARU_SEED", &seed(arguments))]).status()?;
    ensure!(readers.success(), "a reader of foreign bytes panicked, or made something up");
    // Built by now, for the runs before.
    let programs = release::target()?.join("release");
    let tried = tests(&["--test", "it", "--", "security::"]).env("NARU_PROGRAMS", programs).status()?;
    ensure!(tried.success(), "something that is tried at the door is not refused by the release's program");
    let hostile = release::proof()?.arg("hostile").args(arguments).status()?;
    ensure!(hostile.success(), "a call that was meant to harm did");
    let timing = release::proof()?.arg("timing").args(arguments).status()?;
    ensure!(timing.success(), "the time of a refusal tells why, or the measurement would not have found it");
    let guessing = release::proof()?.arg("guessing").status()?;
    ensure!(guessing.success(), "guesses are not slowed, or hold up a customer behind the same address");
    let idle = release::proof()?.arg("idle-connections").status()?;
    ensure!(idle.success(), "idle connections cost too much, or hold up a customer");
    let ways = release::proof()?.arg("ways").status()?;
    ensure!(ways.success(), "a way in costs more beside Basic than it may");
    Ok(())
}
