//! Programs that the tests call and that no Debian package brings: `cargo xtask needs` installs them into `target/tools`.

use std::{
    env::{join_paths, split_paths, var_os},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};

/// The folder with what PyPI and npm brought.
///
/// # Errors
/// If nothing was installed.
pub fn folder() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let beside = own.ancestors().map(|folder| folder.join("tools")).find(|folder| folder.is_dir());
    beside.context("no target/tools: run `cargo xtask needs` once")
}

/// A program in it, by its path there: `pip/bin/python`. What npm brings finds its Node.js on the path.
///
/// # Errors
/// If it was not installed.
pub fn tool(name: impl AsRef<Path>) -> anyhow::Result<Command> {
    let tools = folder()?;
    let program = tools.join(name);
    ensure!(program.is_file(), "{} is missing: run `cargo xtask needs`", program.display());
    let mut command = Command::new(program);
    let path = var_os("PATH").unwrap_or_default();
    command.env("PATH", join_paths(std::iter::once(tools.join("pip/bin")).chain(split_paths(&path)))?);
    Ok(command)
}
