//! Bind, serve, drain.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_web::{App, HttpServer};
use naru_shared::{
    domain::{Clock, Minter, PackEncoder},
    gate::Gate,
    keys::{CredentialHasher, Keyring},
    ledger::LedgerReads,
    queue::Queue,
    registry::Registry,
};
use tokio::{net::TcpSocket, runtime::Handle, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    config::IngressConfig,
    front::Front,
    meters::Meters,
    publisher::{Publisher, PublisherParts},
    room::Room,
    versions,
};

/// Connections that the kernel holds until a thread takes them.
const BACKLOG: u32 = 2_048;

/// Bytes of large bodies held at once, and the part of them that one account may hold.
const BODIES: usize = 256 * 1024 * 1024;
const BODY_SHARES: usize = 4;

/// Calls that ask the ledger at once, long polls included, and the part of them that one account may make.
const READS: usize = 2_048;
const READ_SHARES: usize = 8;

const KEEP_ALIVE: Duration = Duration::from_secs(75);
const HEAD_TIME: Duration = Duration::from_secs(5);
const DISCONNECT_TIME: Duration = Duration::from_secs(2);

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
    /// The deployment's secrets.
    pub keyring: Keyring,
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
    threads: usize,
    connections_per_thread: usize,
    front: Arc<Front>,
    publishing: JoinHandle<()>,
    publishing_ends: CancellationToken,
}

impl Ingress {
    /// Takes the address and starts the publishing task. No connection is answered before [`Ingress::serve`].
    ///
    /// # Errors
    /// If the address is taken, if it would carry readable credentials beyond this machine without leave, or if the
    /// keyring has no key to sign envelopes with.
    pub fn bind(config: &IngressConfig, deps: IngressDeps) -> io::Result<Self> {
        let refuse = |sentence: &str| io::Error::new(io::ErrorKind::InvalidInput, sentence);
        if !config.listen.ip().is_loopback() && !config.allow_plain_http {
            return Err(refuse(
                "plain HTTP beyond loopback shows credentials to the network: listen on loopback, or set \
                 allow_plain_http behind a proxy that ends TLS",
            ));
        }
        let keys = deps.keyring.envelope_keys().map_err(|error| refuse(&error.to_string()))?;
        let sandbox = "sandbox".parse().map_err(|_| refuse("the sandbox's route cannot be named"))?;
        let listener = listen(config.listen, &deps.runtime)?;
        let addr = listener.local_addr()?;
        let threads = match config.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let publishing_ends = CancellationToken::new();
        let parts = PublisherParts {
            queue: deps.queue,
            gate: Arc::clone(&deps.gate),
            encoder: PackEncoder::new(keys),
            time_out: Duration::from_millis(config.publish_timeout_ms.clamp(10, 60_000)),
        };
        let (publisher, publishing) =
            Publisher::start(&deps.runtime, config.publish_in_flight, parts, publishing_ends.clone());
        let front = Arc::new(Front {
            registry: deps.registry,
            gate: deps.gate,
            reads: deps.reads,
            clock: deps.clock,
            disk: deps.disk,
            minter: Minter::new(&deps.keyring.ids),
            hasher: CredentialHasher::new(&deps.keyring.credentials),
            publisher,
            bodies: Room::new(BODIES, BODY_SHARES),
            reading: Room::new(READS, READ_SHARES),
            meters: Meters::new(),
            sandbox,
            route_backlog: config.route_backlog,
            customer_backlog: config.customer_backlog,
            draining: CancellationToken::new(),
        });
        let connections_per_thread = config.max_connections.div_ceil(threads).max(1);
        Ok(Self { listener, addr, threads, connections_per_thread, front, publishing, publishing_ends })
    }

    /// Where it listens; the port is known even where the configuration said 0.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Answers calls until `stop` is cancelled, then takes no new ones, answers those under way and publishes what was
    /// accepted, for at most `drain`.
    ///
    /// # Errors
    /// If the threads cannot be started, or the publishing task did not end in time.
    pub async fn serve(self, stop: CancellationToken, drain: Duration) -> io::Result<()> {
        // Of our own: a server that fails by itself must not stop the rest of the process.
        let stop = stop.child_token();
        let front = Arc::clone(&self.front);
        let draining = self.front.draining.clone();
        let server = HttpServer::new(move || App::new().configure(|config| versions::table(config, &front)))
            .workers(self.threads)
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEAD_TIME)
            .client_disconnect_timeout(DISCONNECT_TIME)
            .max_connections(self.connections_per_thread)
            .shutdown_timeout(drain.as_secs().max(1))
            .disable_signals()
            .listen(self.listener)?
            .run();
        let handle = server.handle();
        let stopping = async {
            stop.cancelled().await;
            draining.cancel();
            handle.stop(true).await;
        };
        let (served, ()) = tokio::join!(
            async {
                let served = server.await;
                // A server that failed by itself has nobody to stop.
                stop.cancel();
                served
            },
            stopping
        );
        self.publishing_ends.cancel();
        let ended = tokio::time::timeout(drain, self.publishing).await;
        served?;
        match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(io::Error::other(error)),
            Err(_) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "publishing did not end within the drain time"))
            }
        }
    }
}

fn listen(address: SocketAddr, runtime: &Handle) -> io::Result<TcpListener> {
    let _context = runtime.enter();
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}
