//! Parts that fail: the ledger when it is told to, backends that misbehave.

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
    domain::{Clock, Code, Outcome, Route, State, SubscriptionName, SystemClock},
    ledger::{IntakeBatch, Ledger, LedgerDesk, Work},
    topic::Topic,
};

use super::{
    faulty::{Fault, Faulty, Plan},
    site::{Site, config, holds_within},
};
use crate::{Backend, BackendError, BackendFactory, Workers, WorkersDeps, samples};

const DRAIN: Duration = Duration::from_secs(5);

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
