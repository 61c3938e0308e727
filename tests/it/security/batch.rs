//! Batches of which something is wrong.

use serde_json::{Value, json};

use super::stage::{Visit, must_be_a_problem, must_be_alike, text};

const BATCH: &str = "/v1.0/messages/batch";

#[test]
fn one_bad_item_among_good_ones() {
    let visit = Visit::begin();
    let good = text("good").to_string();
    let mut made = 0;
    for (bad, code) in [
        ("{}", None),
        ("null", None),
        ("7", None),
        (r#"{"channel":"sms","recipient":"+821012345600","body":"a","price":0}"#, Some("unknown-field")),
        (
            r#"{"channel":"sms","recipient":"+821012345600","body":"a","customer":"c0"}"#,
            Some("unknown-field"),
        ),
        (r#"{"channel":"sms","recipient":"nobody","body":"a"}"#, Some("invalid-recipient")),
        (r#"{"channel":"sms","recipient":"+821012345600","body":"a","ttl":-1}"#, Some("invalid-ttl")),
        (r#"{"channel":"none","recipient":"+821012345600"}"#, None),
    ] {
        let body = format!("{{\"messages\":[{good},{bad},{good}]}}");
        let answer = visit.answer(bad, &visit.call(BATCH, body.as_bytes()));
        let results = answer.json()["results"].as_array().cloned().unwrap_or_default();
        let told: Vec<&str> = results.iter().filter_map(|item| item["result"].as_str()).collect();
        assert_eq!(told, ["accepted", "refused", "accepted"], "{bad}");
        must_be_a_problem(bad, &results[1]["problem"]);
        if let Some(code) = code {
            assert_eq!(results[1]["problem"]["code"], code, "{bad}: {}", results[1]);
        }
        made += 2;
    }
    visit.made(made, 0);
}

#[test]
fn one_item_that_cannot_be_read() {
    let visit = Visit::begin();
    let good = text("good").to_string();
    let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
    let mut made = 0;
    // Whether the list has an end at all is not known behind what is no JSON; elsewhere the others are taken.
    for (case, bad, others) in [
        ("no JSON", b"{".as_slice(), 0),
        ("no UTF-8", b"\"\xff\"", 0),
        ("half a surrogate", br#""\ud800""#, 1),
        ("a key twice", br#"{"a":1,"a":1}"#, 1),
        ("a NUL", br#"{"body":"\u0000"}"#, 1),
        ("a number out of range", br#"{"ttl":1e400}"#, 1),
        ("deep", deep.as_bytes(), 1),
    ] {
        let body = [b"{\"messages\":[", good.as_bytes(), b",", bad, b"]}"].concat();
        let answer = visit.answer(case, &visit.call(BATCH, &body));
        let told = answer.json();
        if others == 0 {
            assert_eq!((answer.status, answer.code().as_str()), (400, "malformed-json"), "{case}");
        } else {
            assert_eq!(
                (answer.status, &told["accepted"], &told["refused"]),
                (202, &json!(1), &json!(1)),
                "{case}"
            );
            must_be_a_problem(case, &told["results"][1]["problem"]);
            assert_eq!(told["results"][1]["problem"]["code"], "malformed-json", "{case}");
        }
        made += others;
    }
    visit.made(made, 0);
}

#[test]
fn a_thousand_and_one_items_and_none() {
    let visit = Visit::begin();
    let many = |count: usize| json!({ "messages": vec![json!({}); count] }).to_string();
    let mut told = Vec::new();
    for count in [1_001, 5_000, 100_000] {
        let case = format!("{count} items");
        let answer = visit.answer(&case, &visit.call(BATCH, many(count).as_bytes()));
        assert_eq!((answer.status, answer.code().as_str()), (422, "batch-too-large"), "{case}");
        told.push((case, answer));
    }
    let good: Vec<Value> = (0..1_001).map(|_| text("many")).collect();
    let answer =
        visit.answer("good ones", &visit.call(BATCH, json!({ "messages": good }).to_string().as_bytes()));
    told.push(("good ones".to_owned(), answer));
    must_be_alike(&told);
    let none = visit.answer("none", &visit.call(BATCH, many(0).as_bytes()));
    assert_eq!((none.status, none.code().as_str()), (422, "empty-batch"));
    visit.made(0, 0);
}

#[test]
fn over_the_byte_limit() {
    let visit = Visit::begin();
    let message = json!({ "channel": "lms", "recipient": "+821012345600", "body": "a".repeat(3_000) });
    let body = json!({ "messages": vec![message; 700] }).to_string();
    assert!(body.len() > 2 << 20, "{} bytes", body.len());
    let length = visit.answer("by its length", &visit.call(BATCH, body.as_bytes()));
    let head = visit.head("POST", BATCH) + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
    let chunks = format!("{head}\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let chunked = visit.answer("in chunks", chunks.as_bytes());
    for answer in [&length, &chunked] {
        assert_eq!((answer.status, answer.code().as_str()), (413, "body-too-large"));
    }
    must_be_alike(&[("by its length".to_owned(), length), ("in chunks".to_owned(), chunked)]);
    visit.made(0, 0);
}
