//! Processes by their id: started, signalled, collected, never left behind.

use std::{
    fs::OpenOptions,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::engines::free_port;

/// The variable that names a directory of programs which are tested in place of those beside the tests.
const PROGRAMS: &str = "NARU_PROGRAMS";

/// The programs of this workspace, wherever they were built.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `naru` with decorators.
    pub gateway: PathBuf,
    /// Receivers and load.
    pub proof: PathBuf,
}

impl Programs {
    /// Beside the running program, or, for a test, one directory above it; a directory that `NARU_PROGRAMS` names goes before, and
    /// may hold `naru` itself in place of the one with decorators.
    ///
    /// # Errors
    /// If they are not there.
    pub fn find() -> anyhow::Result<Self> {
        let own = std::env::current_exe()?;
        let beside = |name: &str| {
            let path = own.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|path| path.is_file());
            path.with_context(|| format!("`{name}` is not built beside {}", own.display()))
        };
        let Some(named) = std::env::var_os(PROGRAMS).map(PathBuf::from) else {
            return Ok(Self { gateway: beside("gateway")?, proof: beside("proof")? });
        };
        let there = |name: &str| Some(named.join(name)).filter(|path| path.is_file());
        let gateway = there("gateway").or_else(|| there("naru"));
        let gateway = gateway.with_context(|| {
            format!("neither `gateway` nor `naru` is in {}, which {PROGRAMS} names", named.display())
        })?;
        Ok(Self { gateway, proof: there("proof").map_or_else(|| beside("proof"), Ok)? })
    }
}

/// A loopback address that is free now, and that the system gives to nobody by chance: a process that is restarted finds it
/// free again.
///
/// # Errors
/// If none is found.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)))
}

/// The gateway's program, with none of the settings in the caller's environment.
pub(super) fn gateway(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("NARU_")) {
        command.env_remove(name);
    }
    // Emulators of AWS ask for no more; without an address that is set, nobody is called.
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// A child process.
#[derive(Debug)]
pub(super) struct Running(Child);

impl Running {
    pub(super) fn start(
        program: &Path,
        arguments: &[String],
        environment: &[(&str, String)],
        log: &Path,
    ) -> anyhow::Result<Self> {
        let log = OpenOptions::new().append(true).create(true).open(log)?;
        let mut command = gateway(program);
        command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
        Ok(Self(child))
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(super) fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.0.try_wait()?.is_some())
    }

    pub(super) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.0.id())?).context("a process has an id")?;
        Ok(kill_process(pid, signal)?)
    }

    pub(super) fn kill(mut self) -> anyhow::Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    /// SIGTERM, unless it was asked already (the second ends a process at once), and whether it ended with success; SIGKILL
    /// and an error after `patience`.
    pub(super) fn terminate(mut self, asked: bool, patience: Duration) -> anyhow::Result<bool> {
        if let Some(status) = self.0.try_wait()? {
            return Ok(status.success());
        }
        if !asked {
            self.signal(Signal::TERM)?;
        }
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status.success());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill()?;
        anyhow::bail!("it did not end within {patience:?} of SIGTERM");
    }
}

/// A process of the `proof` program that serves until it is dropped.
#[derive(Debug)]
pub struct Helper {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Helper {
    /// Starts it and reads its address from its first line.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(programs: &Programs, arguments: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(&programs.proof);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let line = wait_for_line(&mut child)?;
        let line: serde_json::Value = serde_json::from_str(&line)?;
        let address = line["address"].as_str().context("no address in the first line")?.parse()?;
        Ok(Self { child, address })
    }

    /// The process's id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It holds nothing that must be saved; if it is gone already there is nothing to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The first line that a child prints.
///
/// # Errors
/// If it ends before it prints one.
pub fn wait_for_line(child: &mut Child) -> anyhow::Result<String> {
    let mut line = String::new();
    let out = child.stdout.as_mut().context("its output is not piped")?;
    BufReader::new(out).read_line(&mut line)?;
    ensure!(!line.is_empty(), "it ended without a word");
    Ok(line)
}
