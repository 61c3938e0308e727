//! A MariaDB server.

use std::{
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::ensure;
use rustix::process::Signal;

use super::server::{Server, Stop, free_port, program};

const READY: Duration = Duration::from_secs(60);
const PACKAGE: &str = "mariadb-server";

/// Whom the server runs as when the tests run as root, which it refuses.
const USER: &str = "mysql";

/// Who may do everything.
const OWNER: &str = "naru";
const PASSWORD: &str = "owner-password";

/// A MariaDB with nothing in it, on a port that it keeps over restarts.
#[derive(Debug)]
pub struct MariaDb {
    server: Server,
    port: u16,
    made: AtomicU32,
}

impl MariaDb {
    /// Makes its files and starts a server on them.
    ///
    /// # Errors
    /// If it is not installed or does not start.
    pub fn start() -> anyhow::Result<Self> {
        let server = Server::prepare("mariadb")?;
        let mut mariadb = Self { server, port: free_port()?, made: AtomicU32::new(0) };
        mariadb.make_files()?;
        mariadb.begin()?;
        mariadb.make_owner()?;
        Ok(mariadb)
    }

    fn make_files(&self) -> anyhow::Result<()> {
        let data = self.server.home().join("data");
        std::fs::create_dir(&data)?;
        if is_root() {
            let owned = Command::new("chown").arg(USER).arg(&data).status()?;
            ensure!(owned.success(), "there is no user `{USER}`: apt-get install {PACKAGE}");
        }
        let mut install = Command::new(program("mariadb-install-db", PACKAGE)?);
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        install.arg(format!("--datadir={}", data.display())).arg(format!("--tmpdir={}", data.display()));
        if is_root() {
            install.arg(format!("--user={USER}"));
        }
        let output = install.output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Starts it again after [`MariaDb::stop`].
    ///
    /// # Errors
    /// If it runs, or does not start.
    pub fn begin(&mut self) -> anyhow::Result<()> {
        let data = self.server.home().join("data");
        let mut command = Command::new(program("/usr/sbin/mariadbd", PACKAGE)?);
        command.arg("--no-defaults").arg(format!("--datadir={}", data.display()));
        // Not what TMPDIR says: the server's user may not write there.
        command.arg(format!("--tmpdir={}", data.display()));
        command.arg(format!("--socket={}", data.join("socket").display()));
        command.args(["--bind-address=127.0.0.1", &format!("--port={}", self.port)]);
        command.args(["--character-set-server=utf8mb4", "--innodb-flush-log-at-trx-commit=1"]);
        if is_root() {
            command.arg(format!("--user={USER}"));
        }
        self.server.start(&mut command)?;
        let port = self.port;
        self.server.await_ready(READY, || {
            let ask = client(port, "root", "").map(|mut client| client.args(["-e", "SELECT 1"]).output());
            ask.is_ok_and(|asked| asked.is_ok_and(|output| output.status.success()))
        })
    }

    fn make_owner(&self) -> anyhow::Result<()> {
        let sql = format!(
            "CREATE USER '{OWNER}'@'%' IDENTIFIED BY '{PASSWORD}'; \
             GRANT ALL PRIVILEGES ON *.* TO '{OWNER}'@'%' WITH GRANT OPTION; DELETE FROM mysql.user WHERE User = ''; \
             FLUSH PRIVILEGES"
        );
        let output = client(self.port, "root", "")?.args(["-e", &sql]).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// If it does not end.
    pub fn stop(&mut self, how: Stop) -> anyhow::Result<()> {
        self.server.end(if how == Stop::Orderly { Signal::TERM } else { Signal::KILL }, READY)
    }

    /// A new, empty database: its name.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn database(&self) -> anyhow::Result<String> {
        let name = format!("test_{}", self.made.fetch_add(1, Ordering::Relaxed));
        self.sql("mysql", &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"))?;
        Ok(name)
    }

    /// What its client prints for statements: one line for each row, fields parted by tabs.
    ///
    /// # Errors
    /// If the server refuses them.
    pub fn sql(&self, database: &str, statements: &str) -> anyhow::Result<String> {
        let output = client(self.port, OWNER, PASSWORD)?.args(["-D", database, "-e", statements]).output()?;
        ensure!(output.status.success(), "{statements}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// Where a database is.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("mariadb://{OWNER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

fn client(port: u16, user: &str, password: &str) -> anyhow::Result<Command> {
    let mut client = Command::new(program("mariadb", "mariadb-client")?);
    client.args(["--no-defaults", "-h", "127.0.0.1", "-P", &port.to_string(), "-u", user, "-N", "-B"]);
    client.arg(format!("--password={password}"));
    Ok(client)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
