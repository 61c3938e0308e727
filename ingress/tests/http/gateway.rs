//! An HTTP front of its own for each test: own port, own files, real engines.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use data_encoding::BASE64;
use naru_ingress::{Ingress, IngressConfig, IngressDeps};
use naru_shared::{
    catalog::{Entry, SqliteCatalog},
    domain::{
        Access, Assignment, BackendConfig, Credential, CredentialKind, Customer, EnvelopeKeys, Environment,
        FORMATS, GatePolicy, Lane, Message, Period, Quota, RatePolicy, Route, SimulatorBackend, SystemClock,
        Timestamp,
    },
    gate::MemoryGate,
    keys::{CredentialHasher, Keyring, Secret},
    ledger::SqliteLedger,
    passwords::Passwords,
    queue::{Queue, QueueName, SqliteQueue},
    registry::MemoryRegistry,
    sealing::Sealer,
    shared_secret::SharedSecret,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    away::Away,
    faulty::Faulty,
    wire::{Reply, Wire},
};

pub struct Gateway {
    pub addr: SocketAddr,
    pub queue: Arc<Faulty>,
    pub registry: Arc<MemoryRegistry>,
    pub ledger: Arc<SqliteLedger>,
    pub gate: Arc<MemoryGate>,
    pub room: Arc<AtomicBool>,
    pub stop: CancellationToken,
    pub serving: JoinHandle<std::io::Result<()>>,
    hasher: CredentialHasher,
    sealer: Sealer,
    passwords: Passwords,
    version: AtomicU64,
    keys: EnvelopeKeys,
    _dir: TempDir,
}

/// What differs between tests.
#[derive(Clone)]
pub struct Setup {
    pub rates: Vec<RatePolicy>,
    /// The gate is away, and the customer has said what happens then.
    pub gate_policy: Option<GatePolicy>,
    pub quota: Option<u64>,
    pub config: IngressConfig,
    pub complete: bool,
}

impl Default for Setup {
    fn default() -> Self {
        let config = IngressConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            threads: 1,
            publish_timeout_ms: 2_000,
            drain_grace_ms: 500,
            // Tests are refused more often than anybody who does not guess.
            guess_wait_ms: 0,
            ..IngressConfig::default()
        };
        Self { rates: Vec::new(), gate_policy: None, quota: None, config, complete: true }
    }
}

pub fn rate(limit: u32, window_seconds: u32, burst: u32) -> RatePolicy {
    RatePolicy { name: "burst".into(), limit, window_seconds, burst }
}

impl Gateway {
    pub async fn spawn() -> Self {
        Self::with(Setup::default()).await
    }

    pub async fn with(setup: Setup) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Keyring {
            ids: Secret::random(),
            credentials: Secret::random(),
            envelopes: vec![("a".into(), Secret::random())],
        };
        let keys = keyring.envelope_keys().unwrap();
        let hasher = CredentialHasher::new(&keyring.credentials);
        let passwords = Passwords::new(&keyring.credentials);
        let inner = SqliteQueue::open(&dir.path().join("queue.db"), Duration::from_secs(30)).unwrap();
        let queue = Faulty::around(Arc::new(inner));
        let ledger = Arc::new(SqliteLedger::open(&dir.path().join("ledger.db")).unwrap());
        let gate = Arc::new(MemoryGate::new(Arc::new(SystemClock)));
        let registry = MemoryRegistry::new();
        let sealer = keyring.sealer();
        registry.apply(entries(&setup, &hasher, &sealer), setup.complete, 100);
        let presence = Arc::new(SqliteCatalog::open(&dir.path().join("catalog.db")).unwrap());
        let room = Arc::new(AtomicBool::new(true));
        let has_room = Arc::clone(&room);
        let deps = IngressDeps {
            registry: registry.clone(),
            gate: match setup.gate_policy {
                Some(_) => Arc::new(Away),
                None => gate.clone(),
            },
            queue: queue.clone(),
            reads: ledger.clone(),
            denials: ledger.clone(),
            presence,
            host: "test".to_owned(),
            blobs: None,
            keyring,
            formats: FORMATS,
            clock: Arc::new(SystemClock),
            disk: Arc::new(move || has_room.load(Ordering::SeqCst)),
            runtime: Handle::current(),
        };
        let ingress = Ingress::bind(&setup.config, deps).unwrap();
        let (addr, stop) = (ingress.addr(), CancellationToken::new());
        let serving = tokio::spawn(ingress.serve(stop.clone(), Duration::from_secs(10)));
        let version = AtomicU64::new(500);
        Self {
            addr,
            queue,
            registry,
            ledger,
            gate,
            room,
            stop,
            serving,
            hasher,
            sealer,
            passwords,
            version,
            keys,
            _dir: dir,
        }
    }

    /// Another version of what the registry knows.
    pub fn change(&self, setup: &Setup, edit: impl FnOnce(&mut Vec<Entry>)) {
        let mut all = entries(setup, &self.hasher, &self.sealer);
        edit(&mut all);
        let version = self.version.fetch_add(1, Ordering::SeqCst);
        let newer = all.into_iter().map(|entry| entry.at_version(version)).collect();
        self.registry.apply(newer, true, version);
    }

    /// What hashes secrets as the front does.
    pub fn hashers(&self) -> (CredentialHasher, Passwords) {
        (self.hasher.clone(), self.passwords.clone())
    }

    pub async fn raw(&self, bytes: &[u8]) -> Reply {
        let mut wire = Wire::open(self.addr).await;
        wire.send(bytes).await;
        wire.reply().await.expect("an answer")
    }

    pub async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        self.raw(&request(method, path, headers, body)).await
    }

    /// With the live credential and a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.call("POST", path, &[LIVE, JSON], &body.to_string()).await
    }

    pub async fn post_keyed(&self, key: &str, body: &Value) -> Reply {
        let headers = [LIVE, JSON, ("Idempotency-Key", key)];
        self.call("POST", "/v1.0/messages", &headers, &body.to_string()).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, &[LIVE], "").await
    }

    /// What lies on the queue of a route, in both lanes.
    pub async fn messages_of(&self, route: &str) -> Vec<(Lane, Message)> {
        let mut all = Vec::new();
        for lane in Lane::ALL {
            let name = QueueName { route: route.parse().unwrap(), lane };
            for delivery in self.queue.receive(&name, 1_000, Duration::from_millis(1)).await.unwrap() {
                let pack = self.keys.open(&delivery.envelope).unwrap();
                all.extend(pack.messages.into_iter().map(|message| (lane, message)));
            }
        }
        all
    }

    pub async fn messages(&self) -> Vec<(Lane, Message)> {
        self.messages_of("carrier-a").await
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// `acme-live:secret:key`.
pub const LIVE: (&str, &str) = ("Authorization", "Basic YWNtZS1saXZlOnNlY3JldDprZXk=");
/// `acme-test:secret:key`.
pub const TEST: (&str, &str) = ("Authorization", "Basic YWNtZS10ZXN0OnNlY3JldDprZXk=");
/// `other-live:secret:key`.
pub const OTHER: (&str, &str) = ("Authorization", "Basic b3RoZXItbGl2ZTpzZWNyZXQ6a2V5");
pub const JSON: (&str, &str) = ("Content-Type", "application/json");

pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: naru\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method == "POST" {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    format!("{text}\r\n{body}").into_bytes()
}

pub fn sms(body: &str) -> Value {
    json!({"channel": "sms", "recipient": "+821012345678", "body": body})
}

/// What calls of a credential are signed with.
pub fn secret_of(id: &str) -> Vec<u8> {
    Sha256::digest(id).to_vec()
}

fn entries(setup: &Setup, hasher: &CredentialHasher, sealer: &Sealer) -> Vec<Entry> {
    let mut all = vec![
        Entry::Route(route("carrier-a", Environment::Live)),
        Entry::Route(route("sandbox", Environment::Sandbox)),
    ];
    for name in ["acme", "other"] {
        let id: naru_shared::domain::CustomerId = name.parse().unwrap();
        all.push(Entry::Customer(Customer {
            rates: setup.rates.clone(),
            gate_policy: setup.gate_policy.unwrap_or_default(),
            version: 1,
            ..Customer::new(id.clone())
        }));
        let (route, channel) = ("carrier-a".parse().unwrap(), Some("sms".parse().unwrap()));
        all.push(Entry::Assignment(Assignment { customer: id.clone(), channel, route, version: 1 }));
        if let Some(limit) = setup.quota {
            let period = Period::Month;
            all.push(Entry::Quota(Quota { version: 1, ..Quota::new(id, None, period, limit) }));
        }
    }
    for (id, customer, environment) in [
        ("acme-live", "acme", Environment::Live),
        ("acme-test", "acme", Environment::Sandbox),
        ("other-live", "other", Environment::Live),
    ] {
        all.push(Entry::Credential(Credential {
            id: id.parse().unwrap(),
            customer: customer.parse().unwrap(),
            environment,
            kind: CredentialKind::Basic { secret: hasher.basic(id, "secret", "key"), password: None },
            access: Access::default(),
            created_at: Timestamp::from_millis(0),
            revoked_at: None,
            version: 1,
        }));
    }
    for (id, customer, environment) in [
        ("acme-hmac", "acme", Environment::Live),
        ("acme-hmac-test", "acme", Environment::Sandbox),
        ("other-hmac", "other", Environment::Live),
    ] {
        let (name, customer) = (id.parse().unwrap(), customer.parse().unwrap());
        let secret = SharedSecret::import(&BASE64.encode(&secret_of(id))).unwrap();
        let sealed = secret.seal(sealer, &name, &customer, environment).unwrap();
        all.push(Entry::Credential(Credential {
            id: name,
            customer,
            environment,
            kind: CredentialKind::Hmac { secret: sealed },
            access: Access::default(),
            created_at: Timestamp::from_millis(0),
            revoked_at: None,
            version: 1,
        }));
    }
    all
}

fn route(name: &str, environment: Environment) -> Route {
    let backend = BackendConfig::Simulator(SimulatorBackend {});
    Route { version: 1, ..Route::new(name.parse().unwrap(), environment, backend) }
}
