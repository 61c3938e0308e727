//! How fast a provider is called: the rate of a route, the rest of one that takes nothing, and its retry budget.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use naru_tests::wire::Wire;

use super::{
    PATIENCE, add, gateway, send,
    standin::{Call, Reply, StandIn},
};
use crate::stage::{alone, until, within};

pub(super) fn description(port: u16) -> String {
    format!("url = \"http://127.0.0.1:{port}/\"\n[json]\nto = \"{{recipient}}\"\n")
}

/// The most calls in any span.
pub(super) fn most(calls: &[Call], span: Duration) -> usize {
    let within = |from: Instant| calls.iter().filter(|call| (from..from + span).contains(&call.at)).count();
    calls.iter().map(|call| within(call.at)).max().unwrap_or(0)
}

#[test]
fn a_routes_rate_is_kept_and_used() {
    const RATE: usize = 20;
    const MESSAGES: usize = 100;
    let _alone = alone();
    let provider = StandIn::start(|_| Reply::new(200, "{}"));
    let gateway = gateway("");
    add(&gateway, &description(provider.port()), &["--rate", "20"]);
    let mut customer = gateway.customer(0);
    let before = provider.calls().len();
    let ids: Vec<String> = (0..MESSAGES).map(|_| send(&mut customer, "+821000000001")).collect();
    for id in &ids {
        until(&mut customer, id, &["delivered"], PATIENCE);
    }
    let calls = provider.calls().split_off(before);
    let span = calls.last().unwrap().at - calls[0].at;
    let (second, three) = (most(&calls, Duration::from_secs(1)), most(&calls, Duration::from_secs(3)));
    println!("{MESSAGES} messages in {span:?}; {second} in a second, {three} in three");
    // What is measured is when a call arrives: a delay of its own may bring one beside the next.
    assert!(second <= RATE + 2 && three <= 3 * RATE + 2, "{second} in a second, {three} in three");
    assert!(span < Duration::from_secs(7), "the rate is used: {span:?}");

    gateway.verb(&["route", "set", "carrier", "--rate", "0"]).unwrap();
    thread::sleep(Duration::from_millis(1_500));
    let begun = Instant::now();
    let ids: Vec<String> = (0..MESSAGES).map(|_| send(&mut customer, "+821000000001")).collect();
    ids.iter().for_each(|id| drop(until(&mut customer, id, &["delivered"], PATIENCE)));
    assert!(begun.elapsed() < Duration::from_secs(4), "without a rate it is faster: {:?}", begun.elapsed());
}

#[test]
fn a_backend_that_takes_nothing_is_asked_by_one_probe_at_a_time_until_it_takes_again() {
    let _alone = alone();
    let well = Arc::new(AtomicBool::new(true));
    let is_well = Arc::clone(&well);
    let provider = StandIn::start(move |_| {
        if is_well.load(Ordering::Acquire) { Reply::new(200, "{}") } else { Reply::new(503, "") }
    });
    let gateway = gateway("[workers]\nbreaker_failures = 3\n");
    add(&gateway, &description(provider.port()), &["--concurrency", "4"]);
    let mut customer = gateway.customer(0);
    well.store(false, Ordering::Release);
    let before = provider.calls().len();
    let ids: Vec<String> = (0..30).map(|_| send(&mut customer, "+821000000001")).collect();
    // Three in a row, those under way beside them, then probes after 1 s, 2 s and 4 s.
    within(PATIENCE, "three probes", || (provider.calls().len() >= before + 3 + 3).then_some(()));
    thread::sleep(Duration::from_millis(7_500));
    let calls = provider.calls().split_off(before);
    let first = calls[0].at;
    let probes: Vec<Duration> =
        calls.iter().map(|call| call.at - first).filter(|at| *at > Duration::from_millis(900)).collect();
    println!("{} calls, of them probes after {probes:?}", calls.len());
    assert!(calls.len() - probes.len() <= 3 + 4, "{} calls before it rested", calls.len() - probes.len());
    assert!((2..=4).contains(&probes.len()), "{probes:?}");
    let gaps: Vec<Duration> = probes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        gaps.iter().all(|gap| *gap >= Duration::from_millis(1_900)),
        "one at a time, ever rarer: {gaps:?}"
    );

    well.store(true, Ordering::Release);
    let known = provider.calls().len();
    within(PATIENCE, "a probe", || (provider.calls().len() > known).then_some(()));
    for id in &ids {
        until(&mut customer, id, &["delivered"], 2 * PATIENCE);
    }
}

#[test]
fn a_route_s_retries_keep_to_their_budget() {
    const MESSAGES: usize = 700;
    // What a route has saved when its worker starts, and what a second pays for.
    const SAVED: usize = 1_000;
    const A_SECOND: usize = 10;
    const SPAN: Duration = Duration::from_secs(10);
    let _alone = alone();
    let provider = StandIn::start(|_| Reply::new(503, ""));
    // It never rests: nothing but the budget holds retries back.
    let gateway = gateway("[workers]\nbreaker_failures = 1000000\n");
    add(&gateway, &description(provider.port()), &["--retry-budget", "0", "--concurrency", "256"]);
    let mut customer = gateway.customer(0);
    let messages: Vec<_> = (0..MESSAGES).map(|_| super::message("+821000000001")).collect();
    let begun = Instant::now();
    let reply = customer.batch(&messages).unwrap();
    assert_eq!((reply.status, &reply.json()["accepted"]), (202, &MESSAGES.into()));
    thread::sleep(SPAN.saturating_sub(begun.elapsed()));
    let retries = |call: &&Call| call.header("x-naru-attempt") != "1";
    let (firsts, again): (Vec<_>, Vec<_>) = {
        let calls = provider.calls();
        (
            calls.iter().filter(|c| !retries(c)).cloned().collect(),
            calls.iter().filter(retries).cloned().collect(),
        )
    };
    let elapsed = usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    println!("{} first attempts, {} retries in {elapsed} s", firsts.len(), again.len());
    assert!(firsts.len() >= MESSAGES, "every message was tried: {}", firsts.len());
    // Each is tried again within 1 s, and within 5 s of that: without a budget there were 1,400 retries by now.
    assert!(again.len() > SAVED / 2, "it is used: {}", again.len());
    assert!(again.len() <= SAVED + A_SECOND * elapsed, "{} retries in {elapsed} s", again.len());
    let reply = Wire::new(gateway.operator(), PATIENCE).call("GET", "/metrics", &[], b"").unwrap();
    let metrics = String::from_utf8(reply.body).unwrap();
    let held =
        metrics.lines().find(|line| line.starts_with("naru_retries_held_back_total{route=\"carrier\"}"));
    let held: u64 = held.and_then(|line| line.rsplit(' ').next()).unwrap().parse().unwrap();
    assert!(held > 0, "what was put off is counted");
}
