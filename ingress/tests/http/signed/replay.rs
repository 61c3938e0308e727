//! The same call again.

use naru_shared::domain::GatePolicy;
use serde_json::json;

use super::{call::Call, status, told};
use crate::gateway::{Gateway, Setup, sms};

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_nonce_is_refused_and_sends_nothing() {
    let gateway = Gateway::spawn().await;
    let call = Call::post("/v1.0/messages", &sms("once"));
    assert_eq!(call.send(&gateway).await.status, 202);
    for _ in 0..2 {
        assert_eq!(status(&call.send(&gateway).await), told(401, "nonce-replayed"));
    }
    // Nor for another call of the same credential; another credential has nonces of its own.
    let nonce = call.nonce.clone();
    let other = Call { nonce: nonce.clone(), ..Call::get("/v1.0/quota") };
    assert_eq!(status(&other.send(&gateway).await), told(401, "nonce-replayed"));
    let another = Call { nonce, ..Call::get("/v1.0/quota").by("other-hmac") };
    assert_eq!(another.send(&gateway).await.status, 200);
    assert_eq!(gateway.messages().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_same_call_many_times_at_once_one_is_taken() {
    let gateway = Gateway::spawn().await;
    let call = Call::post("/v1.0/messages", &sms("once"));
    let replies = futures_util::future::join_all((0..50).map(|_| call.send(&gateway))).await;
    let accepted = replies.iter().filter(|reply| reply.status == 202).count();
    assert_eq!(accepted, 1);
    assert!(replies.iter().filter(|r| r.status != 202).all(|r| r.code() == "nonce-replayed"));
    assert_eq!(gateway.messages().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_spends_another_s_nonce() {
    let gateway = Gateway::spawn().await;
    let call = Call::post("/v1.0/messages", &sms("mine"));
    // Seen on its way, and sent before it, with whatever an attacker can make.
    let forged = Call { secret: vec![9; 32], ..call.clone() };
    assert_eq!(status(&forged.send(&gateway).await), told(401, "unauthorized"));
    let changed = Call { body: sms("changed").to_string().into_bytes(), ..call.clone() };
    assert_eq!(status(&changed.send_with(&gateway, &call).await), told(401, "signed-digest-mismatch"));
    assert_eq!(call.send(&gateway).await.status, 202);
}

/// Every answer names the same messages, and what intake sees twice under one id it sends once.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_gate_is_away_a_replay_gets_the_first_answer_s_id() {
    let gateway = Gateway::with(Setup { gate_policy: Some(GatePolicy::Open), ..Setup::default() }).await;
    let call = Call::post("/v1.0/messages", &sms("once"));
    let ids = async |call: &Call| {
        let reply = call.send(&gateway).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        let json = reply.json();
        match json["results"].as_array() {
            None => vec![json["id"].clone()],
            Some(results) => results.iter().map(|item| item["id"].clone()).collect(),
        }
    };
    let first = ids(&call).await;
    assert_eq!(ids(&call).await, first);
    // The content is the same in all that follows, so that only the call tells them apart.
    let other = Call { nonce: "another-nonce".to_owned(), ..call.clone() };
    assert_ne!(ids(&other).await, first);
    let batch = json!({ "messages": [sms("once"), sms("once"), { "key": "k", "channel": "sms", "recipient": "+821012345678", "body": "once" }] });
    let batch = Call { nonce: call.nonce.clone(), ..Call::post("/v1.0/messages/batch", &batch) };
    let items = ids(&batch).await;
    assert_eq!(ids(&batch).await, items);
    assert!(items[0] != items[1] && items[1] != items[2] && !items.contains(&first[0]), "{items:?}");
    // A key that a customer writes is none of these.
    for key in [call.nonce.clone(), format!("acme-hmac{}", call.nonce), format!("acme-hmac:{}", call.nonce)] {
        let keyed = Call { nonce: format!("n-{key}"), ..call.clone() }.with("Idempotency-Key", &key);
        assert_ne!(ids(&keyed).await, first, "{key}");
    }
    let queued = gateway.messages().await;
    let mut all: Vec<String> = queued.iter().map(|(_, message)| message.id.to_string()).collect();
    assert!(queued.iter().filter(|(_, m)| m.id.to_string() == first[0]).all(|(_, m)| m.key.is_none()));
    all.sort_unstable();
    all.dedup();
    assert_eq!((queued.len(), all.len()), (12, 8), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_gate_is_away_a_customer_who_said_closed_is_refused() {
    let gateway = Gateway::with(Setup { gate_policy: Some(GatePolicy::Closed), ..Setup::default() }).await;
    let reply = Call::post("/v1.0/messages", &sms("once")).send(&gateway).await;
    assert_eq!(status(&reply), told(503, "unavailable"));
}

/// Where the gate forgot what came before, the customer's key still is the customer's.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_signed_cannot_be_added_or_changed() {
    let gateway = Gateway::with(Setup { gate_policy: Some(GatePolicy::Open), ..Setup::default() }).await;
    let call = Call::post("/v1.0/messages", &sms("once"));
    let mut added = call.clone();
    added.headers.push(("Idempotency-Key".to_owned(), "forged".to_owned()));
    assert_eq!(status(&added.send_with(&gateway, &call).await), told(401, "signature-incomplete"));
    let keyed = call.with("Idempotency-Key", "mine");
    let mut changed = keyed.clone();
    changed.headers.retain(|(name, _)| name != "Idempotency-Key");
    changed.headers.push(("Idempotency-Key".to_owned(), "forged".to_owned()));
    assert_eq!(status(&changed.send_with(&gateway, &keyed).await), told(401, "unauthorized"));
    changed.headers.pop();
    assert_eq!(status(&changed.send_with(&gateway, &keyed).await), told(401, "malformed-signature"));
    assert!(gateway.messages().await.is_empty());
}
