//! A PostgreSQL server.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, ensure};
use rustix::process::Signal;

use super::{
    authority::certify,
    server::{Server, Stop, free_port, program},
};

const READY: Duration = Duration::from_secs(60);
const PACKAGE: &str = "postgresql";

/// Whom the server runs as when the tests run as root, which it refuses.
const USER: &str = "postgres";

/// A PostgreSQL with an empty cluster, on a port that it keeps over restarts.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    port: u16,
    tls: bool,
    made: AtomicU32,
}

impl Postgres {
    /// Makes a cluster and starts a server on it.
    ///
    /// # Errors
    /// If it is not installed or does not start.
    pub fn start() -> anyhow::Result<Self> {
        Self::make(false)
    }

    /// As [`Postgres::start`], with a certificate for `localhost`.
    ///
    /// # Errors
    /// If it, or openssl, is not installed, or does not start.
    pub fn start_with_tls() -> anyhow::Result<Self> {
        Self::make(true)
    }

    fn make(tls: bool) -> anyhow::Result<Self> {
        let server = Server::prepare("postgres")?;
        let mut postgres = Self { server, port: free_port()?, tls, made: AtomicU32::new(0) };
        postgres.make_cluster()?;
        if tls {
            let home = postgres.server.home();
            certify(home)?;
            own(&home.join("key.pem"))?;
        }
        postgres.begin()?;
        Ok(postgres)
    }

    pub(crate) fn home(&self) -> &Path {
        self.server.home()
    }

    /// Where a database is by this name of the host, and the file of the authority that certified `localhost`.
    #[must_use]
    pub fn encrypted(&self, host: &str, database: &str) -> (String, PathBuf) {
        let url = format!("postgres://postgres@{host}:{}/{database}", self.port);
        (url, self.server.home().join("ca.pem"))
    }

    fn data(&self) -> PathBuf {
        self.server.home().join("data")
    }

    fn make_cluster(&self) -> anyhow::Result<()> {
        let data = self.data();
        fs::create_dir(&data)?;
        own(&data)?;
        let mut initdb = unprivileged(&bin("initdb")?);
        initdb.args(["--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C"]);
        let output = initdb.arg("--no-sync").arg("-D").arg(&data).current_dir("/").output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Starts it again after [`Postgres::stop`].
    ///
    /// # Errors
    /// If it runs, or does not start.
    pub fn begin(&mut self) -> anyhow::Result<()> {
        // After a kill its children still hold what a new one needs, for a moment.
        let mut tries = 0;
        loop {
            match self.begin_once() {
                Err(error)
                    if tries < 50 && error.to_string().contains("Terminate any old server processes") =>
                {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(100));
                }
                result => return result,
            }
        }
    }

    fn begin_once(&mut self) -> anyhow::Result<()> {
        let data = self.data();
        let mut command = unprivileged(&bin("postgres")?);
        command.arg("-D").arg(&data).arg("-k").arg(&data).args(["-p", &self.port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "max_connections=100",
            "shared_buffers=256MB",
            "max_wal_size=2GB",
            "wal_compression=off",
        ] {
            command.args(["-c", setting]);
        }
        if self.tls {
            let file = |name: &str| self.server.home().join(name).display().to_string();
            let certificate = format!("ssl_cert_file={}", file("cert.pem"));
            let key = format!("ssl_key_file={}", file("key.pem"));
            command.args(["-c", "ssl=on", "-c", &certificate, "-c", &key]);
        }
        self.server.start(&mut command)?;
        let (ready, port) = (bin("pg_isready")?, self.port.to_string());
        self.server.await_ready(READY, || {
            let asked = Command::new(&ready).args(["-q", "-h", "127.0.0.1", "-p", &port]).status();
            asked.is_ok_and(|status| status.success())
        })
    }

    /// Ends it: `fast`, `immediate`, or SIGKILL.
    ///
    /// # Errors
    /// If it does not end.
    pub fn stop(&mut self, how: Stop) -> anyhow::Result<()> {
        let signal = match how {
            Stop::Orderly => Signal::INT,
            Stop::Immediate => Signal::QUIT,
            Stop::Kill => Signal::KILL,
        };
        self.server.end(signal, READY)
    }

    /// A new, empty database: its address.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn database(&self) -> anyhow::Result<String> {
        let name = format!("test_{}", self.made.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(self.url(&name))
    }

    /// What `psql` prints for a statement: one line for each row, fields parted by `|`.
    ///
    /// # Errors
    /// If the server refuses it.
    pub fn psql(&self, database: &str, statement: &str) -> anyhow::Result<String> {
        Self::psql_at(&self.url(database), statement)
    }

    /// As [`Postgres::psql`], at any address.
    ///
    /// # Errors
    /// If the server refuses it.
    pub fn psql_at(url: &str, statement: &str) -> anyhow::Result<String> {
        let mut psql = Command::new(bin("psql")?);
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement]);
        let output = psql.arg(url).output()?;
        ensure!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// Runs a script of shell that calls `psql` as the server's owner, as an image's own scripts are run.
    ///
    /// # Errors
    /// If it fails.
    pub fn run(&self, script: &Path, environment: &[(&str, &Path)]) -> anyhow::Result<()> {
        let mut folders = vec![bin("psql")?.parent().context("a program is in a folder")?.to_owned()];
        folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let mut shell = Command::new("sh");
        shell.arg(script).env("PATH", std::env::join_paths(folders)?).envs(environment.iter().copied());
        shell.env("PGHOST", "127.0.0.1").env("PGPORT", self.port.to_string()).env("POSTGRES_USER", USER);
        let output = shell.output()?;
        ensure!(output.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Where a database is.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its first process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }
}

/// Gives a file or directory to whom the server runs as.
fn own(path: &Path) -> anyhow::Result<()> {
    if is_root() {
        let owned = Command::new("chown").arg(USER).arg(path).status()?;
        ensure!(owned.success(), "there is no user `{USER}`: apt-get install {PACKAGE}");
    }
    Ok(())
}

/// A program of the newest version that is installed.
fn bin(name: &str) -> anyhow::Result<PathBuf> {
    let newest = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok()?.parse::<u32>().ok())
        .max()
        .with_context(|| format!("PostgreSQL is not installed: apt-get install {PACKAGE}"))?;
    program(&format!("/usr/lib/postgresql/{newest}/bin/{name}"), PACKAGE)
}

fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={USER}"), &format!("--regid={USER}"), "--clear-groups"]);
    command.arg("--inh-caps=-all").arg(program);
    command
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
