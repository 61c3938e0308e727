//! What this crate reads of backends' answers, as functions over bytes: see [`naru_shared::foreign`].

use std::time::Duration;

use naru_shared::{domain::Outcome, foreign::Reader};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::backend::{http, provider::outcome_by};

/// All of them.
pub const READERS: &[Reader] = &[
    Reader { name: "provider_answer", samples: answers, read: answer },
    Reader { name: "retry_after", samples: waits, read: retry_after },
];

fn texts(all: &[&str]) -> Vec<Vec<u8>> {
    all.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// A provider of which every part of an answer is looked at.
const PROVIDER: &str = r#"
    id = "/sid"
    code = "/errors/0/code"
    detail = "/errors/0/message"
    report_within_ms = 60000
    rules = [
        { status = [201], pointer = "/status", equals = ["queued", 1, true], outcome = "sent" },
        { status = [201], pointer = "/status", equals = ["failed"], outcome = "failed" },
        { status = ["4xx"], pointer = "/errors/0/code", equals = [30001], outcome = "not-taken" },
    ]
"#;

/// A status, a line feed, and a body.
fn answers() -> Vec<Vec<u8>> {
    texts(&[
        "201\n{\"sid\":\"SM1\",\"status\":\"queued\",\"errors\":[]}",
        "201\n{\"sid\":\"SM2\",\"status\":\"failed\",\"errors\":[{\"code\":21211,\"message\":\"수신 번호 \\\"+82\\\" is not valid\"}]}",
        "400\n{\"errors\":[{\"code\":30001,\"message\":\"queue overflow\"}]}",
    ])
}

/// Whatever it is, it has an outcome whose words are a short line; and it is taken for sent only where the body says so. Says whether a rule
/// knew it.
fn answer(bytes: &[u8]) -> bool {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let status = str::from_utf8(&bytes[..at]).ok().and_then(|text| text.parse().ok());
    let Some(status) = status.filter(|status| (100..600).contains(status)) else { return false };
    let body = bytes.get(at + 1..).unwrap_or_default();
    let says = |word: &str| String::from_utf8_lossy(body).contains(word);
    let outcome = outcome_by(PROVIDER, status, body).expect("a mapping");
    assert!(!matches!(outcome, Outcome::Lost { .. }), "an answer does not say what became of files");
    let known = !matches!(outcome, Outcome::Uncertain { .. });
    let (detail, id) = match outcome {
        Outcome::Sent { backend_id, report_in } => {
            assert!(status == 201 && report_in == Some(Duration::from_secs(60)));
            (String::new(), backend_id)
        }
        Outcome::Delivered { detail, backend_id } => (detail, backend_id),
        Outcome::Failed { detail } => {
            assert!(status != 201 || says("failed") || says("\\u"), "{}", bytes.escape_ascii());
            (detail, None)
        }
        Outcome::NotTaken { detail, .. } | Outcome::Lost { detail } | Outcome::Uncertain { detail } => {
            (detail, None)
        }
    };
    assert!(detail.chars().count() <= 200 && !detail.chars().any(char::is_control), "{detail:?}");
    let id = id.unwrap_or_else(|| "none".to_owned());
    assert!((1..=255).contains(&id.len()) && !id.chars().any(char::is_control), "{id:?}");
    known
}

/// `Retry-After`, and `Date` on another line.
fn waits() -> Vec<Vec<u8>> {
    texts(&["120", "Fri, 31 Dec 1999 23:59:59 GMT\nFri, 31 Dec 1999 23:59:00 GMT", "0\n"])
}

/// Seconds are as many as the digits say; a date is measured against the other.
fn retry_after(bytes: &[u8]) -> bool {
    let mut headers = HeaderMap::new();
    for (name, line) in ["retry-after", "date"].into_iter().zip(bytes.split(|byte| *byte == b'\n')) {
        let Ok(value) = HeaderValue::from_bytes(line) else { return false };
        headers.append(HeaderName::from_static(name), value);
    }
    let Some(wait) = http::retry_after(&headers) else { return false };
    let text = headers["retry-after"].to_str().expect("it was read").trim();
    match text.parse::<u64>() {
        Ok(seconds) => assert_eq!(wait, Duration::from_secs(seconds)),
        Err(_) => assert!(text.bytes().all(|byte| byte.is_ascii_digit()) || text.contains(':'), "{text}"),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_answers_takes_its_samples_and_neither_panics_nor_makes_anything_up() {
        naru_shared::foreign::try_all(READERS);
    }
}
