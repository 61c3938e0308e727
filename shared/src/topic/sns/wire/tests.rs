use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::{Account, Code, Environment, MessageId, Report, State, Timestamp, Units};

fn event(data: Value) -> Event {
    Event::about("msg_1", 1, "naru.message.failed".to_owned(), Timestamp::from_millis(1), data)
}

fn read(entry: &Entry) -> Event {
    serde_json::from_str(&entry.body).unwrap()
}

/// The largest that a message may bring: every text at its bound and of the characters that JSON writes longest.
#[test]
fn the_largest_report_is_far_from_the_bound() {
    let name = "n".repeat(40);
    let account = Account { customer: name.parse().unwrap(), environment: Environment::Sandbox };
    let report = Report {
        id: MessageId::from_bytes([255; 16]),
        revision: u32::MAX,
        reference: Some("\u{1}".repeat(255)),
        key: Some("\"".repeat(255).parse().unwrap()),
        channel: "c".repeat(32).parse().unwrap(),
        recipient: "\u{1}".repeat(255),
        status: State::Failed,
        code: Code::Uncertain,
        detail: "\u{1}".repeat(4 << 10),
        units: Units::new(1_000_000).unwrap(),
        charged: true,
        attempts: u32::MAX,
        route: name.parse().unwrap(),
        accepted_at: Timestamp::from_millis(1),
        sent_at: Some(Timestamp::from_millis(1)),
        final_at: Timestamp::from_millis(1),
    };
    let whole = Event::of_report(&account, &report);
    let entry = Entry::of(&whole).unwrap();
    assert!(entry.weight() < LARGEST / 3, "{} bytes", entry.weight());
    assert_eq!(read(&entry), whole, "nothing of it is cut");
    assert_eq!(entry.attributes.len(), 7);
}

#[test]
fn filter_policies_find_what_the_event_has() {
    let data = json!({ "customer": "acme", "environment": "live", "route": "sms", "channel": "lms", "status": "failed" });
    let entry = Entry::of(&event(data)).unwrap();
    let attributes: Vec<(&str, &str)> = entry.attributes.iter().map(|(n, t)| (*n, t.as_str())).collect();
    assert_eq!(
        attributes,
        [
            ("content-type", "application/cloudevents+json; charset=UTF-8"),
            ("kind", "naru.message.failed"),
            ("customer", "acme"),
            ("environment", "live"),
            ("route", "sms"),
            ("channel", "lms"),
            ("state", "failed"),
        ]
    );
    // What is not there, or no word, becomes none.
    let entry = Entry::of(&event(json!({ "customer": 5, "route": "", "channel": null }))).unwrap();
    assert_eq!(entry.attributes.len(), 2);
}

#[test]
fn what_is_too_large_is_cut_where_one_can_see_it() {
    let data =
        json!({ "customer": "acme", "status": "failed", "detail": "한".repeat(100_000), "list": ["x"] });
    let entry = Entry::of(&event(data)).unwrap();
    let got = read(&entry).data;
    let detail = got["detail"].as_str().unwrap();
    assert!(detail.ends_with("… (283617 bytes left out)"), "{}", &detail[detail.len() - 40..]);
    assert_eq!((&got["cut"], &got["list"]), (&json!(["/detail"]), &json!(["x"])));
    assert!(entry.body.len() <= LARGEST);
    // Not its texts are long: there are too many.
    let data = json!({ "customer": "acme", "status": "failed", "list": vec![1_234_567; 100_000] });
    let entry = Entry::of(&event(data)).unwrap();
    assert_eq!(
        read(&entry).data,
        json!({ "customer": "acme", "status": "failed", "cut": "the data: the event had 800238 bytes" })
    );
}

/// SQS refuses a body with them.
#[test]
fn characters_that_no_queue_takes_are_escaped() {
    let whole = event(json!({ "detail": "a\u{ffff}b\u{fffe}c\u{0}" }));
    let entry = Entry::of(&whole).unwrap();
    assert!(!entry.body.contains(['\u{fffe}', '\u{ffff}', '\u{0}']));
    assert_eq!(read(&entry), whole);
}

#[test]
fn a_call_holds_ten_entries_and_what_sns_takes() {
    assert!(batches(&[]).is_empty());
    assert_eq!(batches(&[1; 25]), [0..10, 10..20, 20..25]);
    assert_eq!(batches(&[TAKEN / 2, TAKEN / 2, 1]), [0..2, 2..3]);
    assert_eq!(batches(&[TAKEN, 1]), [0..1, 1..2]);
}

fn any_data() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (0_usize..90_000, any::<char>()).prop_map(|(n, c)| Value::String(c.to_string().repeat(n))),
        any::<i64>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 24, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
            prop::collection::hash_map("[a-z/~]{1,8}", inner, 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_the_data_is_the_event_fits(data in any_data()) {
        let whole = event(data);
        let entry = Entry::of(&whole).unwrap();
        prop_assert!(entry.body.len() <= LARGEST && entry.weight() <= TAKEN);
        let got = read(&entry);
        prop_assert_eq!((&got.id, &got.kind), (&whole.id, &whole.kind));
        if serde_json::to_string(&whole).unwrap().len() <= LARGEST - 64 {
            prop_assert_eq!(got, whole);
        }
    }
}
