use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::{
    faulty::Fault,
    gateway::{Gateway, JSON, LIVE, Setup, rate, sms},
};

fn keyed(key: &str, body: &str) -> Value {
    let mut message = sms(body);
    message["key"] = json!(key);
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn each_item_of_a_batch_stands_on_its_own() {
    let gateway = Gateway::spawn().await;
    let mut bad = keyed("bad", "b");
    bad["recipient"] = json!("010");
    let items = json!([
        keyed("a-1", "a"), bad, keyed("a-1", "a"), keyed("a-1", "changed"), 5, sms("plain"), {"channel": "sms"}
    ]);
    let mut body = json!({ "messages": items }).to_string();
    body.insert_str(
        body.len() - 2,
        r#",{"channel":"sms","recipient":"+821012345678","body":"x","data":{"a":1,"a":2}}"#,
    );
    let reply = gateway.call("POST", "/v1.0/messages/batch", &[LIVE, JSON], &body).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    let answer = reply.json();
    assert_eq!(
        (&answer["accepted"], &answer["refused"], &answer["unknown"]),
        (&json!(3), &json!(5), &json!(0))
    );
    let results = answer["results"].as_array().unwrap();
    let code = |n: usize| results[n]["problem"]["code"].as_str();
    assert_eq!((results[0]["key"].as_str(), results[0]["index"].as_u64()), (Some("a-1"), Some(0)));
    assert_eq!(results[0]["id"], results[2]["id"]);
    assert_eq!(code(1), Some("invalid-recipient"));
    // Its sender finds each again by its key, where it has one that can be read.
    let keys: Vec<Option<&str>> = results.iter().map(|result| result["key"].as_str()).collect();
    let known = Some("a-1");
    assert_eq!(keys, [known, Some("bad"), known, known, None, None, None, None]);
    assert_eq!(code(3), Some("idempotency-conflict"));
    assert_eq!(code(4), Some("invalid-message"));
    assert_eq!(results[5]["result"], "accepted");
    assert_eq!(code(6), Some("invalid-recipient"));
    assert_eq!(code(7), Some("malformed-json"));
    assert_eq!(gateway.messages().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_are_accepted_in_few_packs_and_one_more_is_not() {
    let gateway = Gateway::spawn().await;
    let list =
        |n: usize| json!({ "messages": (0..n).map(|i| keyed(&i.to_string(), "x")).collect::<Vec<_>>() });
    let reply = gateway.post("/v1.0/messages/batch", &list(1_000)).await;
    assert_eq!((reply.status, reply.json()["accepted"].as_u64()), (202, Some(1_000)));
    assert_eq!(gateway.queue.packs.load(Ordering::SeqCst), 16);
    assert_eq!(gateway.messages().await.len(), 1_000);
    let again = gateway.post("/v1.0/messages/batch", &list(1_000)).await;
    assert_eq!(again.json(), reply.json());
    assert!(gateway.messages().await.is_empty(), "every key was known");
    let over = gateway.post("/v1.0/messages/batch", &list(1_001)).await;
    assert_eq!((over.status, over.code().as_str()), (422, "batch-too-large"));
    let empty = gateway.post("/v1.0/messages/batch", &list(0)).await;
    assert_eq!((empty.status, empty.code().as_str()), (422, "empty-batch"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_counts_as_many_as_it_has() {
    let gateway = Gateway::with(Setup { rates: vec![rate(10, 60, 10)], ..Setup::default() }).await;
    let list = |n: usize| json!({ "messages": vec![sms("x"); n] });
    let never = gateway.post("/v1.0/messages/batch", &list(11)).await;
    assert_eq!((never.status, never.code().as_str()), (422, "batch-too-large"));
    let reply = gateway.post("/v1.0/messages/batch", &list(6)).await;
    assert_eq!(reply.status, 202);
    assert!(reply.header("ratelimit").unwrap().starts_with("\"burst\";r=4;"));
    let over = gateway.post("/v1.0/messages/batch", &list(6)).await;
    assert_eq!((over.status, over.code().as_str()), (429, "rate-limited"));
    assert_eq!(gateway.messages().await.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_of_a_batch_follows_its_items() {
    let gateway = Gateway::with(Setup { quota: Some(1), ..Setup::default() }).await;
    let list = json!({ "messages": [sms("x"), sms("y")] });
    gateway.queue.set(Fault::Refuse);
    let refused = gateway.post("/v1.0/messages/batch", &json!({ "messages": [sms("x")] })).await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json()["results"][0]["problem"]["code"], "queue-unavailable");
    assert!(refused.header("retry-after").is_some());
    gateway.queue.set(Fault::None);
    let one = gateway.post("/v1.0/messages/batch", &list).await;
    assert_eq!((one.status, one.json()["accepted"].as_u64()), (202, Some(1)));
    let none = gateway.post("/v1.0/messages/batch", &list).await;
    assert_eq!(none.status, 429);
    let bad = gateway.post("/v1.0/messages/batch", &json!({ "messages": [1, 2] })).await;
    assert_eq!(bad.status, 422);
    assert_eq!(bad.header("content-type"), Some("application/json"));
}
