//! `cargo xtask bench`: builds for release and measures; every part is a process of its own.

use anyhow::ensure;

use crate::release;

/// Arguments go to the benchmark as they are (`--out FILE`, `--only abc`, `--seconds N`).
///
/// # Errors
/// If it cannot be built or run, or a goal was missed.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    let status = release::proof()?.arg("bench").args(arguments).status()?;
    ensure!(status.success(), "the benchmark failed or missed a goal");
    Ok(())
}
