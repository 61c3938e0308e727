//! What every engine's server shares: a directory, a log, an id, a start, an end.

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    ops::Range,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::keeper::Keeper;

/// How a server is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// As its documentation asks for: connections are closed, what is in memory is written.
    Orderly,
    /// Connections are cut and nothing is written any more; the next start recovers.
    Immediate,
    /// SIGKILL.
    Kill,
}

/// A server process with its directory.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    child: Option<Child>,
    // Before the directory: it removes it.
    _keeper: Keeper,
    home: PathBuf,
}

impl Server {
    /// A directory for a server that is not yet started.
    pub(crate) fn prepare(name: &'static str) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix(&format!("naru-{name}-")).tempdir()?.keep();
        let keeper = Keeper::of(&home)?;
        // A server that runs as another user must reach what is inside.
        fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        fs::create_dir(home.join("pids"))?;
        Ok(Self { name, child: None, _keeper: keeper, home })
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Starts it, with its words in `log`, and notes its id for the keeper.
    pub(crate) fn start(&mut self, command: &mut Command) -> anyhow::Result<()> {
        ensure!(self.child.is_none(), "{} runs already", self.name);
        let log = fs::OpenOptions::new().create(true).append(true).open(self.home.join("server.log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).current_dir("/");
        // Ctrl-C at a terminal goes to whoever started it, who ends it in its turn.
        command.process_group(0);
        let child = command.spawn().with_context(|| format!("starting {}", self.name))?;
        self.note(self.name, child.id())?;
        self.child = Some(child);
        Ok(())
    }

    /// Has the keeper end this process too.
    pub(crate) fn note(&self, name: &str, pid: u32) -> anyhow::Result<()> {
        let mut file = fs::File::create(self.home.join("pids").join(name))?;
        Ok(file.write_all(pid.to_string().as_bytes())?)
    }

    /// Asks until it answers.
    pub(crate) fn await_ready(
        &mut self,
        patience: Duration,
        mut is_ready: impl FnMut() -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        while !is_ready() {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                self.child = None;
                bail!("{} ended at its start ({status}):\n{}", self.name, self.words());
            }
            if Instant::now() > deadline {
                bail!("{} was not ready within {patience:?}:\n{}", self.name, self.words());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Sends a signal and waits for its end.
    pub(crate) fn end(&mut self, signal: Signal, patience: Duration) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let pid = Pid::from_raw(i32::try_from(child.id())?).context("a process has an id")?;
        // It may have ended by itself.
        let sent = kill_process(pid, signal);
        let deadline = Instant::now() + patience;
        while child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                bail!("{} did not end within {patience:?} of {signal:?} ({sent:?})", self.name);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        fs::remove_file(self.home.join("pids").join(self.name))?;
        Ok(())
    }

    /// Stops its processes where they are, or lets them go on: a server that is there and does not answer.
    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let child = self.child.as_ref().with_context(|| format!("{} does not run", self.name))?;
        let pid = Pid::from_raw(i32::try_from(child.id())?).context("a process has an id")?;
        Ok(kill_process(pid, signal)?)
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The end of its log.
    fn words(&self) -> String {
        let log = fs::read_to_string(self.home.join("server.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // What it holds was a test's; the keeper removes it. If it is gone already there is nothing to end.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A program of a Debian package.
pub(crate) fn program(path: &str, package: &str) -> anyhow::Result<PathBuf> {
    let found = if path.starts_with('/') {
        Some(PathBuf::from(path)).filter(|path| path.is_file())
    } else {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders).map(|folder| folder.join(path)).find(|path| path.is_file())
    };
    found.with_context(|| format!("`{path}` is not installed: apt-get install {package}"))
}

/// Whether somebody listens there.
pub(super) fn listens(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
}

/// Ports that the system gives to nobody who asks for any (`ip_local_port_range` begins above): a server that takes
/// seconds to start finds its port still free, and free again when it is restarted.
const PORTS: Range<u16> = 12_000..32_000;

/// Where the next search begins: a place of its own for each process of tests, and behind every port that was given before,
/// since whoever got that may not listen there yet.
static NEXT: LazyLock<AtomicUsize> = LazyLock::new(|| AtomicUsize::new(fastrand::usize(..PORTS.len())));

/// A loopback port that is free now, and that nobody else of this process gets until all others were given.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let given = |_| PORTS.clone().nth(NEXT.fetch_add(1, Ordering::Relaxed) % PORTS.len());
    (0..100).filter_map(given).find(free).context("no loopback port is free")
}
