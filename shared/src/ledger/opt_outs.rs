//! Who wants no messages: lists by recipient, of one customer or of all, kept where intake decides.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::LedgerError;
use crate::domain::{ChannelName, CustomerId, Party, Timestamp};

/// A recipient who wants no messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptOut {
    /// Of whom; `None`: of nobody.
    pub customer: Option<CustomerId>,
    /// By which channel; `None`: by none.
    pub channel: Option<ChannelName>,
    /// Who.
    pub recipient: Party,
    /// Since when.
    pub since: Timestamp,
}

impl OptOut {
    /// Customer and channel as stores keep them: `*`, which no name is, for all of them.
    pub(super) fn scope(&self) -> (&str, &str) {
        scope(self.customer.as_ref(), self.channel.as_ref())
    }
}

/// See [`OptOut::scope`].
pub(super) fn scope<'a>(
    customer: Option<&'a CustomerId>,
    channel: Option<&'a ChannelName>,
) -> (&'a str, &'a str) {
    (customer.map_or("*", CustomerId::as_str), channel.map_or("*", ChannelName::as_str))
}

/// Which entries to list.
#[derive(Debug, Clone)]
pub enum OptOutSearch {
    /// Of this list (`None`: everybody's), by recipient and channel, after an entry of it.
    List(Option<CustomerId>, Option<OptOut>),
    /// Of this recipient, in every list.
    Recipient(Party),
}

/// What became of messages to recipients who opted out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct EndedOptOuts {
    /// They waited, were certainly not sent, and are `rejected`.
    pub rejected: usize,
    /// They waited for another attempt and may have been sent already: `failed`, with code `uncertain`.
    pub uncertain: usize,
    /// An attempt of theirs is under way.
    pub in_flight: usize,
}

/// The lists of those who want no messages. They may be millions: a message's recipient is looked up, nothing is held in memory.
#[async_trait]
pub trait OptOuts: Send + Sync + 'static {
    /// Records entries; one that is there keeps its time. How many are new.
    ///
    /// `Ok` promises that it is durable, and that every intake which has not committed by now knows of them: what it records for
    /// such a recipient is `rejected`, with code `opted-out` and a report, and not charged. Nor does anything begin
    /// again that waits for another attempt. Idempotent.
    async fn opt_out(&self, entries: Vec<OptOut>) -> Result<usize, LedgerError>;

    /// Forgets entries; how many were there. What was rejected stays so. Idempotent.
    async fn opt_in(&self, entries: Vec<OptOut>) -> Result<usize, LedgerError>;

    /// Up to `max` entries.
    async fn opted_out(&self, search: OptOutSearch, max: usize) -> Result<Vec<OptOut>, LedgerError>;

    /// Ends what waits for recipients who opted out, or for this one alone, in small transactions: nothing of it begins any more.
    /// Says what is under way of theirs; called again once that has ended, it finds what waits then.
    async fn end_opted_out(
        &self,
        recipient: Option<Party>,
        now: Timestamp,
        emit: bool,
    ) -> Result<EndedOptOuts, LedgerError>;
}
