//! The way of a message through the workers.

use std::time::{Duration, Instant};

use naru_shared::{
    catalog::{Catalog, Entry, Subscription},
    domain::{
        BackendConfig, Clock, Code, Day, EnvelopeFormat, FORMATS, HttpBackend, OnUncertain, Quota, Route,
        State, SystemClock, TimeZone, Units,
    },
    gate::{Gate, QuotaVerdict},
    ledger::{LedgerDesk, LedgerReads},
    queue::{Queue, QueueName},
    topic::Topic,
};

use super::{
    http::{Act, Server},
    site::{Site, config, holds_within},
};
use crate::{Workers, WorkersConfig, WorkersDeps, samples};

const DRAIN: Duration = Duration::from_secs(5);

fn route() -> Route {
    Route { concurrency: 16, attempt_timeout_ms: 300, ..samples::route("carrier-a") }
}

/// A route that posts to a server of this test.
fn posting_to(server: &Server) -> Route {
    super::http::install_tls();
    let http = HttpBackend {
        url: server.url.clone(),
        allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
        provider: None,
    };
    Route { backend: BackendConfig::Http(http), ..route() }
}

fn queue() -> QueueName {
    QueueName { route: "carrier-a".parse().unwrap(), lane: naru_shared::domain::Lane::Express }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_ends_as_its_recipient_says_and_is_charged_as_it_ends() {
    let site = Site::new(&[route()]);
    let workers = site.start();
    let recipients = ["+820000000000", "+820000000090", "+820000000091", "+820000000092", "+820000000097"];
    let ids = site.accept("carrier-a", &recipients).await;
    let ends: Vec<_> = site.reports(&ids).await.iter().map(|r| (r.status, r.code, r.charged)).collect();
    assert_eq!(
        ends,
        [
            (State::Delivered, Code::Ok, true),
            (State::Failed, Code::BackendRefused, false),
            // The attempt's time (0.3 s and a grace of 1 s) is shorter than the simulator's two seconds.
            (State::Failed, Code::Uncertain, false),
            (State::Failed, Code::Uncertain, false),
            (State::Failed, Code::Uncertain, false),
        ]
    );
    assert_eq!(site.ledger.audit_usage().await.unwrap(), []);
    workers.drain(DRAIN).await;
    assert_eq!(site.queue.depth(&queue()).await.unwrap().packs, 0);
    assert_eq!(naru_shared::ledger::Ledger::incarnations(&*site.ledger).await.unwrap(), [], "nobody is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_beyond_the_permits_all_arrive_once() {
    let site = Site::new(&[Route { concurrency: 4, ..route() }]);
    let workers = site.start();
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.extend(site.accept("carrier-a", &["+820000000001"; 64]).await);
    }
    for report in site.reports(&ids).await {
        assert_eq!((report.status, report.attempts, report.revision), (State::Delivered, 1, 1));
    }
    workers.drain(DRAIN).await;
    site.assert_each_was_sent_once(&ids);
    let quota = samples::quota(1_000_000);
    let day = Day::of(SystemClock.now(), &TimeZone::UTC);
    assert_eq!(site.ledger.used(&quota, day).await.unwrap(), 1_280);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_taken_is_tried_again_and_what_was_sent_gets_its_report() {
    let site = Site::new(&[route()]);
    let workers = site.start();
    let ids = site.accept("carrier-a", &["+820000000093", "+820000000094", "+820000000096"]).await;
    let reports = site.reports(&ids).await;
    assert_eq!((reports[0].status, reports[0].attempts), (State::Delivered, 3));
    assert_eq!((reports[1].status, reports[1].attempts), (State::Delivered, 1));
    assert_eq!((reports[2].status, reports[2].code), (State::Failed, Code::BackendRefused));
    workers.drain(DRAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_comes_twice_is_sent_once() {
    let site = Site::new(&[route()]);
    let workers = site.start();
    let message = site.message("+820000000001");
    for _ in 0..3 {
        site.publish("carrier-a", std::slice::from_ref(&message)).await;
    }
    let report = site.report(message.id).await;
    site.is_taken_in("carrier-a").await;
    assert_eq!((report.status, report.attempts), (State::Delivered, 1));
    assert_eq!(site.report(message.id).await.revision, 1);
    workers.drain(DRAIN).await;
    site.assert_each_was_sent_once(&[message.id]);
    assert_eq!(site.ledger.audit_usage().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quota_is_exact_and_the_rest_is_rejected() {
    let site = Site::new(&[route()]);
    site.limit(10);
    let workers = site.start();
    let ids = site.accept("carrier-a", &["+820000000001"; 15]).await;
    let reports = site.reports(&ids).await;
    let count = |code| reports.iter().filter(|report| report.code == code).count();
    assert_eq!((count(Code::Ok), count(Code::QuotaExceeded)), (10, 5));
    workers.drain(DRAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_go_ends_with_its_reason() {
    let site = Site::new(&[route()]);
    let mut late = site.message("+820000000001");
    late.accepted_at = late.accepted_at.minus(Duration::from_secs(601));
    let mut later = site.message("+820000000001");
    later.content.send_at = Some(SystemClock.now().plus(Duration::from_secs(2)));
    let workers = site.start();
    site.publish("carrier-a", &[late.clone(), later.clone()]).await;
    assert_eq!(site.report(late.id).await.code, Code::TtlExpired);
    assert_eq!(site.view(later.id).await.unwrap().status, State::Scheduled);
    let report = site.report(later.id).await;
    assert_eq!(report.status, State::Delivered);
    assert!(report.sent_at.unwrap() >= later.content.send_at.unwrap());
    workers.drain(DRAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_starts_within_a_second_however_long_the_sweeper_may_sleep() {
    let site = Site::new(&[route()]);
    let config = WorkersConfig { sweep_ms: 60_000, ..WorkersConfig::default() };
    let workers = Workers::start(&config, site.deps()).unwrap();
    // The sweeper sleeps by now: only what it is told can wake it.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut later = site.message("+820000000001");
    later.content.send_at = Some(SystemClock.now().plus(Duration::from_millis(1_500)));
    let again = site.message("+820000000093");
    let mut over = site.message("+820000000001");
    over.content.send_at = Some(SystemClock.now().plus(Duration::from_secs(20)));
    site.publish("carrier-a", &[over, later.clone(), again.clone()]).await;
    let report = site.report(later.id).await;
    let late = report.sent_at.unwrap().since(later.content.send_at.unwrap());
    assert!(late < Duration::from_secs(1), "{late:?}");
    // Two waits of at most 1 s and 5 s lie between its attempts.
    let report = site.report(again.id).await;
    let took = report.final_at.since(again.accepted_at);
    assert!((report.attempts, took < Duration::from_secs(8)) == (3, true), "{took:?}");
    workers.drain(DRAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_route_takes_in_and_sends_when_it_goes_on() {
    let site = Site::new(&[Route { paused: true, ..route() }]);
    let workers = site.start();
    let ids = site.accept("carrier-a", &["+820000000001"]).await;
    site.knows(ids[0]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(site.view(ids[0]).await.unwrap().status, State::Ready);
    site.know(Entry::Route(route()));
    assert_eq!(site.report(ids[0]).await.status, State::Delivered);
    workers.drain(DRAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_of_a_suspended_customer_waits_or_expires_and_goes_on_when_it_is_resumed() {
    let site = Site::new(&[Route { paused: true, ..route() }]);
    let workers = Workers::start(&WorkersConfig { poll_ms: 30_000, ..config() }, site.deps()).unwrap();
    let mut short = site.message("+820000000001");
    short.content.ttl = Some(1);
    let messages = [site.message("+820000000001"), short];
    site.publish("carrier-a", &messages).await;
    site.knows(messages[1].id).await;
    site.suspend(true);
    site.know(Entry::Route(route()));
    assert_eq!(site.report(messages[1].id).await.code, Code::TtlExpired);
    let view = site.view(messages[0].id).await.unwrap();
    assert_eq!((view.status, view.attempts), (State::Ready, 0));
    let resumed = std::time::Instant::now();
    site.suspend(false);
    assert_eq!(site.report(messages[0].id).await.status, State::Delivered);
    assert!(resumed.elapsed() < Duration::from_secs(1), "{:?}", resumed.elapsed());
    workers.drain(DRAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_holds_what_is_uncertain_keeps_its_charge() {
    let site = Site::new(&[Route { on_uncertain: OnUncertain::Hold, ..route() }]);
    let workers = site.start();
    let ids = site.accept("carrier-a", &["+820000000097"]).await;
    site.reaches(ids[0], State::Held).await;
    let day = Day::of(SystemClock.now(), &TimeZone::UTC);
    assert_eq!(site.ledger.used(&samples::quota(1), day).await.unwrap(), 1);
    workers.drain(DRAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_is_an_event_for_every_subscriber() {
    let site = Site::new(&[route()]);
    let name: naru_shared::domain::SubscriptionName = "archive".parse().unwrap();
    let subscription = Subscription { name: name.clone(), ended: false, outside: false, version: 0 };
    site.catalog.put(vec![Entry::Subscription(subscription.clone())]).await.unwrap();
    site.know(Entry::Subscription(subscription));
    let workers = site.start();
    let ids = site.accept("carrier-a", &["+820000000001", "+820000000090"]).await;
    site.reports(&ids).await;
    // A drain publishes what is left: whatever is to come is there after it.
    workers.drain(DRAIN).await;
    let events = site.topic.receive(&name, 10, Duration::from_millis(100)).await.unwrap().into_iter();
    let mut subjects: Vec<_> = events.map(|delivery| (delivery.event.subject, delivery.event.kind)).collect();
    subjects.sort();
    let mut expected = vec![
        ("catalog/subscription/archive".to_owned(), "naru.subscription.created".to_owned()),
        (ids[0].to_string(), "naru.message.delivered".to_owned()),
        (ids[1].to_string(), "naru.message.failed".to_owned()),
    ];
    expected.sort();
    assert_eq!(subjects, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_pack_is_set_aside_and_those_behind_it_go_on() {
    let site = Site::new(&[route()]);
    let stranger = Site::new(&[route()]);
    let forged = stranger.message("+820000000001");
    let envelope = stranger.sealed("carrier-a", std::slice::from_ref(&forged));
    site.publish_envelope("carrier-a", envelope).await;
    let workers = site.start();
    let ids = site.accept("carrier-a", &["+820000000001"]).await;
    assert_eq!(site.report(ids[0]).await.status, State::Delivered);
    workers.drain(DRAIN).await;
    let depth = site.queue.depth(&queue()).await.unwrap();
    assert_eq!((depth.packs, depth.quarantined), (0, 1));
    assert_eq!(site.view(forged.id).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_and_never_reported_ends_after_the_window() {
    let site = Site::new(&[route()]);
    let config = WorkersConfig { report_window_ms: 500, ..config() };
    let workers = Workers::start(&config, site.deps()).unwrap();
    let mut message = site.message("+820000000095");
    message.content.ttl = Some(1);
    site.publish("carrier-a", std::slice::from_ref(&message)).await;
    let report = site.report(message.id).await;
    assert_eq!((report.status, report.code, report.charged), (State::Expired, Code::NoReport, false));
    assert!(report.final_at.since(report.accepted_at) >= Duration::from_millis(1_500));
    workers.drain(DRAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ingress_learns_of_units_that_were_released() {
    let site = Site::new(&[Route { attempt_timeout_ms: 1_500, ..route() }]);
    let quota = std::sync::Arc::new(Quota { version: 0, ..samples::quota(2) });
    site.limit(2);
    let workers = site.start();
    // Reserved while the simulator is silent, released when it is found uncertain.
    let ids = site.accept("carrier-a", &["+820000000092"; 2]).await;
    let (account, channel) = (samples::account(), "sms".parse().unwrap());
    let day = Day::of(SystemClock.now(), &TimeZone::UTC);
    let ask = async || {
        let units = Units::ONE;
        let verdict = site.gate.reserve(&account, &channel, std::slice::from_ref(&quota), day, units).await;
        if verdict.is_ok_and(|verdict| verdict == QuotaVerdict::Within) {
            site.gate.give_back(&account, &channel, std::slice::from_ref(&quota), day, units).await.unwrap();
            return true;
        }
        false
    };
    holds_within(Duration::from_secs(5), "the limit is reached", async || !ask().await).await;
    site.reports(&ids).await;
    holds_within(Duration::from_secs(4), "released units are seen soon", ask).await;
    workers.drain(DRAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_takes_nothing_is_left_alone_and_tried_again() {
    let full = "HTTP/1.1 503 Full\r\ncontent-length: 0\r\n\r\n";
    let server = Server::start(Act::Answer(full)).await;
    let site = Site::new(&[Route { attempt_timeout_ms: 5_000, ..posting_to(&server) }]);
    let workers = Workers::start(&WorkersConfig { breaker_failures: 5, ..config() }, site.deps()).unwrap();
    let ids = site.accept("carrier-a", &["+820000000001"; 60]).await;
    tokio::time::sleep(Duration::from_millis(900)).await;
    let tried = server.requests.lock().unwrap().len();
    // What was under way when it opened, at most a permit each, and then nothing.
    assert!((5..=5 + 16).contains(&tried), "{tried}");
    server.answer("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    for report in site.reports(&ids).await {
        assert_eq!(report.status, State::Delivered);
    }
    workers.drain(DRAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_asks_for_more_than_the_time_to_live_is_called_once_more_before_its_end() {
    let busy = "HTTP/1.1 503 Full\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n";
    let server = Server::start(Act::Answer(busy)).await;
    let site = Site::new(&[posting_to(&server)]);
    let workers = site.start();
    let mut messages = [site.message("+820000000001"), site.message("+820000000002")];
    // Long enough for the last tenth of it to be met on a busy machine.
    messages[0].content.ttl = Some(5);
    messages[1].content.ttl = Some(8);
    site.publish("carrier-a", &messages).await;
    let report = site.report(messages[0].id).await;
    assert_eq!((report.status, report.code, report.attempts), (State::Expired, Code::TtlExpired, 2));
    let words = report.detail;
    assert!(words.starts_with("HTTP 503; the backend asked to wait until 20"), "{words}");
    assert!(words.ends_with(", beyond the time to live"), "{words}");
    server.answer("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let report = site.report(messages[1].id).await;
    assert_eq!((report.status, report.attempts), (State::Delivered, 2));
    let waited = report.final_at.since(report.accepted_at);
    assert!(waited >= Duration::from_millis(7_200), "{waited:?}");
    workers.drain(DRAIN).await;
}

/// A release after this one, which can also write a pack backwards.
const NEXT: &[EnvelopeFormat] = &[
    FORMATS[0],
    EnvelopeFormat {
        version: 2,
        write: |out, head, fragments| {
            let begin = out.len();
            (FORMATS[0].write)(out, head, fragments);
            out[begin..].reverse();
        },
        read: |content| (FORMATS[0].read)(&content.iter().rev().copied().collect::<Vec<_>>()),
    },
];

/// More than intake receives at once, in front of what it can read.
const NEWER: u32 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn packs_of_a_newer_release_wait_for_a_newer_worker_and_hold_nothing_up() {
    let site = Site::new(&[route()]);
    let mut newer = Vec::new();
    for _ in 0..NEWER {
        let message = site.message("+820000000001");
        site.publish_envelope("carrier-a", site.sealed_as(NEXT, 2, &message)).await;
        newer.push(message.id);
    }
    let workers = site.start();
    let begun = Instant::now();
    for _ in 0..3 {
        let ids = site.accept("carrier-a", &["+820000000001"]).await;
        assert_eq!(site.report(ids[0]).await.status, State::Delivered);
    }
    workers.drain(DRAIN).await;
    let turns = begun.elapsed().as_secs() / 5 + 1;
    let depth = site.queue.depth(&queue()).await.unwrap();
    assert_eq!((depth.packs, depth.quarantined), (NEWER.into(), 0));
    // They were not asked for again and again: once in each five seconds at the most.
    let patience = Duration::from_secs(10);
    let waiting = site.queue.receive(&queue(), 1, patience).await.unwrap().remove(0);
    assert!(u64::from(waiting.deliveries) <= turns + 1, "{} times in {turns} turns", waiting.deliveries);
    site.queue.release(&queue(), waiting.receipt, Duration::ZERO).await.unwrap();
    let workers = Workers::start(&config(), WorkersDeps { formats: NEXT, ..site.deps() }).unwrap();
    for report in site.reports(&newer).await {
        assert_eq!((report.status, report.attempts), (State::Delivered, 1));
    }
    workers.drain(DRAIN).await;
    site.assert_each_was_sent_once(&newer);
}
