//! Bodies of calls.

use std::fmt;

use naru_shared::domain::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, json};

use super::texts;
use crate::{
    accept::{self, Place},
    auth::LONGEST_LIFE,
    calls::{
        batch_body::{Revision, revisions, split},
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

/// What is taken means one thing: nothing in it is hidden by what comes later, and it is read as a value, which is written and read again as the same.
pub(super) fn json(bytes: &[u8]) -> bool {
    if strict_json::check(bytes).is_err() {
        return false;
    }
    let value: Value = serde_json::from_slice(bytes).expect("it was checked");
    assert!(depth(&value) <= 32);
    let written_out: Everything = serde_json::from_slice(bytes).expect("it was checked");
    assert_eq!(written_out.0, everything(&value), "a name is there twice in {}", bytes.escape_ascii());
    let written = serde_json::to_vec(&value).expect("it is JSON");
    assert!(strict_json::check(&written).is_ok(), "{}", written.escape_ascii());
    let again: Value = serde_json::from_slice(&written).expect("it was checked");
    assert_eq!(again, value);
    true
}

/// How many values a text has, whether or not one of the same name comes later.
struct Everything(usize);

impl<'de> Deserialize<'de> for Everything {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counter;
        impl<'de> Visitor<'de> for Counter {
            type Value = usize;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<usize, E> {
                Ok(1)
            }
            fn visit_bool<E>(self, _: bool) -> Result<usize, E> {
                Ok(1)
            }
            fn visit_i64<E>(self, _: i64) -> Result<usize, E> {
                Ok(1)
            }
            fn visit_u64<E>(self, _: u64) -> Result<usize, E> {
                Ok(1)
            }
            fn visit_f64<E>(self, _: f64) -> Result<usize, E> {
                Ok(1)
            }
            fn visit_str<E>(self, _: &str) -> Result<usize, E> {
                Ok(1)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<usize, A::Error> {
                let mut all = 1;
                while let Some(Everything(more)) = items.next_element()? {
                    all += more;
                }
                Ok(all)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<usize, A::Error> {
                let mut all = 1;
                while let Some((_, Everything(more))) = fields.next_entry::<String, _>()? {
                    all += more;
                }
                Ok(all)
            }
        }
        deserializer.deserialize_any(Counter).map(Self)
    }
}

fn everything(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(everything).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(everything).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
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
    let pairs = |list: Vec<Revision>| list.into_iter().map(|one| (one.id, one.revision)).collect::<Vec<_>>();
    let list = pairs(list);
    let reports: Vec<Value> =
        list.iter().map(|(id, revision)| json!({ "id": id, "revision": revision })).collect();
    let written = json!({ "reports": reports }).to_string();
    assert_eq!(revisions(written.as_bytes()).map(pairs).ok(), Some(list), "{written}");
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
