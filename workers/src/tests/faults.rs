//! Parts that fail: the ledger by a decorator that fails when told, backends that misbehave.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use naru_shared::{
    catalog::{Catalog, Entry, Subscription},
    domain::{
        Account, Clock, Code, IncarnationId, Lane, Notice, Outcome, Route, RouteName, State,
        SubscriptionName, SystemClock, Timestamp,
    },
    ledger::{
        Forgotten, IntakeBatch, IntakeDone, Keep, Ledger, LedgerDesk, LedgerError, ParkedNotice, PassedOver,
        Reroute, RowRef, Settled, Settlement, SpokenOf, TakeRequest, Taken, Waiting, Woken, Work,
    },
    topic::Topic,
};

use super::site::{Site, config, holds_within};
use crate::{Backend, BackendError, BackendFactory, Workers, WorkersDeps, samples};

const DRAIN: Duration = Duration::from_secs(5);

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

/// Fails the first `times` calls of this name, and counts its calls.
fn first(times: usize, wanted: &'static str, fault: Fault) -> (Plan, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&calls);
    let plan = move |name: &str, _: Option<&IntakeBatch>| {
        (name == wanted && seen.fetch_add(1, Ordering::SeqCst) < times).then_some(fault)
    };
    (Box::new(plan), calls)
}

fn start(site: &Site, plan: Plan) -> Workers {
    let ledger = Arc::new(Faulty::new(site.ledger.clone(), plan));
    Workers::start(&config(), WorkersDeps { ledger, ..site.deps() }).unwrap()
}

fn route() -> Route {
    samples::route("carrier-a")
}

/// Sends ten messages through faults, and goes on until the part that failed has called again: see [`all_is_well_under`].
async fn all_is_well_in_spite_of(times: usize, wanted: &'static str, fault: Fault) {
    let (plan, calls) = first(times, wanted, fault);
    all_is_well_under(plan, || calls.load(Ordering::SeqCst) > times).await;
}

/// Sends ten messages: each reaches the backend once, is delivered by its first attempt, in one revision, and is charged
/// once; also when all that failed has been done again.
async fn all_is_well_under(plan: Plan, is_over: impl Fn() -> bool) {
    let site = Site::new(&[route()]);
    let workers = start(&site, plan);
    let ids = site.accept("carrier-a", &["+820000000001"; 10]).await;
    site.reports(&ids).await;
    holds_within(Duration::from_secs(20), "what failed is done again", async || is_over()).await;
    site.is_taken_in("carrier-a").await;
    workers.drain(DRAIN).await;
    for report in site.reports(&ids).await {
        assert_eq!((report.status, report.attempts, report.revision), (State::Delivered, 1, 1));
    }
    let day = naru_shared::domain::Day::of(SystemClock.now(), &naru_shared::domain::TimeZone::UTC);
    let used = naru_shared::ledger::LedgerReads::used(&*site.ledger, &samples::quota(1), day).await.unwrap();
    assert_eq!(used, 10);
    assert_eq!(site.ledger.audit_usage().await.unwrap(), []);
    assert_eq!(site.ledger.incarnations().await.unwrap(), []);
    site.assert_each_was_sent_once(&ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panicking_intake_is_replaced_and_its_packs_come_back() {
    all_is_well_in_spite_of(2, "intake", Fault::Panic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_hear_of_a_loop_that_was_replaced() {
    let site = Site::new(&[route()]);
    let name: SubscriptionName = "watch".parse().unwrap();
    let watch = Subscription { name: name.clone(), ended: false, outside: false, version: 0 };
    site.catalog.put(vec![Entry::Subscription(watch.clone())]).await.unwrap();
    site.know(Entry::Subscription(watch));
    let (plan, _) = first(1, "intake", Fault::Panic);
    let workers = start(&site, plan);
    let ids = site.accept("carrier-a", &["+820000000001"]).await;
    site.reports(&ids).await;
    workers.drain(DRAIN).await;
    let received = site.topic.receive(&name, 10, Duration::from_millis(100)).await.unwrap();
    let told = received.into_iter().find(|delivery| delivery.event.kind == "naru.worker.replaced");
    let event = told.unwrap().event;
    assert_eq!(event.subject, "worker/intake");
    assert_eq!((&event.data["actor"], &event.data["why"]), (&"intake".into(), &"panicked".into()));
    assert_eq!((&event.data["count"], event.data["of"].is_string()), (&1.into(), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_intake_is_replaced_and_its_packs_come_back() {
    all_is_well_in_spite_of(1, "intake", Fault::Hang).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intake_whose_answer_was_lost_knows_its_own_rows() {
    all_is_well_in_spite_of(3, "intake", Fault::Deaf).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panicking_committer_is_replaced_and_its_outcomes_commit() {
    all_is_well_in_spite_of(1, "settle", Fault::Panic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_committer_is_replaced_and_its_outcomes_commit() {
    all_is_well_in_spite_of(1, "settle", Fault::Hang).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_whose_answer_was_lost_are_committed_once() {
    all_is_well_in_spite_of(3, "settle", Fault::Deaf).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_took_effect_before_a_panic_is_not_lost_and_not_done_twice() {
    for name in ["intake", "settle"] {
        all_is_well_in_spite_of(1, name, Fault::PanicAfter).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_started_and_never_begun_when_work_ended_is_sent_by_the_next_life() {
    let site = Site::new(&[route()]);
    let workers = start(&site, Box::new(|name, _| (name == "intake").then_some(Fault::Deaf)));
    // The couriers have looked once: nothing waits, so messages are started at once.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let ids = site.accept("carrier-a", &["+820000000001"; 3]).await;
    site.knows(ids[2]).await;
    assert_eq!(site.view(ids[2]).await.unwrap().status, State::Sending);
    workers.drain(DRAIN).await;
    assert_eq!(site.view(ids[2]).await.unwrap().status, State::Ready);
    let again = site.start();
    for report in site.reports(&ids).await {
        assert_eq!((report.status, report.attempts, report.revision), (State::Delivered, 1, 1));
    }
    again.drain(DRAIN).await;
    site.assert_each_was_sent_once(&ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panicking_heartbeat_feeder_or_sweeper_is_replaced() {
    for name in ["beat", "take", "wake"] {
        all_is_well_in_spite_of(1, name, Fault::Panic).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_away_for_a_while_is_waited_for() {
    let calls = AtomicUsize::new(0);
    let plan = move |_: &str, _: Option<&IntakeBatch>| {
        (!calls.fetch_add(1, Ordering::SeqCst).is_multiple_of(3)).then_some(Fault::Away)
    };
    all_is_well_under(Box::new(plan), || true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_taken_and_told_to_nobody_go_back_and_are_sent() {
    for fault in [Fault::Deaf, Fault::Hang, Fault::Panic, Fault::PanicAfter] {
        let site = Site::new(&[route()]);
        // Paused first, so that the messages wait and are taken.
        site.know(Entry::Route(Route { paused: true, ..route() }));
        let taken = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&taken);
        let workers = start(
            &site,
            Box::new(move |name, _| {
                (name == "take" && seen.fetch_add(1, Ordering::SeqCst) == 0).then_some(fault)
            }),
        );
        let ids = site.accept("carrier-a", &["+820000000001"; 5]).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        site.know(Entry::Route(route()));
        for report in site.reports(&ids).await {
            assert_eq!((report.status, report.attempts), (State::Delivered, 1));
        }
        assert!(taken.load(Ordering::SeqCst) > 1);
        workers.drain(DRAIN).await;
        site.assert_each_was_sent_once(&ids);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_stored_fails_alone() {
    let site = Site::new(&[route()]);
    let workers = start(
        &site,
        Box::new(|_, batch| {
            let poison =
                |batch: &IntakeBatch| batch.entries.iter().any(|e| e.message.content.body == "poison");
            batch.is_some_and(poison).then_some(Fault::Indigestible)
        }),
    );
    let mut messages: Vec<_> = (0..20).map(|_| site.message("+820000000001")).collect();
    messages[7].content.body = "poison".to_owned();
    site.publish("carrier-a", &messages).await;
    for (index, message) in messages.iter().enumerate() {
        let report = site.report(message.id).await;
        let expected =
            if index == 7 { (State::Failed, Code::Indigestible) } else { (State::Delivered, Code::Ok) };
        assert_eq!((report.status, report.code), expected, "{index}");
    }
    workers.drain(DRAIN).await;
}

/// A backend that misbehaves at the first attempt.
#[derive(Clone)]
struct Misbehaving {
    block: Option<Duration>,
    calls: Arc<AtomicUsize>,
}

#[async_trait]
impl Backend for Misbehaving {
    async fn deliver(&self, _work: &Work, _attachments: &[crate::Attachment]) -> Outcome {
        if self.calls.fetch_add(1, Ordering::SeqCst) == 0 {
            let Some(block) = self.block else { panic!("told to panic") };
            // Blocks its thread: no time-out of a future can end this.
            std::thread::sleep(block);
        }
        Outcome::Delivered { detail: "in the end".to_owned(), backend_id: None }
    }
}

impl BackendFactory for Misbehaving {
    fn build(&self, _route: &Route) -> Result<Arc<dyn Backend>, BackendError> {
        Ok(Arc::new(self.clone()))
    }
}

fn start_with(site: &Site, block: Option<Duration>) -> Workers {
    let backends = Arc::new(Misbehaving { block, calls: Arc::default() });
    Workers::start(&config(), WorkersDeps { backends, ..site.deps() }).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panicking_courier_leaves_an_uncertain_message_and_others_go_on() {
    let site = Site::new(&[route()]);
    let workers = start_with(&site, None);
    let ids = site.accept("carrier-a", &["+820000000001"; 3]).await;
    let codes: Vec<Code> = site.reports(&ids).await.iter().map(|report| report.code).collect();
    assert_eq!(codes.iter().filter(|code| **code == Code::Uncertain).count(), 1);
    assert_eq!(codes.iter().filter(|code| **code == Code::Ok).count(), 2);
    workers.drain(DRAIN).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stuck_courier_is_replaced_its_message_ends_by_policy_and_a_late_truth_corrects_it() {
    let site = Site::new(&[Route { attempt_timeout_ms: 100, concurrency: 1, ..route() }]);
    let workers = start_with(&site, Some(Duration::from_secs(5)));
    let ids = site.accept("carrier-a", &["+820000000001", "+820000000001"]).await;
    let first = site.report(ids[0]).await;
    assert_eq!((first.status, first.code, first.revision), (State::Failed, Code::Uncertain, 1));
    assert_eq!(site.report(ids[1]).await.status, State::Delivered, "its permit came back");
    let is_corrected = async || site.report(ids[0]).await.revision > 1;
    holds_within(Duration::from_secs(20), "the late truth corrects it", is_corrected).await;
    let corrected = site.report(ids[0]).await;
    assert_eq!((corrected.status, corrected.revision, corrected.charged), (State::Delivered, 2, true));
    workers.drain(DRAIN).await;
}
