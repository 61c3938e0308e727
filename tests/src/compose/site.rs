//! Secrets, engines and a configuration, in a directory of their own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context, ensure};

use super::source;
use crate::engines::{AwsEmulator, Flavour, Keeper, Postgres, RabbitMq, Redis};

/// Where the containers' secrets are.
const MOUNTED: &str = "/run/secrets/";

/// What carries packs and events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// RabbitMQ: compose.yaml.
    RabbitMq,
    /// An emulator of AWS: compose.aws.yaml.
    Aws,
}

impl On {
    /// The configuration of every process.
    const fn config(self) -> &'static str {
        match self {
            Self::RabbitMq => "naru.toml",
            Self::Aws => "naru.aws.toml",
        }
    }
}

/// That which carries them.
#[derive(Debug)]
enum Carrier {
    RabbitMq(RabbitMq),
    Aws(AwsEmulator),
}

/// The engines, set up as their containers are, and what a process of Naru needs to work on them.
#[derive(Debug)]
pub struct Site {
    /// PostgreSQL, with the database `naru` and its two roles.
    pub postgres: Postgres,
    carrier: Carrier,
    /// Redis.
    pub redis: Redis,
    home: PathBuf,
    // Removes the directory, however its owner ends.
    _keeper: Keeper,
}

impl Site {
    /// Makes secrets and starts everything, side by side.
    ///
    /// # Errors
    /// If an engine is not installed or does not start.
    pub fn start(on: On) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("naru-compose-").tempdir()?.keep();
        let keeper = Keeper::of(&home)?;
        fs::create_dir(home.join("pids"))?;
        make_secrets(&home)?;
        let (postgres, carrier, redis) = thread::scope(|scope| {
            let postgres = scope.spawn(|| start_postgres(&home));
            let carrier = scope.spawn(|| match on {
                On::RabbitMq => start_rabbit(&home).map(Carrier::RabbitMq),
                On::Aws => AwsEmulator::start(Flavour::Ministack).map(Carrier::Aws),
            });
            (postgres.join(), carrier.join(), start_redis(&home))
        });
        let panicked = |_| anyhow::anyhow!("an engine's thread panicked");
        let (postgres, carrier) = (postgres.map_err(panicked)??, carrier.map_err(panicked)??);
        let site = Self { postgres, carrier, redis: redis?, home, _keeper: keeper };
        site.place(on)?;
        Ok(site)
    }

    /// Puts loopback addresses in place of the containers' names, and writes the configuration.
    fn place(&self, on: On) -> anyhow::Result<()> {
        let mut ports = vec![("@postgres:5432", self.postgres.port()), ("@redis:6379", self.redis.port())];
        let mut files = vec!["ledger_url", "reads_url", "redis_url"];
        if let Carrier::RabbitMq(rabbit) = &self.carrier {
            ports.push(("@rabbitmq:5672", rabbit.port()));
            files.push("rabbitmq_url");
        }
        for file in files {
            let path = self.secret(file);
            let url = fs::read_to_string(&path)?;
            let (name, port) =
                ports.iter().find(|(name, _)| url.contains(name)).context("an unknown server")?;
            fs::write(&path, url.replace(name, &format!("@127.0.0.1:{port}")))?;
        }
        let mut text = fs::read_to_string(source().join(on.config()))?;
        if let Carrier::Aws(emulator) = &self.carrier {
            text = text.replace("http://aws:4566", &emulator.endpoint());
        }
        let text = text.replace(MOUNTED, &format!("{}/", self.home.join("secrets").display()));
        Ok(fs::write(self.config(), text.replace("\"0.0.0.0:", "\"127.0.0.1:"))?)
    }

    /// What carries, and where it is.
    ///
    /// # Errors
    /// If its secret cannot be read.
    pub fn carrier(&self) -> anyhow::Result<(&'static str, String)> {
        Ok(match &self.carrier {
            Carrier::RabbitMq(_) => ("RabbitMQ", self.read_secret("rabbitmq_url")?),
            Carrier::Aws(emulator) => ("AWS", emulator.endpoint()),
        })
    }

    /// Whether queues, topic and bucket are to be made.
    #[must_use]
    pub const fn is_on_aws(&self) -> bool {
        matches!(self.carrier, Carrier::Aws(_))
    }

    /// Its directory.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The configuration, which listens on loopback only.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.home.join("naru.toml")
    }

    /// The file of a secret.
    #[must_use]
    pub fn secret(&self, name: &str) -> PathBuf {
        self.home.join("secrets").join(name)
    }

    /// What a secret is.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn read_secret(&self, name: &str) -> anyhow::Result<String> {
        fs::read_to_string(self.secret(name)).with_context(|| format!("the secret {name}"))
    }
}

fn make_secrets(home: &Path) -> anyhow::Result<()> {
    let script = home.join("secrets.sh");
    fs::copy(source().join("secrets.sh"), &script)?;
    let output = Command::new("sh").arg(&script).output()?;
    ensure!(output.status.success(), "secrets.sh: {}", String::from_utf8_lossy(&output.stderr));
    // Their owner here is whoever runs this, not the container's user.
    let keys = home.join("secrets/keys.toml");
    let own = fs::read(&keys)?;
    fs::remove_file(&keys)?;
    write_private(&keys, &own)
}

fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(file.write_all(bytes)?)
}

fn start_postgres(home: &Path) -> anyhow::Result<Postgres> {
    let postgres = Postgres::start()?;
    postgres.run(&source().join("postgres.sh"), &[("SECRETS", &home.join("secrets"))])?;
    Ok(postgres)
}

fn start_rabbit(home: &Path) -> anyhow::Result<RabbitMq> {
    let settings = fs::read_to_string(source().join("rabbitmq.conf"))?;
    RabbitMq::start_with(&(settings + &fs::read_to_string(home.join("secrets/rabbitmq_secret"))?))
}

fn start_redis(home: &Path) -> anyhow::Result<Redis> {
    let settings = fs::read_to_string(source().join("redis.conf"))?;
    let file = home.join("redis.conf");
    fs::write(&file, settings.replace(MOUNTED, &format!("{}/", home.join("secrets").display())))?;
    Redis::start_with(file)
}
