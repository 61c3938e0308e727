//! Headers that say a thing twice, or that others than the peer are to be believed.

use naru_tests::customer::basic;

use super::stage::{Visit, must_be_alike, text};

/// A good call with these headers besides its own.
fn call(proof: &str, more: &str) -> Vec<u8> {
    let body = text("headed").to_string();
    let head = format!("POST /v1.0/messages HTTP/1.1\r\nHost: naru\r\n{proof}{more}");
    let own = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    format!("{head}{own}\r\n{body}").into_bytes()
}

/// Each of these is refused as a header that was sent twice.
fn twice(visit: &Visit, cases: &[(&str, Vec<u8>)]) {
    let mut told = Vec::new();
    for (case, bytes) in cases {
        let answer = visit.answer(case, bytes);
        assert_eq!((answer.status, answer.code().as_str()), (400, "duplicate-header"), "{case}");
        told.push(((*case).to_owned(), answer));
    }
    must_be_alike(&told);
    visit.made(0, 0);
}

#[test]
fn authorization_twice() {
    let visit = Visit::begin();
    let proof = visit.proof();
    let of = |more: &str| call(&proof, more);
    let other = format!("authorization: {}\r\n", basic("nobody:pw:key"));
    let cases = [
        ("the same", of(&proof)),
        ("another behind it", of(&other)),
        ("another before it", call(&other, &proof)),
        ("an empty one", of("AUTHORIZATION:\r\n")),
        ("a token", of("Authorization: Bearer a.b.c\r\n")),
        ("the sandbox's", of(&format!("Authorization: {}\r\n", basic(visit.sandbox())))),
    ];
    twice(&visit, &cases);
}

#[test]
fn idempotency_key_twice() {
    let visit = Visit::begin();
    let proof = visit.proof();
    let cases = [
        ("the same", "Idempotency-Key: a\r\nIdempotency-Key: a\r\n"),
        ("another", "Idempotency-Key: a\r\nidempotency-key: b\r\n"),
        ("an empty one", "Idempotency-Key: a\r\nIdempotency-Key:\r\n"),
        ("bare and quoted", "Idempotency-Key: a\r\nIdempotency-Key: \"a\"\r\n"),
    ];
    twice(&visit, &cases.map(|(case, lines)| (case, call(&proof, lines))));
}

#[test]
fn content_type_twice() {
    let visit = Visit::begin();
    let proof = visit.proof();
    let cases = [
        ("the same", "Content-Type: application/json\r\n"),
        ("another", "content-type: text/plain\r\n"),
        ("an empty one", "CONTENT-TYPE:\r\n"),
        ("another character set", "Content-Type: application/json; charset=utf-16\r\n"),
    ];
    twice(&visit, &cases.map(|(case, lines)| (case, call(&proof, lines))));
}

/// Every way to say that a call comes from an address that is allowed.
const FORGED: [&str; 9] = [
    "X-Forwarded-For: 203.0.113.7\r\n",
    "X-Forwarded-For: 203.0.113.7, 127.0.0.1\r\n",
    "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-For: 203.0.113.7\r\n",
    "Forwarded: for=203.0.113.7\r\n",
    "Forwarded: for=\"203.0.113.7:80\";proto=https;host=naru\r\n",
    "X-Real-IP: 203.0.113.7\r\nTrue-Client-IP: 203.0.113.7\r\nCF-Connecting-IP: 203.0.113.7\r\n",
    "X-Client-IP: 203.0.113.7\r\nX-Cluster-Client-IP: 203.0.113.7\r\nClient-IP: 203.0.113.7\r\n",
    "X-Forwarded-Host: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\n",
    "Via: 1.1 203.0.113.7\r\nX-Original-Forwarded-For: 203.0.113.7\r\nX-Originating-IP: 203.0.113.7\r\n",
];

#[test]
fn an_address_that_is_forged_opens_nothing() {
    let visit = Visit::begin();
    let id = visit.live().split(':').next().unwrap();
    visit.gateway().verb(&["credential", "set", id, "--allow-address", "203.0.113.0/24"]).unwrap();
    let proof = visit.proof();
    let refused = |case: &str, more: &str| {
        let answer = visit.answer(case, &call(&proof, more));
        ((answer.status, answer.code()), (case.to_owned(), answer))
    };
    // The gateway looks at what changed every second.
    crate::stage::within(super::stage::PATIENCE, "the networks are read", || {
        (visit.answer("itself", &quota(&visit)).status == 403).then_some(())
    });
    let mut told = Vec::new();
    for headers in [""].into_iter().chain(FORGED) {
        let (status, one) = refused(headers, headers);
        assert_eq!(status, (403, "address-not-allowed".to_owned()), "{headers}");
        told.push(one);
    }
    must_be_alike(&told);
    visit.gateway().verb(&["credential", "set", id, "--any-address"]).unwrap();
    crate::stage::within(super::stage::PATIENCE, "any network is allowed again", || {
        (visit.answer("again", &quota(&visit)).status == 200).then_some(())
    });
    visit.made(0, 0);
}

/// A good call that makes nothing.
fn quota(visit: &Visit) -> Vec<u8> {
    format!("{}\r\n", visit.head("GET", "/v1.0/quota")).into_bytes()
}

#[test]
fn what_a_stranger_says_of_others_is_not_even_read() {
    let visit = Visit::begin();
    let proof = visit.proof();
    let nonsense = [
        "X-Forwarded-For: nobody\r\n",
        "Forwarded: for=\"\r\n",
        "X-Forwarded-For: ,,,\r\n",
        "X-Forwarded-Prefix: /sandbox\r\n",
        "X-Original-URL: /sandbox/v1.0/messages\r\n",
        "X-Rewrite-URL: /nowhere\r\n",
        "X-HTTP-Method-Override: DELETE\r\n",
    ];
    let all: Vec<&str> = nonsense.into_iter().chain(FORGED).collect();
    for headers in &all {
        let answer = visit.answer(headers, &call(&proof, headers));
        assert_eq!(answer.status, 202, "{headers}: {}", answer.json());
        // Where a message is found is a path of its own base, whatever host or scheme was told.
        let location = answer.header("location").unwrap_or_default();
        assert!(location.starts_with("/v1.0/messages/"), "{headers}: {location}");
    }
    visit.made(all.len(), 0);
}
