//! The operator's listener: is it alive, is it ready and if not why, and what does it count.

use std::{borrow::Cow, io, net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{
    App, HttpResponse, HttpServer,
    dev::{Server, ServerHandle},
    web,
};
use futures_util::future::join_all;
use metrics_exporter_prometheus::PrometheusHandle;
use naru_shared::{
    domain::{Lane, RouteName},
    ports::{Part, Ports, Probe, ProbeError},
    queue::{Queue, QueueName},
};
use serde::Serialize;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::disk::Disk;

/// How long one engine may take to answer a probe.
const PROBE: Duration = Duration::from_secs(1);

/// How long an answer of the engines stands: balancers ask often, and several of them, and each question costs every engine one.
const STANDS: Duration = Duration::from_secs(2);

/// As [`STANDS`], of one that something is wrong: whoever waits for it to pass is told soon.
const STANDS_BADLY: Duration = Duration::from_millis(200);

/// What is said of one that did not.
const SILENT: &str = "did not answer within a second";

/// How often histograms are tidied.
const UPKEEP: Duration = Duration::from_secs(5);

/// What the listener looks at.
#[derive(Clone)]
pub struct Watched {
    /// What runs in the process.
    pub part: Part,
    /// The engines.
    pub ports: Ports,
    /// The disk of the data directory, if there is one.
    pub disk: Option<Arc<Disk>>,
    /// What is counted.
    pub metrics: PrometheusHandle,
    /// Whether the process is on its way out.
    pub stop: CancellationToken,
}

/// What is looked at, and what the engines said last.
struct Desk {
    watched: Watched,
    said: Mutex<Option<(Instant, Engines)>>,
    queue: Mutex<Option<Well>>,
    /// When each probe was last well.
    probes: Vec<Mutex<Option<Instant>>>,
}

/// When the queue last answered, and how many of its calls had failed by then.
#[derive(Debug, Clone, Copy)]
struct Well {
    at: Instant,
    failures: u64,
}

/// How much longer than between two looks at its depth a queue is taken for well while none of its calls fails.
const LOOKS: u32 = 5;

/// What the engines say of themselves: why not, if not.
#[derive(Debug, Clone)]
struct Engines {
    queue: Option<String>,
    ledger: Option<String>,
    probed: Vec<Footing>,
}

impl Engines {
    fn stands(&self) -> Duration {
        let well = self.queue.is_none() && self.ledger.is_none() && self.probed.iter().all(|part| part.ok);
        if well { STANDS } else { STANDS_BADLY }
    }
}

/// One thing that readiness rests on.
#[derive(Debug, Clone, Serialize)]
struct Footing {
    name: Cow<'static, str>,
    ok: bool,
    /// Whether what the process is for needs it.
    needed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    parts: Vec<Footing>,
}

/// Binds the listener. Its future serves until the handle stops it.
///
/// # Errors
/// If the address cannot be had.
pub fn bind(listen: SocketAddr, watched: Watched) -> io::Result<(Server, ServerHandle, SocketAddr)> {
    let probes = watched.ports.probes.iter().map(|_| Mutex::default()).collect();
    let desk = web::Data::new(Desk { watched, said: Mutex::default(), queue: Mutex::default(), probes });
    let app = move || {
        App::new()
            .app_data(desk.clone())
            .route("/healthz", web::get().to(async || HttpResponse::Ok().body("alive\n")))
            .route("/readyz", web::get().to(readyz))
            .route("/metrics", web::get().to(metrics))
    };
    let server = HttpServer::new(app)
        .workers(1)
        .max_connections(64)
        .client_request_timeout(Duration::from_secs(5))
        .disable_signals()
        .shutdown_timeout(1)
        .bind(listen)?;
    let addr = server.addrs().first().copied().unwrap_or(listen);
    let server = server.run();
    let handle = server.handle();
    Ok((server, handle, addr))
}

/// Tidies what is counted until `stop`.
pub async fn keep_up(metrics: PrometheusHandle, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(UPKEEP)).await.is_some() {
        metrics.run_upkeep();
    }
}

async fn metrics(desk: web::Data<Desk>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(desk.watched.metrics.render())
}

async fn readyz(desk: web::Data<Desk>) -> HttpResponse {
    let engines = desk.engines().await;
    let readiness = judge(&desk.watched, engines);
    if readiness.ready {
        HttpResponse::Ok().json(readiness)
    } else {
        HttpResponse::ServiceUnavailable().json(readiness)
    }
}

impl Desk {
    /// What the engines say, or said a moment ago; whoever asks at the same time shares the answer.
    async fn engines(&self) -> Engines {
        let mut said = self.said.lock().await;
        if let Some((at, engines)) = &*said
            && at.elapsed() < engines.stands()
        {
            return engines.clone();
        }
        let (at, ports) = (Instant::now(), &self.watched.ports);
        let probes = ports.probes.iter().zip(&self.probes);
        let probes = join_all(probes.map(|(probe, well)| self.probed(probe.as_ref(), well)));
        let (queue, ledger, probed) = tokio::join!(self.queue(), ledger(ports), probes);
        let engines = Engines { queue, ledger, probed };
        *said = Some((at, engines.clone()));
        engines
    }

    /// What a probe says, or said a while ago if it was good and is good enough.
    async fn probed(&self, probe: &dyn Probe, well: &Mutex<Option<Instant>>) -> Footing {
        let mut well = well.lock().await;
        if well.is_some_and(|at| at.elapsed() < probe.stands()) {
            return Footing { name: probe.name().to_owned().into(), ok: true, needed: false, why: None };
        }
        let footing = probed(probe).await;
        *well = footing.ok.then(Instant::now);
        footing
    }

    /// Why the queue does not answer; `None` if it does, or did a while ago where each question is paid for and no call has
    /// failed since.
    async fn queue(&self) -> Option<String> {
        let queue = &self.watched.ports.queue;
        let (stands, failures) = (queue.capabilities().look * LOOKS, queue.failures());
        let mut well = self.queue.lock().await;
        if well.is_some_and(|well| well.failures == failures && well.at.elapsed() < stands) {
            return None;
        }
        let why = answers(queue.as_ref()).await;
        *well = why.is_none().then(|| Well { at: Instant::now(), failures });
        why
    }
}

fn judge(watched: &Watched, engines: Engines) -> Readiness {
    let stopping = watched.stop.is_cancelled();
    let registry = watched.ports.registry.is_complete();
    let part = |name: &'static str, needed: bool, why: Option<String>| Footing {
        name: name.into(),
        ok: why.is_none(),
        needed,
        why,
    };
    let said = |bad: bool, why: &str| bad.then(|| why.to_owned());
    let mut parts = vec![
        part("process", true, said(stopping, "draining")),
        part("registry", true, said(!registry, "not everything is read from the catalog yet")),
        part("queue", true, engines.queue),
        // Accepts do without it.
        part("ledger", !watched.part.accepts(), engines.ledger),
    ];
    parts.extend(watched.disk.as_ref().map(|disk| {
        let why = (!disk.enough()).then(|| format!("nearly full: {} bytes are free", disk.free_bytes()));
        part("disk", true, why)
    }));
    parts.extend(engines.probed);
    Readiness { ready: parts.iter().all(|part| part.ok || !part.needed), parts }
}

/// What a probe says. Damage, and what must not be used, stay until a person acts, so nobody should be sent here; what is
/// merely away is told by the part that it belongs to.
async fn probed(probe: &dyn Probe) -> Footing {
    let (needed, why) = match timeout(PROBE, probe.ask()).await {
        Ok(Ok(())) => (false, None),
        Ok(Err(error @ (ProbeError::Damaged(_) | ProbeError::Unfit(_)))) => (true, Some(error.to_string())),
        Ok(Err(error)) => (false, Some(error.to_string())),
        Err(_) => (false, Some(SILENT.to_owned())),
    };
    Footing { name: probe.name().to_owned().into(), ok: why.is_none(), needed, why }
}

/// Why the queue does not answer; `None` if it does.
async fn answers(queue: &dyn Queue) -> Option<String> {
    let route: RouteName = crate::first_start::SANDBOX.parse().ok()?;
    let name = QueueName { route, lane: Lane::Express };
    match timeout(PROBE, queue.depth(&name)).await {
        Ok(answer) => answer.err().map(|error| error.to_string()),
        Err(_) => Some(SILENT.to_owned()),
    }
}

/// Why the ledger does not answer; `None` if it does.
async fn ledger(ports: &Ports) -> Option<String> {
    let answer = async {
        match &ports.behind {
            Some(behind) => behind.ledger.incarnations().await.map(drop),
            None => ports.reads.answers().await,
        }
    };
    match timeout(PROBE, answer).await {
        Ok(answer) => answer.err().map(|error| error.to_string()),
        Err(_) => Some(SILENT.to_owned()),
    }
}
