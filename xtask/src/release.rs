//! Programs built for release, run with their temporary files on the disk of the build directory.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};

/// The program `proof`, freshly built beside `gateway`.
///
/// # Errors
/// If it cannot be built.
pub fn proof() -> anyhow::Result<Command> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built =
        Command::new(cargo).args(["build", "--release", "--package", "naru-tests", "--bins"]).status()?;
    ensure!(built.success(), "the build failed");
    let target = target()?;
    let temporary = target.join("tmp");
    std::fs::create_dir_all(&temporary)?;
    let mut command = Command::new(target.join("release/proof"));
    // Not /tmp, which may be in memory: a sync there costs nothing and proves nothing.
    command.env("TMPDIR", temporary);
    Ok(command)
}

/// Where everything is built.
///
/// # Errors
/// If it cannot be told.
pub fn target() -> anyhow::Result<PathBuf> {
    if let Some(target) = std::env::var_os("CARGO_TARGET_DIR") {
        return Ok(std::path::absolute(target)?);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace is above this crate")?;
    Ok(root.join("target"))
}
