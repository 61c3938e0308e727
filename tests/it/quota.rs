//! A quota is money: exact, whatever comes at once.

use std::{thread, time::Duration};

use naru_shared::domain::OnUncertain;
use naru_tests::gateway::{Gateway, RouteSpec, Setup};

use crate::stage::{Receiver, alone, message, reports, used};

#[test]
fn of_a_thousand_calls_at_once_at_a_limit_of_a_hundred_exactly_a_hundred_are_charged_and_delivered() {
    let _alone = alone();
    let receiver = Receiver::start(&[]);
    let route = RouteSpec::http("demo", receiver.process.address, OnUncertain::Fail);
    let setup = Setup { routes: vec![route], quota: Some(100), ..Setup::default() };
    let gateway = Gateway::spawn(&setup).unwrap();
    let accepted: usize = thread::scope(|scope| {
        let callers = (0..50).map(|caller| {
            let mut customer = gateway.customer(0);
            scope.spawn(move || {
                let calls = (0..20).map(|call| {
                    let reply = customer.send(&message("sms", &format!("{caller}-{call}")), None).unwrap();
                    let refused = reply.status == 429 && reply.json()["code"] == "quota-exceeded";
                    assert!(reply.status == 202 || refused, "{} {}", reply.status, reply.json());
                    assert_eq!(refused, reply.header("retry-after").is_some());
                    usize::from(reply.status == 202)
                });
                calls.sum::<usize>()
            })
        });
        callers.collect::<Vec<_>>().into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    assert!(accepted >= 100, "{accepted}");
    let reports = reports(&mut gateway.customer(0), accepted, Duration::from_secs(20));
    let of = |status: &str| reports.iter().filter(|report| report["status"] == status).count();
    assert_eq!((of("delivered"), of("rejected")), (100, accepted - 100));
    assert_eq!(receiver.arrivals().len(), 100);
    assert_eq!(used(&gateway), 100);
}
