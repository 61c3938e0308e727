//! `cargo xtask engines`: private engines for a developer, with Naru on them if it is wished.

use std::{os::unix::process::CommandExt, process::Command};

use anyhow::ensure;

use crate::{needs, release::target, tools};

/// Becomes the program that runs them, so that Ctrl-C, signals and the end of input reach it.
///
/// # Errors
/// If it cannot be built or run.
pub fn run(naru: bool, aws: bool) -> anyhow::Result<()> {
    needs::install_packages()?;
    if aws {
        // The emulator is a package of PyPI.
        tools::install()?;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built =
        Command::new(cargo).args(["build", "--quiet", "--package", "naru-tests", "--bins"]).status()?;
    ensure!(built.success(), "the build failed");
    let mut proof = Command::new(target()?.join("debug/proof"));
    proof.arg("engines").args(naru.then_some("--naru")).args(aws.then_some("--aws"));
    Err(proof.exec().into())
}
