//! The operator's face: everything about a message, and what a person decides.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;

use super::{LedgerError, TallyCursor, TallyPage, TallyRange};
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
    /// When intake recorded it; `None`: a release did that did not keep it.
    pub taken_in_at: Option<Timestamp>,
    /// When a backend took it whose report comes later, by its first attempt.
    pub taken_at: Option<Timestamp>,
    /// What the backend calls it.
    pub backend_id: Option<String>,
    /// An attempt may have been taken of which it was not known; the next was, or will be, labelled.
    pub possible_duplicate: bool,
    /// The last moment at which an attempt may begin.
    pub expires_at: Timestamp,
    /// When it is looked at again: due, over, or its report is asked for.
    pub wake_at: Option<Timestamp>,
    /// Whether its text is still kept; without it the recipient is masked for good.
    pub text_kept: bool,
    /// How its customer stands to the report of the newest revision.
    pub report_read: ReportRead,
    /// The class of prices that held when it was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Attempts and late words worth keeping, oldest first.
    pub attempts_log: Vec<AttemptNote>,
    /// Reports that a later revision replaced, oldest first.
    pub earlier_reports: Vec<Report>,
}

impl Dossier {
    /// As one of the dead, judged as a list of them would.
    #[must_use]
    pub fn into_dead(self) -> super::Dead {
        let possible_duplicate = super::book::is_doubtful(self.possible_duplicate, self.view.code);
        super::Dead { account: self.account, view: self.view, possible_duplicate, has_text: self.text_kept }
    }
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
    /// When the attempt began; `None`: it is a late word, or a release wrote it that did not keep it.
    pub began_at: Option<Timestamp>,
    /// It was labelled as a possible duplicate.
    pub possible_duplicate: bool,
    /// What the backend called the message in this answer.
    pub backend_id: Option<String>,
}

/// How a customer stands to a message's newest report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum ReportRead {
    /// There is none: the message has not ended.
    None,
    /// It was not acknowledged.
    Unread {
        /// From when it is handed out again: a moment ahead is the end of a lease.
        from: Timestamp,
        /// A report of an earlier revision was acknowledged then.
        earlier: Option<Timestamp>,
    },
    /// It was acknowledged.
    Read {
        /// When; `None`: that was not kept.
        at: Option<Timestamp>,
    },
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

    /// Whose message with this id was cancelled before any worker saw it, and when: nothing else is known of it.
    async fn tombstone(&self, id: MessageId) -> Result<Option<(Account, Timestamp)>, LedgerError>;

    /// Counts messages that were accepted within a range of time, in steps of bounded size, as they are now. Called again with
    /// [`TallyPage::next`] until there is none, it has counted each once, wherever it is kept; only one that a late word changes
    /// in the meantime may be counted as it was, as it is, or as both.
    async fn tally(&self, range: TallyRange, from: Option<TallyCursor>) -> Result<TallyPage, LedgerError>;

    /// Of messages that were accepted before this moment some are not kept any more; `None`: all are.
    async fn forgotten_before(&self) -> Result<Option<Timestamp>, LedgerError>;

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
