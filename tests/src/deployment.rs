//! The gateway as an operator runs it wide: several processes of `naru ingress` and `naru workers` behind a balancer, over
//! PostgreSQL, RabbitMQ (or AWS) and Redis of a test's own, each with a proxy before it if harm is to be done to the network.
//!
//! ```no_run
//! # use naru_tests::deployment::{Deployment, Shape};
//! let mut site = Deployment::spawn(&Shape { proxied: true, ..Shape::default() })?;
//! site.ingress[0].kill()?;
//! site.carrier.proxy()?.stall();
//! site.ingress[0].start(&[])?;
//! # anyhow::Ok(())
//! ```

mod balancer;
mod behind;
mod carrier;
mod settings;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

pub use balancer::Balancer;
pub use behind::{Behind, Engine};
pub use carrier::{BUCKET, Carrier, Carries, Cloud};
use naru_shared::{catalog::PostgresCatalog, key_file, postgres::PostgresSettings};
use settings::Addresses;

use crate::{
    customer::Customer,
    engines::{Keeper, Postgres, Redis},
    gateway::{self, Member, Programs, Setup, Users, free_address},
};

/// What a deployment is made of.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Customers, routes, limits, and lines of every process's configuration.
    pub setup: Setup,
    /// Processes of `naru ingress`.
    pub ingress: usize,
    /// Processes of `naru workers`.
    pub workers: usize,
    /// What carries packs and events.
    pub carries: Carries,
    /// Whether there is a proxy before each engine.
    pub proxied: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self { setup: Setup::default(), ingress: 2, workers: 2, carries: Carries::RabbitMq, proxied: false }
    }
}

/// A deployment. Dropping it drains its processes and ends everything else; it asserts that every process ended well.
pub struct Deployment {
    /// The fronts.
    pub ingress: Vec<Member>,
    /// The workers.
    pub workers: Vec<Member>,
    /// What customers call.
    pub balancer: Balancer,
    /// The ledger, the outbox and the catalog.
    pub postgres: Behind<Postgres>,
    /// The queue and the topic, and the blobs if it keeps any.
    pub carrier: Carrier,
    /// The registry and the gate.
    pub redis: Behind<Redis>,
    /// Who may call it.
    pub users: Users,
    fronts: Vec<SocketAddr>,
    database: String,
    program: PathBuf,
    // Removes the directory, and what was left running there if this process is killed.
    _keeper: Keeper,
    home: PathBuf,
}

impl Deployment {
    /// A deployment whose processes and balancer all run and are ready.
    ///
    /// # Errors
    /// If it cannot be made or does not become ready.
    pub fn spawn(shape: &Shape) -> anyhow::Result<Self> {
        let mut deployment = Self::prepare(shape)?;
        deployment.start(&[])?;
        Ok(deployment)
    }

    /// The engines run, the tables and the customers are made; no process of ours runs yet, and the balancer waits for them.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn prepare(shape: &Shape) -> anyhow::Result<Self> {
        let (postgres, carrier, redis) = start_engines(shape.carries, shape.proxied)?;
        let home = tempfile::Builder::new().prefix("naru-wide-").tempdir()?.keep();
        let keeper = Keeper::of(&home)?;
        fs::create_dir(home.join("pids"))?;
        let program = Programs::find()?.gateway;
        let database = postgres.database()?;
        let addresses = Addresses::of(&database, &postgres, &carrier, &redis)?;
        addresses.write(&home, &shape.setup.config)?;
        let users = found(&program, &home, &postgres, &database, &shape.setup)?;
        if matches!(carrier, Carrier::Aws(_)) {
            // As an operator does it: processes make nothing.
            gateway::verb(&program, &home.join(settings::OPERATOR), &["infra", "apply"])?;
        }
        let fronts = (0..shape.ingress).map(|_| free_address()).collect::<anyhow::Result<Vec<_>>>()?;
        let ingress = (0..shape.ingress).map(|number| {
            let listen = ["--listen".to_owned(), fronts[number].to_string()];
            member(&program, &home, "ingress", number, &listen)
        });
        let ingress = ingress.collect::<anyhow::Result<Vec<_>>>()?;
        let workers = (0..shape.workers).map(|number| member(&program, &home, "workers", number, &[]));
        let workers = workers.collect::<anyhow::Result<Vec<_>>>()?;
        let behind: Vec<_> = fronts.iter().copied().zip(ingress.iter().map(Member::operator)).collect();
        let balancer = Balancer::start(&behind)?;
        let _keeper = keeper;
        Ok(Self {
            ingress,
            workers,
            balancer,
            postgres,
            carrier,
            redis,
            users,
            fronts,
            database,
            program,
            _keeper,
            home,
        })
    }

    /// Starts every process that does not run, all at once, and waits until all are ready and the balancer knows it.
    ///
    /// # Errors
    /// If one does not become ready in time.
    pub fn start(&mut self, environment: &[(&str, String)]) -> anyhow::Result<()> {
        for member in self.members() {
            if member.has_ended()? {
                member.launch(environment)?;
            }
        }
        for member in self.members() {
            member.await_ready()?;
        }
        if self.ingress.is_empty() { Ok(()) } else { self.balancer.await_open() }
    }

    /// Every process, fronts first.
    pub fn members(&mut self) -> impl Iterator<Item = &mut Member> {
        self.ingress.iter_mut().chain(&mut self.workers)
    }

    /// SIGTERM to every process that was started and not ended since, all at once; waits until all have ended.
    ///
    /// # Errors
    /// If one had ended by itself, does not end in time, or not with success.
    pub fn drain(&mut self) -> anyhow::Result<()> {
        let mut asked = Vec::new();
        for member in self.members().filter(|member| member.pid().is_ok()) {
            member.ask_to_end()?;
            asked.push(member);
        }
        asked.into_iter().try_for_each(|member| member.drain().map(drop))
    }

    /// A live customer's client, at the balancer.
    #[must_use]
    pub fn customer(&self, index: usize) -> Customer {
        Customer::live(self.balancer.address(), &self.users.live[index], Duration::from_secs(25))
    }

    /// A live customer's client, at one of the fronts.
    #[must_use]
    pub fn customer_at(&self, front: usize, index: usize) -> Customer {
        Customer::live(self.fronts[front], &self.users.live[index], Duration::from_secs(25))
    }

    /// Where a front listens for customers.
    #[must_use]
    pub fn front(&self, number: usize) -> SocketAddr {
        self.fronts[number]
    }

    /// What `psql` prints for a statement in the deployment's database, as its owner and past the proxy.
    ///
    /// # Errors
    /// If the server refuses it.
    pub fn psql(&self, statement: &str) -> anyhow::Result<String> {
        let name = self.database.rsplit('/').next().unwrap_or_default();
        self.postgres.psql(name, statement)
    }

    /// Where the database is, as its owner and past the proxy.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Runs one of the operator's verbs, past the proxies, and returns what it printed.
    ///
    /// # Errors
    /// If it fails.
    pub fn verb(&self, arguments: &[&str]) -> anyhow::Result<String> {
        gateway::verb(&self.program, &self.config(), arguments)
    }

    /// The operator's configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.home.join(settings::OPERATOR)
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A directory for the test's own files; it goes with the deployment.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Copies every process's log into a directory, which is made.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep_logs(&self, directory: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(directory)?;
        for member in self.ingress.iter().chain(&self.workers) {
            fs::write(directory.join(format!("{}.log", member.name())), member.log())?;
        }
        Ok(())
    }

    /// The end of every process's log.
    #[must_use]
    pub fn log_tails(&self) -> String {
        let all = self.ingress.iter().chain(&self.workers);
        all.map(|member| format!("{}:\n{}\n", member.name(), member.log_tail())).collect()
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        for proxy in [self.postgres.proxy(), self.carrier.proxy(), self.redis.proxy()].into_iter().flatten() {
            // Whether it can does not matter: what waits for it has its time-outs.
            drop(proxy.pass());
        }
        for member in self.members() {
            // All at once; each is waited for, and judged, when it is dropped.
            drop(member.go_on());
            drop(member.ask_to_end());
        }
    }
}

/// All of them, at the same time.
fn start_engines(
    carries: Carries,
    proxied: bool,
) -> anyhow::Result<(Behind<Postgres>, Carrier, Behind<Redis>)> {
    let (postgres, carrier, redis) = thread::scope(|scope| {
        let postgres = scope.spawn(Postgres::start);
        let carrier = scope.spawn(move || Carrier::start(carries, proxied));
        let redis = Redis::start();
        let failed = |_| anyhow::anyhow!("starting an engine failed");
        anyhow::Ok((postgres.join().map_err(failed)??, carrier.join().map_err(failed)??, redis?))
    })?;
    Ok((Behind::new(postgres, proxied)?, carrier, Behind::new(redis, proxied)?))
}

/// A process with its configuration and listeners.
fn member(program: &Path, home: &Path, role: &str, number: usize, more: &[String]) -> anyhow::Result<Member> {
    let operator = free_address()?;
    let config = home.join(format!("{role}.toml")).display().to_string();
    let mut arguments: Vec<String> = [role, "--log-format", "json", "--config"].map(str::to_owned).to_vec();
    arguments.extend([config, "--operator-listen".to_owned(), operator.to_string()]);
    arguments.extend_from_slice(more);
    Ok(Member::new(&format!("{role}{number}"), program, arguments, operator, home))
}

/// What an operator does once: secrets, tables, the right of fronts to log in; then the customers.
fn found(
    program: &Path,
    home: &Path,
    postgres: &Postgres,
    database: &str,
    setup: &Setup,
) -> anyhow::Result<Users> {
    let keys = home.join(settings::KEYS);
    gateway::verb(program, &home.join(settings::OPERATOR), &["keys", "make", &keys.display().to_string()])?;
    gateway::verb(program, &home.join(settings::OPERATOR), &["migrate", "--reader", settings::READER])?;
    postgres.psql("postgres", &format!("ALTER ROLE {} LOGIN", settings::READER))?;
    let (entries, users) = gateway::entries(setup, &key_file::load(&keys)?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let catalog = PostgresCatalog::open("tests", &PostgresSettings::at(database), runtime.handle())?;
    runtime.block_on(gateway::put(&catalog, entries))?;
    Ok(users)
}
