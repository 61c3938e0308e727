//! What the tests call that is not Rust: programs of Debian packages, installed where they are missing; and see [`tools`].

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{bail, ensure};

use crate::{run as execute, tools};

/// A Debian package that a test needs, and a file that it brings; `*` stands for one folder's name.
const PACKAGES: [(&str, &str); 15] = [
    ("strace", "/usr/bin/strace"),
    ("curl", "/usr/bin/curl"),
    ("python3", "/usr/bin/python3"),
    ("python3-venv", "/usr/lib/*/ensurepip/__init__.py"),
    ("openssl", "/usr/bin/openssl"),
    ("util-linux", "/usr/bin/setsid"),
    ("haproxy", "/usr/sbin/haproxy"),
    ("redis-server", "/usr/bin/redis-server"),
    ("rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server"),
    ("mariadb-server", "/usr/sbin/mariadbd"),
    ("postgresql", "/usr/lib/postgresql/*/bin/postgres"),
    ("jq", "/usr/bin/jq"),
    ("php-cli", "/usr/bin/php"),
    ("openjdk-17-jdk-headless", "/usr/bin/javac"),
    ("libgoogle-gson-java", "/usr/share/java/gson.jar"),
];

/// Installs packages without starting the servers that they bring: the tests start their own, on loopback.
const INSTALL: &str = r#"
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap "rm -f $policy" EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
fi
apt-get update -q
apt-get install -q -y --no-install-recommends "$@"
"#;

/// Installs what is missing.
///
/// # Errors
/// If something cannot be installed.
pub fn install() -> anyhow::Result<()> {
    install_packages()?;
    tools::install()
}

/// Installs the Debian packages that are missing.
///
/// # Errors
/// If one cannot be installed.
pub fn install_packages() -> anyhow::Result<()> {
    let missing: Vec<&str> =
        PACKAGES.iter().filter(|(_, file)| !is_there(file)).map(|(package, _)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    writeln!(io::stderr().lock(), "the tests need: {} (installed by apt)", missing.join(", "))?;
    if !is_there("/usr/bin/apt-get") {
        bail!("there is no apt-get here: install them by hand");
    }
    let mut command = if is_root() { Command::new("sh") } else { Command::new("sudo") };
    if !is_root() {
        command.arg("sh");
    }
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["-c", INSTALL, "install"]).args(&missing);
    execute(&mut command)?;
    let still: Vec<&str> =
        PACKAGES.iter().filter(|(_, file)| !is_there(file)).map(|(package, _)| *package).collect();
    ensure!(still.is_empty(), "not there after they were installed: {}", still.join(", "));
    Ok(())
}

/// Which versions the tests are run with, for whoever reads the log.
///
/// # Errors
/// If it cannot be told.
pub fn tell_versions() -> anyhow::Result<()> {
    for (package, file) in PACKAGES {
        let output = Command::new("dpkg-query").args(["-W", "-f", "${Version}", package]).output();
        let version = output.ok().filter(|output| output.status.success());
        let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let version = version.unwrap_or_else(|| format!("{file}, of no Debian package"));
        writeln!(io::stderr().lock(), "with {package} {version}")?;
    }
    Ok(())
}

fn is_there(file: &str) -> bool {
    let Some((folder, rest)) = file.split_once("/*/") else { return Path::new(file).is_file() };
    let versions: Vec<PathBuf> = std::fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    versions.iter().any(|version| version.join(rest).is_file())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    // The owner of this process's own entry is its effective user.
    std::fs::metadata(Path::new("/proc/self")).is_ok_and(|meta| meta.uid() == 0)
}
