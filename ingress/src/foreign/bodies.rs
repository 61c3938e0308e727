//! Bodies of calls.

use naru_shared::domain::Timestamp;
use serde_json::Value;

use super::texts;
use crate::{
    accept::{self, Place},
    auth::LONGEST_LIFE,
    calls::{
        batch_body::{revisions, split},
        token::{SHORTEST_LIFE, life},
    },
    strict_json,
};

const NOW: Timestamp = Timestamp::from_millis(1_618_884_473_500);

pub(super) fn json_samples() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"a":[1,-2.5e3,true,null,"\ud83e\udd80\n"],"b":{"c":{}}}"#,
        "[]",
        "\"text\"",
        " 9007199254740993 ",
    ])
}

/// What is taken means one thing: it is read as a value, and that is written and read again as the same.
pub(super) fn json(bytes: &[u8]) -> bool {
    if strict_json::check(bytes).is_err() {
        return false;
    }
    let value: Value = serde_json::from_slice(bytes).expect("it was checked");
    assert!(depth(&value) <= 32);
    let written = serde_json::to_vec(&value).expect("it is JSON");
    assert!(strict_json::check(&written).is_ok(), "{}", written.escape_ascii());
    let again: Value = serde_json::from_slice(&written).expect("it was checked");
    assert_eq!(again, value);
    true
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

pub(super) fn message_samples() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"channel":"sms","recipient":"+821012345678","sender":"0215441234","body":"Your code is 4711","lane":"express","reference":"order-77","ttl":600}"#,
        r#"{"channel":"mms","recipient":"+821012345678","subject":"제목","body":"안녕하세요","lane":"bulk","send_at":"2021-04-21T09:00:00+09:00"}"#,
        r#"{"channel":"chat","recipient":"user 7","body":"hi","data":{"template":"t-1","buttons":[{"name":"Go","url":"https://example.com"}]}}"#,
    ])
}

/// What is accepted is within its bounds, and, written, is accepted again as the same.
pub(super) fn message(bytes: &[u8]) -> bool {
    let Ok(draft) = accept::parse_bytes(bytes, Place::Alone, NOW) else { return false };
    let content = &draft.content;
    assert!(content.recipient.len() <= 256 && !content.recipient.is_empty(), "{content:?}");
    let texts = [
        Some(&content.recipient),
        content.sender.as_ref(),
        content.subject.as_ref(),
        content.reference.as_ref(),
    ];
    assert!(texts.into_iter().flatten().all(|text| !text.chars().any(char::is_control)), "{content:?}");
    assert!(
        !content.body.contains('\0') && content.ttl != Some(0) && content.simulate.is_none(),
        "{content:?}"
    );
    assert!(serde_json::to_vec(&content.data).is_ok_and(|data| data.len() <= 16 * 1024));
    let mut written = serde_json::to_value(content).expect("it is JSON");
    written["lane"] = draft.lane.as_str().into();
    let again = accept::parse(&written.to_string(), Place::Alone, NOW).expect("it was accepted");
    assert_eq!((again.content, again.lane), (draft.content, draft.lane));
    true
}

pub(super) fn batch_samples() -> Vec<Vec<u8>> {
    let messages: Vec<String> =
        message_samples().into_iter().map(|message| String::from_utf8(message).expect("JSON")).collect();
    texts(&[&format!("{{\"messages\":[{}]}}", messages.join(",")), r#"{"messages":[{"key":"a-1"},5,null]}"#])
}

/// A batch has 1 to 1,000 items, and each of them is a message or is refused, on its own.
pub(super) fn batch(bytes: &[u8]) -> bool {
    let Ok(items) = split(bytes) else { return false };
    assert!((1..=1_000).contains(&items.len()));
    for item in items {
        match accept::parse(item.get(), Place::InBatch, NOW) {
            Ok(draft) => assert_eq!(accept::key(item.get()), draft.key),
            Err(problem) => {
                assert!(!problem.detail.contains(item.get()) || item.get().len() < 8, "{}", item.get())
            }
        }
    }
    true
}

pub(super) fn acknowledgement_samples() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"reports":[{"id":"msg_01kf3m2qz8fx5v6w7y8r9t0abc","revision":1},{"id":"x","revision":4294967295}]}"#,
    ])
}

pub(super) fn acknowledgement(bytes: &[u8]) -> bool {
    let Ok(list) = revisions(bytes) else { return false };
    assert!((1..=1_000).contains(&list.len()));
    true
}

pub(super) fn token_request_samples() -> Vec<Vec<u8>> {
    texts(&["{}", r#"{"expires_in":900}"#, r#"{"expires_in":null}"#])
}

pub(super) fn token_request(bytes: &[u8]) -> bool {
    let Ok(seconds) = life(bytes) else { return false };
    assert!((SHORTEST_LIFE..=LONGEST_LIFE).contains(&seconds));
    true
}
