//! SIGTERM under load: what is begun, what is interrupted, what is lost.

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use naru_shared::domain::OnUncertain;
use naru_tests::{
    checker::{
        self,
        evidence::{Evidence, Policy, Said, Wish},
    },
    customer::Customer,
    gateway::{DRAIN, Gateway, RouteSpec, Setup},
    monotonic::nanos,
    witness,
};
use serde_json::json;

use crate::stage::{Receiver, accept, alone, message, until, used, within};

/// How long the signal may be on its way until no attempt begins any more.
const SIGNAL: Duration = Duration::from_millis(500);

/// One call after the other, until there is no answer, or no `202`; `accepted` counts the others.
fn call_on(mut customer: Customer, caller: usize, accepted: &AtomicUsize) -> Vec<Wish> {
    let mut wishes = Vec::new();
    loop {
        let number = caller * 100_000 + wishes.len();
        let (reference, recipient) = (format!("w-{number}"), format!("+8210{number:08}"));
        let message =
            json!({ "channel": "sms", "recipient": recipient, "body": "hello", "reference": reference });
        let said = vec![Said::of_call(&customer.send(&message, None))];
        let goes_on = matches!(said[0], Said::Accepted { .. });
        let (customer, units, key, policy) = (0, 1, None, Policy::Retry);
        wishes.push(Wish { customer, reference, recipient, units, key, policy, attached: None, said });
        if !goes_on {
            return wishes;
        }
        accepted.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_drain_under_load_begins_nothing_interrupts_nothing_and_loses_nothing() {
    let _alone = alone();
    // More is accepted than the backend takes: there is always a message that could begin.
    let receiver = Receiver::start(&["--slow-ms", "200"]);
    let http = RouteSpec::http("demo", receiver.process.address, OnUncertain::Retry);
    let routes = vec![RouteSpec { concurrency: 24, ..http }];
    let (quota, subscription) = (Some(1_000_000), Some(witness::SUBSCRIPTION.to_owned()));
    let mut gateway = Gateway::prepare(&Setup { routes, quota, subscription, ..Setup::default() }).unwrap();
    let environment = [receiver.journals.subscriber()];
    gateway.start(&environment).unwrap();
    let so_far = AtomicUsize::new(0);
    let (wishes, asked, took) = thread::scope(|scope| {
        let callers = (0..16).map(|caller| {
            let (customer, so_far) = (gateway.customer(0), &so_far);
            scope.spawn(move || call_on(customer, caller, so_far))
        });
        let callers: Vec<_> = callers.collect();
        within(Duration::from_secs(30), "many are sent, and more wait", || {
            let sent = receiver.arrivals().len();
            (sent > 100 && so_far.load(Ordering::SeqCst) > sent + 300).then_some(())
        });
        let asked = nanos();
        let took = gateway.drain().unwrap();
        let wishes = callers.into_iter().flat_map(|caller| caller.join().unwrap());
        (wishes.collect::<Vec<Wish>>(), asked, took)
    });
    assert!(took < DRAIN, "{took:?}");
    let arrivals = receiver.arrivals();
    let accepted = wishes.iter().filter(|wish| wish.accepted().is_some()).count();
    let unanswered = wishes.iter().filter(|wish| wish.in_doubt()).count();
    eprintln!("{accepted} accepted, {unanswered} unanswered, {} sent when it ended", arrivals.len());
    assert!(arrivals.len() > 100 && accepted > arrivals.len() + 100, "nothing was left to begin");
    let late: Vec<_> =
        arrivals.iter().filter(|arrival| arrival.at > asked + SIGNAL.as_nanos() as u64).collect();
    assert!(late.is_empty(), "{} attempts began after the signal: {:?}", late.len(), late[0]);
    gateway.start(&environment).unwrap();
    let mut evidence = Evidence { wishes, ..Evidence::default() };
    witness::gather(&mut gateway, &receiver.journals, Duration::from_secs(90), &mut evidence).unwrap();
    // A drain is no disturbance: the checker forgives no second request, no doubt, no missing outcome.
    let findings = checker::check(&evidence);
    assert_eq!(findings.broken, Vec::<String>::new());
    assert_eq!((findings.duplicates, findings.labelled), (0, 0));
    assert_eq!(findings.finals.keys().collect::<Vec<_>>(), ["delivered (ok)"]);
    assert_eq!(findings.arrivals, findings.accepted + findings.accepted_unanswered);
}

#[test]
fn a_drain_does_not_wait_longer_than_it_may_for_a_backend_that_does_not_answer() {
    let _alone = alone();
    let receiver = Receiver::start(&["--slow-ms", "30000"]);
    let http = RouteSpec::http("demo", receiver.process.address, OnUncertain::Fail);
    let routes = vec![RouteSpec { attempt_timeout_ms: 20_000, ..http }];
    let config = "[process]\ndrain_ms = 3000\n".to_owned();
    let mut gateway = Gateway::spawn(&Setup { routes, config, quota: Some(10), ..Setup::default() }).unwrap();
    let id = accept(&mut gateway.customer(0), &message("sms", "stuck"), None);
    receiver.first_arrival(&id, Duration::from_secs(10));
    let began = Instant::now();
    gateway.drain().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let log = fs::read_to_string(gateway.home().join("gateway.log")).unwrap();
    assert!(log.contains("attempts are left to be recovered"), "{log}");
    // The next life finds it, cannot know, and says so.
    gateway.start(&[]).unwrap();
    let view = until(&mut gateway.customer(0), &id, &["failed"], Duration::from_secs(15));
    assert_eq!((view["code"].as_str(), view["charged"].as_bool()), (Some("uncertain"), Some(false)));
    assert_eq!((receiver.arrivals().len(), used(&gateway)), (1, 0));
}
