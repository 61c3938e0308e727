//! Publishes that fail, or of which it is not known.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    faulty::Fault,
    gateway::{Gateway, JSON, LIVE, Setup, request, sms},
    wire::Wire,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_publish_has_no_effect_and_frees_its_key() {
    let gateway = Gateway::spawn().await;
    gateway.queue.set(Fault::Refuse);
    let refused = gateway.post_keyed("k", &sms("a")).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "queue-unavailable"));
    gateway.queue.set(Fault::None);
    assert!(gateway.messages().await.is_empty());
    assert_eq!(gateway.post_keyed("k", &sms("other content")).await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_confirm_is_told_with_the_id_and_the_key_to_try_again_with() {
    let gateway = Gateway::spawn().await;
    gateway.queue.set(Fault::LoseAnswer);
    let keyed = gateway.post_keyed("k", &sms("a")).await;
    assert_eq!((keyed.status, keyed.code().as_str()), (503, "accept-unknown"));
    assert_eq!(keyed.json()["key"], "k");
    let plain = gateway.post("/v1.0/messages", &sms("b")).await;
    let batch = gateway.post("/v1.0/messages/batch", &json!({ "messages": [sms("c")] })).await;
    assert_eq!((batch.status, batch.json()["unknown"].as_u64()), (503, Some(1)));
    gateway.queue.set(Fault::None);
    let in_batch = &batch.json()["results"][0]["problem"];
    for (problem, body) in [(keyed.json(), "a"), (plain.json(), "b"), (in_batch.clone(), "c")] {
        let again = gateway.post_keyed(problem["key"].as_str().unwrap(), &sms(body)).await;
        assert_eq!(again.status, 202, "{again:?}");
        assert_eq!(again.json()["id"], problem["id"], "the same id, so that intake finds the duplicate");
    }
    let messages = gateway.messages().await;
    assert_eq!(messages.len(), 6);
    for (_, message) in &messages {
        let same =
            messages.iter().filter(|(_, m)| m.id == message.id && m.fingerprint == message.fingerprint);
        assert_eq!(same.count(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_customer_s_id_as_a_key_is_only_a_key() {
    let gateway = Gateway::spawn().await;
    let mine = gateway.post("/v1.0/messages", &sms("a")).await.json();
    let id = mine["id"].as_str().unwrap();
    let headers = [crate::gateway::OTHER, JSON, ("Idempotency-Key", id)];
    let theirs = gateway.call("POST", "/v1.0/messages", &headers, &sms("a").to_string()).await.json();
    assert_ne!(mine["id"], theirs["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_never_answers_is_not_waited_for() {
    let mut setup = Setup::default();
    setup.config.publish_timeout_ms = 300;
    let gateway = Gateway::with(setup).await;
    gateway.queue.set(Fault::Hang);
    let began = Instant::now();
    let body = sms("a");
    let calls = (0..8).map(|_| gateway.post("/v1.0/messages", &body));
    for reply in futures_util::future::join_all(calls).await {
        assert_eq!(reply.status, 503);
        assert!(["accept-unknown", "queue-unavailable"].contains(&reply.code().as_str()), "{reply:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    gateway.queue.set(Fault::None);
    assert_eq!(gateway.post("/v1.0/messages", &body).await.status, 202, "it recovers by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_flight_is_bounded_and_the_rest_is_told_to_come_again() {
    let mut setup = Setup::default();
    setup.config.publish_in_flight = 4;
    let gateway = Gateway::with(setup).await;
    gateway.queue.set(Fault::Slow);
    let body = sms("a");
    let flood = futures_util::future::join_all((0..12).map(|_| gateway.post("/v1.0/messages", &body)));
    let text = body.to_string();
    let calm = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        gateway.call("POST", "/v1.0/messages", &[crate::gateway::OTHER, JSON], &text).await
    };
    let (replies, other) = tokio::join!(flood, calm);
    assert_eq!(other.status, 202, "one who floods leaves room to others: {other:?}");
    assert_eq!(replies.iter().filter(|reply| reply.status == 202).count(), 2, "half of the room");
    for reply in replies.iter().filter(|reply| reply.status != 202) {
        assert_eq!((reply.status, reply.code().as_str()), (503, "overloaded"));
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
    gateway.queue.set(Fault::None);
    assert_eq!(gateway.messages().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_hangs_up_cannot_cancel_its_publish() {
    let gateway = Gateway::spawn().await;
    gateway.queue.set(Fault::Slow);
    let headers = [LIVE, JSON, ("Idempotency-Key", "k")];
    let mut wire = Wire::open(gateway.addr).await;
    wire.send(&request("POST", "/v1.0/messages", &headers, &sms("a").to_string())).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(wire);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    gateway.queue.set(Fault::None);
    let messages = gateway.messages().await;
    assert_eq!(messages.len(), 1);
    let again = gateway.post_keyed("k", &sms("a")).await;
    assert_eq!(again.status, 202, "the key has its first answer, though nobody heard it: {again:?}");
    assert_eq!(again.json()["id"], messages[0].1.id.to_string());
    assert!(gateway.messages().await.is_empty());
}
