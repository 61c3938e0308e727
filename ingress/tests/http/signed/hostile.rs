//! What will be tried with a signed call.

use futures_util::{StreamExt, stream};
use serde_json::json;

use super::{
    call::{Call, digest, try_raw},
    status, told,
};
use crate::gateway::{Gateway, LIVE, request, sms};

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_of_another_method_path_query_or_authority_is_refused() {
    let gateway = Gateway::spawn().await;
    let call = Call::post("/v1.0/messages", &sms("a"));
    let read = Call { query: "?limit=5".to_owned(), ..Call::get("/v1.0/reports") };
    let id = "/v1.0/messages/msg_00000000000000000000000000";
    for (sent, signed) in [
        (Call { path: "/v1.0/messages/batch".to_owned(), ..call.clone() }, call.clone()),
        (Call { path: "/v1.0/messages/".to_owned(), ..call.clone() }, call.clone()),
        (Call { path: "/sandbox/v1.0/messages".to_owned(), ..call.clone() }, call.clone()),
        (Call { query: "?dry=1".to_owned(), ..call.clone() }, call.clone()),
        (Call { host: "other".to_owned(), ..call.clone() }, call.clone()),
        (Call { host: "naru:8080".to_owned(), ..call.clone() }, call.clone()),
        (Call { query: "?limit=50".to_owned(), ..read.clone() }, read.clone()),
        (Call { query: String::new(), ..read.clone() }, read),
        (Call { method: "DELETE", ..Call::get(id) }, Call::get(id)),
    ] {
        let signed = Call { nonce: sent.nonce.clone(), created: sent.created, ..signed };
        let reply = sent.send_with(&gateway, &signed).await;
        let is_ours = reply.status == 401 && reply.code() == "unauthorized";
        assert!(is_ours || reply.status == 404, "{} {}{}: {reply:?}", sent.method, sent.path, sent.query);
    }
    assert!(gateway.messages().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_the_signed_one_is_refused_also_without_its_digest() {
    let gateway = Gateway::spawn().await;
    let call = Call::post("/v1.0/messages", &sms("a"));
    let other = Call { body: sms("b").to_string().into_bytes(), ..call.clone() };
    assert_eq!(status(&other.send_with(&gateway, &call).await), told(401, "signed-digest-mismatch"));
    let fitted = Call { digest: Some(digest(&other.body)), ..other.clone() };
    assert_eq!(status(&fitted.send_with(&gateway, &call).await), told(401, "unauthorized"));
    let without = Call { digest: None, ..other };
    assert_eq!(status(&without.send_with(&gateway, &call).await), told(401, "malformed-signature"));
    // A body added to a call that was signed without one.
    let read = Call::get("/v1.0/quota");
    let added = Call { body: b"{}".to_vec(), ..read.clone() };
    assert_eq!(status(&added.send_with(&gateway, &read).await), told(401, "signature-incomplete"));
    let mut whole = Call { body: b"{}".to_vec(), digest: Some(digest(b"{}")), ..Call::get("/v1.0/quota") };
    whole.covered.push("content-digest".to_owned());
    assert_eq!(whole.send(&gateway).await.status, 200, "and one that is signed does no harm");
    assert!(gateway.messages().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_proved_in_one_way_with_one_signature_for_this_server() {
    let gateway = Gateway::spawn().await;
    let call = Call::post("/v1.0/messages", &sms("a"));
    let mut both = call.signature().to_vec();
    both.push((LIVE.0.to_owned(), LIVE.1.to_owned()));
    assert_eq!(status(&gateway.raw(&call.bytes_with(&both)).await), told(401, "malformed-authorization"));
    let [(input, a), (signature, b)] = call.signature();
    let again = [(input.clone(), format!("{a}, {}", a.replacen("sig1", "sig2", 1)))];
    let again =
        [&again[..], &[(signature.clone(), format!("{b}, {}", b.replacen("sig1", "sig2", 1)))]].concat();
    assert_eq!(status(&gateway.raw(&call.bytes_with(&again)).await), told(401, "malformed-signature"));
    let half = [(input.clone(), a.clone())];
    assert_eq!(status(&gateway.raw(&call.bytes_with(&half)).await), told(401, "malformed-signature"));
    let half = [(signature.clone(), b.clone())];
    assert_eq!(status(&gateway.raw(&call.bytes_with(&half)).await), told(401, "malformed-signature"));
    // A proxy's own signature beside it, in lines of their own.
    let theirs = [
        (
            "Signature-Input".to_owned(),
            r#"proxy=("@method");created=1;keyid="p";alg="ed25519";tag="proxy""#.to_owned(),
        ),
        ("Signature".to_owned(), "proxy=:AAAA:".to_owned()),
    ];
    let read = Call::get("/v1.0/quota");
    let basic = [&theirs[..], &[(LIVE.0.to_owned(), LIVE.1.to_owned())]].concat();
    assert_eq!(gateway.raw(&read.bytes_with(&basic)).await.status, 200, "beside a password too");
    assert_eq!(status(&gateway.raw(&read.bytes_with(&theirs)).await), told(401, "malformed-signature"));
    let beside = [&theirs[..], &[(input, a), (signature, b)]].concat();
    assert_eq!(gateway.raw(&call.bytes_with(&beside)).await.status, 202);
    assert_eq!(gateway.messages().await.len(), 1);
}

/// Each byte of a signed message and batch is changed by its lowest bit, alone. The version of HTTP is not signed, and needs not be.
#[tokio::test(flavor = "multi_thread")]
async fn one_changed_byte_anywhere_is_refused() {
    let gateway = Gateway::spawn().await;
    let batch = json!({ "messages": [sms("a"), sms("b")] });
    for call in [
        Call::post("/v1.0/messages", &sms("a")).with("Idempotency-Key", "order-77"),
        Call::post("/v1.0/messages/batch", &batch),
    ] {
        // Signed too, or a call with another type of body would be refused for that, and its nonce spent.
        let mut call = call;
        call.covered.push("content-type".to_owned());
        let whole = call.bytes();
        let version = whole.windows(8).position(|window| window == b"HTTP/1.1").unwrap();
        let (gateway, whole) = (&gateway, &whole);
        let changed = (0..whole.len()).filter(|at| !(version..version + 8).contains(at)).map(async |at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            let reply = try_raw(gateway, &bytes).await;
            let status = reply.as_ref().map_or(0, |reply| reply.status);
            let text = String::from_utf8_lossy(&bytes);
            assert!(status == 0 || (400..500).contains(&status) || status == 501, "{at}: {status}\n{text}");
        });
        stream::iter(changed).buffer_unordered(64).collect::<Vec<()>>().await;
        assert!(gateway.messages().await.is_empty(), "nothing came of any of them");
        assert_eq!(gateway.raw(whole).await.status, 202, "and the call itself is taken");
        assert!(!gateway.messages().await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_send_large_bodies_take_no_room_from_who_signs() {
    let gateway = Gateway::spawn().await;
    // Each says that two mebibytes will come, and sends nothing of them.
    let mut held = Vec::new();
    for _ in 0..200 {
        let mut call = Call::post("/v1.0/messages/batch", &json!({ "messages": [sms("a")] })).by("nobody");
        call.body = Vec::new();
        let head = String::from_utf8(call.bytes()).unwrap();
        let head = head.replacen("\r\n\r\n", "\r\nContent-Length: 2097152\r\n\r\n", 1);
        let mut wire = crate::wire::Wire::open(gateway.addr).await;
        wire.send(head.as_bytes()).await;
        held.push(wire);
    }
    let items: Vec<_> = (0..1_000).map(|number| sms(&format!("{number} {}", "x".repeat(1_500)))).collect();
    let reply = Call::post("/v1.0/messages/batch", &json!({ "messages": items })).send(&gateway).await;
    assert_eq!((reply.status, reply.json()["accepted"].as_u64()), (202, Some(1_000)));
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_with_neither_says_what_is_missing() {
    let gateway = Gateway::spawn().await;
    let reply = gateway.raw(&request("GET", "/v1.0/quota", &[], "")).await;
    assert_eq!(status(&reply), told(401, "missing-authorization"));
}
