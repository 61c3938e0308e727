//! What comes back after an end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use naru_shared::{
    domain::{Clock, Code, IncarnationId, OnUncertain, Route, State, SystemClock},
    ledger::{Ledger, PassedOver, Quiet, Shares, TakeRequest},
};

use super::{
    faulty::{Fault, Faulty, Plan},
    site::{Site, config},
};
use crate::{Workers, WorkersDeps, samples};

const DRAIN: Duration = Duration::from_secs(5);

fn route() -> Route {
    Route { attempt_timeout_ms: 10_000, ..samples::route("carrier-a") }
}

/// Leaves one message in `sending` in the name of a worker that is no more.
async fn abandoned(site: &Site) -> naru_shared::domain::MessageId {
    let paused = Route { paused: true, ..route() };
    site.know(naru_shared::catalog::Entry::Route(paused));
    let workers = site.start();
    let ids = site.accept("carrier-a", &["+820000000001"]).await;
    site.knows(ids[0]).await;
    workers.drain(DRAIN).await;
    let dead = IncarnationId::random();
    site.ledger.beat(dead).await.unwrap();
    let request = TakeRequest {
        route: route().name,
        incarnation: dead,
        max: 1,
        now: SystemClock.now(),
        emit: false,
        weights: Arc::new(|_customer| 1),
        passed_over: PassedOver::default(),
        shares: Shares::default(),
        quiet: Quiet::default(),
    };
    assert_eq!(site.ledger.take(request).await.unwrap().work.len(), 1);
    ids[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_owner_held_ends_by_policy_at_once() {
    let site = Site::new(&[route()]);
    let id = abandoned(&site).await;
    site.know(naru_shared::catalog::Entry::Route(route()));
    let workers = site.start();
    let report = site.report(id).await;
    assert_eq!((report.status, report.code), (State::Failed, Code::Uncertain));
    workers.drain(DRAIN).await;
    assert_eq!(site.ledger.incarnations().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_silent_worker_among_others_held_is_left_alone_for_a_lease() {
    let site = Site::new(&[route()]);
    let id = abandoned(&site).await;
    site.know(naru_shared::catalog::Entry::Route(Route { on_uncertain: OnUncertain::Retry, ..route() }));
    let begun = std::time::Instant::now();
    let deps = WorkersDeps { exclusive: false, ..site.deps() };
    let workers = Workers::start(&config(), deps).unwrap();
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert_eq!(site.view(id).await.unwrap().status, State::Sending);
    let report = site.report(id).await;
    assert!(begun.elapsed() >= config().lease());
    assert_eq!((report.status, report.attempts), (State::Delivered, 2));
    workers.drain(DRAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_lets_attempts_end_and_leaves_the_rest_to_wait() {
    let site = Site::new(&[Route { concurrency: 2, ..route() }]);
    let workers = site.start();
    let ids = site.accept("carrier-a", &["+820000000091"; 6]).await;
    site.reaches(ids[1], State::Sending).await;
    workers.drain(DRAIN).await;
    let mut states = Vec::new();
    for id in &ids {
        states.push(site.view(*id).await.unwrap().status);
    }
    assert_eq!(states.iter().filter(|state| **state == State::Delivered).count(), 2, "{states:?}");
    assert_eq!(states.iter().filter(|state| **state == State::Ready).count(), 4, "{states:?}");
    let again = site.start();
    for report in site.reports(&ids).await {
        assert_eq!((report.status, report.attempts), (State::Delivered, 1));
    }
    again.drain(DRAIN).await;
    site.assert_each_was_sent_once(&ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_by_its_deadline_and_what_was_under_way_is_recovered() {
    let site = Site::new(&[route()]);
    let workers = site.start();
    let ids = site.accept("carrier-a", &["+820000000092"]).await;
    site.reaches(ids[0], State::Sending).await;
    // The row says so before the attempt begins; one that has not begun would be given back.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let begun = std::time::Instant::now();
    workers.drain(Duration::from_secs(2)).await;
    assert!(begun.elapsed() < Duration::from_millis(2_600), "{:?}", begun.elapsed());
    assert_eq!(site.view(ids[0]).await.unwrap().status, State::Sending);
    let again = site.start();
    assert_eq!(site.report(ids[0]).await.code, Code::Uncertain);
    again.drain(DRAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_not_heard_for_a_lease_goes_on_in_another_name() {
    let site = Site::new(&[route()]);
    let deaf = Arc::new(AtomicBool::new(false));
    let beats = Arc::clone(&deaf);
    let plan: Plan =
        Box::new(move |name, _| (name == "beat" && beats.load(Ordering::SeqCst)).then_some(Fault::Away));
    let ledger = Arc::new(Faulty::new(site.ledger.clone(), plan));
    let deps = WorkersDeps { ledger, exclusive: false, ..site.deps() };
    let workers = Workers::start(&config(), deps).unwrap();
    let ids = site.accept("carrier-a", &["+820000000001"]).await;
    site.reports(&ids).await;
    let before = site.ledger.incarnations().await.unwrap();
    assert_eq!(before.len(), 1);
    deaf.store(true, Ordering::SeqCst);
    tokio::time::sleep(config().lease() + Duration::from_millis(500)).await;
    let waiting = site.accept("carrier-a", &["+820000000001"; 3]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for id in &waiting {
        assert_eq!(
            site.view(*id).await.unwrap().status,
            State::Ready,
            "no attempt begins in a name that is lost"
        );
    }
    deaf.store(false, Ordering::SeqCst);
    for report in site.reports(&waiting).await {
        assert_eq!((report.status, report.attempts), (State::Delivered, 1));
    }
    let after = site.ledger.incarnations().await.unwrap();
    assert!(after.iter().any(|(name, _)| *name != before[0].0), "{before:?} {after:?}");
    workers.drain(DRAIN).await;
    assert_eq!(site.ledger.incarnations().await.unwrap(), [], "both names are forgotten");
}
