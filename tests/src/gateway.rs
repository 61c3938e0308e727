//! A gateway process of a test's own: its directory, its ports, its customers; started, hurt and ended by its id.

mod process;
mod provision;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
pub use process::{Helper, Programs, free_address, wait_for_line};
pub(crate) use process::{Running, gateway as program_of};
pub use provision::{RouteSpec, Setup, Users};
pub(crate) use provision::{documents, write_all};
use tempfile::TempDir;

use crate::{customer::Customer, wire::Wire};

/// How long a gateway may take until it is ready.
const READY: Duration = Duration::from_secs(30);

/// How long a drain may take by its own promise.
pub const DRAIN: Duration = Duration::from_secs(25);

/// A gateway and what it stands on. Dropping it ends the process and asserts that nothing is left.
pub struct Gateway {
    programs: Programs,
    home: TempDir,
    listen: SocketAddr,
    operator: SocketAddr,
    arguments: Vec<String>,
    /// More of them, which differ from start to start.
    more: Vec<String>,
    running: Option<Running>,
    /// Who may call it.
    pub users: Users,
}

impl Gateway {
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
        Ok(Self { programs, home, listen, operator, arguments, more, running: None, users })
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
        ensure!(self.running.is_none(), "the gateway runs already");
        let (log, arguments) = (self.log(), [&self.arguments[..], &self.more].concat());
        // What it is like to be drained is for some tests only.
        let mut all = vec![("NARU_INGRESS__DRAIN_GRACE_MS", "50".to_owned())];
        all.extend_from_slice(environment);
        self.running = Some(Running::start(&self.programs.gateway, &arguments, &all, &log)?);
        Ok(())
    }

    /// Waits until `/readyz` says so.
    ///
    /// # Errors
    /// If the process ends, or is not ready in time.
    pub fn await_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY;
        loop {
            let mut wire = Wire::new(self.operator, Duration::from_secs(1));
            if wire.call("GET", "/readyz", &[], b"").is_ok_and(|reply| reply.status == 200) {
                return Ok(());
            }
            ensure!(!self.has_ended()?, "the gateway ended before it was ready:\n{}", self.log_tail());
            ensure!(Instant::now() < deadline, "the gateway is not ready:\n{}", self.log_tail());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether the process has ended; if so it is collected.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        let ended = self.running.as_mut().map(Running::has_ended).transpose()?.unwrap_or(true);
        if ended {
            self.running = None;
        }
        Ok(ended)
    }

    /// SIGKILL, and collects the process.
    ///
    /// # Errors
    /// If it does not run or cannot be collected.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.running.take().context("the gateway does not run")?.kill()
    }

    /// SIGSTOP.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.process()?.signal(rustix::process::Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// If it does not run.
    pub fn go_on(&self) -> anyhow::Result<()> {
        self.process()?.signal(rustix::process::Signal::CONT)
    }

    /// SIGTERM; returns how long the drain took.
    ///
    /// # Errors
    /// If it does not end by itself in time, or not with success.
    pub fn drain(&mut self) -> anyhow::Result<Duration> {
        let running = self.running.take().context("the gateway does not run")?;
        let began = Instant::now();
        let success = running.terminate(DRAIN + Duration::from_secs(3))?;
        ensure!(success, "the gateway did not end well:\n{}", self.log_tail());
        Ok(began.elapsed())
    }

    /// The process's id.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.process()?.id())
    }

    fn process(&self) -> anyhow::Result<&Running> {
        self.running.as_ref().context("the gateway does not run")
    }

    /// Where customers call.
    #[must_use]
    pub const fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where the operator asks.
    #[must_use]
    pub const fn operator(&self) -> SocketAddr {
        self.operator
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
        let mut command = process::gateway(&self.programs.gateway);
        let output = command.args(arguments).arg("--config").arg(self.config()).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "naru {arguments:?}: {errors}");
        Ok(String::from_utf8(output.stdout)?)
    }

    fn log(&self) -> PathBuf {
        self.home.path().join("gateway.log")
    }

    /// The last lines that the process logged.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Gateway {
    #[expect(clippy::panic, reason = "a test that leaves a process behind must fail")]
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        let ended = running.terminate(DRAIN + Duration::from_secs(3));
        if !matches!(ended, Ok(true)) && !std::thread::panicking() {
            panic!("the gateway did not end when asked: {ended:?}\n{}", self.log_tail());
        }
    }
}
