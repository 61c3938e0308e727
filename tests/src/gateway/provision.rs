//! Customers, credentials, routes and limits, written to the catalog, whichever it is, before anything first starts.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use naru_shared::{
    catalog::{Catalog, Entry, Kind, SqliteCatalog, Subscription},
    data_dir::DataDir,
    domain::{
        Access, Assignment, BackendConfig, Clock, Credential, CredentialKind, Customer, CustomerId,
        Environment, GatePolicy, HttpBackend, OnUncertain, Period, Quota, RatePolicy, Route,
        SimulatorBackend, SystemClock,
    },
    key_file,
    keys::{CredentialHasher, Keyring},
    ledger::SqliteLedger,
    queue::SqliteQueue,
    topic::SqliteTopic,
};

/// Documents written at once.
const PAGE: usize = 1_000;

/// A route.
#[derive(Debug, Clone)]
pub struct RouteSpec {
    /// Its name; also the channel that is assigned to it.
    pub name: String,
    /// Where it posts; `None`: the simulator.
    pub target: Option<SocketAddr>,
    /// In doubt.
    pub on_uncertain: OnUncertain,
    /// Attempts at once.
    pub concurrency: u32,
    /// One attempt, in milliseconds.
    pub attempt_timeout_ms: u32,
}

impl RouteSpec {
    /// A route to the simulator.
    #[must_use]
    pub fn simulator(name: &str) -> Self {
        let on_uncertain = OnUncertain::Fail;
        Self { name: name.to_owned(), target: None, on_uncertain, concurrency: 64, attempt_timeout_ms: 5_000 }
    }

    /// A route to an HTTP receiver.
    #[must_use]
    pub fn http(name: &str, target: SocketAddr, on_uncertain: OnUncertain) -> Self {
        Self { target: Some(target), on_uncertain, ..Self::simulator(name) }
    }
}

/// What a gateway begins with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// How many customers; each has a live and a sandbox credential.
    pub customers: usize,
    /// Routes; the first takes every channel that none is named after.
    pub routes: Vec<RouteSpec>,
    /// Units in a month, for each customer.
    pub quota: Option<u64>,
    /// How fast each customer may call.
    pub rates: Vec<RatePolicy>,
    /// What becomes of its calls while nobody can be asked about that.
    pub gate_policy: GatePolicy,
    /// A subscription to the topic.
    pub subscription: Option<String>,
    /// Lines of the configuration file.
    pub config: String,
    /// More arguments of `up`.
    pub arguments: Vec<String>,
    /// Where the data is, if not in a directory of its own.
    pub data: Option<PathBuf>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            customers: 1,
            routes: vec![RouteSpec::simulator("demo")],
            quota: None,
            rates: Vec::new(),
            gate_policy: GatePolicy::Local,
            subscription: None,
            config: String::new(),
            arguments: Vec::new(),
            data: None,
        }
    }
}

/// Who may call: `ID:PW:API_KEY`, one for each customer.
#[derive(Debug, Clone, Default)]
pub struct Users {
    /// For `/v1.0`.
    pub live: Vec<String>,
    /// For `/sandbox/v1.0`.
    pub sandbox: Vec<String>,
}

/// Makes the data directory's secrets and catalog.
pub(super) fn write(data: &Path, setup: &Setup) -> anyhow::Result<Users> {
    let directory = DataDir::acquire(data)?;
    let keyring = key_file::create(&directory.keys())?;
    let (entries, users) = entries(setup, &keyring)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // All of them, in the order of a first start: a file that is missing beside another was lost.
        let queue = SqliteQueue::open(&directory.queue(), Duration::from_secs(60))?;
        let topic = SqliteTopic::open(&directory.topic(), Duration::from_secs(60))?;
        let ledger = SqliteLedger::open(&directory.ledger())?;
        drop((queue, topic, ledger));
        put(&SqliteCatalog::open(&directory.catalog())?, entries).await
    })?;
    Ok(users)
}

/// What a setup asks for, and who may call then.
pub(crate) fn entries(setup: &Setup, keyring: &Keyring) -> anyhow::Result<(Vec<Entry>, Users)> {
    let hasher = CredentialHasher::new(&keyring.credentials);
    let mut entries: Vec<Entry> = routes(setup)?;
    if let Some(name) = &setup.subscription {
        entries.push(Entry::Subscription(Subscription {
            name: name.parse()?,
            ended: false,
            outside: false,
            version: 0,
        }));
    }
    let mut users = Users::default();
    for index in 0..setup.customers {
        let id: CustomerId = format!("c{index}").parse()?;
        entries.push(customer(setup, &id));
        entries.extend(agreements(setup, &id)?);
        for (environment, list) in
            [(Environment::Live, &mut users.live), (Environment::Sandbox, &mut users.sandbox)]
        {
            let name = format!("{id}-{}", environment.as_str());
            // Long enough to be told from everything else, wherever they turn up.
            let (password, key) = (format!("password-of-{name}"), format!("key-of-{name}"));
            let secret = hasher.basic(&name, &password, &key);
            entries.push(Entry::Credential(Credential {
                id: name.parse()?,
                customer: id.clone(),
                environment,
                kind: CredentialKind::Basic { secret, password: None },
                access: Access::default(),
                created_at: SystemClock.now(),
                revoked_at: None,
                version: 0,
            }));
            list.push(format!("{name}:{password}:{key}"));
        }
    }
    Ok((entries, users))
}

/// Writes what is not there yet: a catalog may begin with some of it.
pub(crate) async fn put(catalog: &dyn Catalog, mut entries: Vec<Entry>) -> anyhow::Result<()> {
    let mut there = Vec::new();
    for route in catalog.list(Kind::Route, "", "", PAGE).await? {
        there.push(route.key());
    }
    entries.retain(|entry| entry.kind() != Kind::Route || !there.contains(&entry.key()));
    while !entries.is_empty() {
        let rest = entries.split_off(entries.len().min(PAGE));
        catalog.put(std::mem::replace(&mut entries, rest)).await?;
    }
    Ok(())
}

fn customer(setup: &Setup, id: &CustomerId) -> Entry {
    Entry::Customer(Customer {
        rates: setup.rates.clone(),
        gate_policy: setup.gate_policy,
        ..Customer::new(id.clone())
    })
}

fn agreements(setup: &Setup, id: &CustomerId) -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for (index, route) in setup.routes.iter().enumerate() {
        let name = route.name.parse()?;
        let own = Some(route.name.parse()?);
        let channels = if index == 0 { vec![None, own] } else { vec![own] };
        entries.extend(channels.into_iter().map(|channel| {
            let (customer, route) = (id.clone(), Clone::clone(&name));
            Entry::Assignment(Assignment { customer, channel, route, version: 0 })
        }));
    }
    if let Some(limit) = setup.quota {
        let (customer, period) = (id.clone(), Period::Month);
        entries.push(Entry::Quota(Quota::new(customer, None, period, limit)));
    }
    Ok(entries)
}

fn routes(setup: &Setup) -> anyhow::Result<Vec<Entry>> {
    let sandbox = RouteSpec::simulator("sandbox");
    let live = setup.routes.iter().map(|route| (route, Environment::Live));
    live.chain([(&sandbox, Environment::Sandbox)])
        .map(|(route, environment)| route_entry(route, environment))
        .collect()
}

fn route_entry(spec: &RouteSpec, environment: Environment) -> anyhow::Result<Entry> {
    let backend = match spec.target {
        None => BackendConfig::Simulator(SimulatorBackend::default()),
        Some(target) => BackendConfig::Http(HttpBackend {
            url: format!("http://{target}/"),
            allow_networks: vec!["127.0.0.0/8".parse()?],
            provider: None,
        }),
    };
    Ok(Entry::Route(Route {
        on_uncertain: spec.on_uncertain,
        concurrency: spec.concurrency,
        attempt_timeout_ms: spec.attempt_timeout_ms,
        max_attempts: 20,
        ..Route::new(spec.name.parse()?, environment, backend)
    }))
}
