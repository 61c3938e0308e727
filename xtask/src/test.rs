//! `cargo xtask test`: what the tests need, then every test.

use std::{
    io::{self, Write},
    path::Path,
    process::Command,
};

use anyhow::bail;

use crate::run as execute;

/// A program that a test calls, and the Debian package that brings it.
const NEEDS: [(&str, &str); 3] = [("strace", "strace"), ("curl", "curl"), ("python3", "python3")];

/// Installs what is missing and runs every test of the workspace; `more` is passed on.
///
/// # Errors
/// If something cannot be installed, or a test fails.
pub fn run(more: &[String]) -> anyhow::Result<()> {
    install()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    execute(Command::new(cargo).args(["test", "--locked", "--workspace"]).args(more))
}

fn install() -> anyhow::Result<()> {
    let missing: Vec<&str> =
        NEEDS.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    writeln!(io::stderr().lock(), "the tests need: {} (installed by apt)", missing.join(", "))?;
    if !is_there("apt-get") {
        bail!("there is no apt-get here: install them by hand");
    }
    let apt = |args: &[&str]| {
        let mut command = if is_root() { Command::new("apt-get") } else { Command::new("sudo") };
        if !is_root() {
            command.arg("apt-get");
        }
        command.env("DEBIAN_FRONTEND", "noninteractive").args(args);
        execute(&mut command)
    };
    apt(&["update", "-q"])?;
    let mut args = vec!["install", "-q", "-y", "--no-install-recommends"];
    args.extend(missing);
    apt(&args)
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    // The owner of this process's own entry is its effective user.
    std::fs::metadata(Path::new("/proc/self")).is_ok_and(|meta| meta.uid() == 0)
}
