//! Many messages in one call.

use naru_tests::gateway::{Gateway, Setup};
use serde_json::{Value, json};

use super::{PATIENCE, refusal, to};
use crate::stage::{beside_others, message, reports, used};

fn keyed(key: &str, mut message: Value) -> Value {
    message["key"] = key.into();
    message
}

#[test]
fn each_item_stands_on_its_own() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup { quota: Some(100), ..Setup::default() }).unwrap();
    let mut customer = gateway.customer(0);
    let mut strange = message("sms", "strange");
    strange["colour"] = "red".into();
    let items = [
        keyed("a", message("sms", "one")),
        to("010", message("sms", "bad")),
        keyed("a", message("sms", "one")),
        keyed("a", message("sms", "changed")),
        strange,
        json!(5),
        message("sms", "two"),
    ];
    let reply = customer.batch(&items).unwrap();
    let answer = reply.json();
    assert_eq!((reply.status, &answer["accepted"], &answer["refused"]), (202, &json!(3), &json!(4)));
    assert_eq!(answer["unknown"], 0);
    let results = answer["results"].as_array().unwrap();
    let seen: Vec<_> = results.iter().map(|r| r["problem"]["code"].as_str().unwrap_or("accepted")).collect();
    let expected = [
        "accepted",
        "invalid-recipient",
        "accepted",
        "idempotency-conflict",
        "unknown-field",
        "invalid-message",
        "accepted",
    ];
    assert_eq!(seen, expected, "{answer}");
    for (index, result) in results.iter().enumerate() {
        assert_eq!(result["index"], index);
        assert_eq!(result["result"] == "accepted", result["id"].is_string(), "{result}");
    }
    assert_eq!(results[0]["key"], "a");
    assert_eq!(results[0]["id"], results[2]["id"], "one key, one message");
    let mut told: Vec<_> = reports(&mut customer, 2, PATIENCE).iter().map(|r| r["id"].clone()).collect();
    told.sort_by_key(|id| *id != results[0]["id"]);
    assert_eq!(told, [results[0]["id"].clone(), results[6]["id"].clone()]);
    assert_eq!(used(&gateway), 2);
}

#[test]
fn a_batch_of_which_nothing_was_accepted_is_no_202() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup { quota: Some(1), ..Setup::default() }).unwrap();
    let mut customer = gateway.customer(0);
    let bad = customer.batch(&[to("010", message("sms", "bad")), json!({})]).unwrap();
    assert_eq!((bad.status, &bad.json()["refused"]), (422, &json!(2)));
    assert_eq!(refusal(&customer.batch(&[]).unwrap()), (422, "empty-batch".to_owned()));
    let many: Vec<_> = (0..1_001).map(|i| message("sms", &i.to_string())).collect();
    assert_eq!(refusal(&customer.batch(&many).unwrap()), (422, "batch-too-large".to_owned()));
    assert_eq!(customer.batch(&[message("sms", "the only one")]).unwrap().status, 202);
    assert_eq!(reports(&mut customer, 1, PATIENCE).len(), 1);
    let over = customer.batch(&[message("sms", "over"), message("sms", "over too")]).unwrap();
    assert_eq!((over.status, &over.json()["accepted"]), (429, &json!(0)));
    assert_eq!(over.json()["results"][1]["problem"]["code"], "quota-exceeded");
    assert_eq!(used(&gateway), 1);
}
