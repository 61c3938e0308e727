//! Whoever guesses waits; a caller that proves itself does not, behind the same address.

use std::time::{Duration, Instant};

use naru_ingress::IngressConfig;

use crate::{
    gateway::{Gateway, LIVE, Setup, request},
    wire::Wire,
};

const WAIT: Duration = Duration::from_millis(700);

/// How many answers of this status there were at once, of so many calls on one connection, until the first that waited.
async fn at_once(wire: &mut Wire, call: &[u8], most: usize) -> usize {
    for number in 0..most {
        let began = Instant::now();
        wire.send(call).await;
        assert_eq!(wire.reply().await.unwrap().status, 401);
        if began.elapsed() >= WAIT {
            return number;
        }
    }
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_wait_once_they_are_many_and_calls_that_prove_themselves_do_not() {
    let config = IngressConfig { guess_wait_ms: 700, ..Setup::default().config };
    let gateway = Gateway::with(Setup { config, ..Setup::default() }).await;
    let wrong = request("GET", "/v1.0/quota", &[("Authorization", "Basic YTpiOmM=")], "");
    let good = request("GET", "/v1.0/quota", &[LIVE], "");
    let mut guesser = Wire::open(gateway.addr).await;
    let free = at_once(&mut guesser, &wrong, 500).await;
    assert!((100..300).contains(&free), "{free} refusals did not wait");
    // From another connection too: it is the address that guesses.
    let mut other = Wire::open(gateway.addr).await;
    assert!(at_once(&mut other, &wrong, 10).await < 8);
    guesser.send(&wrong).await;
    let began = Instant::now();
    other.send(&good).await;
    assert_eq!(other.reply().await.unwrap().status, 200);
    assert!(began.elapsed() < WAIT / 2, "a good call waited for {:?}", began.elapsed());
    assert_eq!(guesser.reply().await.unwrap().status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guess_that_waits_does_not_hold_up_the_end() {
    let config = IngressConfig { guess_wait_ms: 5_000, ..Setup::default().config };
    let gateway = Gateway::with(Setup { config, ..Setup::default() }).await;
    let wrong = request("GET", "/v1.0/quota", &[("Authorization", "Basic YTpiOmM=")], "");
    let mut guesser = Wire::open(gateway.addr).await;
    for _ in 0..100 {
        guesser.send(&wrong).await;
        assert_eq!(guesser.reply().await.unwrap().status, 401);
    }
    // A few more are paid for by the time that these took.
    let (began, mut all) = (Instant::now(), Vec::new());
    for _ in 0..20 {
        let mut wire = Wire::open(gateway.addr).await;
        wire.send(&wrong).await;
        all.push(wire);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    gateway.stop.cancel();
    for wire in &mut all {
        assert_eq!(wire.reply().await.unwrap().status, 401);
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}
