//! The registry and the gate: what an accept knows, and what it asks.

use std::{
    future::{self, Future},
    pin::Pin,
    sync::Arc,
};

use tokio::runtime::Handle;

use super::OpenError;
use crate::{
    catalog::Catalog,
    domain::Clock,
    engines::{GateEngine, RegistryEngine},
    gate::{Gate, MemoryGate, RedisGate, Times},
    redis::SettingsError,
    registry::{self, Follower, MemoryRegistry, Registry},
};

/// What an adapter does in the background for as long as it is polled.
pub(super) type Background = Pin<Box<dyn Future<Output = ()> + Send>>;

fn over(port: &'static str) -> impl FnOnce(SettingsError) -> OpenError {
    move |source| OpenError::Redis { port, source }
}

/// The registry, and what fills it.
pub(super) fn open_registry(
    engine: &RegistryEngine,
    catalog: &Arc<dyn Catalog>,
) -> Result<(Arc<dyn Registry>, Background), OpenError> {
    match engine {
        RegistryEngine::Memory {} => {
            let registry = MemoryRegistry::new();
            let follower = Follower::new(Arc::clone(catalog), Arc::clone(&registry));
            Ok((registry, Box::pin(async move { follower.run().await })))
        }
        RegistryEngine::Redis(engine) => {
            let (registry, filling) =
                registry::open_redis(&engine.settings(), catalog).map_err(over("registry"))?;
            Ok((registry, Box::pin(filling)))
        }
    }
}

/// The gate, and what keeps it connected.
pub(super) fn open_gate(
    engine: &GateEngine,
    clock: &Arc<dyn Clock>,
    runtime: &Handle,
) -> Result<(Arc<dyn Gate>, Background), OpenError> {
    match engine {
        GateEngine::Memory {} => {
            Ok((Arc::new(MemoryGate::new(Arc::clone(clock))), Box::pin(future::ready(()))))
        }
        GateEngine::Redis(engine) => {
            let times = Times::of_the_server();
            let opened = RedisGate::open(&engine.settings(), engine.answers(), times, runtime);
            let (gate, keeping) = opened.map_err(over("gate"))?;
            Ok((gate, Box::pin(keeping)))
        }
    }
}
