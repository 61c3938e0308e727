//! The engines of a run, one deployment over them, and the processes of Naru that are part of it.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use naru_shared::{
    catalog::{Entry, PostgresCatalog},
    domain::Environment,
    key_file,
    postgres::PostgresSettings,
};

use crate::{
    engines::{Postgres, RabbitMq, Redis},
    gateway::{DRAIN, Programs, Running, Setup, Users, documents, free_address, program_of, write_all},
    wire::Wire,
};

/// How long a process may take until it is ready.
const READY: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Site {
    pub(super) programs: Programs,
    pub(super) postgres: Postgres,
    pub(super) rabbit: RabbitMq,
    pub(super) redis: Redis,
    /// Who may call.
    pub(super) users: Users,
    home: tempfile::TempDir,
}

/// What a process of Naru does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Accepts.
    Ingress,
    /// Delivers.
    Workers,
}

/// A process of Naru. Dropped, it drains.
pub(super) struct Part {
    running: Option<Running>,
    pub(super) role: Role,
    /// Where it is called, if it accepts.
    pub(super) listen: SocketAddr,
    /// Where the operator asks.
    pub(super) operator: SocketAddr,
    log: PathBuf,
}

impl Site {
    /// Starts the engines and writes what a deployment begins with.
    pub(super) fn start(setup: &Setup) -> anyhow::Result<Self> {
        let (postgres, rabbit, redis) = thread::scope(|scope| {
            let (postgres, rabbit) = (scope.spawn(Postgres::start), scope.spawn(RabbitMq::start));
            let redis = Redis::start();
            (postgres.join(), rabbit.join(), redis)
        });
        let fallen = |_| anyhow::anyhow!("starting an engine panicked");
        let (postgres, rabbit) = (postgres.map_err(fallen)??, rabbit.map_err(fallen)??);
        let home = tempfile::Builder::new().prefix("naru-wide-").tempdir()?;
        let programs = Programs::find()?;
        let mut site = Self { programs, postgres, rabbit, redis: redis?, users: Users::default(), home };
        site.postgres.psql("postgres", "CREATE DATABASE naru")?;
        site.configure(setup)?;
        site.verb(&["migrate"])?;
        site.postgres.psql("naru", "ALTER ROLE naru_ingress LOGIN")?;
        site.provide(setup)?;
        Ok(site)
    }

    /// The database of the ledger.
    pub(super) fn database(&self) -> String {
        self.postgres.url("naru")
    }

    fn config(&self) -> PathBuf {
        self.home.path().join("naru.toml")
    }

    fn keys(&self) -> PathBuf {
        self.home.path().join("keys.toml")
    }

    fn configure(&self, setup: &Setup) -> anyhow::Result<()> {
        let (broker, memory, database) = (self.rabbit.url(), self.redis.url(), self.database());
        let reads = database.replace("postgres://postgres@", "postgres://naru_ingress@");
        let text = format!(
            "[keys]\nfile = {keys:?}\n[queue]\nkind = \"rabbitmq\"\nurl = {broker:?}\n[topic]\nkind = \"rabbitmq\"\nurl = {broker:?}\n\
             [ledger]\nkind = \"postgres\"\nurl = {database:?}\nreads_url = {reads:?}\n\
             [catalog]\nkind = \"postgres\"\nurl = {database:?}\n\
             [registry]\nkind = \"redis\"\nurl = {memory:?}\n[gate]\nkind = \"redis\"\nurl = {memory:?}\n\
             [log]\nfilter = \"warn\"\nformat = \"json\"\n{more}",
            keys = self.keys().display().to_string(),
            more = setup.config,
        );
        Ok(fs::write(self.config(), text)?)
    }

    /// Secrets, customers, routes.
    fn provide(&mut self, setup: &Setup) -> anyhow::Result<()> {
        let keyring = key_file::create(&self.keys())?;
        let (mut entries, users) = documents(&keyring, setup)?;
        // `naru migrate` made it.
        entries.retain(
            |entry| !matches!(entry, Entry::Route(route) if route.environment == Environment::Sandbox),
        );
        self.users = users;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let settings = PostgresSettings::at(&self.database());
        let catalog = PostgresCatalog::open("setup", &settings, runtime.handle())?;
        runtime.block_on(write_all(&catalog, entries))
    }

    /// Runs one of the operator's verbs and returns what it printed.
    pub(super) fn verb(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output =
            program_of(&self.programs.gateway).args(arguments).arg("--config").arg(self.config()).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "naru {arguments:?}: {errors}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Starts a process and waits until it is ready.
    pub(super) fn run(&self, role: Role) -> anyhow::Result<Part> {
        let (listen, operator) = (free_address()?, free_address()?);
        let log = self.home.path().join(format!("{}.log", operator.port()));
        let mut arguments = vec![role.verb().to_owned(), "--config".to_owned()];
        arguments.push(self.config().display().to_string());
        arguments.extend(["--operator-listen".to_owned(), operator.to_string()]);
        if role == Role::Ingress {
            arguments.extend(["--listen".to_owned(), listen.to_string()]);
        }
        let environment = [("NARU_INGRESS__DRAIN_GRACE_MS", "50".to_owned())];
        let running = Running::start(&self.programs.gateway, &arguments, &environment, &log)?;
        let mut part = Part { running: Some(running), role, listen, operator, log };
        part.await_ready()?;
        Ok(part)
    }
}

impl Role {
    /// As it is typed, and shown.
    pub(super) const fn verb(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Workers => "workers",
        }
    }
}

impl Part {
    fn await_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY;
        loop {
            let mut wire = Wire::new(self.operator, Duration::from_secs(1));
            if wire.call("GET", "/readyz", &[], b"").is_ok_and(|reply| reply.status == 200) {
                return Ok(());
            }
            let ended = self.running.as_mut().map(Running::has_ended).transpose()?.unwrap_or(true);
            ensure!(!ended, "{} ended before it was ready:\n{}", self.role.verb(), self.words());
            ensure!(Instant::now() < deadline, "{} is not ready:\n{}", self.role.verb(), self.words());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it logged.
    pub(super) fn words(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its id; 0 once it has ended.
    pub(super) fn pid(&self) -> u32 {
        self.running.as_ref().map_or(0, Running::id)
    }
}

impl Drop for Part {
    #[expect(clippy::panic, reason = "a process that does not drain is not to go unseen")]
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        let ended = running.terminate(DRAIN + Duration::from_secs(3));
        if !matches!(ended, Ok(true)) && !thread::panicking() {
            panic!("{} did not end when asked: {ended:?}\n{}", self.role.verb(), self.words());
        }
    }
}
