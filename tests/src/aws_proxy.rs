//! An HTTP proxy in front of an emulator of AWS: it counts what is asked of whom, and does the harm that such services do.
//!
//! It knows the calls of SQS (JSON), SNS (form and XML) and S3 (REST) as far as to name them, and what a batch looks like in
//! which some entries fail. What else networks do, [`Proxy`](crate::proxy::Proxy) does.

mod call;
mod exchange;
mod partial;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

pub use call::{Call, Service};
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

/// What is done to calls, in per mille of those that it can be done to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Harm {
    /// Answered `503` and not passed on.
    pub refused: u16,
    /// Passed on, and answered `500` all the same.
    pub denied: u16,
    /// Batches of which one entry is not passed on and is answered as failed.
    pub partial: u16,
    /// Batches that are passed on whole, of which one entry is answered as failed all the same.
    pub misreported: u16,
    /// Batches that are passed on whole, whose answer says nothing of one entry.
    pub omitted: u16,
    /// Batches that are passed on whole, whose answer calls one entry by a name that nobody gave.
    pub renamed: u16,
}

#[derive(Debug, Default)]
struct State {
    harm: Harm,
    counts: BTreeMap<Call, u64>,
    billed: BTreeMap<Call, u64>,
    denied: BTreeMap<Call, u64>,
    harmed: BTreeMap<&'static str, u64>,
}

/// A proxy. Dropping it ends it and its connections.
#[derive(Debug)]
pub struct AwsProxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    runtime: Option<Runtime>,
}

impl AwsProxy {
    /// Listens on a loopback port of its own and passes what comes to the emulator at `port`.
    ///
    /// # Errors
    /// If no port is free.
    pub fn start(port: u16) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("aws-proxy")
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let (address, state) = (listener.local_addr()?, Arc::<Mutex<State>>::default());
        runtime.spawn(listen(listener, SocketAddr::from((Ipv4Addr::LOCALHOST, port)), Arc::clone(&state)));
        Ok(Self { address, state, runtime: Some(runtime) })
    }

    /// Its address, to be given as the endpoint.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this harm is done.
    pub fn harm(&self, harm: Harm) {
        self.state.lock().harm = harm;
    }

    /// Everything that was asked so far, and how often.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<Call, u64> {
        self.state.lock().counts.clone()
    }

    /// What was asked since the last time, and how often.
    #[must_use]
    pub fn take_calls(&self) -> BTreeMap<Call, u64> {
        std::mem::take(&mut self.state.lock().counts)
    }

    /// What was asked since the last time, in units of the bill: each 64 KiB, of what is asked or answered, is one.
    #[must_use]
    pub fn take_billed(&self) -> BTreeMap<Call, u64> {
        std::mem::take(&mut self.state.lock().billed)
    }

    /// What was asked since the last time and not allowed.
    #[must_use]
    pub fn take_denied(&self) -> BTreeMap<Call, u64> {
        std::mem::take(&mut self.state.lock().denied)
    }

    /// How often which harm was done.
    #[must_use]
    pub fn harmed(&self) -> BTreeMap<&'static str, u64> {
        self.state.lock().harmed.clone()
    }
}

impl Drop for AwsProxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not waiting: it may be dropped where nobody may block.
            runtime.shutdown_background();
        }
    }
}

async fn listen(listener: TcpListener, target: SocketAddr, state: Arc<Mutex<State>>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(serve(client, target, Arc::clone(&state)));
    }
}

/// Carries one connection; whatever breaks ends it, as both sides then see.
async fn serve(client: TcpStream, target: SocketAddr, state: Arc<Mutex<State>>) {
    if let Ok(engine) = TcpStream::connect(target).await {
        drop(exchange::carry(client, engine, &state).await);
    }
}
