//! Signed calls (RFC 9421) over raw sockets.

mod call;
mod hostile;
mod replay;

use naru_shared::{catalog::Entry, domain::Timestamp};
use serde_json::json;

use self::call::{Call, digest, now};
use crate::{
    gateway::{Gateway, LIVE, Setup, rate, sms},
    wire::Reply,
};

fn status(reply: &Reply) -> (u16, String) {
    (reply.status, if reply.status < 300 { String::new() } else { reply.code() })
}

fn told(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_message_batch_and_read_are_taken() {
    let gateway = Gateway::spawn().await;
    let single = Call::post("/v1.0/messages", &sms("signed")).send(&gateway).await;
    assert_eq!(single.status, 202, "{single:?}");
    let items = json!({ "messages": [sms("a"), sms("b")] });
    let batch = Call::post("/v1.0/messages/batch", &items).send(&gateway).await;
    assert_eq!((batch.status, batch.json()["accepted"].as_u64()), (202, Some(2)));
    let id = single.json()["id"].as_str().unwrap().to_owned();
    let read = Call::get(&format!("/v1.0/messages/{id}")).send(&gateway).await;
    assert_eq!((read.status, read.json()["status"].as_str()), (200, Some("queued")));
    let reports = Call { query: "?limit=5&wait=0".to_owned(), ..Call::get("/v1.0/reports") };
    assert_eq!(reports.send(&gateway).await.status, 200);
    let empty = Call { query: "?".to_owned(), ..Call::get("/v1.0/quota") };
    assert_eq!(empty.send(&gateway).await.status, 200, "a query that is empty");
    let sandbox = Call::post("/sandbox/v1.0/messages", &sms("c")).by("acme-hmac-test").send(&gateway).await;
    assert_eq!(sandbox.status, 202);
    assert_eq!(gateway.messages().await.len(), 3);
    assert_eq!(gateway.messages_of("sandbox").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_may_be_signed_than_must_be() {
    let gateway = Gateway::spawn().await;
    let body = sms("more");
    let call = Call::post("/v1.0/messages", &body)
        .with("Idempotency-Key", "order-1")
        .with("X-Tag", "  one")
        .with("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let mut call = Call { more: ";alg=\"hmac-sha256\";tag=\"naru\";x=1".to_owned(), ..call };
    call.headers.push(("X-Tag".to_owned(), "two ".to_owned()));
    call.covered.push("content-type".to_owned());
    call.digest = Some(format!("{}, md5=:AAAA:", digest(&call.body)));
    let first = call.send(&gateway).await;
    assert_eq!(first.status, 202, "{first:?}");
    // The same key in another call, signed anew: the first answer.
    let again = Call { nonce: "another-nonce".to_owned(), ..call.clone() }.send(&gateway).await;
    assert_eq!((again.status, again.json()["id"].clone()), (202, first.json()["id"].clone()));
    let changed = Call { nonce: "a-third-nonce".to_owned(), ..call };
    let mut sent = changed.clone();
    sent.headers.iter_mut().filter(|(name, _)| name == "X-Tag").for_each(|(_, value)| value.push('!'));
    assert_eq!(status(&sent.send_with(&gateway, &changed).await), told(401, "unauthorized"));
    assert_eq!(gateway.messages().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_the_largest_size_is_taken_and_one_byte_more_is_not() {
    let gateway = Gateway::spawn().await;
    let sized = |bytes: usize| {
        let mut call = Call::post("/v1.0/messages", &sms(""));
        let text =
            format!(r#"{{"channel":"sms","recipient":"+821012345678","body":"big"{}}}"#, " ".repeat(bytes));
        call.body = text.into_bytes();
        call.body.truncate(bytes);
        if let Some(last) = call.body.last_mut() {
            *last = b'}';
        }
        call.digest = Some(digest(&call.body));
        call
    };
    assert_eq!(sized(256 * 1024).send(&gateway).await.status, 202);
    for call in [sized(256 * 1024 + 1), sized(256 * 1024 + 1).by("nobody")] {
        assert_eq!(status(&call.send(&gateway).await), told(413, "body-too-large"));
    }
    let chunked = Call::post("/v1.0/messages", &sms("chunked"));
    let head = String::from_utf8(Call { body: Vec::new(), ..chunked.clone() }.bytes()).unwrap();
    let head = head.replacen("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n", 1);
    let (one, two) = chunked.body.split_at(9);
    let text = |part: &[u8]| String::from_utf8(part.to_vec()).unwrap();
    let chunks = format!("{:x}\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n", one.len(), text(one), two.len(), text(two));
    // The signature was made over the head that has no length: none of it is signed.
    let reply = gateway.raw(format!("{head}{chunks}").as_bytes()).await;
    assert_eq!(reply.status, 202, "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_look_up_fails_with_the_same_bytes_for_signatures_too() {
    let gateway = Gateway::spawn().await;
    gateway.change(&Setup::default(), |all| {
        for entry in all {
            if let Entry::Credential(credential) = entry
                && credential.id.as_str() == "other-hmac"
            {
                credential.revoked_at = Some(Timestamp::from_millis(1));
            }
        }
    });
    let body = sms("a");
    let call = || Call::post("/v1.0/messages", &body);
    let mut seen = Vec::new();
    for (what, call) in [
        ("unknown", call().by("nobody-hmac")),
        ("no name of a credential", call().by("No Body!")),
        ("an empty name", call().by("")),
        ("wrong secret", Call { secret: vec![7; 32], ..call() }),
        ("another customer's secret", Call { secret: call().by("other-hmac").secret, ..call() }),
        ("empty secret", Call { secret: Vec::new(), ..call() }),
        ("revoked", call().by("other-hmac")),
        ("a credential with a password", call().by("acme-live")),
    ] {
        let reply = call.send(&gateway).await;
        assert_eq!(status(&reply), told(401, "unauthorized"), "{what}");
        let id = reply.header("request-id").unwrap();
        let mut names: Vec<_> = reply.headers.keys().cloned().collect();
        names.sort_unstable();
        seen.push((String::from_utf8(reply.body.clone()).unwrap().replace(id, ""), names));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
    // A password's hash is no secret, and the other way round.
    let basic = ("Authorization", "Basic YWNtZS1obWFjOnNlY3JldDprZXk=");
    let reply = gateway.call("GET", "/v1.0/quota", &[basic], "").await;
    assert_eq!(status(&reply), told(401, "unauthorized"), "acme-hmac:secret:key");
    assert!(gateway.messages().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_that_needs_no_look_up_has_its_own_code_for_known_and_unknown_ids() {
    let gateway = Gateway::spawn().await;
    let body = sms("a");
    for id in ["acme-hmac", "nobody-hmac"] {
        let call = || Call::post("/v1.0/messages", &body).by(id);
        let without = |name: &str| {
            let mut call = call();
            call.covered.retain(|other| other != name);
            call
        };
        let mut mismatch = call();
        mismatch.digest = Some(digest(b"another body"));
        for (call, code) in [
            (without("@method"), "signature-incomplete"),
            (without("@authority"), "signature-incomplete"),
            (without("@path"), "signature-incomplete"),
            (without("@query"), "signature-incomplete"),
            (without("content-digest"), "signature-incomplete"),
            (Call { created: now() - 305, ..call() }, "stale-signature"),
            (Call { created: now() + 305, ..call() }, "stale-signature"),
            (Call { more: format!(";expires={}", now() - 3), ..call() }, "stale-signature"),
            (Call { more: ";alg=\"hmac-sha512\"".to_owned(), ..call() }, "malformed-signature"),
            (Call { more: ";alg=\"none\"".to_owned(), ..call() }, "malformed-signature"),
            (Call { more: ";tag=\"others\"".to_owned(), ..call() }, "malformed-signature"),
            (Call { nonce: "short".to_owned(), ..call() }, "malformed-signature"),
            (Call { nonce: "n".repeat(129), ..call() }, "malformed-signature"),
            (Call { digest: Some("sha-256=:AAAA:".to_owned()), ..call() }, "malformed-signature"),
            (Call { digest: Some("md5=:AAAA:".to_owned()), ..call() }, "malformed-signature"),
            (mismatch, "signed-digest-mismatch"),
        ] {
            let reply = call.send(&gateway).await;
            assert_eq!(status(&reply), told(401, code), "{id}: {:?}", call.signature());
        }
    }
    assert!(gateway.messages().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_signed_is_authorised_and_limited_like_anybody() {
    let setup = Setup { rates: vec![rate(1, 60, 2)], ..Setup::default() };
    let gateway = Gateway::with(setup.clone()).await;
    let call = Call::post("/sandbox/v1.0/messages", &sms("a"));
    assert_eq!(status(&call.send(&gateway).await), told(403, "wrong-environment"));
    let call = Call::post("/v1.0/messages", &sms("a")).by("acme-hmac-test");
    assert_eq!(status(&call.send(&gateway).await), told(403, "wrong-environment"));
    let send = async || status(&Call::post("/v1.0/messages", &sms("a")).send(&gateway).await);
    assert_eq!((send().await.0, send().await.0), (202, 202));
    assert_eq!(send().await, told(429, "rate-limited"));
    let basic =
        gateway.call("POST", "/v1.0/messages", &[LIVE, crate::gateway::JSON], &sms("b").to_string()).await;
    assert_eq!(basic.status, 429, "both ways in share the customer's rates");
    gateway.change(&setup, |all| {
        for entry in all {
            if let Entry::Customer(customer) = entry {
                customer.suspended = customer.id.as_str() == "acme";
            }
        }
    });
    assert_eq!(send().await, told(403, "suspended"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_never_a_401_for_signatures_either() {
    let gateway = Gateway::with(Setup { complete: false, ..Setup::default() }).await;
    let reply = Call::get("/v1.0/quota").by("nobody").send(&gateway).await;
    assert_eq!(status(&reply), told(503, "unavailable"));
}
