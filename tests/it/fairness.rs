//! One customer cannot starve another.

use std::{
    thread,
    time::{Duration, Instant},
};

use naru_tests::gateway::{Gateway, Setup};

use crate::stage::{accept, alone, message, until};

/// Messages of the one who floods; a hundred thousand is the promise, and what is run.
const FLOOD: usize = 100_000;

#[test]
fn a_message_is_delivered_within_a_second_beside_a_hundred_thousand_of_another() {
    let _alone = alone();
    let gateway = Gateway::spawn(&Setup { customers: 2, ..Setup::default() }).unwrap();
    let times = thread::scope(|scope| {
        let mut flooder = gateway.customer(0);
        let flood = scope.spawn(move || {
            let batch: Vec<_> = (0..500).map(|i| message("sms", &format!("a-{i}"))).collect();
            for _ in 0..FLOOD / 500 {
                assert_eq!(flooder.batch(&batch).unwrap().status, 202);
            }
        });
        let mut other = gateway.customer(1);
        let mut times = Vec::new();
        let mut ask = |reference: &str| {
            let id = accept(&mut other, &message("sms", reference), None);
            let began = Instant::now();
            until(&mut other, &id, &["delivered"], Duration::from_secs(20));
            times.push(began.elapsed());
        };
        while !flood.is_finished() {
            thread::sleep(Duration::from_millis(200));
            ask("during");
        }
        ask("after");
        flood.join().unwrap();
        times
    });
    let slowest = times.iter().max().unwrap();
    assert!(*slowest < Duration::from_secs(1), "{times:?}");
}
