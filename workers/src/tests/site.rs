//! A place with everything workers need: real engines in a directory of its own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use naru_shared::{
    catalog::{Entry, SqliteCatalog},
    domain::{
        Assignment, Clock, Customer, Envelope, EnvelopeFormat, FORMATS, Lane, Message, MessageId,
        MessageView, Minter, Outcome, PackEncoder, PackHead, Quota, Report, Route, State, SystemClock,
    },
    gate::MemoryGate,
    keys::{Keyring, Secret},
    ledger::{LedgerReads, SqliteLedger, Work},
    queue::{Outgoing, Queue, QueueName, SqliteQueue},
    registry::{MemoryRegistry, Registry},
    topic::SqliteTopic,
};

use crate::{
    Attachment, Backend, BackendError, BackendFactory, StandardBackends, Workers, WorkersConfig, WorkersDeps,
    samples,
};

/// How long a step may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Site {
    _dir: tempfile::TempDir,
    pub(super) queue: Arc<SqliteQueue>,
    pub(super) ledger: Arc<SqliteLedger>,
    pub(super) topic: Arc<SqliteTopic>,
    pub(super) catalog: Arc<SqliteCatalog>,
    pub(super) registry: Arc<MemoryRegistry>,
    pub(super) gate: Arc<MemoryGate>,
    keyring: Keyring,
    encoder: PackEncoder,
    minter: Minter,
    sent: Sent,
}

/// How often each message reached a backend.
type Sent = Arc<Mutex<HashMap<MessageId, usize>>>;

/// The backends of the product, and a count of what reaches them: what the ledger says of attempts is not asked.
struct Counting(Sent);

struct Counted {
    inner: Arc<dyn Backend>,
    sent: Sent,
}

impl BackendFactory for Counting {
    fn build(&self, route: &Route) -> Result<Arc<dyn Backend>, BackendError> {
        let inner = StandardBackends::default().build(route)?;
        Ok(Arc::new(Counted { inner, sent: Arc::clone(&self.0) }))
    }
}

#[async_trait]
impl Backend for Counted {
    async fn deliver(&self, work: &Work, attachments: &[Attachment]) -> Outcome {
        *self.sent.lock().unwrap().entry(work.row.id).or_default() += 1;
        self.inner.deliver(work, attachments).await
    }

    fn can_be_asked(&self) -> bool {
        self.inner.can_be_asked()
    }

    async fn inquire(&self, work: &Work) -> Option<Outcome> {
        self.inner.inquire(work).await
    }

    fn is_stale(&self) -> bool {
        self.inner.is_stale()
    }
}

impl Site {
    /// A site with the customer `acme` and these routes.
    pub(super) fn new(routes: &[Route]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let keyring = Keyring {
            ids: Secret::random(),
            credentials: Secret::random(),
            envelopes: vec![("a".to_owned(), Secret::random())],
        };
        let visibility = Duration::from_secs(30);
        let site = Self {
            queue: Arc::new(SqliteQueue::open(&at("queue.db"), visibility).unwrap()),
            ledger: Arc::new(SqliteLedger::open(&at("ledger.db")).unwrap()),
            topic: Arc::new(SqliteTopic::open(&at("topic.db"), visibility).unwrap()),
            catalog: Arc::new(SqliteCatalog::open(&at("catalog.db")).unwrap()),
            registry: MemoryRegistry::new(),
            gate: Arc::new(MemoryGate::new(Arc::new(SystemClock))),
            encoder: PackEncoder::new(keyring.envelope_keys().unwrap(), 1).unwrap(),
            minter: Minter::new(&keyring.ids),
            keyring,
            sent: Sent::default(),
            _dir: dir,
        };
        site.suspend(false);
        for route in routes {
            site.know(Entry::Route(route.clone()));
            site.know(Entry::Assignment(Assignment {
                customer: "acme".parse().unwrap(),
                channel: None,
                route: route.name.clone(),
                version: 0,
            }));
        }
        site
    }

    /// The registry learns of a document.
    pub(super) fn know(&self, entry: Entry) {
        let version = self.registry.version() + 1;
        self.registry.apply(vec![entry.at_version(version)], true, version);
    }

    /// The customer is suspended, or not.
    pub(super) fn suspend(&self, suspended: bool) {
        self.know(Entry::Customer(Customer { suspended, ..Customer::new("acme".parse().unwrap()) }));
    }

    pub(super) fn limit(&self, units: u64) {
        let period = naru_shared::domain::Period::Month;
        self.know(Entry::Quota(Quota::new("acme".parse().unwrap(), None, period, units)));
    }

    pub(super) fn deps(&self) -> WorkersDeps {
        WorkersDeps {
            queue: self.queue.clone(),
            ledger: self.ledger.clone(),
            reads: self.ledger.clone(),
            outbox: self.ledger.clone(),
            topic: self.topic.clone(),
            callbacks: self.ledger.clone(),
            watch: self.ledger.clone(),
            audits: Vec::new(),
            anchors: None,
            denials: self.ledger.clone(),
            catalog: self.catalog.clone(),
            registry: self.registry.clone(),
            gate: self.gate.clone(),
            blobs: None,
            keyring: self.keyring.clone(),
            formats: FORMATS,
            clock: Arc::new(SystemClock),
            backends: Arc::new(Counting(Arc::clone(&self.sent))),
            runtime: tokio::runtime::Handle::current(),
            exclusive: true,
            slack: None,
        }
    }

    pub(super) fn start(&self) -> Workers {
        Workers::start(&config(), self.deps()).unwrap()
    }

    /// A message to this recipient, not yet published.
    pub(super) fn message(&self, recipient: &str) -> Message {
        let now = SystemClock.now();
        Message {
            id: self.minter.mint(&samples::account(), now),
            accepted_at: now,
            ..samples::message(0, recipient)
        }
    }

    /// A message to the usual route, as a release that knows these versions writes it.
    pub(super) fn sealed_as(
        &self,
        formats: &'static [EnvelopeFormat],
        version: u32,
        message: &Message,
    ) -> Envelope {
        let keys = self.keyring.envelope_keys().unwrap().knowing(formats);
        Self::seal(&PackEncoder::new(keys, version).unwrap(), "carrier-a", std::slice::from_ref(message))
    }

    /// These messages in one envelope of this site.
    pub(super) fn sealed(&self, route: &str, messages: &[Message]) -> Envelope {
        Self::seal(&self.encoder, route, messages)
    }

    fn seal(encoder: &PackEncoder, route: &str, messages: &[Message]) -> Envelope {
        let fragments: Vec<Vec<u8>> = messages.iter().map(|m| PackEncoder::fragment(m).unwrap()).collect();
        let fragments: Vec<&[u8]> = fragments.iter().map(Vec::as_slice).collect();
        let (account, route) = (samples::account(), route.parse().unwrap());
        encoder.seal(PackHead { account: &account, route: &route, lane: Lane::Express }, &fragments)
    }

    /// Publishes one message to each recipient, in one pack.
    pub(super) async fn accept(&self, route: &str, recipients: &[&str]) -> Vec<MessageId> {
        let messages: Vec<Message> = recipients.iter().map(|recipient| self.message(recipient)).collect();
        self.publish(route, &messages).await;
        messages.iter().map(|message| message.id).collect()
    }

    pub(super) async fn publish(&self, route: &str, messages: &[Message]) {
        self.publish_envelope(route, self.sealed(route, messages)).await;
    }

    /// Puts an envelope on a route's express queue, whatever is in it.
    pub(super) async fn publish_envelope(&self, route: &str, envelope: Envelope) {
        let queue = QueueName { route: route.parse().unwrap(), lane: Lane::Express };
        let packs = vec![Outgoing { queue, group: samples::account().customer, envelope }];
        for result in self.queue.publish(packs).await {
            result.unwrap();
        }
    }

    /// Packs on a route's express queue.
    pub(super) async fn on_queue(&self, route: &str) -> u64 {
        let queue = QueueName { route: route.parse().unwrap(), lane: Lane::Express };
        self.queue.depth(&queue).await.unwrap().packs
    }

    pub(super) fn assert_each_was_sent_once(&self, ids: &[MessageId]) {
        let sent = self.sent.lock().unwrap();
        for id in ids {
            assert_eq!(sent.get(id), Some(&1), "{id} reached the backend so often");
        }
    }

    pub(super) async fn view(&self, id: MessageId) -> Option<MessageView> {
        self.ledger.view(&samples::account(), id).await.unwrap()
    }

    /// Waits until the ledger knows a message.
    pub(super) async fn knows(&self, id: MessageId) {
        holds_within(PATIENCE, "the ledger knows it", async || self.view(id).await.is_some()).await;
    }

    /// Waits until a message stands so.
    pub(super) async fn reaches(&self, id: MessageId, state: State) {
        let stands = async || self.view(id).await.is_some_and(|view| view.status == state);
        holds_within(PATIENCE, state.as_str(), stands).await;
    }

    /// Waits until a route's express queue is empty.
    pub(super) async fn is_taken_in(&self, route: &str) {
        holds_within(PATIENCE, "the queue is empty", async || self.on_queue(route).await == 0).await;
    }

    /// The reports of these messages, once every one has ended.
    pub(super) async fn reports(&self, ids: &[MessageId]) -> Vec<Report> {
        let mut reports = Vec::new();
        for id in ids {
            reports.push(self.report(*id).await);
        }
        reports
    }

    pub(super) async fn report(&self, id: MessageId) -> Report {
        let mut last = None;
        for _ in within(Duration::from_secs(20)) {
            last = self.view(id).await;
            if let Some(report) = last.clone().and_then(MessageView::into_report) {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{id} did not end: {last:?}");
    }
}

/// Asks until it holds; panics if that takes longer than `span`.
pub(super) async fn holds_within(span: Duration, what: &str, holds: impl AsyncFn() -> bool) {
    for () in within(span) {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within {span:?}: {what}");
}

/// Yields until the time is over.
fn within(span: Duration) -> impl Iterator<Item = ()> {
    let end = Instant::now() + span;
    std::iter::from_fn(move || (Instant::now() < end).then_some(()))
}

/// Short times, so that tests are quick.
pub(super) fn config() -> WorkersConfig {
    WorkersConfig { lease_ms: 3_000, sweep_ms: 50, poll_ms: 100, stuck_ms: 1_500, ..WorkersConfig::default() }
}
