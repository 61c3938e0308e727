//! Around the ledger.

mod misbooking;
mod mixing;
mod replaying;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
pub(super) use misbooking::{Misbooking, Wrong};
pub(super) use mixing::Mixing;
use naru_shared::{
    domain::{Account, IncarnationId, Lane, Notice, RouteName, Timestamp},
    ledger::{
        Capabilities, Forgotten, IntakeBatch, IntakeDone, Keep, Ledger, LedgerError, ParkedNotice,
        PassedOver, Reroute, RowRef, Settled, Settlement, SpokenOf, TakeRequest, Taken, Waiting, Woken, Work,
    },
};
pub(super) use replaying::Replaying;

use super::{Fuse, Window};

/// What is done differently; everything else as the inner ledger does it.
#[async_trait]
pub(super) trait Twist: Send + Sync + 'static {
    async fn intake(&self, inner: &Arc<dyn Ledger>, batch: IntakeBatch) -> Result<IntakeDone, LedgerError> {
        inner.intake(batch).await
    }

    async fn take(&self, inner: &Arc<dyn Ledger>, request: TakeRequest) -> Result<Taken, LedgerError> {
        inner.take(request).await
    }

    async fn settle(
        &self,
        inner: &Arc<dyn Ledger>,
        batch: Vec<Settlement>,
        now: Timestamp,
        emit: bool,
    ) -> Result<Vec<Settled>, LedgerError> {
        inner.settle(batch, now, emit).await
    }
}

/// Passes the window between the end of an attempt and the commit of its outcome.
#[async_trait]
impl Twist for Arc<Fuse> {
    async fn settle(
        &self,
        inner: &Arc<dyn Ledger>,
        batch: Vec<Settlement>,
        now: Timestamp,
        emit: bool,
    ) -> Result<Vec<Settled>, LedgerError> {
        self.pass(Window::AttemptToOutcome);
        inner.settle(batch, now, emit).await
    }
}

/// A ledger with a twist.
pub(super) struct Twisted<T> {
    pub inner: Arc<dyn Ledger>,
    pub twist: T,
}

#[async_trait]
impl<T: Twist> Ledger for Twisted<T> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn intake(&self, batch: IntakeBatch) -> Result<IntakeDone, LedgerError> {
        self.twist.intake(&self.inner, batch).await
    }
    async fn take(&self, request: TakeRequest) -> Result<Taken, LedgerError> {
        self.twist.take(&self.inner, request).await
    }
    async fn settle(
        &self,
        batch: Vec<Settlement>,
        now: Timestamp,
        emit: bool,
    ) -> Result<Vec<Settled>, LedgerError> {
        self.twist.settle(&self.inner, batch, now, emit).await
    }
    async fn give_back(&self, rows: Vec<(RowRef, u32)>) -> Result<(), LedgerError> {
        self.inner.give_back(rows).await
    }
    async fn reroute(&self, order: Reroute, now: Timestamp) -> Result<usize, LedgerError> {
        self.inner.reroute(order, now).await
    }
    async fn ready(
        &self,
        route: &RouteName,
        lane: Lane,
        max: usize,
    ) -> Result<Vec<(Account, u64)>, LedgerError> {
        self.inner.ready(route, lane, max).await
    }
    async fn beat(&self, incarnation: IncarnationId) -> Result<(), LedgerError> {
        self.inner.beat(incarnation).await
    }
    async fn incarnations(&self) -> Result<Vec<(IncarnationId, i64)>, LedgerError> {
        self.inner.incarnations().await
    }
    async fn lost(&self, incarnation: IncarnationId, max: usize) -> Result<Vec<Work>, LedgerError> {
        self.inner.lost(incarnation, max).await
    }
    async fn bury(&self, incarnation: IncarnationId) -> Result<bool, LedgerError> {
        self.inner.bury(incarnation).await
    }
    async fn wake(&self, now: Timestamp, max: usize, emit: bool) -> Result<Woken, LedgerError> {
        self.inner.wake(now, max, emit).await
    }
    async fn due_reports(
        &self,
        now: Timestamp,
        max: usize,
        lease: Duration,
    ) -> Result<Vec<Work>, LedgerError> {
        self.inner.due_reports(now, max, lease).await
    }
    async fn spoken_of(
        &self,
        route: &RouteName,
        notices: &[Notice],
    ) -> Result<Vec<Option<SpokenOf>>, LedgerError> {
        self.inner.spoken_of(route, notices).await
    }
    async fn park(
        &self,
        notices: Vec<ParkedNotice>,
        now: Timestamp,
        most: u64,
    ) -> Result<Vec<bool>, LedgerError> {
        self.inner.park(notices, now, most).await
    }
    async fn parked(&self, now: Timestamp, max: usize) -> Result<Vec<ParkedNotice>, LedgerError> {
        self.inner.parked(now, max).await
    }
    async fn unpark(&self, notices: Vec<ParkedNotice>) -> Result<(), LedgerError> {
        self.inner.unpark(notices).await
    }
    async fn await_due(&self, now: Timestamp, wait: Duration) -> bool {
        self.inner.await_due(now, wait).await
    }
    async fn await_ready(&self, route: &RouteName, passed_over: &PassedOver, wait: Duration) -> bool {
        self.inner.await_ready(route, passed_over, wait).await
    }
    async fn waiting(&self) -> Result<Vec<Waiting>, LedgerError> {
        self.inner.waiting().await
    }
    async fn forget(&self, now: Timestamp, keep: Keep, max: usize) -> Result<Forgotten, LedgerError> {
        self.inner.forget(now, keep, max).await
    }
    async fn restored_before(&self) -> Result<Option<Timestamp>, LedgerError> {
        self.inner.restored_before().await
    }
}
