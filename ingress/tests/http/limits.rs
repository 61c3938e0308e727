use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    gateway::{Gateway, JSON, LIVE, request, sms},
    wire::Wire,
};

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_methods_that_are_not_ours_are_problems() {
    let gateway = Gateway::spawn().await;
    for path in [
        "/",
        "/v1.0",
        "/v2.0/messages",
        "/v1.0/messages/",
        "/v1.0//messages",
        "/v1.0/messages/%2e%2e",
        "/v1.0/reports%2fack",
    ] {
        let reply = gateway.get(path).await;
        assert_eq!((reply.status, reply.code().as_str()), (404, "not-found"), "{path}");
    }
    for (method, path, allow) in [
        ("GET", "/v1.0/messages", "POST"),
        ("PUT", "/v1.0/messages/batch", "POST"),
        ("POST", "/sandbox/v1.0/messages/msg_1", "GET, DELETE"),
        ("TRACE", "/v1.0/quota", "GET"),
        ("DELETE", "/problems/rate-limited", "GET"),
    ] {
        let reply = gateway.call(method, path, &[LIVE], "").await;
        assert_eq!((reply.status, reply.code().as_str()), (405, "method-not-allowed"), "{method} {path}");
        assert_eq!(reply.header("allow"), Some(allow));
    }
    let page = gateway.call("GET", "/problems/rate-limited", &[], "").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(gateway.call("GET", "/problems/unheard-of", &[], "").await.code(), "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_plain_json_within_their_size() {
    let gateway = Gateway::spawn().await;
    let body = sms("a").to_string();
    let post = |headers: Vec<(&'static str, &'static str)>, body: String| {
        let gateway = &gateway;
        async move {
            let mut all = vec![LIVE];
            all.extend(headers);
            let reply = gateway.call("POST", "/v1.0/messages", &all, &body).await;
            (reply.status, reply.code())
        }
    };
    let expect = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(post(vec![], body.clone()).await, expect(415, "unsupported-media-type"));
    assert_eq!(
        post(vec![("Content-Type", "text/plain")], body.clone()).await,
        expect(415, "unsupported-media-type")
    );
    assert_eq!(
        post(vec![JSON, ("Content-Encoding", "gzip")], body.clone()).await,
        expect(415, "unsupported-encoding")
    );
    assert_eq!(post(vec![JSON], String::new()).await, expect(400, "malformed-json"));
    assert_eq!(post(vec![JSON], "{\"body\":\"\\u0000\"}".into()).await, expect(400, "malformed-json"));
    assert_eq!(
        post(vec![JSON, ("Idempotency-Key", "\"open")], body.clone()).await,
        expect(422, "invalid-key")
    );
    assert_eq!(
        post(vec![JSON], sms(&"x".repeat(256 * 1024)).to_string()).await,
        expect(413, "body-too-large")
    );
    let largest = sms(&"x".repeat(255 * 1024)).to_string();
    assert_eq!(gateway.call("POST", "/v1.0/messages", &[LIVE, JSON], &largest).await.status, 202);
    assert_eq!(gateway.messages().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_is_bounded_too() {
    let gateway = Gateway::spawn().await;
    let mut wire = Wire::open(gateway.addr).await;
    let head = request("GET", "/v1.0/messages", &[LIVE, JSON, ("Transfer-Encoding", "chunked")], "");
    wire.send(&[b"POST", &head[3..]].concat()).await;
    let chunk = format!("{:x}\r\n{}\r\n", 64 * 1024, " ".repeat(64 * 1024));
    for _ in 0..5 {
        wire.send(chunk.as_bytes()).await;
    }
    let reply = wire.reply().await.unwrap();
    assert_eq!((reply.status, reply.code().as_str()), (413, "body-too-large"));
    assert!(wire.ends().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_too_slowly_is_cut_off() {
    let gateway = Gateway::spawn().await;
    let mut wire = Wire::open(gateway.addr).await;
    let began = Instant::now();
    let bytes = request("POST", "/v1.0/messages", &[LIVE, JSON], &sms("a").to_string());
    wire.send(&bytes[..bytes.len() - 1]).await;
    let reply = wire.reply().await.unwrap();
    assert_eq!((reply.status, reply.code().as_str()), (408, "request-timeout"));
    let took = began.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(13)).contains(&took), "{took:?}");
    assert!(wire.ends().await);
    assert!(gateway.messages().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_is_bounded() {
    let gateway = Gateway::spawn().await;
    let long = "a".repeat(17 * 1024);
    let reply = gateway.call("GET", "/v1.0/quota", &[LIVE, ("X-Long", &long)], "").await;
    assert_eq!((reply.status, reply.code().as_str()), (431, "head-too-large"));
    let many = vec![("X-Many", "1"); 70];
    assert_eq!(gateway.call("GET", "/v1.0/quota", &many, "").await.code(), "head-too-large");
    let path = format!("/v1.0/{}", "a".repeat(5_000));
    assert_eq!(gateway.get(&path).await.code(), "uri-too-long");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_on_which_one_call_follows_another_without_a_pause_is_not_cut_off() {
    let gateway = Gateway::spawn().await;
    let mut wire = Wire::open(gateway.addr).await;
    // Nothing is waited for in such a call, and its answer takes the next one with it: longer than a head may take, in all.
    let (call, began) = (b"GET /problems/not-found HTTP/1.1\r\nHost: naru\r\n\r\n", Instant::now());
    while began.elapsed() < Duration::from_secs(6) {
        wire.send(call).await;
        let reply = wire.reply().await.unwrap_or_else(|| panic!("cut off after {:?}", began.elapsed()));
        assert_eq!(reply.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_comes_too_slowly_is_cut_off() {
    let gateway = Gateway::spawn().await;
    let began = Instant::now();
    let mut slow = Wire::open(gateway.addr).await;
    slow.send(b"GET /v1.0/quota HTTP/1.1\r\nHost: naru\r\n").await;
    // With a word or without one, but not before its time, and not much after it.
    if let Some(reply) = slow.reply().await {
        assert_eq!(reply.status, 408);
        assert!(slow.ends().await);
    }
    let took = began.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(9)).contains(&took), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_call_does_not_become_another() {
    let gateway = Gateway::spawn().await;
    let mut wire = Wire::open(gateway.addr).await;
    let inner =
        String::from_utf8(request("POST", "/v1.0/messages", &[LIVE, JSON], &sms("smuggled").to_string()))
            .unwrap();
    let two = format!(
        "POST /v1.0/messages HTTP/1.1\r\nHost: naru\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}"
    );
    wire.send(two.as_bytes()).await;
    let first = wire.reply().await.unwrap();
    assert!(first.status >= 400, "{first:?}");
    assert!(wire.ends().await);
    assert!(gateway.messages().await.is_empty());
    let unread = request("POST", "/v1.0/messages", &[JSON], &json!({"x": inner}).to_string());
    let reply = gateway.raw(&unread).await;
    assert_eq!(reply.code(), "missing-authorization");
    assert!(gateway.messages().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_body_of_a_refused_call_is_not_read_on() {
    let gateway = Gateway::spawn().await;
    for (method, path) in [("POST", "/v1.0/messages"), ("GET", "/v1.0/quota"), ("GET", "/nowhere")] {
        let mut wire = Wire::open(gateway.addr).await;
        wire.send(
            &request("GET", path, &[("Transfer-Encoding", "chunked")], "")
                .strip_prefix(b"GET")
                .map(|rest| [method.as_bytes(), rest].concat())
                .unwrap(),
        )
        .await;
        wire.send(b"5\r\nhello\r\n").await;
        assert!(wire.reply().await.unwrap().status >= 400, "{path}");
        assert!(wire.ends().await, "{method} {path}: the connection ends although the body does not");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_kept_when_a_call_was_read_to_its_end() {
    let gateway = Gateway::spawn().await;
    let mut wire = Wire::open(gateway.addr).await;
    for body in ["{}".to_owned(), sms("a").to_string(), "{".to_owned()] {
        wire.send(&request("POST", "/v1.0/messages", &[LIVE, JSON], &body)).await;
        let reply = wire.reply().await.expect("the same connection");
        assert_ne!(reply.header("connection"), Some("close"));
        assert!([202, 400, 422].contains(&reply.status), "{reply:?}");
    }
}
