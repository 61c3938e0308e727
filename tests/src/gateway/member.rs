//! One process of the program: with arguments, listeners and a log of its own; started, hurt and ended by its id.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rustix::process::Signal;

use super::process::Running;
use crate::wire::Wire;

/// How long a process may take until it is ready.
const READY: Duration = Duration::from_secs(30);

/// How long a drain may take by its own promise.
pub const DRAIN: Duration = Duration::from_secs(25);

/// Beyond that, for the machine.
const GRACE: Duration = Duration::from_secs(3);

/// A process that may run. Dropping it ends it, and asserts that it ended as it should.
#[derive(Debug)]
pub struct Member {
    /// What it is called where something is said of it.
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    operator: SocketAddr,
    log: PathBuf,
    /// Where its id is noted for whoever cleans up when nobody else can.
    note: Option<PathBuf>,
    running: Option<Running>,
    /// Whether what runs was asked to end.
    asked: bool,
}

impl Member {
    /// A process that does not run yet. The arguments must have it listen for the operator at `operator`.
    pub(crate) fn new(
        name: &str,
        program: &Path,
        arguments: Vec<String>,
        operator: SocketAddr,
        home: &Path,
    ) -> Self {
        let log = home.join(format!("{name}.log"));
        let note = Some(home.join("pids").join(name)).filter(|note| note.parent().is_some_and(Path::is_dir));
        let (name, program) = (name.to_owned(), program.to_owned());
        Self { name, program, arguments, operator, log, note, running: None, asked: false }
    }

    /// From its next start on it is this program: another build of the same.
    pub fn replace_program(&mut self, program: &Path) {
        program.clone_into(&mut self.program);
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// If it ends, or is not ready in time.
    pub fn start(&mut self, environment: &[(&str, String)]) -> anyhow::Result<()> {
        self.launch(environment)?;
        self.await_ready()
    }

    /// Starts it without waiting for it.
    ///
    /// # Errors
    /// If it runs already, or cannot be started.
    pub fn launch(&mut self, environment: &[(&str, String)]) -> anyhow::Result<()> {
        self.launch_with(&[], environment)
    }

    /// As [`Member::launch`], with more arguments.
    pub(super) fn launch_with(
        &mut self,
        more: &[String],
        environment: &[(&str, String)],
    ) -> anyhow::Result<()> {
        ensure!(self.running.is_none(), "{} runs already", self.name);
        let arguments = [&self.arguments[..], more].concat();
        // What it is like to be drained is for some tests only.
        let mut all = vec![("NARU_INGRESS__DRAIN_GRACE_MS", "50".to_owned())];
        all.extend_from_slice(environment);
        let running = Running::start(&self.program, &arguments, &all, &self.log)?;
        if let Some(note) = &self.note {
            fs::write(note, running.id().to_string())?;
        }
        (self.running, self.asked) = (Some(running), false);
        Ok(())
    }

    /// Waits until `/readyz` says so.
    ///
    /// # Errors
    /// If the process ends, or is not ready in time.
    pub fn await_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY;
        while !self.is_ready() {
            let (ended, name) = (self.has_ended()?, &self.name);
            ensure!(!ended, "{name} ended before it was ready:\n{}", self.log_tail());
            let late = || format!("{name} is not ready: {}\n{}", self.readiness().1, self.log_tail());
            ensure!(Instant::now() < deadline, late());
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Whether `/readyz` says so now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.readiness().0 == 200
    }

    /// What `/readyz` says now, and its status; 0 and nothing if it does not answer.
    #[must_use]
    pub fn readiness(&self) -> (u16, String) {
        let mut wire = Wire::new(self.operator, Duration::from_secs(2));
        let said = wire.call("GET", "/readyz", &[], b"");
        said.map_or((0, String::new()), |reply| {
            (reply.status, String::from_utf8_lossy(&reply.body).into_owned())
        })
    }

    /// Whether the process has ended, or was never started; if it has ended it is collected.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        let ended = self.running.as_mut().map(Running::has_ended).transpose()?.unwrap_or(true);
        if ended {
            self.forget();
        }
        Ok(ended)
    }

    /// SIGKILL, and collects the process.
    ///
    /// # Errors
    /// If it does not run or cannot be collected.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.take()?.kill()
    }

    /// SIGSTOP.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.process()?.signal(Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// If it does not run.
    pub fn go_on(&self) -> anyhow::Result<()> {
        self.process()?.signal(Signal::CONT)
    }

    /// SIGTERM without waiting for the end.
    ///
    /// # Errors
    /// If it does not run.
    pub fn ask_to_end(&mut self) -> anyhow::Result<()> {
        self.process()?.signal(Signal::TERM)?;
        self.asked = true;
        Ok(())
    }

    /// SIGTERM, unless it was asked already; returns how long the drain took from now on.
    ///
    /// # Errors
    /// If it does not end by itself in time, or not with success.
    pub fn drain(&mut self) -> anyhow::Result<Duration> {
        let (running, began) = (self.take()?, Instant::now());
        let success = running.terminate(self.asked, DRAIN + GRACE)?;
        ensure!(success, "{} did not end well:\n{}", self.name, self.log_tail());
        Ok(began.elapsed())
    }

    fn take(&mut self) -> anyhow::Result<Running> {
        let running = self.running.take().with_context(|| format!("{} does not run", self.name))?;
        self.forget();
        Ok(running)
    }

    fn forget(&mut self) {
        self.running = None;
        if let Some(note) = &self.note {
            // It may never have been written.
            drop(fs::remove_file(note));
        }
    }

    /// The process's id.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.process()?.id())
    }

    fn process(&self) -> anyhow::Result<&Running> {
        self.running.as_ref().with_context(|| format!("{} does not run", self.name))
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the operator asks.
    #[must_use]
    pub const fn operator(&self) -> SocketAddr {
        self.operator
    }

    /// Everything that it logged, over all its starts.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines that it logged.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = self.log();
        let lines: Vec<&str> = text.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Member {
    #[expect(clippy::panic, reason = "a test that leaves a process behind must fail")]
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        let ended = running.terminate(self.asked, DRAIN + GRACE);
        self.forget();
        if !matches!(ended, Ok(true)) && !std::thread::panicking() {
            panic!("{} did not end when asked: {ended:?}\n{}", self.name, self.log_tail());
        }
    }
}
