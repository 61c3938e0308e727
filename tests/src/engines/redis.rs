//! A Redis server.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::Command,
    time::Duration,
};

use anyhow::{Context, ensure};
use rustix::process::Signal;

use super::authority::certify;
use super::server::{Server, Stop, free_port, program};

const READY: Duration = Duration::from_secs(10);

/// A Redis with an append-only file, on a port that it keeps over restarts.
#[derive(Debug)]
pub struct Redis {
    server: Server,
    port: u16,
    /// Where it listens for TLS, if it does.
    tls: Option<u16>,
    /// A file of settings.
    settings: Option<PathBuf>,
}

impl Redis {
    /// Starts one.
    ///
    /// # Errors
    /// If it is not installed or does not start.
    pub fn start() -> anyhow::Result<Self> {
        let mut redis =
            Self { server: Server::prepare("redis")?, port: free_port()?, tls: None, settings: None };
        redis.begin()?;
        Ok(redis)
    }

    /// Starts one with a file of settings. One that asks for a password answers only whoever connects by it.
    ///
    /// # Errors
    /// If it is not installed or does not start.
    pub fn start_with(settings: PathBuf) -> anyhow::Result<Self> {
        let server = Server::prepare("redis")?;
        let mut redis = Self { server, port: free_port()?, tls: None, settings: Some(settings) };
        redis.begin()?;
        Ok(redis)
    }

    /// Starts one that listens for TLS too, with a certificate for `localhost` of an authority of its own.
    ///
    /// # Errors
    /// If it is not installed or does not start.
    pub fn start_tls() -> anyhow::Result<Self> {
        let server = Server::prepare("redis")?;
        certify(server.home())?;
        let mut redis = Self { server, port: free_port()?, tls: Some(free_port()?), settings: None };
        redis.begin()?;
        Ok(redis)
    }

    /// Its address for TLS under a host's name, and the authority's certificate.
    ///
    /// # Errors
    /// If it does not listen for TLS.
    pub fn tls(&self, host: &str) -> anyhow::Result<(String, PathBuf)> {
        let port = self.tls.context("it does not listen for TLS")?;
        Ok((format!("rediss://{host}:{port}"), self.server.home().join("ca.pem")))
    }

    /// Starts it again after [`Redis::stop`].
    ///
    /// # Errors
    /// If it runs, or does not start.
    pub fn begin(&mut self) -> anyhow::Result<()> {
        let port = self.port.to_string();
        let mut command = Command::new(program("redis-server", "redis-server")?);
        command.args(&self.settings);
        command.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "yes"]);
        command.args(["--daemonize", "no", "--dir"]).arg(self.server.home());
        if let Some(tls) = self.tls {
            let file = |name: &str| self.server.home().join(name);
            command.args(["--tls-port", &tls.to_string(), "--tls-auth-clients", "no"]);
            command.arg("--tls-cert-file").arg(file("cert.pem")).arg("--tls-key-file").arg(file("key.pem"));
            command.arg("--tls-ca-cert-file").arg(file("ca.pem"));
        }
        self.server.start(&mut command)?;
        let port = self.port;
        let ready = |answer: String| answer.starts_with("+PONG") || answer.starts_with("-NOAUTH");
        self.server.await_ready(READY, || ask(port, "PING").is_ok_and(ready))
    }

    /// Ends it.
    ///
    /// # Errors
    /// If it does not end.
    pub fn stop(&mut self, how: Stop) -> anyhow::Result<()> {
        let signal = if how == Stop::Orderly { Signal::TERM } else { Signal::KILL };
        self.server.end(signal, READY)
    }

    /// Stops it where it is: it is there and does not answer. [`Redis::thaw`] lets it go on.
    ///
    /// # Errors
    /// If it does not run.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.server.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// If it does not run.
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.server.signal(Signal::CONT)
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn flush_all(&self) -> anyhow::Result<()> {
        let answer = ask(self.port, "FLUSHALL")?;
        ensure!(answer.starts_with("+OK"), "{answer}");
        Ok(())
    }

    /// Commands that it has processed since its start.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn commands(&self) -> anyhow::Result<u64> {
        let answer = ask(self.port, "INFO stats")?;
        let line = answer.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
        Ok(line.unwrap_or_default().trim().parse()?)
    }

    /// How often a command was called since its start (also from scripts).
    ///
    /// # Errors
    /// If it does not answer.
    pub fn calls(&self, command: &str) -> anyhow::Result<u64> {
        let answer = ask(self.port, "INFO commandstats")?;
        let begin = format!("cmdstat_{command}:calls=");
        let line = answer.lines().find_map(|line| line.strip_prefix(begin.as_str()));
        Ok(line.and_then(|line| line.split(',').next()).map_or(Ok(0), str::parse)?)
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }
}

/// One inline command and the beginning of its answer.
fn ask(port: u16, command: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
