//! A RabbitMQ server.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context, ensure};
use rustix::process::Signal;

use super::server::{Server, Stop, free_port, listens, program};

const READY: Duration = Duration::from_secs(90);
const PACKAGE: &str = "rabbitmq-server";

/// Has every quorum queue elect its leader; one that has a leader takes no notice.
const ELECT: &str = "[ra:trigger_election({element(1, amqqueue:get_pid(Q)), node()}) || \
    Q <- rabbit_amqqueue:list(), amqqueue:get_type(Q) =:= rabbit_quorum_queue].";

/// A RabbitMQ node with a port mapper of its own, on ports that it keeps over restarts.
#[derive(Debug)]
pub struct RabbitMq {
    server: Server,
    mapper: Server,
    amqp: u16,
    distribution: u16,
    mapper_port: u16,
    management: u16,
    encrypted: Option<u16>,
}

impl RabbitMq {
    /// One for all tests of this process that neither stop it nor look at all of it: it takes seconds to start.
    ///
    /// # Errors
    /// If it is not installed or did not start.
    pub fn shared() -> anyhow::Result<&'static Self> {
        static SHARED: OnceLock<Result<RabbitMq, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Self::start().map_err(|error| format!("{error:#}")));
        shared.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// Starts one.
    ///
    /// # Errors
    /// If it is not installed or does not start.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_as(None, "")
    }

    /// Starts one that listens for TLS too, with a certificate of an authority of its own.
    ///
    /// # Errors
    /// If it is not installed or does not start.
    pub fn start_with_tls() -> anyhow::Result<Self> {
        Self::start_as(Some(free_port()?), "")
    }

    /// Starts one with more settings, as files in `conf.d` of an installed one would be read.
    ///
    /// # Errors
    /// If it is not installed or does not start.
    pub fn start_with(settings: &str) -> anyhow::Result<Self> {
        Self::start_as(None, settings)
    }

    fn start_as(encrypted: Option<u16>, settings: &str) -> anyhow::Result<Self> {
        let mut rabbit = Self {
            server: Server::prepare("rabbitmq")?,
            mapper: Server::prepare("epmd")?,
            amqp: free_port()?,
            distribution: free_port()?,
            mapper_port: free_port()?,
            management: free_port()?,
            encrypted,
        };
        rabbit.prepare()?;
        fs::write(rabbit.server.home().join("conf.d/more.conf"), settings)?;
        rabbit.start_mapper()?;
        rabbit.launch()?;
        Ok(rabbit)
    }

    fn prepare(&self) -> anyhow::Result<()> {
        let home = self.server.home();
        for folder in ["log", "mnesia", "conf.d"] {
            fs::create_dir(home.join(folder))?;
        }
        let cookie = home.join(".erlang.cookie");
        fs::write(&cookie, format!("{:032x}", fastrand::u128(..)))?;
        fs::set_permissions(&cookie, fs::Permissions::from_mode(0o400))?;
        fs::write(home.join("enabled_plugins"), "[rabbitmq_management].\n")?;
        let mut settings = format!(
            "listeners.tcp.default = 127.0.0.1:{}\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {}\n\
             vm_memory_high_watermark.absolute = 1GB\ndisk_free_limit.absolute = 200MB\nlog.console = false\n\
             loopback_users.guest = true\n",
            self.amqp, self.management
        );
        if let Some(port) = self.encrypted {
            certify(home)?;
            settings.push_str(&format!("listeners.ssl.default = 127.0.0.1:{port}\n"));
            for (option, file) in [("cacertfile", "ca.pem"), ("certfile", "cert.pem"), ("keyfile", "key.pem")]
            {
                settings.push_str(&format!("ssl_options.{option} = {}\n", home.join(file).display()));
            }
        }
        Ok(fs::write(home.join("rabbitmq.conf"), settings)?)
    }

    fn start_mapper(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(program("epmd", "erlang-base")?);
        let port = self.mapper_port;
        command.args(["-address", "127.0.0.1", "-port", &port.to_string()]);
        self.mapper.start(&mut command)?;
        self.mapper.await_ready(READY, || listens(port))
    }

    /// Starts it again after [`RabbitMq::stop`]. Queues that it left without a leader are given one: on a single node of
    /// this version a restart may leave one so for ever (rabbitmq-server#10070), and nothing that AMQP has helps.
    ///
    /// # Errors
    /// If it runs, or does not start.
    pub fn begin(&mut self) -> anyhow::Result<()> {
        self.launch()?;
        self.ctl(&["eval", ELECT]).map(drop)
    }

    fn launch(&mut self) -> anyhow::Result<()> {
        // Not the one on the path: that one changes the user.
        let mut command = Command::new(program("/usr/lib/rabbitmq/bin/rabbitmq-server", PACKAGE)?);
        self.environment(&mut command);
        self.server.start(&mut command)?;
        let port = self.amqp;
        self.server.await_ready(READY, || speaks(port))
    }

    /// Everything is its own: nothing of an installed node is read.
    fn environment(&self, command: &mut Command) {
        let home = self.server.home();
        let path = |name: &str| home.join(name).display().to_string();
        let own = [
            ("HOME", home.display().to_string()),
            ("RABBITMQ_NODENAME", format!("naru{}@localhost", self.amqp)),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".to_owned()),
            ("RABBITMQ_NODE_PORT", self.amqp.to_string()),
            ("RABBITMQ_DIST_PORT", self.distribution.to_string()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
            ("ERL_EPMD_PORT", self.mapper_port.to_string()),
            ("RABBITMQ_BASE", home.display().to_string()),
            ("RABBITMQ_MNESIA_BASE", path("mnesia")),
            ("RABBITMQ_LOG_BASE", path("log")),
            ("RABBITMQ_CONF_ENV_FILE", path("none")),
            ("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf")),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", path("none.config")),
            ("RABBITMQ_CONFIG_FILES", path("conf.d")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins")),
            ("RABBITMQ_PID_FILE", path("pid")),
            ("RABBITMQ_GENERATED_CONFIG_DIR", path("generated")),
            ("RABBITMQ_SCHEMA_DIR", path("schema")),
            ("RABBITMQ_PLUGINS_EXPAND_DIR", path("plugins")),
            // The script becomes the node, so that its id is the node's, and a signal reaches it.
            ("RUNNING_UNDER_SYSTEMD", "true".to_owned()),
            (
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none".to_owned(),
            ),
        ];
        command.envs(own);
    }

    /// Asks the node's own tool.
    ///
    /// # Errors
    /// If it says no.
    pub fn ctl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(program("/usr/lib/rabbitmq/bin/rabbitmqctl", PACKAGE)?);
        self.environment(&mut command);
        let output = command.args(arguments).output()?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Ends it; what was confirmed is on the disk either way.
    ///
    /// # Errors
    /// If it does not end.
    pub fn stop(&mut self, how: Stop) -> anyhow::Result<()> {
        let signal = if how == Stop::Orderly { Signal::TERM } else { Signal::KILL };
        self.server.end(signal, READY)
    }

    /// Stops it where it is: it is there and does not answer. [`RabbitMq::thaw`] lets it go on.
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

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.amqp)
    }

    /// Where it listens for TLS, and the file of its authority.
    ///
    /// # Errors
    /// If it was not started so.
    pub fn encrypted(&self, host: &str) -> anyhow::Result<(String, PathBuf)> {
        let port = self.encrypted.context("it was started without TLS")?;
        Ok((format!("amqps://guest:guest@{host}:{port}/%2f"), self.server.home().join("ca.pem")))
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.amqp
    }

    /// Where its management API listens.
    #[must_use]
    pub const fn management_port(&self) -> u16 {
        self.management
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// Its directory.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.server.home()
    }
}

/// An authority, and a certificate of it for `localhost`.
fn certify(home: &Path) -> anyhow::Result<()> {
    let openssl = program("openssl", "openssl")?;
    let run = |arguments: &str| {
        let output = Command::new(&openssl).args(arguments.split(' ')).current_dir(home).output()?;
        ensure!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    fs::write(home.join("ext"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")?;
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    run(&format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=tests -days 2"))?;
    run(&format!("req {key} -keyout key.pem -out request.pem -subj /CN=localhost"))?;
    run(
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile ext",
    )
}

/// Whether the broker answers the protocol's header with its `Connection.Start` (AMQP 0-9-1, 2.2.4: a method frame).
fn speaks(port: u16) -> bool {
    let ask = || -> anyhow::Result<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut kind = [0];
        stream.read_exact(&mut kind).context("no answer")?;
        ensure!(kind[0] == 1, "not a method frame");
        Ok(kind[0])
    };
    ask().is_ok()
}
