use serde_json::json;

use crate::gateway::{Gateway, JSON, LIVE, Setup, rate, sms};

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_prices_and_routes_and_leaves_nothing_behind() {
    let gateway = Gateway::with(Setup { quota: Some(1), ..Setup::default() }).await;
    let mut message = sms("hello");
    message["reference"] = json!("r-1");
    for _ in 0..3 {
        let headers = [LIVE, JSON, ("Idempotency-Key", "k-1")];
        let reply = gateway.call("POST", "/v1.0/messages?dry_run=true", &headers, &message.to_string()).await;
        assert_eq!((reply.status, reply.header("location")), (200, None));
        let said = json!({"dry_run": true, "reference": "r-1", "units": 1, "route": "carrier-a"});
        assert_eq!(reply.json(), said);
    }
    assert!(gateway.messages().await.is_empty(), "nothing was sent");
    // Neither the key nor the quota of one was touched: other content under the key is accepted.
    let sent = gateway.post_keyed("k-1", &sms("other")).await;
    assert_eq!(sent.status, 202);
    assert_eq!(gateway.post("/v1.0/messages", &sms("more")).await.code(), "quota-exceeded");
    assert_eq!(gateway.messages().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_refuses_what_would_be_refused() {
    let gateway = Gateway::spawn().await;
    let dry =
        async |body: String| gateway.call("POST", "/v1.0/messages?dry_run=true", &[LIVE, JSON], &body).await;
    let cases = [
        (json!({"channel": "sms", "recipient": "010", "body": "x"}).to_string(), 422, "invalid-recipient"),
        (json!({"channel": "kakao", "recipient": "x", "body": "x"}).to_string(), 422, "no-route"),
        (
            json!({"channel": "sms", "recipient": "+821012345678", "body": "x", "price": 0}).to_string(),
            422,
            "unknown-field",
        ),
        ("{".to_owned(), 400, "malformed-json"),
    ];
    for (body, status, code) in cases {
        let reply = dry(body).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code));
    }
    for query in ["dry_run", "dry_run=yes", "dryrun=true", "dry_run=true&dry_run=true", "wait=1"] {
        for path in ["/v1.0/messages", "/v1.0/messages/batch"] {
            let reply = gateway.post(&format!("{path}?{query}"), &sms("a")).await;
            assert_eq!((reply.status, reply.code().as_str()), (400, "invalid-parameter"), "{path}?{query}");
        }
    }
    assert!(gateway.messages().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_rehearsed_item_by_item() {
    let gateway = Gateway::spawn().await;
    let keyed = |key: &str, body: &str| {
        let mut message = sms(body);
        message["key"] = json!(key);
        message
    };
    let messages = [keyed("a", "x"), keyed("a", "x"), keyed("a", "y"), json!({"channel": "sms"})];
    let reply = gateway.post("/v1.0/messages/batch?dry_run=true", &json!({ "messages": messages })).await;
    assert_eq!(reply.status, 200);
    let said = reply.json();
    assert_eq!((&said["dry_run"], &said["accepted"], &said["refused"]), (&json!(true), &json!(2), &json!(2)));
    let fits = json!({"index": 0, "key": "a", "result": "accepted", "units": 1, "route": "carrier-a"});
    assert_eq!(said["results"][0], fits);
    assert_eq!(said["results"][2]["problem"]["code"], "idempotency-conflict");
    let none = gateway.post("/v1.0/messages/batch?dry_run=true", &json!({ "messages": [{}] })).await;
    assert_eq!(none.status, 422);
    assert!(gateway.messages().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_counts_against_the_rates_and_none_that_is_refused_does() {
    let gateway = Gateway::with(Setup { rates: vec![rate(1, 3_600, 3)], ..Setup::default() }).await;
    let dry = async || gateway.post("/v1.0/messages?dry_run=true", &sms("a")).await;
    for left in [2, 1, 0] {
        let reply = dry().await;
        assert_eq!(reply.status, 200);
        assert!(reply.header("ratelimit").unwrap().contains(&format!("r={left}")));
    }
    assert_eq!((dry().await.status, dry().await.code().as_str()), (429, "rate-limited"));
}
