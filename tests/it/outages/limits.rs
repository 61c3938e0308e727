//! One customer's rate at several fronts.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use naru_tests::{customer::Customer, deployment::Deployment};

use super::{
    callers::{Call, UNANSWERED, call_on},
    loan::{borrow, customers::RATE},
    message,
};

const PER_SECOND: usize = 40;
const BURST: usize = 60;

/// How long each number of fronts takes calls.
const SPAN: Duration = Duration::from_secs(4);

#[test]
fn fronts_together_never_let_in_more_than_a_customers_rate_with_one_more_started_and_one_killed() {
    let mut site = borrow();
    let rate = format!("burst={PER_SECOND}/1s+{BURST}");
    site.verb(&["customer", "set", &format!("c{RATE}"), "--rate", &rate]).unwrap();
    // In force within a second; what was counted before flows off.
    thread::sleep(Duration::from_secs(3));
    // Where an answer of Redis is late, as on a machine that has other work, a front lets in its share instead, and up to
    // one more burst may come in (docs/redis.md): such a run is held to that, and made again.
    for _ in 0..6 {
        let before = late_answers(&site);
        let calls = flood(&mut site);
        let late = late_answers(&site) - before;
        judge(&calls, if late == 0 { 0 } else { BURST });
        if late == 0 {
            return;
        }
        println!("fronts gave up on Redis {late} times meanwhile: once more");
        thread::sleep(Duration::from_secs(3));
    }
    panic!("in none of the rounds did Redis answer in time throughout: the bound itself was not tried");
}

/// How often fronts gave up on Redis so far.
fn late_answers(site: &Deployment) -> usize {
    site.ingress.iter().map(|front| front.log().matches("Redis failed").count()).sum()
}

/// Calls at three fronts, of which the third starts and the first dies meanwhile.
fn flood(site: &mut Deployment) -> Vec<Call> {
    let stop = AtomicBool::new(false);
    let customers: Vec<(usize, Customer)> =
        (0..6).map(|number| (number % 3, site.customer_at(number % 3, RATE))).collect();
    let calls = thread::scope(|scope| {
        let callers: Vec<_> = customers
            .into_iter()
            .map(|(front, mut customer)| {
                let stop = &stop;
                scope.spawn(move || {
                    let send = |customer: &mut Customer, number: usize| {
                        customer.send(&message(&format!("rate {number}")), None)
                    };
                    let mut calls = call_on(&mut customer, stop, Duration::from_millis(2), send);
                    // The first front dies and the third is not there at first; the second answers every call.
                    calls.retain(|call| front == 1 || call.status != UNANSWERED);
                    calls
                })
            })
            .collect();
        thread::sleep(SPAN);
        site.ingress[2].start(&[]).unwrap();
        thread::sleep(SPAN);
        site.ingress[0].kill().unwrap();
        thread::sleep(SPAN);
        stop.store(true, Ordering::Relaxed);
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect::<Vec<Call>>()
    });
    site.ingress[0].start(&[]).unwrap();
    site.ingress[2].drain().unwrap();
    calls
}

/// `more` may be in a window beside rate · t + burst.
fn judge(calls: &[Call], more: usize) {
    for call in calls {
        let is_told = [(202, ""), (429, "rate-limited")].contains(&(call.status, call.code.as_str()));
        assert!(is_told, "{call:?}");
    }
    let accepted: Vec<&Call> = calls.iter().filter(|call| call.status == 202).collect();
    let (worst, over) = worst_window(&accepted);
    println!(
        "{} of {} calls were accepted in {:?}; the fullest window held {worst}, {over:.1} less than it may",
        accepted.len(),
        calls.len(),
        3 * SPAN
    );
    #[expect(clippy::cast_precision_loss, reason = "some tens")]
    let most = more as f64;
    assert!(over + most >= 0.0, "a window held {} more than rate · t + burst", -over);
    // Most of what may come in does: the limit is shared, not lost.
    assert!(accepted.len() > PER_SECOND * 12 * 7 / 10, "{}", accepted.len());
    assert!(calls.len() > accepted.len() * 2, "there were far more calls than may come in");
}

/// Of all windows from one call's beginning to another's answer: the one that held most of what it may, as how many were
/// certainly let in within it (begun and answered), and how many more might have been.
fn worst_window(accepted: &[&Call]) -> (usize, f64) {
    let mut begun: Vec<&Call> = accepted.to_vec();
    begun.sort_by_key(|call| call.sent);
    let mut worst = (0, f64::MAX);
    for (index, first) in begun.iter().enumerate() {
        let mut answered: Vec<Instant> = begun[index..].iter().map(|call| call.answered).collect();
        answered.sort();
        for (before, end) in answered.iter().enumerate() {
            let (held, span) = (before + 1, (*end - first.sent).as_secs_f64());
            #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
            let left = span.mul_add(PER_SECOND as f64, BURST as f64) - held as f64;
            if left < worst.1 {
                worst = (held, left);
            }
        }
    }
    worst
}

#[test]
fn a_window_that_held_too_much_would_be_seen() {
    let begin = Instant::now();
    let call = |sent: u64, took: u64| Call {
        sent: begin + Duration::from_millis(sent),
        answered: begin + Duration::from_millis(sent + took),
        status: 202,
        code: String::new(),
    };
    let told = |calls: &[Call]| worst_window(&calls.iter().collect::<Vec<_>>()).1;
    // Within 100 ms: 60 and 4 more.
    let just: Vec<Call> = (0..64).map(|_| call(10_000, 100)).collect();
    assert!(told(&just).abs() < 1e-9, "{}", told(&just));
    let early: Vec<Call> = (0..100).map(|number| call(number * 20, 100)).collect();
    let over: Vec<Call> = early.iter().cloned().chain((0..65).map(|_| call(10_000, 100))).collect();
    assert!(told(&early) > 0.0 && (told(&over) + 1.0).abs() < 1e-9, "{}", told(&over));
}
