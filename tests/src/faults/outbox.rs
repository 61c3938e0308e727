//! Around the outbox.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use naru_shared::{
    domain::Event,
    ledger::LedgerError,
    outbox::{Outbox, OutboxRow},
};

use super::{Fuse, Window};

/// Passes the windows before and after the publishing of events.
pub(super) struct Fused {
    pub inner: Arc<dyn Outbox>,
    pub fuse: Arc<Fuse>,
}

/// Deletes one event in eight before it is published.
pub(super) struct Lossy {
    pub inner: Arc<dyn Outbox>,
}

#[async_trait]
impl Outbox for Fused {
    async fn claim(&self, max: usize, lease: Duration) -> Result<Vec<OutboxRow>, LedgerError> {
        let rows = self.inner.claim(max, lease).await?;
        if !rows.is_empty() {
            self.fuse.pass(Window::OutcomeToRelay);
        }
        Ok(rows)
    }

    async fn delete(&self, rows: Vec<i64>) -> Result<(), LedgerError> {
        self.fuse.pass(Window::PublishToDelete);
        self.inner.delete(rows).await
    }

    async fn put(&self, events: Vec<Event>) -> Result<(), LedgerError> {
        self.inner.put(events).await
    }

    async fn await_events(&self, wait: Duration) {
        self.inner.await_events(wait).await;
    }
}

#[async_trait]
impl Outbox for Lossy {
    async fn claim(&self, max: usize, lease: Duration) -> Result<Vec<OutboxRow>, LedgerError> {
        let rows = self.inner.claim(max, lease).await?;
        let (lost, kept): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.row % 8 == 0);
        self.inner.delete(lost.into_iter().map(|row| row.row).collect()).await?;
        Ok(kept)
    }

    async fn delete(&self, rows: Vec<i64>) -> Result<(), LedgerError> {
        self.inner.delete(rows).await
    }

    async fn put(&self, events: Vec<Event>) -> Result<(), LedgerError> {
        self.inner.put(events).await
    }

    async fn await_events(&self, wait: Duration) {
        self.inner.await_events(wait).await;
    }
}
