//! Every field, well and badly written.

use proptest::{
    prelude::{any, prop, proptest},
    sample::select,
};
use serde_json::{Value, json};

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_763_802_000_000);

fn with(name: &str, value: Value) -> Result<Draft, Code> {
    let mut message = json!({"channel": "sms", "recipient": "+821012345678", "body": "hello"});
    message[name] = value;
    parse(&message.to_string(), Place::InBatch, NOW).map_err(|problem| problem.code)
}

#[test]
fn the_documented_message_is_read() {
    let text = r#"{"channel":"sms","recipient":"+821012345678","sender":"0215441234","subject":null,"body":"…",
        "attachments":[],"data":{},"lane":"bulk","reference":"order-77","send_at":null,"ttl":600}"#;
    let draft = parse(text, Place::Alone, NOW).unwrap();
    assert_eq!(draft.lane, Lane::Bulk);
    assert_eq!(draft.content.ttl, Some(600));
    assert_eq!(draft.content.reference.as_deref(), Some("order-77"));
}

#[test]
fn every_field_has_its_rule_and_its_code() {
    let cases = [
        ("channel", json!("SMS"), Code::InvalidChannel),
        ("channel", Value::Null, Code::InvalidChannel),
        ("recipient", json!(5), Code::InvalidRecipient),
        ("recipient", json!("01012345678"), Code::InvalidRecipient),
        ("recipient", json!("+0212345678"), Code::InvalidRecipient),
        ("recipient", json!("+1234567890123456"), Code::InvalidRecipient),
        ("sender", json!("s".repeat(65)), Code::InvalidSender),
        ("sender", json!("a\nb"), Code::InvalidSender),
        ("subject", json!("s".repeat(256)), Code::InvalidSubject),
        ("body", json!(""), Code::InvalidBody),
        ("body", json!(["x"]), Code::InvalidBody),
        ("attachments", json!("att_1"), Code::InvalidAttachments),
        ("attachments", json!(["att_00000000000000000000000000"]), Code::InvalidAttachments),
        ("data", json!([]), Code::InvalidData),
        ("data", json!({"a": "d".repeat(DATA)}), Code::InvalidData),
        ("lane", json!("fast"), Code::InvalidLane),
        ("reference", json!(""), Code::InvalidReference),
        ("send_at", json!("tomorrow"), Code::InvalidSendAt),
        ("send_at", json!("2025-12-22T09:00:00.001Z"), Code::InvalidSendAt),
        ("ttl", json!(0), Code::InvalidTtl),
        ("ttl", json!(-1), Code::InvalidTtl),
        ("ttl", json!(TTL + 1), Code::InvalidTtl),
        ("ttl", json!(1.5), Code::InvalidTtl),
        ("key", json!(" k"), Code::InvalidKey),
        ("recipiant", json!("x"), Code::UnknownField),
        ("customer", json!("other"), Code::UnknownField),
    ];
    for (name, value, code) in cases {
        assert_eq!(with(name, value.clone()), Err(code), "{name}: {value}");
    }
    for (name, value) in [
        ("channel", json!("kakao-talk")),
        ("sender", json!("ㅅ".repeat(64))),
        ("send_at", json!("2025-12-22T18:00:00+09:00")),
        ("send_at", json!("2020-01-01T00:00:00Z")),
        ("ttl", json!(TTL)),
        ("key", json!("order 77")),
    ] {
        assert!(with(name, value.clone()).is_ok(), "{name}: {value}");
    }
}

#[test]
fn a_list_of_attachments_is_of_different_ids_and_not_too_long() {
    let id = |n: usize| format!("att_0000000000000000000000000{n}");
    let parsed = |channel: &str, ids: &[String]| {
        let message = json!({"channel": channel, "recipient": "+821012345678", "attachments": ids});
        parse(&message.to_string(), Place::Alone, NOW).map_err(|problem| (problem.code, problem.detail))
    };
    let draft = parsed("mms", &[id(1), id(2)]).unwrap();
    assert_eq!((draft.content.attachments.len(), draft.content.body.as_str()), (2, ""));
    let ten: Vec<String> = (0..MOST).map(|n| id(n % 10)).collect();
    assert!(parsed("kakao", &ten).is_ok());
    let eleven: Vec<String> = ten.iter().cloned().chain([format!("{}a", &id(0)[..29])]).collect();
    assert_eq!(parsed("mms", &eleven).unwrap_err().0, Code::InvalidAttachments);
    assert_eq!(parsed("lms", &[id(1)]).unwrap_err().0, Code::InvalidAttachments);
    assert_eq!(parsed("mms", &[id(1), id(1)]).unwrap_err().0, Code::InvalidAttachments);
    let (code, detail) = parsed("mms", &[id(1), "att_x".to_owned()]).unwrap_err();
    assert_eq!(code, Code::UnknownAttachment);
    assert!(detail.starts_with("attachments[1]"), "{detail}");
    assert_eq!(parsed("mms", &[]).unwrap_err().0, Code::InvalidBody);
}

#[test]
fn the_sentence_names_the_field_that_is_unknown() {
    let problem = parse(r#"{"recipiant":"+821012345678"}"#, Place::Alone, NOW).unwrap_err();
    assert!(problem.detail.contains("`recipiant`") && problem.detail.contains("`recipient`"), "{problem:?}");
    let key = parse(r#"{"key":"k"}"#, Place::Alone, NOW).unwrap_err();
    assert!(key.detail.contains("Idempotency-Key"));
    for text in ["[]", "\"x\"", "null", "5"] {
        assert_eq!(parse(text, Place::Alone, NOW).unwrap_err().code, Code::InvalidMessage);
    }
}

proptest! {
    #[test]
    fn what_is_read_in_one_pass_is_what_a_thorough_reading_gives(
        fields in prop::collection::vec((select(NAMES), select(VALUES)), 0..9),
        in_batch in any::<bool>(),
    ) {
        let members: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let text = format!("{{\"channel\":\"sms\",\"recipient\":\"+821012345678\",{}}}", members.join(","));
        let place = if in_batch { Place::InBatch } else { Place::Alone };
        if let Some(draft) = plain(&text, place, NOW) {
            assert_eq!(thorough(&text, place, NOW), Ok(draft), "{text}");
        }
    }
}

const NAMES: &[&str] = &[
    "channel",
    "recipient",
    "sender",
    "subject",
    "body",
    "attachments",
    "data",
    "lane",
    "reference",
    "send_at",
    "ttl",
    "key",
    "other",
    "bo\\u0064y",
];

const VALUES: &[&str] = &[
    "null",
    "\"x\"",
    "\"\"",
    "\"a\\u0000b\"",
    "\"a\\nb\"",
    "\"\\ud83e\\udd80\"",
    "5",
    "0",
    "-1",
    "600.0",
    "1e3",
    "[]",
    "{}",
    "{\"a\":1}",
    "[\"f\"]",
    "\"bulk\"",
    "\"+8210987654321\"",
    "\"2025-11-22T09:00:00Z\"",
    "18446744073709551616",
    "true",
    "\"k 1\"",
];
