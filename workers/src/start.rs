//! Starting and draining the workers of a process.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use actix_rt::{ArbiterHandle, System};
use naru_shared::{
    audit::{AnchorFile, Audit},
    blobs::Blobs,
    callbacks::Callbacks,
    catalog::Catalog,
    denials::Denials,
    domain::{Clock, EnvelopeFormat, IncarnationId},
    gate::Gate,
    keys::{Keyring, NoEnvelopeKey},
    ledger::{Ledger, LedgerReads},
    metrics,
    outbox::Outbox,
    queue::Queue,
    registry::Registry,
    topic::Topic,
    watch::Watch,
};

use crate::{
    alarms, anchors,
    backend::BackendFactory,
    callbacks::{self, TargetError},
    config::{ConfigError, WorkersConfig},
    courier,
    crew::Crew,
    heartbeat, herald, observer,
    outcome::{self, Committer},
    patience, relay,
    roster::{self, Quarters},
    slack::{self, Office, Slack},
    sweeper,
};

/// How long the actors' system may take to begin.
const BEGIN: Duration = Duration::from_secs(10);

/// How often a drain looks whether it is done.
const LOOK: Duration = Duration::from_millis(20);

/// What workers work with.
#[derive(Clone)]
pub struct WorkersDeps {
    /// Where packs come from.
    pub queue: Arc<dyn Queue>,
    /// Where everything waits.
    pub ledger: Arc<dyn Ledger>,
    /// What is used of limits.
    pub reads: Arc<dyn LedgerReads>,
    /// Events to publish.
    pub outbox: Arc<dyn Outbox>,
    /// Where they are published.
    pub topic: Arc<dyn Topic>,
    /// Events on their way to webhooks.
    pub callbacks: Arc<dyn Callbacks>,
    /// What an operator keeps an eye on.
    pub watch: Arc<dyn Watch>,
    /// What was done by whom, of each store.
    pub audits: Vec<Arc<dyn Audit>>,
    /// Where the heads of these are anchored, beside the log and the topic.
    pub anchors: Option<AnchorFile>,
    /// How many calls were denied.
    pub denials: Arc<dyn Denials>,
    /// The subscriptions and webhooks of record.
    pub catalog: Arc<dyn Catalog>,
    /// Customers and routes.
    pub registry: Arc<dyn Registry>,
    /// What ingress asks; it is told what is used and what waits.
    pub gate: Arc<dyn Gate>,
    /// What messages carry, if it is kept.
    pub blobs: Option<Arc<dyn Blobs>>,
    /// Opens envelopes, and tells what attachments are.
    pub keyring: Keyring,
    /// The versions of envelopes that this release knows.
    pub formats: &'static [EnvelopeFormat],
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Makes the backends of routes.
    pub backends: Arc<dyn BackendFactory>,
    /// Where logic, engines and HTTP clients run.
    pub runtime: tokio::runtime::Handle,
    /// This process owns the data: every other incarnation is dead.
    pub exclusive: bool,
    /// Operators' posts to Slack, if they want any.
    pub slack: Option<Slack>,
}

/// Why the workers did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is outside its bounds.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Envelopes cannot be opened.
    #[error(transparent)]
    Keys(#[from] NoEnvelopeKey),
    /// Nothing could ever be posted to Slack.
    #[error("there is no client for Slack")]
    Slack(#[source] TargetError),
    /// The operating system gave no thread for the actors.
    #[error("the actors' thread could not be started")]
    Thread(#[source] std::io::Error),
    /// The actors' system did not begin.
    #[error("the actors' system did not begin in time")]
    System,
}

/// The workers of a process: intake and couriers of every route, committer, relay, webhooks, Slack, sweeper, observer, alarms, heartbeat.
pub struct Workers {
    crew: Arc<Crew>,
    quarters: Arc<Quarters>,
    system: System,
    thread: thread::JoinHandle<()>,
}

impl Workers {
    /// Starts them; engines that are away are waited for, not failed for.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(config: &WorkersConfig, deps: WorkersDeps) -> Result<Self, StartError> {
        config.check()?;
        let envelopes = deps.keyring.envelope_keys()?.knowing(deps.formats);
        metrics::ENVELOPE_VERSION.of(&[("use", "read")]).set(envelopes.newest());
        let runtime = deps.runtime.clone();
        let office =
            deps.slack.clone().map(Office::new).transpose().map_err(StartError::Slack)?.map(Arc::new);
        let (ended, incoming) = tokio::sync::mpsc::channel(config.settle_backlog);
        let crew = Arc::new(Crew::new(deps, config.clone(), envelopes, ended));
        let committer = Arc::new(Committer::new(incoming));
        let (system, arbiter, thread) = begin_system()?;
        let quarters = Arc::new(Quarters::new(arbiter, runtime, Arc::clone(&crew.herald)));
        quarters.house(herald::routine(&crew));
        quarters.house(heartbeat::routine(&crew));
        quarters.house(outcome::routine(&crew, &committer));
        quarters.house(relay::routine(&crew));
        quarters.house(callbacks::matching(&crew));
        quarters.house(callbacks::calling(&crew));
        if let Some(office) = &office {
            quarters.house(slack::routine(&crew, office));
        }
        quarters.house(courier::detour(&crew));
        quarters.house(sweeper::routine(&crew));
        quarters.house(observer::routine(&crew));
        quarters.house(alarms::routine(&crew));
        quarters.house(anchors::routine(&crew));
        quarters.house(roster::routine(&crew, &quarters));
        Ok(Self { crew, quarters, system, thread })
    }

    /// Ends them: nothing new is taken, attempts end and their outcomes commit, what was not begun goes back, events are
    /// published, the heartbeat stops. Returns within `deadline` whatever happens; what is left then is recovered by the next
    /// life.
    pub async fn drain(self, deadline: Duration) {
        let end = Instant::now() + deadline;
        self.crew.stop.cancel();
        // A share of the time is kept for what comes after the attempts.
        let attempts = end - (deadline / 5).min(Duration::from_secs(3));
        let idle = until(attempts, || self.crew.held() == 0 && self.crew.transit_is_empty()).await;
        if !until(attempts, || self.crew.hooks.is_idle()).await {
            tracing::warn!("webhooks have not answered: their events come again when their leases are over");
        }
        if !idle {
            tracing::warn!(rows = self.crew.held(), "attempts are left to be recovered by the next life");
        }
        let closing = self.close(idle);
        if tokio::time::timeout_at(end.into(), closing).await.is_err() {
            tracing::warn!("the workers did not end in time");
        }
        self.crew.end.cancel();
        self.system.stop();
        if until(end.max(Instant::now() + LOOK * 5), || self.thread.is_finished()).await
            && self.thread.join().is_err()
        {
            tracing::error!("the actors' thread panicked");
        }
    }

    /// Publishes what is left, ends the remaining loops, and forgets the heartbeat of a process that holds nothing.
    async fn close(&self, idle: bool) {
        let crew = &self.crew;
        herald::flush(crew).await;
        alarms::flush(crew).await;
        anchors::flush(crew).await;
        relay::flush(crew).await;
        crew.end.cancel();
        while !self.quarters.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
        // What is in this process's name and in nobody's hands was never begun.
        if let Err(error) = sweeper::give_back_unheld(crew).await {
            tracing::warn!(%error, "rows that were never begun are left to the next life");
        }
        if !idle {
            return;
        }
        for incarnation in crew.incarnations.all() {
            bury(crew, incarnation).await;
        }
    }
}

/// Forgets one of this process's names; tried until the ledger answers, which the drain's deadline bounds.
async fn bury(crew: &Crew, incarnation: IncarnationId) {
    loop {
        match patience::ledger(crew.deps.ledger.bury(incarnation)).await {
            Ok(true) => return,
            Ok(false) => {
                tracing::warn!("rows are left in this process's name, to be recovered by the next life");
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "the ledger does not forget this process yet");
                tokio::time::sleep(LOOK * 5).await;
            }
        }
    }
}

/// The actors' system, on a thread of its own.
fn begin_system() -> Result<(System, ArbiterHandle, thread::JoinHandle<()>), StartError> {
    let (tell, told) = mpsc::sync_channel(1);
    let body = move || {
        let runner = System::new();
        let system = System::current();
        let arbiter = system.arbiter().clone();
        if tell.send((system, arbiter)).is_ok()
            && let Err(error) = runner.run()
        {
            tracing::error!(%error, "the actors' system ended badly");
        }
    };
    let thread = thread::Builder::new().name("workers".to_owned()).spawn(body).map_err(StartError::Thread)?;
    let (system, arbiter) = told.recv_timeout(BEGIN).map_err(|_timeout| StartError::System)?;
    Ok((system, arbiter, thread))
}

/// Waits until something holds; whether it came before the deadline.
async fn until(deadline: Instant, holds: impl Fn() -> bool) -> bool {
    while !holds() {
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
    true
}
