//! Headers that are sent twice, and words of strangers about where a call comes from.

use std::{thread, time::Duration};

use naru_tests::customer::basic;

use super::room::Room;
use crate::stage::{message, within};

#[test]
fn what_is_sent_twice() {
    let room = Room::open();
    let own = room.authorization();
    let body = message("sms", "twice").to_string();
    for (case, header) in [
        ("Authorization, the same", own.clone()),
        ("Authorization, another", "authorization: Basic YTpiOmM=\r\n".to_owned()),
        ("Idempotency-Key", "Idempotency-Key: a\r\nIdempotency-Key: b\r\n".to_owned()),
        ("Idempotency-Key, the same", "Idempotency-Key: a\r\nidempotency-key: a\r\n".to_owned()),
        ("Content-Type", "content-type: text/plain\r\n".to_owned()),
        ("Content-Type, the same", "Content-Type: application/json\r\n".to_owned()),
    ] {
        let answer = room.refuses(case, &room.post("/v1.0/messages", &header, body.as_bytes()), &[400], true);
        assert_eq!(answer.code(), "duplicate-header", "{case}");
    }
}

#[test]
fn forged_words_about_where_a_call_comes_from() {
    let room = Room::open();
    let id = room.user().split(':').next().unwrap();
    room.gateway.verb(&["credential", "set", id, "--allow-address", "203.0.113.0/24"]).unwrap();
    let call = |header: &str| format!("{}\r\n", room.head("GET /v1.0/quota", header)).into_bytes();
    let status = |header: &str| room.tell(&call(header), Duration::from_secs(5)).unwrap().status;
    within(Duration::from_secs(5), "the address is asked for", || (status("") == 403).then_some(()));
    for header in [
        "X-Forwarded-For: 203.0.113.9\r\n",
        "X-Forwarded-For: 203.0.113.9, 127.0.0.1\r\n",
        "Forwarded: for=203.0.113.9\r\n",
        "X-Real-IP: 203.0.113.9\r\n",
        "True-Client-IP: 203.0.113.9\r\n",
        "CF-Connecting-IP: 203.0.113.9\r\n",
        "X-Client-IP: 203.0.113.9\r\nX-Forwarded-Host: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n",
        "Via: 1.1 203.0.113.9\r\n",
    ] {
        let answer = room.tell(&call(header), Duration::from_secs(5)).unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (403, "address-not-allowed"), "{header}");
    }
    // Whom they name is told by nothing else either.
    let other = format!(
        "X-Forwarded-Host: evil.example\r\nX-Original-URL: /v1.0/reports\r\nAuthorization: {}\r\n",
        basic("a:b:c")
    );
    let answer = room.tell(
        format!("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n{other}\r\n").as_bytes(),
        Duration::from_secs(5),
    );
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.json()["type"].as_str()), (404, Some("/problems/not-found")));
    assert!(
        !answer.head.contains("evil") && !String::from_utf8_lossy(&answer.body).contains("evil"),
        "{answer:?}"
    );
    room.gateway.verb(&["credential", "set", id, "--any-address"]).unwrap();
    within(Duration::from_secs(5), "it is not asked for any more", || {
        thread::sleep(Duration::from_millis(20));
        (status("") == 200).then_some(())
    });
}
