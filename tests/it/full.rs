//! A route that is full gives way: what has waited for ten seconds goes by the next, and nothing else.

use std::{collections::HashMap, thread, time::Duration};

use naru_shared::domain::OnUncertain;
use naru_tests::{
    deployment::Carries,
    gateway::{RouteSpec, Setup},
    monotonic::nanos,
    place::{On, Place},
};

use crate::stage::{Receiver, accept, beside_others, message, until};

const PATIENCE: Duration = Duration::from_secs(90);

/// Couriers of the route in each worker, and how long each of its attempts takes.
const COURIERS: u32 = 2;
const SLOW_MS: &str = "4000";

/// A route is full, and a message has waited for long, after so much time.
const FULL: Duration = Duration::from_secs(10);

/// Clocks of the messages and of whoever counts here are not the same.
const SKEW: Duration = Duration::from_millis(200);

fn gives_way(on: On, messages: usize) {
    let _beside = beside_others();
    let (slow, spare) = (Receiver::start(&["--slow-ms", SLOW_MS]), Receiver::start(&[]));
    let narrow = RouteSpec {
        concurrency: COURIERS,
        attempt_timeout_ms: 10_000,
        ..RouteSpec::http("narrow", slow.process.address, OnUncertain::Fail)
    };
    let other =
        RouteSpec { concurrency: 4, ..RouteSpec::http("spare", spare.process.address, OnUncertain::Fail) };
    let setup = Setup { routes: vec![narrow, other], quota: Some(1_000), ..Setup::default() };
    let place = Place::spawn(on, &setup).unwrap();
    place.verb(&["route", "set", "narrow", "--fallback", "spare"]).unwrap();
    thread::sleep(Duration::from_millis(1_500));
    let mut customer = place.customer(0);
    // When each was sent, at the earliest.
    let mut sent: HashMap<String, u64> = HashMap::new();
    let mut send = |name: &str, count: usize| {
        for i in 0..count {
            let at = nanos();
            sent.insert(accept(&mut customer, &message("narrow", &format!("{name}-{i}")), None), at);
        }
    };
    send("first", messages);
    // They come while the route has been full for a while, and have waited for nothing yet.
    thread::sleep(Duration::from_secs(8));
    send("later", 4);
    let mut by: HashMap<String, String> = HashMap::new();
    for id in sent.keys() {
        let view = until(&mut customer, id, &["delivered"], PATIENCE);
        assert_eq!((view["attempts"].as_u64(), view["charged"].as_bool()), (Some(1), Some(true)), "{view}");
        by.insert(id.clone(), view["route"].as_str().unwrap().to_owned());
    }
    let (slowly, elsewhere) = (slow.arrivals(), spare.arrivals());
    println!("{} by the route, {} by the other", slowly.len(), elsewhere.len());
    assert_eq!(slowly.len() + elsewhere.len(), sent.len(), "each has reached one backend, once");
    assert!(!elsewhere.is_empty() && !slowly.is_empty());
    for (arrivals, route) in [(&slowly, "narrow"), (&elsewhere, "spare")] {
        for arrival in arrivals {
            assert_eq!(by[&arrival.id], route, "the report names who delivered it: {arrival:?}");
            assert_eq!((&arrival.key, arrival.attempt, arrival.labelled), (&arrival.id, 1, false));
        }
    }
    for arrival in &elsewhere {
        let waited = Duration::from_nanos(arrival.at - sent[&arrival.id]);
        assert!(waited + SKEW >= FULL, "it had waited for {waited:?} only: {arrival:?}");
    }
    let moved = &elsewhere[0].id;
    let shown = place.verb(&["message", "show", moved]).unwrap();
    assert!(shown.contains("rerouted to spare"), "{shown}");
    let used = customer.get("/quota").unwrap().json()["quotas"][0]["used"].as_u64();
    assert_eq!(used, Some(sent.len() as u64));
}

#[test]
fn a_full_route_gives_way_to_the_next_with_what_has_waited_long() {
    gives_way(On::Embedded, 24);
}

#[test]
fn a_full_route_gives_way_to_the_next_with_what_has_waited_long_with_two_workers() {
    gives_way(On::Wide(Carries::RabbitMq), 40);
}
