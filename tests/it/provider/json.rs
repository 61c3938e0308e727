//! A provider of JSON whose outcome stands in the body, and what is signed as its documentation asks.

use std::sync::Arc;

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    PATIENCE, SECRET, add, gateway, holds, send,
    standin::{Call, Reply, StandIn},
};
use crate::stage::{beside_others, until};

const TAKEN: &str = "+821000000001";
const REFUSED: &str = "+821000000002";
const CUT: &str = "+821000000003";
const HTML: &str = "+821000000004";

fn bearer(port: u16) -> String {
    format!(
        r#"
url = "http://127.0.0.1:{port}/v1/{{channel}}/send"
query = {{ trace = "{{id}}" }}
headers = {{ x-environment = "live", x-api-key = "{{secret.api_key}}" }}

[secrets]
api_key = {{ env = "PROVIDER_API_KEY" }}

[auth]
kind = "bearer"
token = "{SECRET}"

[json]
requestId = "{{id}}"
attempt = "{{attempt}}"
from = "{{sender|digits}}"
title = "{{subject}}"
options = {{ express = true, tags = ["naru", "{{reference}}"] }}
messages = [{{ to = "{{recipient|national:82}}", content = "{{body}}" }}]

[answer]
id = "/data/id"
code = "/resultCode"
detail = "/resultMessage"
rules = [
    {{ status = [200], pointer = "/resultCode", equals = ["0000"], outcome = "delivered" }},
    {{ status = [200], pointer = "/resultCode", equals = ["3001", "3002"], outcome = "failed" }},
]
"#
    )
}

fn complaint(call: &Call) -> Option<String> {
    let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let id = body["requestId"].as_str().unwrap_or_default().to_owned();
    let to = body["messages"][0]["to"].clone();
    let expected = json!({
        "requestId": id, "attempt": 1, "from": "15017122661",
        "options": { "express": true, "tags": ["naru"] },
        "messages": [{ "to": to, "content": "Hi & 안녕 {x}" }],
    });
    let checks = [
        (call.method == "POST" && call.target == format!("/v1/sms/send?trace={id}"), "target"),
        (call.header("authorization") == format!("Bearer {SECRET}"), "authorization"),
        (call.header("x-api-key") == "from-the-environment", "x-api-key"),
        (call.header("content-type") == "application/json", "content type"),
        (id.starts_with("msg_") && call.header("idempotency-key") == id, "idempotency key"),
        (call.header("x-environment") == "live" && call.header("x-naru-attempt") == "1", "headers"),
        (to.as_str().is_some_and(|to| to.starts_with("00") || to.starts_with("010")), "to"),
        (body == expected, "body"),
    ];
    checks.into_iter().find(|(well, _)| !well).map(|(_, what)| format!("{what}: {call:?} {body}"))
}

#[test]
fn an_outcome_is_read_from_the_body_and_is_uncertain_when_the_body_is_cut() {
    let _beside = beside_others();
    let complaints = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&complaints);
    let provider = StandIn::start(move |call| {
        heard.lock().extend(complaint(call));
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        let taken = json!({ "resultCode": "0000", "resultMessage": "ok", "data": { "id": 77 } });
        match body["messages"][0]["to"].as_str().unwrap() {
            "01000000001" | "01000000000" | "00000000000" => Reply::new(200, taken),
            "01000000002" => {
                Reply::new(200, json!({ "resultCode": "3001", "resultMessage": "no such number" }))
            }
            "01000000003" => Reply { cut: true, ..Reply::new(200, taken) },
            "01000000004" => Reply::new(200, "<html>maintenance</html>"),
            other => Reply::new(500, other),
        }
    });
    let mut gateway = gateway("");
    gateway.drain().unwrap();
    gateway.start(&[("PROVIDER_API_KEY", "from-the-environment".to_owned())]).unwrap();
    let shown = add(&gateway, &bearer(provider.port()), &[]);
    assert!(shown.contains("secrets.api_key: the variable PROVIDER_API_KEY"), "{shown}");
    let mut customer = gateway.customer(0);
    let [taken, refused, cut, html] = [TAKEN, REFUSED, CUT, HTML].map(|to| send(&mut customer, to));
    until(&mut customer, &taken, &["delivered"], PATIENCE);
    let refused = until(&mut customer, &refused, &["failed"], PATIENCE);
    assert_eq!(refused["detail"], "HTTP 200, code 3001: no such number");
    for doubt in [cut, html] {
        let doubt = until(&mut customer, &doubt, &["failed"], PATIENCE);
        assert_eq!(doubt["code"], "uncertain", "{doubt}");
    }
    assert_eq!(*complaints.lock(), Vec::<String>::new());
    gateway.drain().unwrap();
    assert_eq!(holds(gateway.home(), SECRET.as_bytes()), Vec::<String>::new());
}

#[test]
fn a_provider_checks_an_hmac_of_its_own_form_and_a_description_can_be_replaced() {
    let _beside = beside_others();
    let complaints = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&complaints);
    let provider = StandIn::start(move |call| {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(SECRET.as_bytes()).unwrap();
        let (time, nonce) = (call.header("x-naru-timestamp"), call.header("x-naru-nonce"));
        let well = if call.target.starts_with("/own/") {
            let time = call.header("x-time");
            mac.update(format!("POST {}\n{time}\nk1", call.target).as_bytes());
            BASE64.encode(&mac.finalize().into_bytes()) == call.header("x-signature-v2")
        } else {
            let digest = HEXLOWER.encode(&Sha256::digest(&call.body));
            mac.update(format!("POST\n{}\n{time}\n{nonce}\n{digest}", call.target).as_bytes());
            HEXLOWER.encode(&mac.finalize().into_bytes()) == call.header("x-naru-signature")
        };
        if !well {
            heard.lock().push(format!("{call:?}"));
        }
        Reply::new(202, "")
    });
    let gateway = gateway("");
    let port = provider.port();
    let auth = format!("[auth]\nkind = \"hmac\"\nkey = \"k1\"\nsecret = \"{SECRET}\"\n");
    let body = "[json]\nto = \"{recipient}\"\ntext = \"{body}\"\n";
    let first = format!("url = \"http://127.0.0.1:{port}/plain/x?\"\n").replace('?', "");
    add(&gateway, &format!("{first}{body}{auth}"), &[]);
    let mut customer = gateway.customer(0);
    let one = send(&mut customer, TAKEN);
    until(&mut customer, &one, &["delivered"], PATIENCE);

    let own = "encoding = \"base64\"\nsigned = \"{method} {path}\\n{millis}\\n{key}\"\n\
               headers = { x-time = \"{millis}\", x-signature-v2 = \"{signature}\" }\n";
    let file = gateway.home().join("other.toml");
    let text = format!("url = \"http://127.0.0.1:{port}/own/{{recipient|digits}}\"\n{body}{auth}{own}");
    std::fs::write(&file, text).unwrap();
    gateway.verb(&["route", "set", "carrier", "--provider", &file.display().to_string()]).unwrap();
    crate::stage::within(PATIENCE, "the new description is in force", || {
        let id = send(&mut customer, TAKEN);
        until(&mut customer, &id, &["delivered"], PATIENCE);
        provider.calls().last().unwrap().target.starts_with("/own/821000000001").then_some(())
    });
    assert_eq!(*complaints.lock(), Vec::<String>::new());

    std::fs::write(&file, "url = \"https://a.example/{nobody}\"").unwrap();
    let refused = gateway.verb(&["route", "set", "carrier", "--provider", &file.display().to_string()]);
    let why = format!("{:#}", refused.unwrap_err());
    assert!(why.contains("`nobody` is not a field"), "{why}");
}
