//! Bodies that are not what they should be.

use std::time::{Duration, Instant};

use serde_json::json;

use super::stage::{Answer, Visit, must_be_alike, text};

/// A message in which one member stands for the reference.
fn with(member: &str) -> Vec<u8> {
    let message = text("REFERENCE").to_string();
    message.replace("\"reference\":\"REFERENCE\"", member).into_bytes()
}

/// A call with these headers in place of those of JSON.
fn typed(visit: &Visit, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = visit.head("POST", "/v1.0/messages");
    let own = format!("{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), own.as_bytes(), body].concat()
}

/// Each of these is refused so, alone as well as with a good call behind it.
fn refused(visit: &Visit, cases: &[(&str, Vec<u8>)], status: u16, codes: &[&str]) -> Vec<(String, Answer)> {
    let mut told = Vec::new();
    for (case, call) in cases {
        let answer = visit.answer(case, call);
        let code = answer.code();
        assert_eq!(answer.status, status, "{case}: {}", answer.json());
        assert!(codes.contains(&code.as_str()), "{case}: {code} is none of {codes:?}");
        told.push(((*case).to_owned(), answer));
    }
    visit.made(0, 0);
    told
}

/// Bodies of JSON that are refused so.
fn bodies(cases: &[(&str, Vec<u8>)], status: u16, codes: &[&str]) -> Vec<(String, Answer)> {
    let visit = Visit::begin();
    let calls: Vec<_> =
        cases.iter().map(|(case, body)| (*case, visit.call("/v1.0/messages", body))).collect();
    refused(&visit, &calls, status, codes)
}

#[test]
fn a_type_that_is_not_json() {
    let visit = Visit::begin();
    let body = text("typed").to_string();
    let types = [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: text/json\r\n",
        "Content-Type: application/jsonx\r\n",
        "Content-Type: application/xml\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: multipart/form-data; boundary=a\r\n",
        "Content-Type: application/json; charset=utf-16\r\n",
        "Content-Type: application/json, text/plain\r\n",
        "Content-Type: application/json; a=b; charset=utf-8\r\n",
        "Content-Type:\r\n",
        "Content-Type: application\u{fc}/json\r\n",
    ];
    let cases = types.map(|headers| (headers, typed(&visit, headers, body.as_bytes())));
    must_be_alike(&refused(&visit, &cases, 415, &["unsupported-media-type"]));
}

/// `{"a":1}` as gzip writes it.
const GZIPPED: &[u8] =
    &[31, 139, 8, 0, 0, 0, 0, 0, 2, 255, 171, 86, 74, 84, 178, 50, 172, 5, 0, 175, 172, 27, 86, 7, 0, 0, 0];

#[test]
fn a_body_that_is_compressed() {
    let visit = Visit::begin();
    let plain = text("coded").to_string();
    let codings = [
        "gzip",
        "GZIP",
        "x-gzip",
        "deflate",
        "br",
        "zstd",
        "compress",
        "identity, gzip",
        "gzip, gzip",
        "cow",
        "",
    ];
    let mut cases = Vec::new();
    for coding in codings {
        let headers = format!("Content-Type: application/json\r\nContent-Encoding: {coding}\r\n");
        cases.push((coding, typed(&visit, &headers, GZIPPED)));
        // Nor is a body read that only says so.
        cases.push((coding, typed(&visit, &headers, plain.as_bytes())));
    }
    let second = "Content-Type: application/json\r\nContent-Encoding: identity\r\nContent-Encoding: gzip\r\n";
    cases.push(("in a second header", typed(&visit, second, GZIPPED)));
    must_be_alike(&refused(&visit, &cases, 415, &["unsupported-encoding"]));
}

#[test]
fn a_body_that_is_compressed_and_does_not_say_so() {
    bodies(&[("gzip", GZIPPED.to_vec())], 400, &["malformed-json"]);
}

#[test]
fn utf_8_that_is_none() {
    let bytes: [(&str, &[u8]); 8] = [
        ("a byte that never is", b"\xff"),
        ("a continuation alone", b"\x80"),
        ("longer than it need be", b"\xc0\xaf"),
        ("NUL, longer than it need be", b"\xc0\x80"),
        ("a surrogate", b"\xed\xa0\x80"),
        ("a pair of them", b"\xed\xa0\xbd\xed\xb8\x80"),
        ("beyond the last", b"\xf4\x90\x80\x80"),
        ("cut", b"\xe2\x82"),
    ];
    let mut cases = Vec::new();
    for (case, bytes) in bytes {
        cases.push((
            case,
            [br#"{"channel":"sms","recipient":"+821012345600","body":""#, bytes, b"\"}"].concat(),
        ));
        cases.push((
            case,
            [br#"{"channel":"sms","recipient":"+821012345600","body":"a","data":{""#, bytes, b"\":1}}"]
                .concat(),
        ));
    }
    cases.push(("UTF-16", text("wide").to_string().encode_utf16().flat_map(u16::to_le_bytes).collect()));
    cases.push(("a mark before it", [b"\xef\xbb\xbf", text("marked").to_string().as_bytes()].concat()));
    bodies(&cases, 400, &["malformed-json"]);
}

#[test]
fn half_a_surrogate() {
    let mut cases = Vec::new();
    let halves =
        [r"\ud800", r"\udc00", r"\ud800\ud800", r"\ud83dx", r"\ud83d\n", r"\udc00\ud800", r"\uD83D\u0041"];
    let members: Vec<(String, Vec<u8>)> = (halves.iter())
        .flat_map(|half| {
            let members = [
                format!("\"reference\":\"{half}\""),
                format!("\"data\":{{\"a\":\"{half}\"}}"),
                format!("\"data\":{{\"{half}\":1}}"),
                format!("\"{half}\":1"),
            ];
            members.map(|member| (member.clone(), with(&member)))
        })
        .collect();
    cases.extend(members.iter().map(|(case, body)| (case.as_str(), body.clone())));
    bodies(&cases, 400, &["malformed-json"]);
}

#[test]
fn a_nul() {
    let members = [
        r#""reference":"a\u0000b""#,
        r#""reference":"\u0000""#,
        r#""data":{"a":"\u0000"}"#,
        r#""data":{"a":[["\u0000"]]}"#,
        r#""data":{"\u0000":1}"#,
        r#""sender":"\u0000""#,
        "\"reference\":\"a\0b\"",
        r#""a\u0000b":1"#,
    ];
    let mut cases: Vec<(&str, Vec<u8>)> = members.map(|member| (member, with(member))).to_vec();
    cases.push(("behind it", [text("a").to_string().as_bytes(), b"\0"].concat()));
    cases.push(("before it", [b"\0", text("a").to_string().as_bytes()].concat()));
    bodies(&cases, 400, &["malformed-json"]);
}

#[test]
fn thirty_three_levels_and_more() {
    let mut cases = Vec::new();
    // The message is the first, data the second.
    for levels in [31, 32, 100, 1_000, 20_000, 100_000] {
        cases.push((
            "lists",
            with(&format!("\"data\":{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels))),
        ));
        if levels < 50_000 {
            cases.push((
                "objects",
                with(&format!("\"data\":{{\"a\":{}1{}}}", "{\"a\":".repeat(levels), "}".repeat(levels))),
            ));
        }
        cases.push(("no message", [b"[".repeat(levels + 2), b"]".repeat(levels + 2)].concat()));
        cases.push(("never closed", b"[".repeat(levels + 2)));
    }
    bodies(&cases, 400, &["malformed-json"]);
}

#[test]
fn thirty_two_levels_are_read() {
    let visit = Visit::begin();
    let deepest = with(&format!("\"data\":{{\"a\":{}{}}}", "[".repeat(30), "]".repeat(30)));
    assert_eq!(visit.answer("32 levels", &visit.call("/v1.0/messages", &deepest)).status, 202);
    visit.made(1, 0);
}

#[test]
fn a_key_that_is_repeated() {
    let members = [
        r#""body":"another""#,
        r#""b\u006fdy":"another""#,
        r#""channel":"lms""#,
        r#""recipient":"+821012345611""#,
        r#""data":{"a":1,"a":1}"#,
        r#""data":{"a":{"b":1,"c":2,"b":3}}"#,
        r#""data":[{"a":1,"\u0061":1}]"#,
        r#""ttl":600,"ttl":600"#,
        r#""":1,"":1"#,
    ];
    bodies(&members.map(|member| (member, with(member))), 400, &["malformed-json"]);
}

#[test]
fn a_million_keys() {
    let visit = Visit::begin();
    // What fits into a body is read fast, and is refused for what it is; what does not fit is not read.
    let keys = |count: usize| -> String {
        (0..count).map(|number| format!("\"{number:x}\":0")).collect::<Vec<_>>().join(",")
    };
    let most = keys(26_000);
    let million = keys(1_000_000);
    for (case, body, status, code) in [
        ("members of a message", with(&most), 422, "unknown-field"),
        ("members of data", with(&format!("\"data\":{{{most}}}")), 422, "invalid-data"),
        ("and one twice", with(&format!("\"data\":{{{most},\"0\":0}}")), 400, "malformed-json"),
        ("a million", with(&million), 413, "body-too-large"),
    ] {
        assert!(status == 413 || body.len() < 256 * 1024, "{case}: {} bytes", body.len());
        let began = Instant::now();
        let answer = visit.answer(case, &visit.call("/v1.0/messages", &body));
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{case}");
        assert!(began.elapsed() < Duration::from_secs(3), "{case}: {:?}", began.elapsed());
    }
    // As much as a batch may have: 2 MiB of keys that a bad hash would make slow.
    let batch = format!("{{\"messages\":[{{{}}}]}}", keys(180_000));
    let began = Instant::now();
    let answer = visit.answer("in a batch", &visit.call("/v1.0/messages/batch", batch.as_bytes()));
    let told = answer.json();
    assert_eq!((answer.status, &told["accepted"], &told["refused"]), (422, &json!(0), &json!(1)));
    assert_eq!(told["results"][0]["problem"]["code"], "unknown-field");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    visit.made(0, 0);
}

#[test]
fn numbers_out_of_range() {
    let far = [
        "1e400",
        "-1e400",
        "18446744073709551616",
        "99999999999999999999999999",
        "9e18",
        "-18446744073709551616",
    ];
    let near = [
        "-1",
        "0",
        "0.5",
        "2592001",
        "4294967296",
        "9223372036854775807",
        "1e10",
        "-0.0",
        "\"600\"",
        "true",
        "[600]",
    ];
    let write = |numbers: &[&str], name: &str| -> Vec<(String, Vec<u8>)> {
        numbers
            .iter()
            .map(|number| (format!("{name} {number}"), with(&format!("\"{name}\":{number}"))))
            .collect()
    };
    let list = |named: &[(String, Vec<u8>)], status, codes: &[&str]| {
        let cases: Vec<(&str, Vec<u8>)> =
            named.iter().map(|(case, body)| (case.as_str(), body.clone())).collect();
        bodies(&cases, status, codes);
    };
    list(&write(&far, "ttl"), 400, &["malformed-json"]);
    list(&write(&near, "ttl"), 422, &["invalid-ttl", "invalid-message"]);
    list(
        &write(&["NaN", "Infinity", "-", "01", "+1", ".5", "0x10", "1_000"], "ttl"),
        400,
        &["malformed-json"],
    );
    let nested: Vec<String> = far.iter().map(|number| format!("{{\"a\":{number}}}")).collect();
    list(&write(&nested.iter().map(String::as_str).collect::<Vec<_>>(), "data"), 400, &["malformed-json"]);
}
