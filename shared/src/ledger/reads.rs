//! Ingress's face: what a customer may ask of its own.

use std::time::Duration;

use async_trait::async_trait;

use super::LedgerError;
use crate::domain::{Account, Day, MessageId, MessageView, Quota, Report, Timestamp};

/// What became of a call to cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancelled {
    /// It is cancelled; this is how it stands.
    Done(Box<MessageView>),
    /// No worker has seen it: a tombstone stands, and it will be cancelled when it comes.
    Tombstone,
    /// It was, or may have been, taken: this is how it stands.
    TooLate(Box<MessageView>),
}

/// Ingress's face: what a customer may ask of its own.
#[async_trait]
pub trait LedgerReads: Send + Sync + 'static {
    /// How a message of this account stands; `None` if no worker has seen it (or it is another's).
    async fn view(&self, account: &Account, id: MessageId) -> Result<Option<MessageView>, LedgerError>;

    /// Unread reports, oldest first, up to `limit`, each handed out again after `lease`; and whether there are more.
    /// Waits up to `wait` for the first.
    async fn reports(
        &self,
        account: &Account,
        limit: usize,
        wait: Duration,
        lease: Duration,
    ) -> Result<(Vec<Report>, bool), LedgerError>;

    /// Marks revisions as read; how many were unread until now. A newer revision stays unread. Idempotent.
    async fn acknowledge(
        &self,
        account: &Account,
        reports: Vec<(MessageId, u32)>,
    ) -> Result<usize, LedgerError>;

    /// Cancels what was certainly not taken and is not under way.
    async fn cancel(
        &self,
        account: &Account,
        id: MessageId,
        now: Timestamp,
        emit: bool,
    ) -> Result<Cancelled, LedgerError>;

    /// Really asks the ledger, for whoever tells whether a process is ready.
    async fn answers(&self) -> Result<(), LedgerError>;

    /// Units reserved or captured under this quota in the period of `day`.
    async fn used(&self, quota: &Quota, day: Day) -> Result<u64, LedgerError>;
}
