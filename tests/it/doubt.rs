//! What a route says happens when it cannot be known whether its backend took a message.

use std::time::Duration;

use naru_shared::domain::OnUncertain;
use naru_tests::gateway::{Gateway, RouteSpec, Setup};

use crate::stage::{Receiver, accept, beside_others, message, until, used};

const PATIENCE: Duration = Duration::from_secs(15);

fn gateway(receiver: &Receiver) -> Gateway {
    let route = |name: &str, policy| RouteSpec::http(name, receiver.process.address, policy);
    let routes = vec![
        route("fail", OnUncertain::Fail),
        route("hold", OnUncertain::Hold),
        route("retry", OnUncertain::Retry),
    ];
    Gateway::spawn(&Setup { routes, quota: Some(100), ..Setup::default() }).unwrap()
}

#[test]
fn a_route_that_fails_tells_so_and_releases_the_charge() {
    let _beside = beside_others();
    let receiver = Receiver::start(&["--cutting"]);
    let gateway = gateway(&receiver);
    let mut customer = gateway.customer(0);
    let id = accept(&mut customer, &message("fail", "f"), None);
    let view = until(&mut customer, &id, &["failed"], PATIENCE);
    assert_eq!((view["code"].as_str(), view["charged"].as_bool()), (Some("uncertain"), Some(false)));
    assert_eq!((used(&gateway), receiver.arrivals().len()), (0, 1));
}

#[test]
fn a_route_that_retries_labels_what_it_sends_again() {
    let _beside = beside_others();
    let receiver = Receiver::start(&["--cutting"]);
    let gateway = gateway(&receiver);
    let mut customer = gateway.customer(0);
    let id = accept(&mut customer, &message("retry", "r"), None);
    until(&mut customer, &id, &["delivered"], PATIENCE);
    let arrivals = receiver.arrivals();
    let seen: Vec<_> = arrivals.iter().map(|a| (a.key.as_str(), a.attempt, a.labelled)).collect();
    assert_eq!(seen, [(id.as_str(), 1, false), (id.as_str(), 2, true)]);
    assert_eq!(used(&gateway), 1);
}

#[test]
fn a_route_that_holds_waits_for_a_person_with_the_charge_reserved() {
    let _beside = beside_others();
    let receiver = Receiver::start(&["--cutting"]);
    let gateway = gateway(&receiver);
    let mut customer = gateway.customer(0);
    let ids: Vec<String> =
        (0..3).map(|i| accept(&mut customer, &message("hold", &i.to_string()), None)).collect();
    for id in &ids {
        until(&mut customer, id, &["held"], PATIENCE);
    }
    assert_eq!(used(&gateway), 3);
    assert_eq!(customer.cancel(&ids[0]).unwrap().status, 409);
    for (id, verdict) in ids.iter().zip(["delivered", "failed", "retry"]) {
        gateway.verb(&["uncertain", "resolve", id, "--as", verdict]).unwrap();
    }
    until(&mut customer, &ids[0], &["delivered"], PATIENCE);
    until(&mut customer, &ids[1], &["failed"], PATIENCE);
    until(&mut customer, &ids[2], &["delivered"], PATIENCE);
    assert_eq!(used(&gateway), 2);
    let again: Vec<_> = receiver.arrivals().into_iter().filter(|arrival| arrival.attempt > 1).collect();
    assert_eq!((again.len(), again[0].id.as_str(), again[0].labelled), (1, ids[2].as_str(), true));
}
