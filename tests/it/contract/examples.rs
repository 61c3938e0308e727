//! The examples of the contract are those of docs/api.md, which are run by a test.

use std::fs;

use serde_json::{Map, Value};

use super::{root, told};

/// What stands for each `…` of the reference: 26 characters of an id.
const ID: &str = "01kf3m2qz8fx5v6w7y8r9t0abc";

/// Of which call a command is, by the words of its address and its method.
fn call(command: &str) -> Option<&'static str> {
    let address = command.split("$NARU").nth(1)?.split(['"', '\'']).next()?;
    let path = address.trim_start_matches("/sandbox").split('?').next()?;
    let deletes = command.contains("-X DELETE");
    let sends = command.contains(" -d ") || command.contains("--data-binary");
    Some(match path {
        "/v1.0/messages" if sends => "sendMessage",
        "/v1.0/messages/batch" => "sendBatch",
        "/v1.0/messages/$ID" if deletes => "cancelMessage",
        "/v1.0/messages/$ID" => "getMessage",
        "/v1.0/reports" => "readReports",
        "/v1.0/reports/ack" => "acknowledgeReports",
        "/v1.0/quota" => "readQuota",
        "/v1.0/attachments" => "uploadAttachment",
        _ => return None,
    })
}

/// The JSON that a command sends.
fn request(command: &str) -> Option<Value> {
    let (_, data) = command.split_once(" -d ")?;
    let (from, to) = (data.find('{')?, data.rfind('}')?);
    let text = data[from..=to].replace("\\\"", "\"").replace("$ID", &format!("msg_{ID}"));
    let mut request: Value = serde_json::from_str(&text).ok()?;
    // One item of the reference is wrong on purpose; an example of the contract is valid.
    if let Some(messages) = request.get_mut("messages").and_then(Value::as_array_mut) {
        messages.retain(|message| message["recipient"].as_str().is_some_and(|to| to.starts_with('+')));
    }
    Some(request)
}

/// A printed value with something in the place of what differs each time.
fn filled(value: Value) -> Value {
    match value {
        Value::String(text) => {
            let text = match text.as_str() {
                "…" => "simulated: failed".to_owned(),
                _ => text.replace('…', ID),
            };
            Value::String(text)
        }
        Value::Array(list) => list.into_iter().map(filled).collect(),
        Value::Object(map) => {
            map.into_iter().map(|(name, value)| (name, filled(value))).collect::<Map<_, _>>().into()
        }
        other => other,
    }
}

fn taken() -> Value {
    let document = fs::read_to_string(root().join("docs/api.md")).unwrap();
    let mut blocks = document.split("```").skip(1).step_by(2);
    let mut taken = Value::Object(Map::new());
    while let (Some(command), Some(answer)) = (blocks.next(), blocks.next()) {
        let Some(id) = call(command) else { continue };
        let status = answer.split(' ').nth(1).unwrap();
        let good = ["200", "201", "202"].contains(&status);
        let entry = &mut taken[id];
        if let Some(request) = request(command).filter(|_| good && entry.get("request").is_none()) {
            entry["request"] = request;
        }
        let body = answer.split_once("\n\n").map(|(_, body)| body).unwrap_or_default();
        if let Ok(body) = serde_json::from_str::<Value>(body)
            && good
            && entry["answers"].get(status).is_none()
        {
            entry["answers"][status] = filled(body);
        }
    }
    taken
}

#[test]
fn the_examples_are_those_of_the_reference() {
    let taken = taken();
    assert_eq!(taken.as_object().unwrap().len(), 8, "{:?}", taken.as_object().unwrap().keys());
    told("ingress/src/openapi/examples.json", &(serde_json::to_string_pretty(&taken).unwrap() + "\n"));
}
