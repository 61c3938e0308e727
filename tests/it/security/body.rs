//! Bodies that mean two things, or nothing, or far too much.

use std::time::Duration;

use serde_json::{Value, json};

use super::room::{AT_ONCE, Room};
use crate::stage::message;

/// A message with one member written so.
fn with(name: &str, text: &str) -> Vec<u8> {
    let whole = message("sms", "odd").to_string();
    format!("{},\"{name}\":{text}}}", whole.trim_end_matches('}')).into_bytes()
}

#[test]
fn what_is_no_json() {
    let room = Room::open();
    let good = message("sms", "good").to_string();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("cut", good.as_bytes()[..good.len() - 1].to_vec()),
        ("two", [good.as_bytes(), good.as_bytes()].concat()),
        ("a comma too many", good.replace('}', ",}").into_bytes()),
        ("a mark of byte order", [&b"\xef\xbb\xbf"[..], good.as_bytes()].concat()),
        (
            "invalid UTF-8",
            good.replace("hello", "h\u{1}llo")
                .into_bytes()
                .iter()
                .map(|b| if *b == 1 { 0xff } else { *b })
                .collect(),
        ),
        (
            "overlong UTF-8",
            [&br#"{"channel":"sms","recipient":"+821012345678","body":""#[..], b"\xc0\x80", b"\"}"].concat(),
        ),
        ("a lone high surrogate", with("subject", r#""\ud800""#)),
        ("a lone low surrogate", with("subject", r#""\udc00x""#)),
        ("U+0000", with("subject", r#""a\u0000b""#)),
        ("33 levels", with("data", &format!("{{\"a\":{}{}}}", "[".repeat(32), "]".repeat(32)))),
        ("100,000 levels", [b"[".repeat(100_000), b"]".repeat(100_000)].concat()),
        ("a key that is repeated", with("body", "\"again\"")),
        ("a key that is repeated in other words", with("bo\\u0064y", "\"again\"")),
        ("a key that is repeated inside", with("data", r#"{"a":1,"a":2}"#)),
        ("a number without end", with("data", r#"{"a":1e400}"#)),
        ("a number beyond 64 bits", with("data", r#"{"a":123456789012345678901234567890}"#)),
        ("NaN", with("ttl", "NaN")),
        ("Infinity", with("ttl", "Infinity")),
        ("a comment", good.replace('{', "{/* */").into_bytes()),
    ];
    for (case, body) in cases {
        room.refuses(case, &room.post("/v1.0/messages", "", &body), &[400, 422], false);
    }
}

#[test]
fn numbers_and_types_that_are_out_of_range() {
    let room = Room::open();
    for (name, text) in [
        ("ttl", "-1"),
        ("ttl", "0"),
        ("ttl", "1.5"),
        ("ttl", "4294967296"),
        ("ttl", "18446744073709551615"),
        ("ttl", "\"600\""),
        ("lane", "5"),
        ("send_at", "1762000000"),
        ("send_at", "\"9999-12-31T23:59:59Z\""),
        ("sender", "{}"),
        ("attachments", "{\"a\":1}"),
        ("attachments", "[5]"),
        ("data", "[]"),
        ("subject", "[\"a\"]"),
    ] {
        let case = format!("{name}: {text}");
        room.refuses(&case, &room.post("/v1.0/messages", "", &with(name, text)), &[422], false);
    }
    for body in ["[]", "5", "\"text\"", "null", "{}"] {
        room.refuses(body, &room.post("/v1.0/messages", "", body.as_bytes()), &[422], false);
    }
}

#[test]
fn fields_that_would_set_what_is_not_the_caller_s_to_set() {
    let room = Room::open();
    for name in [
        "customer",
        "units",
        "price",
        "charged",
        "attempts",
        "route",
        "environment",
        "id",
        "status",
        "accepted_at",
        "simulate",
    ] {
        let answer =
            room.refuses(name, &room.post("/v1.0/messages", "", &with(name, "\"c1\"")), &[422], false);
        assert_eq!(answer.code(), "unknown-field", "{name}");
    }
}

#[test]
fn other_types_and_codings() {
    let room = Room::open();
    let body = message("sms", "typed").to_string();
    for media in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "application/json; charset=latin1",
        "*/*",
    ] {
        let head = format!("Content-Type: {media}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let call = room.head("POST /v1.0/messages", &head);
        assert_eq!(room.refuses(media, call.as_bytes(), &[415], false).code(), "unsupported-media-type");
    }
    // A few bytes that would become gigabytes are not looked at.
    for coding in ["gzip", "br", "deflate", "zstd", "identity, gzip"] {
        let call = room.post(
            "/v1.0/messages",
            &format!("Content-Encoding: {coding}\r\n"),
            &[0x1f, 0x8b, 8, 0, 0, 0],
        );
        assert_eq!(room.refuses(coding, &call, &[415], false).code(), "unsupported-encoding");
    }
}

#[test]
fn keys_without_number() {
    let room = Room::open();
    // As many as the largest body holds: 2 MiB of a batch, and 256 KiB of a message.
    let keys =
        |count: u32| (0..count).map(|number| format!("\"{number:x}\":0")).collect::<Vec<_>>().join(",");
    let item = format!("{{\"messages\":[{{{}}}]}}", keys(190_000));
    let data = with("data", &format!("{{{}}}", keys(24_000)));
    let answer = room.refuses("a message", &room.post("/v1.0/messages", "", &data), &[400, 422], false);
    assert!(answer.after < Duration::from_secs(4), "it took {:?}", answer.after);
    let answer = room.tell(&room.post("/v1.0/messages/batch", "", item.as_bytes()), AT_ONCE).unwrap();
    assert_eq!(
        (answer.status, &answer.json()["results"][0]["result"]),
        (422, &"refused".into()),
        "{answer:?}"
    );
    assert!(answer.after < Duration::from_secs(4), "it took {:?}", answer.after);
    let million = format!("{{{}}}", keys(1_000_000));
    room.refuses("a million", &room.post("/v1.0/messages", "", million.as_bytes()), &[413], false);
}

#[test]
fn one_bad_item_among_good_ones_and_batches_that_are_too_large() {
    let room = Room::open();
    let mut bad = message("sms", "bad");
    bad["recipient"] = "nobody".into();
    let batch = |messages: &[Value]| json!({ "messages": messages }).to_string();
    let mixed = batch(&[message("sms", "1"), bad, message("sms", "2")]);
    let answer = room.accepts("one bad", &room.post("/v1.0/messages/batch", "", mixed.as_bytes()), 2);
    let told: Vec<Value> =
        answer.json()["results"].as_array().unwrap().iter().map(|one| one["result"].clone()).collect();
    assert_eq!(told, ["accepted", "refused", "accepted"]);
    for (case, body, code) in [
        ("1,001", batch(&vec![message("sms", "x"); 1_001]), "batch-too-large"),
        ("none", batch(&[]), "empty-batch"),
        ("no list", r#"{"messages":{}}"#.to_owned(), "invalid-message"),
        ("a field more", r#"{"messages":[],"customer":"c1"}"#.to_owned(), "invalid-message"),
    ] {
        let answer =
            room.refuses(case, &room.post("/v1.0/messages/batch", "", body.as_bytes()), &[422], false);
        assert_eq!(answer.code(), code, "{case}");
    }
}
