//! `naru up`: everything in one process. Open, serve, drain under a deadline.

use std::{io, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use naru_ingress::{Ingress, IngressDeps};
use naru_shared::{
    data_dir::DataDir,
    data_files,
    domain::{Clock, Route, SystemClock},
    engines::Engines,
    key_file,
    keys::Keyring,
    ports::{self, Ports},
    release::Release,
    sqlite::Depth,
    telemetry,
};
use naru_workers::{BackendFactory, StandardBackends, Workers, WorkersDeps};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::{
    args::UpArgs,
    config::{Config, check::unsafe_settings},
    desk::Book,
    disk::Disk,
    exit::Failure,
    first_start::{self, Demo},
    operator::{self, Watched},
    output, stop,
};

/// How long the registry may take to have in force what the first start wrote, before it is announced.
const IN_FORCE: Duration = Duration::from_secs(10);

/// Beyond the drain's deadline, for what must be closed.
const CLOSE: Duration = Duration::from_secs(1);

/// What to run.
#[derive(Debug, Clone)]
pub struct UpOptions {
    /// The configuration.
    pub config: Config,
    /// Whether messages are delivered, or only accepted.
    pub workers: bool,
}

impl UpOptions {
    /// The configuration with what was typed laid upon it.
    #[must_use]
    pub fn new(mut config: Config, args: UpArgs) -> Self {
        config.ingress.listen = args.listen.unwrap_or(config.ingress.listen);
        config.operator.listen = args.operator_listen.unwrap_or(config.operator.listen);
        config.log.format = args.log_format.unwrap_or(config.log.format);
        config.process.demo &= !args.no_demo;
        Self { config, workers: args.workers > 0 }
    }
}

/// Wraps the ports once they are open.
pub type DecoratePorts = Box<dyn FnOnce(Ports) -> Ports + Send>;

/// Wraps the maker of backends.
pub type DecorateBackends = Box<dyn FnOnce(Arc<dyn BackendFactory>) -> Arc<dyn BackendFactory> + Send>;

/// Called once everything has started.
pub type Started = Box<dyn FnOnce(&Ports, &Handle) + Send>;

/// What is laid around the parts before they are handed out; by default nothing. Faults and metering live in
/// decorators, not in the parts.
pub struct Decorations {
    /// Around the ports.
    pub ports: DecoratePorts,
    /// Around the backends.
    pub backends: DecorateBackends,
    /// Told when everything has started.
    pub started: Started,
    /// What this release knows: the next one differs here.
    pub release: Release,
    /// The variables of the environment that it reads, beside those of the configuration.
    pub variables: &'static [&'static str],
}

impl Default for Decorations {
    fn default() -> Self {
        Self {
            ports: Box::new(|ports| ports),
            backends: Box::new(|backends| backends),
            started: Box::new(|_, _| {}),
            release: Release::THIS,
            variables: &[],
        }
    }
}

/// Runs until a signal asks it to stop, then drains.
///
/// # Errors
/// If it cannot start (see the exit codes), or the HTTP front fails.
pub fn run(options: UpOptions, decorate: Decorations) -> anyhow::Result<()> {
    refuse_unsafe(&options.config, &[])?;
    telemetry::start_logs(options.config.log.format, &options.config.log.filter)?;
    let metrics = telemetry::start_metrics()?;
    install_tls();
    let dir = DataDir::acquire(&options.config.data)?;
    dir.refuse_half_restored()?;
    let engines = options.config.engines();
    // The rest follows from the first: one file that is gone makes others look wrong.
    if let Some(unsound) = data_files::inspect(&engines, &dir, Depth::Start).into_iter().next() {
        let advice = unsound.advice();
        return Err(Failure::Refused(format!("{:#}: {advice}", anyhow::Error::new(unsound))).into());
    }
    let keyring = keys(&engines, &dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("naru").build()?;
    let result = runtime.block_on(serve(&options, decorate, &dir, keyring, metrics));
    runtime.shutdown_timeout(CLOSE);
    result
}

fn refuse_unsafe(config: &Config, routes: &[Route]) -> anyhow::Result<()> {
    let findings = unsafe_settings(config, routes);
    if findings.is_empty() { Ok(()) } else { Err(Failure::Refused(findings.join("\n")).into()) }
}

/// Gives the process its one TLS implementation; whoever needs one may ask again.
pub(crate) fn install_tls() {
    // An error means that this process has one already.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}

/// The secrets: made on the first start, and never again beside data that was written with others.
fn keys(engines: &Engines, dir: &DataDir) -> anyhow::Result<Keyring> {
    let path = dir.keys();
    match key_file::load(&path) {
        Err(key_file::KeyFileError::Missing(_)) if !data_files::any(engines, dir) => {
            tracing::info!("first start: making the deployment's secrets");
            Ok(key_file::create(&path)?)
        }
        Err(error @ key_file::KeyFileError::Missing(_)) => {
            Err(error).context("there is data that was written with its secrets: put them back from a backup")
        }
        other => Ok(other?),
    }
}

async fn serve(
    options: &UpOptions,
    decorate: Decorations,
    dir: &DataDir,
    keyring: Keyring,
    metrics: PrometheusHandle,
) -> anyhow::Result<()> {
    let config = &options.config;
    let runtime = Handle::current();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let asked = CancellationToken::new();
    let ended = CancellationToken::new();
    stop::on_signals(asked.clone())?;
    let (ports, follower) = ports::open(&config.engines(), dir, &clock, &runtime, ended.clone())?;
    let ports = (decorate.ports)(ports);
    let disk = Disk::new(dir.path().to_owned(), config.process.low_disk_bytes);
    let watch = Arc::clone(&disk).watch(&runtime, ended.clone());
    let upkeep = runtime.spawn(operator::keep_up(metrics.clone(), ended.clone()));

    let ingress = bind_ingress(config, &ports, &keyring, &clock, &disk)?;
    let watched = Watched { ports: ports.clone(), disk, metrics, stop: asked.clone() };
    let (server, operator, operator_addr) = operator::bind(config.operator.listen, watched)
        .with_context(|| format!("the operator's listener cannot have {}", config.operator.listen))?;
    // Only once nothing can be refused any more: the demo's passwords are shown this once.
    let demo = begin(config, &ports, &keyring, clock.as_ref()).await?;
    let operating = runtime.spawn(server);
    let backends = (decorate.backends)(Arc::new(StandardBackends));
    let workers =
        if options.workers { Some(start_workers(config, &ports, keyring, &clock, backends)?) } else { None };
    (decorate.started)(&ports, &runtime);
    announce(demo.as_ref(), &ingress, operator_addr, dir.path())?;

    let result =
        serve_and_drain(ingress, workers, &asked, Duration::from_millis(config.process.drain_ms)).await;
    operator.stop(false).await;
    ended.cancel();
    for task in [follower, watch, upkeep] {
        if tokio::time::timeout(CLOSE, task).await.is_err() {
            tracing::warn!("a task of the process did not end in time");
        }
    }
    operating.abort();
    result
}

/// Writes what a deployment begins with, and waits until it is in force.
async fn begin(
    config: &Config,
    ports: &Ports,
    keyring: &Keyring,
    clock: &dyn Clock,
) -> anyhow::Result<Option<Demo>> {
    let book = Book::new(Arc::clone(&ports.catalog));
    let mut version = ports.catalog.version().await?;
    let mut demo = None;
    if version == 0 {
        let (entries, made) = first_start::entries(keyring, clock.now(), config.process.demo)?;
        version = book.put(entries).await?;
        demo = made;
    }
    refuse_unsafe(config, &book.routes().await?)?;
    let in_force = async {
        while ports.registry.version() < version {
            ports.registry.changed(ports.registry.version()).await;
        }
    };
    if tokio::time::timeout(IN_FORCE, in_force).await.is_err() {
        tracing::warn!("the catalog is not read yet: not ready, accepts are refused until it is");
    }
    Ok(demo)
}

fn bind_ingress(
    config: &Config,
    ports: &Ports,
    keyring: &Keyring,
    clock: &Arc<dyn Clock>,
    disk: &Arc<Disk>,
) -> anyhow::Result<Ingress> {
    let disk = Arc::clone(disk);
    let deps = IngressDeps {
        registry: Arc::clone(&ports.registry),
        gate: Arc::clone(&ports.gate),
        queue: Arc::clone(&ports.queue),
        reads: Arc::clone(&ports.reads),
        keyring: keyring.clone(),
        formats: config.release.formats,
        clock: Arc::clone(clock),
        disk: Arc::new(move || disk.enough()),
        runtime: Handle::current(),
    };
    let listen = config.ingress.listen;
    Ingress::bind(&config.ingress, deps).with_context(|| format!("the HTTP front cannot have {listen}"))
}

fn start_workers(
    config: &Config,
    ports: &Ports,
    keyring: Keyring,
    clock: &Arc<dyn Clock>,
    backends: Arc<dyn BackendFactory>,
) -> anyhow::Result<Workers> {
    let deps = WorkersDeps {
        queue: Arc::clone(&ports.queue),
        ledger: Arc::clone(&ports.ledger),
        reads: Arc::clone(&ports.reads),
        outbox: Arc::clone(&ports.outbox),
        topic: Arc::clone(&ports.topic),
        catalog: Arc::clone(&ports.catalog),
        registry: Arc::clone(&ports.registry),
        gate: Arc::clone(&ports.gate),
        keyring,
        formats: config.release.formats,
        clock: Arc::clone(clock),
        backends,
        runtime: Handle::current(),
        exclusive: true,
    };
    Ok(Workers::start(&config.workers, deps)?)
}

fn announce(
    demo: Option<&Demo>,
    ingress: &Ingress,
    operator: std::net::SocketAddr,
    data: &Path,
) -> anyhow::Result<()> {
    let listen = ingress.addr();
    tracing::info!(%listen, %operator, "ready");
    let typed = std::env::args().next().unwrap_or_else(|| "naru".to_owned());
    // The lines are to be typed anywhere: one that was found by its name is found so again.
    let program = match std::env::current_exe() {
        Ok(program) if typed.contains('/') => program.display().to_string(),
        _ => typed,
    };
    let data = data.canonicalize().unwrap_or_else(|_| data.to_owned());
    output::print(&first_start::greeting(demo, listen, operator, &data, &program))
}

/// Serves until asked to stop, then lets front and workers end what they have begun, at the same time.
async fn serve_and_drain(
    ingress: Ingress,
    workers: Option<Workers>,
    asked: &CancellationToken,
    drain: Duration,
) -> anyhow::Result<()> {
    let front = ingress.serve(asked.clone(), drain);
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
