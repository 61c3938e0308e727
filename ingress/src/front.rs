//! What every call shares.

use std::sync::Arc;

use naru_shared::{
    domain::{Clock, GatePolicy, Minter, RouteName},
    gate::{Gate, GateError},
    keys::CredentialHasher,
    ledger::LedgerReads,
    registry::Registry,
};
use tokio_util::sync::CancellationToken;

use crate::{
    accept::ContentMarker,
    attachments::Attachments,
    auth::{Caller, ChosenPasswords, Origin, Strangers, Tokens, Verifier},
    denials::Denials,
    guesses::Guesses,
    meters::Meters,
    notices::Notices,
    problem::{Code, Problem},
    publisher::Publisher,
    room::Room,
    uses::Uses,
};

/// The parts behind the HTTP front, and its bounds.
pub struct Front {
    /// What an accept must know.
    pub registry: Arc<dyn Registry>,
    /// What an accept asks.
    pub gate: Arc<dyn Gate>,
    /// What a customer may read of its own.
    pub reads: Arc<dyn LedgerReads>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whether there is room to accept.
    pub disk: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Makes ids.
    pub minter: Minter,
    /// Hashes secrets.
    pub hasher: CredentialHasher,
    /// Who stands where nobody is known.
    pub strangers: Strangers,
    /// Verifies signed calls.
    pub signatures: Verifier,
    /// Verifies tokens, and makes them.
    pub tokens: Tokens,
    /// Verifies passwords that people chose.
    pub chosen: ChosenPasswords,
    /// Tells from where a call comes.
    pub origin: Origin,
    /// Marks contents.
    pub contents: ContentMarker,
    /// Takes accepted messages to the queue.
    pub publisher: Publisher,
    /// Takes what providers tell to the queue.
    pub notices: Notices,
    /// What messages may name, if anything is kept.
    pub attachments: Option<Attachments>,
    /// Bytes of uploads that are being read and kept.
    pub uploads: Arc<Room>,
    /// Bytes of large bodies that are being read or worked on.
    pub bodies: Arc<Room>,
    /// Calls that ask the ledger.
    pub reading: Arc<Room>,
    /// Which credentials were used.
    pub uses: Arc<Uses>,
    /// Metrics.
    pub meters: Arc<Meters>,
    /// Who was denied what.
    pub denials: Arc<Denials>,
    /// Who is refused too often to be answered at once.
    pub guesses: Guesses,
    /// The route of every sandbox message.
    pub sandbox: RouteName,
    /// Whether there is a page to read and try the API.
    pub docs: bool,
    /// Messages of everybody that may wait on a route.
    pub route_backlog: u64,
    /// Messages of one customer that may wait on a route.
    pub customer_backlog: u64,
    /// Cancelled when nothing is accepted any more and every answer ends its connection.
    pub draining: CancellationToken,
}

impl Front {
    /// What becomes of a call of which the gate could not be asked: the customer's policy decides. Where it goes on, intake
    /// still tells a duplicate, and the ledger still decides about money.
    ///
    /// # Errors
    /// If the customer's calls are to be refused then.
    pub fn without_gate(&self, caller: &Caller, error: &GateError) -> Result<(), Problem> {
        self.meters.gate_failed(error);
        match caller.profile.customer.gate_policy {
            GatePolicy::Local | GatePolicy::Open => Ok(()),
            GatePolicy::Closed => Err(Code::Unavailable.into()),
        }
    }
}
