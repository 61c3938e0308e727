//! All ports of a process, opened from configuration, ready to be decorated and handed out.

use std::sync::Arc;

use crate::{
    catalog::Catalog,
    gate::Gate,
    ledger::{Ledger, LedgerDesk, LedgerReads},
    outbox::Outbox,
    queue::Queue,
    registry::Registry,
    topic::Topic,
};

/// One of each.
#[derive(Clone)]
pub struct Ports {
    /// Transport from ingress to intake.
    pub queue: Arc<dyn Queue>,
    /// Fan-out of events.
    pub topic: Arc<dyn Topic>,
    /// The workers' face of the ledger.
    pub ledger: Arc<dyn Ledger>,
    /// Ingress's face of the ledger.
    pub reads: Arc<dyn LedgerReads>,
    /// The operator's face of the ledger.
    pub desk: Arc<dyn LedgerDesk>,
    /// Events to publish.
    pub outbox: Arc<dyn Outbox>,
    /// Customers, credentials, routes and quotas of record.
    pub catalog: Arc<dyn Catalog>,
    /// What an accept must know.
    pub registry: Arc<dyn Registry>,
    /// What an accept asks.
    pub gate: Arc<dyn Gate>,
}
