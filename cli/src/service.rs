//! A process that serves: open, serve, drain under a deadline. Which parts of Naru run in it is all that differs.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use naru_ingress::{Ingress, IngressDeps};
use naru_shared::{
    audit::AnchorFile,
    data_dir::DataDir,
    domain::{Clock, Route, SystemClock},
    engines::LedgerEngine,
    keys::Keyring,
    ports::{self, Behind, Part, Ports},
    telemetry,
};
use naru_workers::{BackendFactory, StandardBackends, Workers, WorkersDeps};
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    beginning,
    config::{Config, check::unsafe_settings},
    decorations::Decorations,
    desk::Book,
    disk::Disk,
    exit::Failure,
    fingerprint,
    operator::{self, Watched},
    place, stop,
};

/// How long a service waits for the catalog before it goes on without having looked at the routes.
const LOOK: Duration = Duration::from_secs(5);

/// Beyond the drain's deadline, for what must be closed.
const CLOSE: Duration = Duration::from_secs(1);

/// What to run.
#[derive(Debug, Clone)]
pub struct Service {
    /// The configuration.
    pub config: Config,
    /// Which parts run.
    pub part: Part,
    /// Whether messages are delivered, or only accepted.
    pub deliver: bool,
    /// The file that the configuration was read from, if any: it is named where something is to be typed.
    pub file: Option<PathBuf>,
}

/// Runs until a signal asks it to stop, then drains.
///
/// # Errors
/// If it cannot start (see the exit codes), or the HTTP front fails.
pub fn run(service: &Service, decorate: Decorations) -> anyhow::Result<()> {
    let config = &service.config;
    refuse_unsafe(service, &[])?;
    telemetry::start_logs(config.log.format, &config.log.filter)?;
    let metrics = telemetry::start_metrics()?;
    install_tls();
    let dir = place::take(config)?;
    let keyring = place::first_keyring(config, dir.as_ref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("naru").build()?;
    let result = runtime.block_on(serve(service, decorate, dir.as_ref(), keyring, metrics));
    runtime.shutdown_timeout(CLOSE);
    result
}

fn refuse_unsafe(service: &Service, routes: &[Route]) -> anyhow::Result<()> {
    let findings = unsafe_settings(&service.config, service.part, routes);
    if findings.is_empty() { Ok(()) } else { Err(Failure::Refused(findings.join("\n")).into()) }
}

/// Gives the process its one TLS implementation; whoever needs one may ask again.
pub(crate) fn install_tls() {
    // An error means that this process has one already.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}

async fn serve(
    service: &Service,
    decorate: Decorations,
    dir: Option<&DataDir>,
    keyring: Keyring,
    metrics: PrometheusHandle,
) -> anyhow::Result<()> {
    let (config, part) = (&service.config, service.part);
    let runtime = Handle::current();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let asked = CancellationToken::new();
    let ended = CancellationToken::new();
    stop::on_signals(asked.clone())?;
    let (ports, follower) =
        ports::open(part, &config.engines(), dir, &clock, &keyring, &runtime, ended.clone())?;
    let ports = (decorate.ports)(ports);
    let disk = dir.map(|dir| Disk::new(dir.path().to_owned(), config.process.low_disk_bytes));
    let writes = part.works();
    let looking = fingerprint::at_start(&ports.catalog, &keyring, writes, &asked).await?;
    let mut tasks = vec![follower, runtime.spawn(operator::keep_up(metrics.clone(), ended.clone()))];
    tasks.extend(looking);
    tasks.extend(disk.clone().map(|disk| disk.watch(&runtime, ended.clone())));

    let ingress =
        part.accepts().then(|| bind_ingress(config, &ports, &keyring, &clock, disk.clone())).transpose()?;
    let watched = Watched { part, ports: ports.clone(), disk, metrics, stop: asked.clone() };
    let (server, operator, operator_addr) = operator::bind(config.operator.listen, watched)
        .with_context(|| format!("the operator's listener cannot have {}", config.operator.listen))?;
    // Only once nothing can be refused any more: the demo's passwords are shown this once.
    let demo = beginning::begin(service, &ports, &keyring, clock.as_ref()).await?;
    refuse_unsafe(service, &routes(&ports).await)?;
    let operating = runtime.spawn(server);
    let backends = (decorate.backends)(Arc::new(StandardBackends::new(keyring.sealer())));
    let workers = match &ports.behind {
        Some(behind) if service.deliver => {
            let anchors = place::anchors(config, dir);
            Some(start_workers(config, &ports, behind, keyring, &clock, backends, anchors)?)
        }
        _ => None,
    };
    (decorate.started)(&ports, &runtime);
    beginning::announce(service, demo.as_ref(), ingress.as_ref().map(Ingress::addr), operator_addr, dir)?;

    let drain = Duration::from_millis(config.process.drain_ms);
    let result = serve_and_drain(ingress, workers, &asked, drain).await;
    operator.stop(false).await;
    ended.cancel();
    end(tasks).await;
    operating.abort();
    result
}

async fn end(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        if tokio::time::timeout(CLOSE, task).await.is_err() {
            tracing::warn!("a task of the process did not end in time");
        }
    }
}

/// The routes of record; none where the catalog does not answer: then each is looked at when it is changed.
async fn routes(ports: &Ports) -> Vec<Route> {
    let book = Book::new(Arc::clone(&ports.catalog));
    match tokio::time::timeout(LOOK, book.routes()).await {
        Ok(Ok(routes)) => routes,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the catalog does not answer: whether its routes are safe was not looked at");
            Vec::new()
        }
        Err(_late) => {
            tracing::warn!(
                "the catalog did not answer in time: whether its routes are safe was not looked at"
            );
            Vec::new()
        }
    }
}

fn bind_ingress(
    config: &Config,
    ports: &Ports,
    keyring: &Keyring,
    clock: &Arc<dyn Clock>,
    disk: Option<Arc<Disk>>,
) -> anyhow::Result<Ingress> {
    let deps = IngressDeps {
        registry: Arc::clone(&ports.registry),
        gate: Arc::clone(&ports.gate),
        queue: Arc::clone(&ports.queue),
        reads: Arc::clone(&ports.reads),
        denials: Arc::clone(&ports.denials),
        presence: Arc::clone(&ports.presence),
        host: place::host(),
        blobs: ports.blobs.clone(),
        keyring: keyring.clone(),
        formats: config.release.formats,
        clock: Arc::clone(clock),
        disk: Arc::new(move || disk.as_ref().is_none_or(|disk| disk.enough())),
        runtime: Handle::current(),
    };
    let listen = config.ingress.listen;
    Ingress::bind(&config.ingress, deps).with_context(|| format!("the HTTP front cannot have {listen}"))
}

fn start_workers(
    config: &Config,
    ports: &Ports,
    behind: &Behind,
    keyring: Keyring,
    clock: &Arc<dyn Clock>,
    backends: Arc<dyn BackendFactory>,
    anchors: Option<AnchorFile>,
) -> anyhow::Result<Workers> {
    let deps = WorkersDeps {
        queue: Arc::clone(&ports.queue),
        ledger: Arc::clone(&behind.ledger),
        reads: Arc::clone(&ports.reads),
        outbox: Arc::clone(&behind.outbox),
        topic: Arc::clone(&behind.topic),
        callbacks: Arc::clone(&behind.callbacks),
        watch: Arc::clone(&behind.watch),
        catalog: Arc::clone(&ports.catalog),
        audits: behind.audits.clone(),
        anchors,
        denials: Arc::clone(&ports.denials),
        registry: Arc::clone(&ports.registry),
        gate: Arc::clone(&ports.gate),
        blobs: ports.blobs.clone(),
        keyring,
        formats: config.release.formats,
        clock: Arc::clone(clock),
        backends,
        runtime: Handle::current(),
        // Its file is this process's alone.
        exclusive: matches!(config.ledger, LedgerEngine::Sqlite {}),
        slack: config.slack(),
    };
    Ok(Workers::start(&config.workers, deps)?)
}

/// Serves until asked to stop, then lets front and workers end what they have begun, at the same time.
async fn serve_and_drain(
    ingress: Option<Ingress>,
    workers: Option<Workers>,
    asked: &CancellationToken,
    drain: Duration,
) -> anyhow::Result<()> {
    let front = async {
        match ingress {
            Some(ingress) => ingress.serve(asked.clone(), drain).await,
            None => {
                asked.cancelled().await;
                Ok(())
            }
        }
    };
    tokio::pin!(front);
    let early: Option<io::Result<()>> = tokio::select! {
        biased;
        () = asked.cancelled() => None,
        ended = &mut front => Some(ended),
    };
    asked.cancel();
    let failed = early.is_some();
    let ending = async {
        let front = async { if let Some(ended) = early { ended } else { front.await } };
        let workers = async {
            if let Some(workers) = workers {
                workers.drain(drain).await;
            }
        };
        tokio::join!(front, workers).0
    };
    match tokio::time::timeout(drain + CLOSE, ending).await {
        Ok(Ok(())) if failed => Err(anyhow::anyhow!("the HTTP front ended by itself")),
        Ok(front) => front.context("the HTTP front failed"),
        Err(_) => {
            tracing::warn!("the drain took too long: what is in hand comes back on the next start");
            Ok(())
        }
    }
}
