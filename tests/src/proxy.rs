//! A TCP proxy in front of an engine: it passes bytes, until it is told to do harm as networks do.
//!
//! It knows nothing of what it carries. It keeps its port whatever it is told, holds at most [`BUFFER`] bytes of each
//! direction of a connection, and carries at most [`CONNECTIONS`] connections.

mod connection;
mod listener;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use tokio::{runtime::Runtime, sync::watch};

use crate::engines::free_port;

/// Bytes of one direction of a connection that are in its hands at the most.
pub const BUFFER: usize = 16 * 1024;

/// Connections at once; whoever comes beyond them is reset.
pub const CONNECTIONS: usize = 1_024;

/// How long it may take to let go of its port, or to have it again.
const LISTEN: Duration = Duration::from_secs(5);

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From whoever connects to the engine.
    ToEngine,
    /// From the engine to whoever connects.
    FromEngine,
}

/// What becomes of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// They are passed on.
    Pass,
    /// Nothing is read, either way: connections stay, and what was sent fills the system's buffers.
    Stall,
    /// One way they are read and thrown away, ends of connections too; the other way they are passed on.
    Hole(Way),
}

impl Manner {
    fn swallows(self, way: Way) -> bool {
        self == Self::Hole(way)
    }
}

/// How connections are ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Both sides see an end.
    Cut,
    /// Both sides see a reset (`SO_LINGER` of 0).
    Reset,
}

/// What all connections are told.
#[derive(Debug, Clone, Copy)]
struct Orders {
    manner: Manner,
    listens: bool,
    /// Connections that began before the order of this number end so.
    ended: (u64, End),
}

/// What connections tell.
#[derive(Debug, Default)]
struct Counts {
    listens: AtomicBool,
    open: AtomicUsize,
    carried: AtomicU64,
    swallowed: AtomicU64,
}

/// A proxy. Dropping it ends it and its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    orders: watch::Sender<Orders>,
    counts: Arc<Counts>,
    runtime: Option<Runtime>,
}

impl Proxy {
    /// Listens on a loopback port of its own and passes what comes to `target`.
    ///
    /// # Errors
    /// If no port is free.
    pub fn start(target: SocketAddr) -> anyhow::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("proxy")
            .enable_all()
            .build()?;
        let orders = Orders { manner: Manner::Pass, listens: true, ended: (0, End::Cut) };
        let (orders, told) = watch::channel(orders);
        let counts = Arc::<Counts>::default();
        runtime.spawn(listener::listen(address, target, told, Arc::clone(&counts)));
        let proxy = Self { address, orders, counts, runtime: Some(runtime) };
        proxy.await_listening(true)?;
        Ok(proxy)
    }

    /// Passes again, and takes new connections. Connections whose bytes were thrown away are reset: what would come next
    /// is not what they wait for. Stalled ones go on.
    ///
    /// # Errors
    /// If its port cannot be had again.
    pub fn pass(&self) -> anyhow::Result<()> {
        self.orders.send_modify(|orders| (orders.manner, orders.listens) = (Manner::Pass, true));
        self.await_listening(true)
    }

    /// Reads nothing any more, either way; connections stay, and new ones are taken and stand still.
    pub fn stall(&self) {
        self.orders.send_modify(|orders| orders.manner = Manner::Stall);
    }

    /// Throws away what comes one way, also on new connections.
    pub fn swallow(&self, way: Way) {
        self.orders.send_modify(|orders| orders.manner = Manner::Hole(way));
    }

    /// Ends every connection that there is; new ones are taken.
    pub fn cut(&self) {
        self.end(End::Cut);
    }

    /// Resets every connection that there is; new ones are taken.
    pub fn reset(&self) {
        self.end(End::Reset);
    }

    /// Nobody listens any more: whoever connects is refused. Connections that there are stay.
    ///
    /// # Errors
    /// If it still listens.
    pub fn refuse(&self) -> anyhow::Result<()> {
        self.orders.send_modify(|orders| orders.listens = false);
        self.await_listening(false)
    }

    fn end(&self, how: End) {
        self.orders.send_modify(|orders| orders.ended = (orders.ended.0 + 1, how));
    }

    fn await_listening(&self, wanted: bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + LISTEN;
        while self.counts.listens.load(Ordering::SeqCst) != wanted {
            ensure!(Instant::now() < deadline, "listening on {}: not {wanted} in time", self.address);
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same URL with this proxy's port in place of the engine's.
    ///
    /// # Errors
    /// If the URL does not name that port.
    pub fn before(&self, url: &str, port: u16) -> anyhow::Result<String> {
        let (engine, own) = (format!(":{port}"), format!(":{}", self.address.port()));
        ensure!(url.contains(&engine), "not at {port}: {url}");
        Ok(url.replacen(&engine, &own, 1))
    }

    /// Connections that there are.
    #[must_use]
    pub fn open(&self) -> usize {
        self.counts.open.load(Ordering::SeqCst)
    }

    /// Bytes passed on so far, both ways.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.counts.carried.load(Ordering::SeqCst)
    }

    /// Bytes thrown away so far.
    #[must_use]
    pub fn swallowed(&self) -> u64 {
        self.counts.swallowed.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not waiting: it may be dropped where nobody may block.
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests;
