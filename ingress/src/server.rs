//! Bind, serve, drain.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_web::dev::ServerHandle;
use naru_shared::{
    blobs::Blobs,
    domain::{Clock, EnvelopeFormat, EnvelopeKeys, Minter, PackEncoder},
    gate::Gate,
    keys::{CredentialHasher, Keyring},
    ledger::LedgerReads,
    metrics,
    passwords::Passwords,
    presence::Presence,
    queue::Queue,
    registry::Registry,
};
use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    accept::ContentMarker,
    arrival::Arrival,
    attachments::Attachments,
    auth::{ChosenPasswords, Origin, Tokens, Verifier, basic_strangers},
    config::IngressConfig,
    connection::Connections,
    denials::{self, Denials, Keeper},
    front::Front,
    guesses::Guesses,
    listener::{self, Size},
    meters::Meters,
    notices::{NoticeParts, Notices},
    publisher::{Publisher, PublisherParts},
    room::Room,
    tls::Tls,
    uses::{Teller, Uses},
};

/// Bytes of large bodies held at once, and the part of them that one account may hold.
const BODIES: usize = 256 * 1024 * 1024;
const BODY_SHARES: usize = 4;

/// Bytes of uploads held at once, and the part of them that one account may hold: two of the largest.
const UPLOADS: usize = 64 * 1024 * 1024;
const UPLOAD_SHARES: usize = 3;

/// Calls that ask the ledger at once, long polls included, and the part of them that one account may make.
const READS: usize = 2_048;
const READ_SHARES: usize = 8;

/// Until every connection that the kernel had completed is taken, and the call on it read.
const HAND_OVER: Duration = Duration::from_millis(100);

/// For a publish whose caller hung up, beyond the drain's deadline.
const LAST_PUBLISH: Duration = Duration::from_millis(500);

/// What the HTTP front works with.
pub struct IngressDeps {
    /// What an accept must know.
    pub registry: Arc<dyn Registry>,
    /// What an accept asks.
    pub gate: Arc<dyn Gate>,
    /// Where accepted messages go.
    pub queue: Arc<dyn Queue>,
    /// What a customer may read of its own.
    pub reads: Arc<dyn LedgerReads>,
    /// Where is kept how many calls were denied.
    pub denials: Arc<dyn naru_shared::denials::Denials>,
    /// Where the front tells that it lives, and which credentials were used.
    pub presence: Arc<dyn Presence>,
    /// This process, as operators know it: where it listens is added.
    pub host: String,
    /// Where attachments are kept, if they are.
    pub blobs: Option<Arc<dyn Blobs>>,
    /// The deployment's secrets.
    pub keyring: Keyring,
    /// The versions of envelopes that this release knows.
    pub formats: &'static [EnvelopeFormat],
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whether there is enough room to accept; asked at every accept, so it must be cheap.
    pub disk: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Where publishing runs.
    pub runtime: Handle,
}

/// The HTTP front, bound and not yet serving.
pub struct Ingress {
    listener: TcpListener,
    addr: SocketAddr,
    size: Size,
    arrival: Arrival,
    notice: Duration,
    grace: Duration,
    front: Arc<Front>,
    connections: Arc<Connections>,
    publishing: JoinHandle<()>,
    telling: JoinHandle<()>,
    ends: CancellationToken,
}

fn refuse(sentence: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, sentence)
}

/// What is asked of a socket before anything on it is taken for a call.
fn arrival(config: &IngressConfig) -> io::Result<Arrival> {
    let files = config.tls_files().map_err(refuse)?;
    if !config.listen.ip().is_loopback() && files.is_none() && !config.allow_plain_http {
        return Err(refuse(
            "plain HTTP beyond loopback shows credentials to the network: listen on loopback, give tls_certificate \
             and tls_key, or set allow_plain_http behind a proxy that ends TLS",
        ));
    }
    let tls = files.map(Tls::open).transpose().map_err(|error| refuse(&error.to_string()))?;
    let balancers = config.proxy_protocol.then(|| config.trusted_proxies.as_slice().into());
    Ok(Arrival { balancers, tls })
}

fn size(config: &IngressConfig) -> Size {
    let threads = match config.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    Size { threads, connections_per_thread: config.max_connections.div_ceil(threads).max(1) }
}

/// What takes in the reports of providers.
fn notices(deps: &IngressDeps, keys: &EnvelopeKeys, time_out: Duration) -> io::Result<Notices> {
    let notices = Notices::new(NoticeParts {
        queue: Arc::clone(&deps.queue),
        keys: keys.clone(),
        sealer: deps.keyring.sealer(),
        runtime: deps.runtime.clone(),
        time_out,
    });
    notices.ok_or_else(|| refuse("what stands for an unknown provider cannot be made"))
}

/// What writes envelopes, in the version that is configured.
fn encoder(config: &IngressConfig, keys: EnvelopeKeys) -> io::Result<PackEncoder> {
    let encoder = PackEncoder::new(keys, config.envelope_version)
        .map_err(|error| refuse(&format!("ingress.envelope_version: {error}")))?;
    metrics::ENVELOPE_VERSION.of(&[("use", "written")]).set(config.envelope_version);
    Ok(encoder)
}

impl Ingress {
    /// Takes the address and starts the publishing task. No connection is answered before [`Ingress::serve`].
    ///
    /// # Errors
    /// If the address is taken, if it would carry readable credentials beyond this machine without leave, or if the
    /// keyring has no key to sign envelopes with, or if they are to be of a version that this release does not write.
    pub fn bind(config: &IngressConfig, deps: IngressDeps) -> io::Result<Self> {
        let arrival = arrival(config)?;
        let keys = deps.keyring.envelope_keys().map_err(|error| refuse(&error.to_string()))?;
        let tokens = Tokens::new(&deps.keyring, &config.token_audience)
            .map_err(|_| refuse("what stands for unknown credentials cannot be made"))?;
        let time_out = Duration::from_millis(config.publish_timeout_ms.clamp(10, 60_000));
        let notices = notices(&deps, &keys, time_out)?;
        let signatures = Verifier::new(deps.keyring.sealer())
            .ok_or_else(|| refuse("what stands for an unknown signer cannot be made"))?;
        let encoder = encoder(config, keys.knowing(deps.formats))?;
        let sandbox = "sandbox".parse().map_err(|_| refuse("the sandbox's route cannot be named"))?;
        let listener = listener::listen(config.listen, &deps.runtime)?;
        let addr = listener.local_addr()?;
        let ends = CancellationToken::new();
        arrival.follow_tls(&deps.runtime, &ends);
        let parts = PublisherParts { queue: deps.queue, gate: Arc::clone(&deps.gate), encoder, time_out };
        let (publisher, publishing) =
            Publisher::start(&deps.runtime, config.publish_in_flight, parts, ends.clone());
        let (denials, uses) = (Arc::new(Denials::new()), Arc::new(Uses::default()));
        let keeper = Keeper::new(deps.denials, Arc::clone(&deps.clock));
        let teller = Teller {
            name: front_name(&deps.host, addr),
            presence: deps.presence,
            registry: Arc::clone(&deps.registry),
            uses: Arc::clone(&uses),
            clock: Arc::clone(&deps.clock),
        };
        let telling = tell(&deps.runtime, (Arc::clone(&denials), keeper), teller, &ends);
        let front = Arc::new(Front {
            registry: deps.registry,
            gate: deps.gate,
            reads: deps.reads,
            clock: deps.clock,
            disk: deps.disk,
            minter: Minter::new(&deps.keyring.ids),
            hasher: CredentialHasher::new(&deps.keyring.credentials),
            strangers: basic_strangers().ok_or_else(|| refuse("strangers cannot be made"))?,
            signatures,
            tokens,
            chosen: ChosenPasswords::new(Passwords::new(&deps.keyring.credentials), deps.runtime),
            origin: Origin::new(config.trusted_proxies.clone(), config.forwarded_by),
            contents: ContentMarker::new(&deps.keyring.credentials),
            publisher,
            notices,
            attachments: deps.blobs.map(|blobs| Attachments::new(blobs, &deps.keyring.ids)),
            uploads: Room::new(UPLOADS, UPLOAD_SHARES),
            bodies: Room::new(BODIES, BODY_SHARES),
            reading: Room::new(READS, READ_SHARES),
            uses,
            meters: Arc::new(Meters::new()),
            denials: Arc::clone(&denials),
            guesses: Guesses::new(config.guess_wait_ms),
            sandbox,
            docs: config.docs,
            route_backlog: config.route_backlog,
            customer_backlog: config.customer_backlog,
            draining: CancellationToken::new(),
        });
        Ok(Self {
            listener,
            addr,
            size: size(config),
            arrival,
            notice: Duration::from_millis(config.drain_notice_ms),
            grace: Duration::from_millis(config.drain_grace_ms),
            front,
            connections: Connections::new(),
            publishing,
            telling,
            ends,
        })
    }

    /// Where it listens; the port is known even where the configuration said 0.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Answers calls until `stop` is cancelled, and for a notice after that. Then, for a grace, still takes connections and
    /// calls, and answers accepts with `503`; then takes no connection any more, ends idle ones, answers what is under way and
    /// publishes what was accepted. All of it takes at most `drain`.
    ///
    /// # Errors
    /// If the threads cannot be started, or the publishing task did not end in time.
    pub async fn serve(self, stop: CancellationToken, drain: Duration) -> io::Result<()> {
        let Self {
            listener,
            size,
            arrival,
            notice,
            grace,
            front,
            connections,
            publishing,
            telling,
            ends,
            ..
        } = self;
        let ours = listener.try_clone()?;
        let draining = front.draining.clone();
        let mut server = listener::serve(listener, size, arrival, drain, front, Arc::clone(&connections))?;
        let handle = server.handle();
        let stopping = async {
            stop.cancelled().await;
            let deadline = Instant::now() + drain;
            sleep(notice.min(drain)).await;
            draining.cancel();
            sleep_until((Instant::now() + grace).min(deadline)).await;
            end(ours, &connections, &handle, deadline).await;
            deadline
        };
        let (served, deadline) = tokio::select! {
            // A server that fails by itself has nobody to stop.
            served = &mut server => (served, Instant::now() + drain),
            deadline = stopping => (server.await, deadline),
        };
        ends.cancel();
        let latest = deadline + LAST_PUBLISH;
        let (published, told) = tokio::join!(timeout_at(latest, publishing), timeout_at(latest, telling));
        served?;
        match told {
            Ok(told) => told.map_err(io::Error::other)?,
            // They are in the log.
            Err(_) => tracing::warn!("what was denied and used last could not be kept"),
        }
        match published {
            Ok(published) => published.map_err(io::Error::other),
            Err(_) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "publishing did not end within the drain time"))
            }
        }
    }
}

/// The front's name, told apart from every other life of a process at the same address.
fn front_name(host: &str, addr: SocketAddr) -> String {
    format!("{host}/{addr}/{:08x}", fastrand::u32(..))
}

/// Tells what is told beside calls until the end: who was denied what, that the front lives, and what was used.
fn tell(
    runtime: &Handle,
    (denials, keeper): (Arc<Denials>, Keeper),
    teller: Teller,
    ends: &CancellationToken,
) -> JoinHandle<()> {
    let (told, ends) = (denials::tell(denials, keeper, ends.clone()), ends.clone());
    runtime.spawn(async move {
        tokio::join!(told, teller.run(ends));
    })
}

/// Ends the server so that every call whose bytes have come is answered: first nobody connects any more, then whoever has
/// connected is taken, then idle connections end, each once nothing is left to read.
async fn end(listener: TcpListener, connections: &Connections, handle: &ServerHandle, deadline: Instant) {
    if let Err(error) = listener::refuse_newcomers(&listener) {
        tracing::warn!(%error, "connections that begin at the last moment may be reset");
    }
    sleep(HAND_OVER).await;
    connections.close_idle();
    let in_time = timeout_at(deadline, connections.closed()).await.is_ok();
    drop(listener);
    handle.stop(in_time).await;
}
