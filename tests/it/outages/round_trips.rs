//! How often Redis is asked while calls come steadily.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use naru_tests::{
    customer::Customer,
    idle::{Counts, Monitor, monitor::since},
};

use super::{
    callers::{Call, call_on},
    loan::{borrow, customers::STEADY},
    message,
};

const WATCHED: Duration = Duration::from_secs(5);

/// The most round trips for each accepted call.
const MOST: f64 = 0.05;

#[test]
fn a_steady_customer_costs_less_than_a_twentieth_of_a_round_trip_to_redis_for_each_call() {
    let site = borrow();
    site.verb(&["quota", "set", &format!("c{STEADY}"), "10000000", "--period", "month"]).unwrap();
    thread::sleep(Duration::from_secs(2));
    let monitor = Monitor::of(site.redis.port()).unwrap();
    let customers = || (0..8).map(|number| site.customer_at(number % 2, STEADY)).collect::<Vec<_>>();
    // What time alone costs while fronts take calls: two calls a second.
    let (_, by_time) = watched(&monitor, customers().into_iter().take(2).collect(), Duration::from_secs(1));
    // A machine that has other work lets answers come too late, and connections to Redis are made anew: the best of three.
    let mut best = f64::MAX;
    for _ in 0..3 {
        best = best.min(each(watched(&monitor, customers(), Duration::ZERO), &by_time));
        if best < MOST {
            return;
        }
    }
    panic!("{best} round trips for each accepted call");
}

/// Round trips for each accepted call beside those that time makes.
fn each((calls, all): (Vec<Call>, Counts), by_time: &Counts) -> f64 {
    let sum = |counts: &Counts| counts.values().sum::<u64>();
    let accepted = calls.iter().filter(|call| call.status == 202).count();
    assert_eq!(accepted, calls.len(), "{:?}", calls.iter().find(|call| call.status != 202));
    assert!(accepted > 300, "{accepted} are not steady");
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let for_each = |commands: u64| commands as f64 / accepted as f64;
    let each = for_each(sum(&all).saturating_sub(sum(by_time)));
    println!(
        "{accepted} calls accepted in {WATCHED:?}: {} commands of clients, {:.4} for each; without the {} that time makes \
         {each:.4}: {all:?}",
        sum(&all),
        for_each(sum(&all)),
        sum(by_time),
    );
    each
}

/// Calls, and every command that any client sent to Redis meanwhile (a transaction's and a pipeline's each count).
fn watched(monitor: &Monitor, customers: Vec<Customer>, pause: Duration) -> (Vec<Call>, Counts) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let call =
            |customer: &mut Customer, number: usize| customer.send(&message(&number.to_string()), None);
        let callers: Vec<_> = customers
            .into_iter()
            .map(|mut customer| {
                let stop = &stop;
                scope.spawn(move || call_on(&mut customer, stop, pause, call))
            })
            .collect();
        // Blocks are leased, and the pace is known.
        thread::sleep(Duration::from_secs(1));
        let before = monitor.counts();
        thread::sleep(WATCHED);
        let counts = since(&before, &monitor.counts());
        stop.store(true, Ordering::Relaxed);
        let mut calls: Vec<Call> = callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();
        // Those of the time that was counted, and no more than were.
        calls.sort_by_key(|call| call.answered);
        let last = calls.last().map(|call| call.answered);
        calls.retain(|call| last.is_some_and(|last| last - call.answered < WATCHED));
        (calls, counts)
    })
}
