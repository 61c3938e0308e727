//! The operator's face: everything about a message, and what a person decides.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;

use super::LedgerError;
use crate::domain::{Account, CustomerId, Lane, MessageId, MessageView, Report, RouteName, State, Timestamp};

/// Which messages an operator looks for; all that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Whose.
    pub customer: Option<CustomerId>,
    /// To whom.
    pub recipient: Option<String>,
    /// The customer's reference.
    pub reference: Option<String>,
    /// The customer's idempotency key.
    pub key: Option<String>,
    /// On which route.
    pub route: Option<RouteName>,
    /// In which state.
    pub state: Option<State>,
    /// Which ids it can have; empty: any. Where they are known, nothing else is looked at.
    pub ids: Vec<MessageId>,
    /// Only what an earlier search did not look at: its [`Unseen::older_than`].
    pub older_than: Option<i64>,
    /// At the most.
    pub limit: usize,
}

/// What a search found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Newest first.
    pub messages: Vec<(Account, MessageView)>,
    /// What was not looked at; `None`: nothing was left out.
    pub unseen: Option<Unseen>,
}

/// Messages that a search did not look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Unseen {
    /// The newest of them was accepted then.
    pub before: Timestamp,
    /// Where to go on: the engine's own number, for [`Search::older_than`].
    pub older_than: i64,
}

/// One message as the operator sees it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Dossier {
    /// Whose.
    #[serde(flatten)]
    pub account: Account,
    /// How it stands.
    #[serde(flatten)]
    pub view: MessageView,
    /// The class of prices that held when it was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Attempts and late words worth keeping, oldest first.
    pub attempts_log: Vec<AttemptNote>,
    /// Reports that a later revision replaced, oldest first.
    pub earlier_reports: Vec<Report>,
}

/// What is remembered of an attempt that was not simply the first and the last.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AttemptNote {
    /// Its number.
    pub attempt: u32,
    /// When it was written down.
    pub at: Timestamp,
    /// What it came to, in a word.
    pub outcome: String,
    /// The backend's words.
    pub detail: String,
    /// It came after the message had moved on.
    pub late: bool,
}

/// How a person decides about a message of which it cannot be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// It arrived: charged.
    Delivered,
    /// It did not: released.
    Failed,
    /// Send it again, labelled as a possible duplicate.
    Retry,
}

/// What waits on a route's lane, and since when.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LaneStatus {
    /// Where.
    pub route: RouteName,
    /// In which lane.
    pub lane: Lane,
    /// In which state.
    pub state: State,
    /// Whose, if it was asked for apart; else everybody else's.
    pub customer: Option<CustomerId>,
    /// Messages.
    pub messages: u64,
    /// When the oldest of them was accepted.
    pub oldest: Option<Timestamp>,
}

/// The operator's face.
#[async_trait]
pub trait LedgerDesk: Send + Sync + 'static {
    /// Everything about a message.
    async fn dossier(&self, id: MessageId) -> Result<Option<Dossier>, LedgerError>;

    /// Messages that match, newest first. An engine may end before it has looked at everything; then it says where.
    async fn find(&self, search: Search) -> Result<Found, LedgerError>;

    /// Decides about `held` messages; those that were held and are decided now.
    async fn resolve(
        &self,
        ids: Vec<MessageId>,
        resolution: Resolution,
        now: Timestamp,
        emit: bool,
    ) -> Result<Vec<MessageId>, LedgerError>;

    /// Counts of what has not ended, by route, lane and state; what is `ready` of the customers in `apart`, each by itself.
    async fn lanes(&self, apart: Arc<BTreeSet<CustomerId>>) -> Result<Vec<LaneStatus>, LedgerError>;

    /// Proves that used units equal what is reserved or captured; customers for which they do not.
    async fn audit_usage(&self) -> Result<Vec<CustomerId>, LedgerError>;
}
