//! The types that are read and written, as JSON Schema.

use naru_shared::domain::{MessageView, Report};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    auth::LONGEST_LIFE,
    calls::{
        accepted::{Accepted, Rehearsed},
        attachment::Kept,
        batch_body,
        batch_result::Summary,
        callback::Taken,
        quota,
        report_ack::Done,
        reports,
        status::Queued,
        token,
    },
    problem::Document,
};

fn settings() -> SchemaSettings {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings
}

fn read() -> Map<String, Value> {
    let mut types = settings().for_deserialize().into_generator();
    types.subschema_for::<batch_body::Body<'_>>();
    types.subschema_for::<batch_body::Acknowledged>();
    let mut schemas = types.take_definitions(true);
    // The key of a message that comes alone is in the header.
    let mut message = schemas.get("BatchMessage").cloned().unwrap_or_default();
    if let Some(fields) = message.pointer_mut("/properties").and_then(Value::as_object_mut) {
        fields.remove("key");
    }
    message["description"] = "One message.".into();
    schemas.insert("Message".to_owned(), message);
    schemas
}

fn written() -> Map<String, Value> {
    let mut types: SchemaGenerator = settings().for_serialize().into_generator();
    types.subschema_for::<Accepted<'_>>();
    types.subschema_for::<Rehearsed<'_>>();
    types.subschema_for::<token::Made>();
    types.subschema_for::<Summary<'_>>();
    types.subschema_for::<MessageView>();
    types.subschema_for::<Queued>();
    types.subschema_for::<Report>();
    types.subschema_for::<reports::Page>();
    types.subschema_for::<Done>();
    types.subschema_for::<quota::Page<'_>>();
    types.subschema_for::<Kept>();
    types.subschema_for::<Taken>();
    types.subschema_for::<Document<'_>>();
    types.take_definitions(true)
}

/// Every schema by its name.
pub fn all() -> Value {
    let mut all = read();
    all.extend(written());
    for (name, sentence) in
        [("State", "Where a message stands."), ("Code", "Why a message ended, or waits for a person.")]
    {
        // What stores keep is nobody's business here.
        all.entry(name).or_insert_with(|| json!({}))["description"] = sentence.into();
    }
    all.values_mut().for_each(plain_numbers);
    all.extend([
        ("Anything".to_owned(), json!({ "type": "object", "description": "An OpenAPI document." })),
        ("Event".to_owned(), super::webhooks::event()),
        ("Whose".to_owned(), super::webhooks::whose()),
        ("TokenRequest".to_owned(), life()),
        ("ToldForm".to_owned(), told()),
        (
            "Told".to_owned(),
            json!({
                "description": "A report in the plain form, or a list of them; a route may have another form.",
                "anyOf": [told(), { "type": "array", "minItems": 1, "maxItems": 256, "items": told() }],
            }),
        ),
    ]);
    Value::Object(all)
}

/// Widths of Rust's integers are no formats that other languages know; their bounds stand beside them.
fn plain_numbers(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
                map.remove("format");
            }
            map.values_mut().for_each(plain_numbers);
        }
        Value::Array(list) => list.iter_mut().for_each(plain_numbers),
        _ => {}
    }
}

/// What a token is asked for with.
fn life() -> Value {
    json!({
        "type": "object",
        "description": "How long a token is to live.",
        "properties": {
            "expires_in": {
                "type": ["integer", "null"],
                "minimum": token::SHORTEST_LIFE,
                "maximum": LONGEST_LIFE,
                "default": token::USUAL_LIFE,
                "description": "Seconds.",
            },
        },
        "additionalProperties": false,
    })
}

/// The plain form of a provider's report.
fn told() -> Value {
    json!({
        "type": "object",
        "description": "A provider's report, in the plain form.",
        "properties": {
            "id": { "type": "string", "minLength": 1, "description": "The message's id, as it was posted to the provider." },
            "status": {
                "type": "string",
                "description": "What became of it: `delivered` or `failed`; `queued`, `sending` or `sent` while it is under way.",
            },
            "code": { "type": "string", "description": "The provider's own code." },
            "detail": { "type": "string", "description": "A sentence." },
            "time": { "type": "string", "description": "When." },
        },
        "required": ["id", "status"],
    })
}
