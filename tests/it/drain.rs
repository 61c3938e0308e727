//! SIGTERM under load.

use std::{collections::HashMap, sync::Mutex, thread, time::Duration};

use naru_shared::domain::OnUncertain;
use naru_tests::gateway::{DRAIN, Gateway, RouteSpec, Setup};

use crate::stage::{Receiver, alone, message, reports};

#[test]
fn a_drain_under_load_keeps_what_was_answered_and_sends_nothing_twice() {
    let _alone = alone();
    let receiver = Receiver::start(&[]);
    let route = RouteSpec::http("demo", receiver.process.address, OnUncertain::Retry);
    let mut gateway = Gateway::spawn(&Setup { routes: vec![route], ..Setup::default() }).unwrap();
    let accepted = Mutex::new(Vec::new());
    let took = thread::scope(|scope| {
        for caller in 0..16 {
            let (mut customer, accepted) = (gateway.customer(0), &accepted);
            scope.spawn(move || {
                for call in 0.. {
                    // A connection that ends, or one that is refused: the gateway drains.
                    let Ok(reply) = customer.send(&message("sms", &format!("{caller}-{call}")), None) else {
                        return;
                    };
                    if reply.status != 202 {
                        return;
                    }
                    accepted.lock().unwrap().push(reply.json()["id"].as_str().unwrap().to_owned());
                }
            });
        }
        thread::sleep(Duration::from_secs(1));
        gateway.drain().unwrap()
    });
    assert!(took < DRAIN, "{took:?}");
    let accepted = accepted.into_inner().unwrap();
    assert!(accepted.len() > 100, "{}", accepted.len());
    gateway.start(&[]).unwrap();
    let reports = reports(&mut gateway.customer(0), accepted.len(), Duration::from_secs(60));
    let delivered = reports.iter().filter(|report| report["status"] == "delivered").count();
    assert_eq!(delivered, reports.len(), "a drain interrupts no attempt");
    let mut times = HashMap::new();
    for arrival in receiver.arrivals() {
        assert!(!arrival.labelled);
        *times.entry(arrival.id).or_insert(0) += 1;
    }
    for id in &accepted {
        assert_eq!(times.get(id), Some(&1), "{id}");
    }
}
