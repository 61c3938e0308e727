//! A ledger that fails when it is told to.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use naru_shared::{
    domain::{Account, IncarnationId, Lane, Notice, RouteName, Timestamp},
    ledger::{
        Forgotten, IntakeBatch, IntakeDone, Keep, Ledger, LedgerError, ParkedNotice, PassedOver, Reroute,
        RowRef, Settled, Settlement, SpokenOf, TakeRequest, Taken, Waiting, Woken, Work,
    },
};

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Panic,
    Hang,
    /// It takes effect, and the answer is lost.
    Deaf,
    /// It takes effect, and then its caller panics.
    PanicAfter,
    /// It does not take effect.
    Away,
    Indigestible,
}

pub(super) type Plan = Box<dyn Fn(&str, Option<&IntakeBatch>) -> Option<Fault> + Send + Sync>;

pub(super) struct Faulty {
    inner: Arc<dyn Ledger>,
    plan: Plan,
}

impl Faulty {
    pub(super) fn new(inner: Arc<dyn Ledger>, plan: Plan) -> Self {
        Self { inner, plan }
    }

    async fn call<T>(
        &self,
        name: &str,
        batch: Option<&IntakeBatch>,
        call: impl Future<Output = Result<T, LedgerError>> + Send,
    ) -> Result<T, LedgerError> {
        let away = || Err(LedgerError::Unavailable("told to fail".into()));
        match (self.plan)(name, batch) {
            None => call.await,
            Some(Fault::Panic) => panic!("told to panic"),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Deaf) => call.await.and_then(|_answer| away()),
            Some(Fault::PanicAfter) => {
                let done = call.await;
                panic!("told to panic after it took effect: {}", done.is_ok());
            }
            Some(Fault::Away) => away(),
            Some(Fault::Indigestible) => Err(LedgerError::Indigestible("told to refuse".into())),
        }
    }
}

#[async_trait]
impl Ledger for Faulty {
    fn capabilities(&self) -> naru_shared::ledger::Capabilities {
        self.inner.capabilities()
    }

    async fn intake(&self, batch: IntakeBatch) -> Result<IntakeDone, LedgerError> {
        self.call("intake", Some(&batch.clone()), self.inner.intake(batch)).await
    }
    async fn take(&self, request: TakeRequest) -> Result<Taken, LedgerError> {
        self.call("take", None, self.inner.take(request)).await
    }
    async fn settle(
        &self,
        batch: Vec<Settlement>,
        now: Timestamp,
        emit: bool,
    ) -> Result<Vec<Settled>, LedgerError> {
        self.call("settle", None, self.inner.settle(batch, now, emit)).await
    }
    async fn give_back(&self, rows: Vec<(RowRef, u32)>) -> Result<(), LedgerError> {
        self.call("give_back", None, self.inner.give_back(rows)).await
    }
    async fn reroute(&self, order: Reroute, now: Timestamp) -> Result<usize, LedgerError> {
        self.call("reroute", None, self.inner.reroute(order, now)).await
    }
    async fn ready(
        &self,
        route: &RouteName,
        lane: Lane,
        max: usize,
    ) -> Result<Vec<(Account, u64)>, LedgerError> {
        self.call("ready", None, self.inner.ready(route, lane, max)).await
    }
    async fn beat(&self, incarnation: IncarnationId) -> Result<(), LedgerError> {
        self.call("beat", None, self.inner.beat(incarnation)).await
    }
    async fn incarnations(&self) -> Result<Vec<(IncarnationId, i64)>, LedgerError> {
        self.call("incarnations", None, self.inner.incarnations()).await
    }
    async fn lost(&self, incarnation: IncarnationId, max: usize) -> Result<Vec<Work>, LedgerError> {
        self.call("lost", None, self.inner.lost(incarnation, max)).await
    }
    async fn bury(&self, incarnation: IncarnationId) -> Result<bool, LedgerError> {
        self.call("bury", None, self.inner.bury(incarnation)).await
    }
    async fn wake(&self, now: Timestamp, max: usize, emit: bool) -> Result<Woken, LedgerError> {
        self.call("wake", None, self.inner.wake(now, max, emit)).await
    }
    async fn due_reports(
        &self,
        now: Timestamp,
        max: usize,
        lease: Duration,
    ) -> Result<Vec<Work>, LedgerError> {
        self.call("due_reports", None, self.inner.due_reports(now, max, lease)).await
    }
    async fn spoken_of(
        &self,
        route: &RouteName,
        notices: &[Notice],
    ) -> Result<Vec<Option<SpokenOf>>, LedgerError> {
        self.call("spoken_of", None, self.inner.spoken_of(route, notices)).await
    }
    async fn park(&self, told: Vec<ParkedNotice>, now: Timestamp, n: u64) -> Result<Vec<bool>, LedgerError> {
        self.call("park", None, self.inner.park(told, now, n)).await
    }
    async fn parked(&self, now: Timestamp, max: usize) -> Result<Vec<ParkedNotice>, LedgerError> {
        self.call("parked", None, self.inner.parked(now, max)).await
    }
    async fn unpark(&self, told: Vec<ParkedNotice>) -> Result<(), LedgerError> {
        self.call("unpark", None, self.inner.unpark(told)).await
    }
    async fn await_due(&self, now: Timestamp, wait: Duration) -> bool {
        self.inner.await_due(now, wait).await
    }
    async fn await_ready(&self, route: &RouteName, passed_over: &PassedOver, wait: Duration) -> bool {
        self.inner.await_ready(route, passed_over, wait).await
    }
    async fn waiting(&self) -> Result<Vec<Waiting>, LedgerError> {
        self.call("waiting", None, self.inner.waiting()).await
    }
    async fn forget(&self, now: Timestamp, keep: Keep, max: usize) -> Result<Forgotten, LedgerError> {
        self.call("forget", None, self.inner.forget(now, keep, max)).await
    }
    async fn restored_before(&self) -> Result<Option<Timestamp>, LedgerError> {
        self.call("restored_before", None, self.inner.restored_before()).await
    }
}
