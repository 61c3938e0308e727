//! Idle costs nearly nothing.

use std::{
    thread,
    time::{Duration, Instant},
};

use naru_tests::{
    bench::{Table, cpu},
    gateway::{Gateway, Setup},
    idle::{Resting, RestingOnAws},
};

use crate::stage::{accept, alone, beside_others, message, until};

/// Of one core, also of a build without optimisation.
const MOST: f64 = 0.006;

#[test]
fn an_idle_process_uses_less_than_six_thousandths_of_a_core() {
    let _alone = alone();
    let gateway = Gateway::spawn(&Setup { quota: Some(100), ..Setup::default() }).unwrap();
    let mut customer = gateway.customer(0);
    let id = accept(&mut customer, &message("sms", "before"), None);
    until(&mut customer, &id, &["delivered"], Duration::from_secs(15));
    thread::sleep(Duration::from_secs(2));
    let pid = gateway.pid().unwrap();
    // Whatever else runs on this machine can only make the same work dearer: the cheapest of three counts.
    let mut shares = Vec::new();
    while shares.len() < 3 && shares.iter().all(|share| *share >= MOST) {
        shares.push(share_of_a_core(pid));
    }
    assert!(shares.iter().any(|share| *share < MOST), "{shares:?} of a core");
}

/// How long a deployment at rest is watched here; `proof idle --wide` watches it for ten minutes.
const WATCHED: Duration = Duration::from_secs(20);

#[test]
fn a_deployment_at_rest_asks_its_engines_next_to_nothing_and_still_delivers_within_a_second() {
    // To come to rest takes long, and whatever others do meanwhile.
    let beside = beside_others();
    let mut resting = Resting::begin().unwrap();
    drop(beside);
    let _alone = alone();
    // As above: of three counts the cheapest.
    let mut tables = Vec::new();
    while tables.len() < 3 && tables.last().is_none_or(|table: &Table| table.missed() > 0) {
        let rest = resting.watch(WATCHED).unwrap();
        println!("{}{}", rest.details(), rest.table());
        tables.push(rest.table());
    }
    assert_eq!(tables.last().unwrap().missed(), 0);
    let took = resting.wake().unwrap();
    println!("a message after that was delivered after {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

/// It has been silent for longer than a long poll by then. Now every lane that did not rest would be seen at least once, with both lanes of a
/// route twice, and one group more than once in this time is too much; `proof idle --aws` watches for ten minutes.
const WATCHED_ON_AWS: Duration = Duration::from_secs(25);

#[test]
fn a_deployment_at_rest_on_aws_asks_next_to_nothing_that_is_paid_for_and_still_delivers_within_a_second() {
    // Requests are counted, whatever others do meanwhile.
    let beside = beside_others();
    let resting = RestingOnAws::begin().unwrap();
    let asked = resting.watch(WATCHED_ON_AWS).unwrap();
    println!("{}{}", asked.details(), asked.table());
    assert_eq!(asked.table().missed(), 0, "{}", asked.table());
    drop(beside);
    let _alone = alone();
    let took = resting.wake().unwrap();
    println!("a message after that was delivered after {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

/// CPU time that a process uses in ten seconds, as a share of one core.
fn share_of_a_core(pid: u32) -> f64 {
    let (began, before) = (Instant::now(), cpu::nanos_of(pid));
    thread::sleep(Duration::from_secs(10));
    let used = cpu::nanos_of(pid).checked_sub(before).filter(|used| *used > 0);
    let share = Duration::from_nanos(used.unwrap()).as_secs_f64() / began.elapsed().as_secs_f64();
    eprintln!("idle: {:.2} % of a core", share * 100.0);
    share
}
