//! A quota is money: exact, whatever comes at once.

use std::time::Duration;

use naru_shared::domain::OnUncertain;
use naru_tests::{
    checker::{
        self,
        evidence::{Evidence, Policy, Said, Wish},
    },
    gateway::{Gateway, RouteSpec, Setup},
    wire::{Held, Reply},
    witness::{self, Journals},
};
use serde_json::{Value, json};

use crate::stage::{Receiver, alone};

/// Units in the month.
const LIMIT: u64 = 100;

/// Messages that are wished for at once.
const WISHES: usize = 1_000;

fn wish(number: usize) -> Wish {
    Wish {
        customer: 0,
        reference: format!("w-{number}"),
        recipient: format!("+8210{number:08}"),
        units: 1,
        key: None,
        policy: Policy::Fail,
        attached: None,
        said: Vec::new(),
    }
}

fn body(wish: &Wish) -> Value {
    json!({ "channel": "sms", "recipient": wish.recipient, "body": "hello", "reference": wish.reference })
}

/// Makes all calls at once: each on a connection of its own, all of them written but for the last byte before any is
/// whole, all of them whole before any answer is read.
fn at_once(gateway: &Gateway, path: &str, bodies: &[Value]) -> Vec<Reply> {
    let hold = |body| gateway.customer(0).hold("POST", path, body).unwrap();
    let mut calls: Vec<Held> = bodies.iter().map(hold).collect();
    assert!(calls.iter().all(|call| call.is_under_way().unwrap()));
    for call in &mut calls {
        call.let_go().unwrap();
    }
    calls.into_iter().map(|call| call.answer().unwrap()).collect()
}

/// A hundred batches at once.
fn ask_in_batches(gateway: &Gateway, wishes: &mut [Wish]) {
    let batch = |wishes: &[Wish]| json!({ "messages": wishes.iter().map(body).collect::<Vec<_>>() });
    let bodies: Vec<Value> = wishes.chunks(10).map(batch).collect();
    for (wishes, reply) in wishes.chunks_mut(10).zip(at_once(gateway, "/messages/batch", &bodies)) {
        let answer = reply.json();
        let accepted = answer["accepted"].as_u64().unwrap();
        assert_eq!(reply.status, if accepted > 0 { 202 } else { 429 }, "{answer}");
        let results = answer["results"].as_array().unwrap();
        assert_eq!(results.len(), wishes.len());
        for (wish, result) in wishes.iter_mut().zip(results) {
            wish.said.push(Said::of_item(result));
        }
    }
}

/// Makes all wishes at a gateway with this quota, and judges the run: exactly [`LIMIT`] are charged, delivered and told of,
/// and of the rest nothing.
fn exactly_the_limit(quota: u64, ask: impl FnOnce(&mut Gateway, &Journals, &mut [Wish])) {
    let _alone = alone();
    let receiver = Receiver::start(&[]);
    let routes = vec![RouteSpec::http("demo", receiver.process.address, OnUncertain::Fail)];
    let subscription = Some(witness::SUBSCRIPTION.to_owned());
    let setup = Setup { routes, quota: Some(quota), subscription, ..Setup::default() };
    let mut gateway = Gateway::prepare(&setup).unwrap();
    let mut wishes: Vec<Wish> = (0..WISHES).map(wish).collect();
    ask(&mut gateway, &receiver.journals, &mut wishes);
    let mut evidence = Evidence { wishes, limit: Some(LIMIT), ..Evidence::default() };
    witness::gather(&mut gateway, &receiver.journals, Duration::from_secs(30), &mut evidence).unwrap();
    let findings = checker::check(&evidence);
    assert_eq!(findings.broken, Vec::<String>::new());
    let of = |end: &str| findings.finals.get(end).copied().unwrap_or(0);
    let refused = evidence.wishes.iter().filter(|wish| wish.refused_for("quota-exceeded")).count() as u64;
    eprintln!("{refused} refused; {:?}", findings.finals);
    assert_eq!((findings.used, findings.arrivals, of("delivered (ok)")), (LIMIT, LIMIT, LIMIT));
    assert_eq!(refused + of("rejected (quota-exceeded)"), WISHES as u64 - LIMIT);
}

#[test]
fn of_a_thousand_calls_in_flight_at_a_limit_of_a_hundred_exactly_a_hundred_are_charged_and_delivered() {
    exactly_the_limit(LIMIT, |gateway, journals, wishes| {
        gateway.start(&[journals.subscriber()]).unwrap();
        let bodies: Vec<Value> = wishes.iter().map(body).collect();
        for (wish, reply) in wishes.iter_mut().zip(at_once(gateway, "/messages", &bodies)) {
            assert!(matches!(reply.status, 202 | 429), "{} {}", reply.status, reply.json());
            assert_eq!(reply.status == 429, reply.header("retry-after").is_some());
            wish.said.push(Said::of_call(&Ok(reply)));
        }
    });
}

#[test]
fn of_a_thousand_messages_in_a_hundred_batches_in_flight_exactly_a_hundred_are_charged_and_delivered() {
    exactly_the_limit(LIMIT, |gateway, journals, wishes| {
        gateway.start(&[journals.subscriber()]).unwrap();
        ask_in_batches(gateway, wishes);
    });
}

#[test]
fn of_a_thousand_messages_accepted_before_the_limit_was_lowered_exactly_a_hundred_are_charged_and_delivered()
{
    exactly_the_limit(WISHES as u64, |gateway, journals, wishes| {
        // No worker has seen them when the limit becomes what it is: the ledger alone decides.
        gateway.argue(&["--workers", "0"]);
        gateway.start(&[]).unwrap();
        ask_in_batches(gateway, wishes);
        assert!(wishes.iter().all(|wish| wish.accepted().is_some()));
        gateway.drain().unwrap();
        gateway.verb(&["quota", "set", "c0", &LIMIT.to_string(), "--period", "month"]).unwrap();
        gateway.argue(&[]);
        gateway.start(&[journals.subscriber()]).unwrap();
    });
}
