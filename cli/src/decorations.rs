//! What tests lay around the parts before they are handed out; the product lays nothing.

use std::sync::Arc;

use naru_shared::{ports::Ports, release::Release};
use naru_workers::BackendFactory;
use tokio::runtime::Handle;

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
