//! A gateway process of a test's own: its directory, its ports, its customers; started, hurt and ended by its id.

mod member;
mod process;
mod provision;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::ensure;
pub use member::{DRAIN, Member};
pub use process::{Helper, Programs, free_address, wait_for_line};
pub use provision::{RouteSpec, Setup, Users};
pub(crate) use provision::{entries, put};
use tempfile::TempDir;

use crate::customer::Customer;

/// The variable that says how long whoever guesses waits.
pub const GUESS_WAIT: &str = "NARU_INGRESS__GUESS_WAIT_MS";

/// A gateway and what it stands on. Dropping it ends the process and asserts that nothing is left.
pub struct Gateway {
    programs: Programs,
    // Before the directory that its log is in.
    member: Member,
    home: TempDir,
    listen: SocketAddr,
    /// More arguments, which differ from start to start.
    more: Vec<String>,
    /// Who may call it.
    pub users: Users,
}

impl Gateway {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.listen
    }

    /// A gateway with the customers and routes of `setup`, running and ready.
    ///
    /// # Errors
    /// If it cannot be made or does not become ready.
    pub fn spawn(setup: &Setup) -> anyhow::Result<Self> {
        let mut gateway = Self::prepare(setup)?;
        gateway.start(&[])?;
        Ok(gateway)
    }

    /// As [`Gateway::spawn`], not yet started.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn prepare(setup: &Setup) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("naru-").tempdir()?;
        let data = setup.data.clone().unwrap_or_else(|| home.path().join("data"));
        let users = provision::write(&data, setup)?;
        let (listen, operator) = (free_address()?, free_address()?);
        let config = home.path().join("naru.toml");
        let head = format!("data = {:?}\n", data.display().to_string());
        std::fs::write(&config, head + &setup.config)?;
        let mut arguments: Vec<String> =
            ["up", "--no-demo", "--log-format", "json"].map(str::to_owned).to_vec();
        arguments.extend(["--config".to_owned(), config.display().to_string()]);
        arguments.extend(["--listen".to_owned(), listen.to_string()]);
        arguments.extend(["--operator-listen".to_owned(), operator.to_string()]);
        let (programs, more) = (Programs::find()?, setup.arguments.clone());
        let member = Member::new("gateway", &programs.gateway, arguments, operator, home.path());
        Ok(Self { programs, member, home, listen, more, users })
    }

    /// From its next start on it gets these arguments of `up` in place of the setup's.
    pub fn argue(&mut self, more: &[&str]) {
        self.more = more.iter().map(|&argument| argument.to_owned()).collect();
    }

    /// Starts the process and waits until it is ready.
    ///
    /// # Errors
    /// If it ends, or is not ready in time.
    pub fn start(&mut self, environment: &[(&str, String)]) -> anyhow::Result<()> {
        self.launch(environment)?;
        self.await_ready()
    }

    /// Starts the process without waiting for it.
    ///
    /// # Errors
    /// If it runs already, or cannot be started.
    pub fn launch(&mut self, environment: &[(&str, String)]) -> anyhow::Result<()> {
        self.member.launch_with(&self.more, environment)
    }

    /// Waits until `/readyz` says so.
    ///
    /// # Errors
    /// If the process ends, or is not ready in time.
    pub fn await_ready(&mut self) -> anyhow::Result<()> {
        self.member.await_ready()
    }

    /// Whether the process has ended; if so it is collected.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        self.member.has_ended()
    }

    /// SIGKILL, and collects the process.
    ///
    /// # Errors
    /// If it does not run or cannot be collected.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.member.kill()
    }

    /// SIGSTOP.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.member.pause()
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// If it does not run.
    pub fn go_on(&self) -> anyhow::Result<()> {
        self.member.go_on()
    }

    /// SIGTERM; returns how long the drain took.
    ///
    /// # Errors
    /// If it does not end by itself in time, or not with success.
    pub fn drain(&mut self) -> anyhow::Result<Duration> {
        self.member.drain()
    }

    /// The process's id.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.member.pid()
    }

    /// Where customers call.
    #[must_use]
    pub const fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where the operator asks.
    #[must_use]
    pub const fn operator(&self) -> SocketAddr {
        self.member.operator()
    }

    /// A directory for the test's own files; it goes with the gateway.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The configuration file, for the operator's verbs.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.home.path().join("naru.toml")
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.programs.gateway
    }

    /// A live customer's client.
    #[must_use]
    pub fn customer(&self, index: usize) -> Customer {
        Customer::live(self.listen, &self.users.live[index], Duration::from_secs(25))
    }

    /// Runs one of the operator's verbs and returns what it printed.
    ///
    /// # Errors
    /// If it fails.
    pub fn verb(&self, arguments: &[&str]) -> anyhow::Result<String> {
        verb(&self.programs.gateway, &self.config(), arguments)
    }

    /// The last lines that the process logged.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.member.log_tail()
    }
}

/// One of the operator's verbs with a configuration, not begun yet.
pub(crate) fn command(program: &Path, config: &Path, arguments: &[&str]) -> Command {
    let mut command = process::gateway(program);
    command.args(arguments).arg("--config").arg(config);
    command
}

/// Runs one of the operator's verbs with a configuration and returns what it printed.
pub(crate) fn verb(program: &Path, config: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = command(program, config, arguments).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "naru {arguments:?}: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}
