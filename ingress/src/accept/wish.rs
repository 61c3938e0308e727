//! What the schema of a message says beyond its fields: what one field asks of another.

use schemars::Schema;
use serde_json::{Value, json};

/// A number in international form, as `is_e164` reads it.
const E164: &str = "^\\+[1-9][0-9]{7,14}$";

/// To whom, where it need not be a number.
const ANYBODY: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$";

/// A text, or something that is attached; `null` counts as absent.
fn content() -> Value {
    json!([
        { "properties": { "body": { "type": "string", "minLength": 1 } }, "required": ["body"] },
        {
            "properties": {
                "body": { "type": ["string", "null"] },
                "attachments": { "type": "array", "items": { "type": "string" }, "minItems": 1 },
            },
            "required": ["attachments"],
        },
    ])
}

/// Adds the rules of channels.
pub fn rules(schema: &mut Schema) {
    let rules = json!([
        {
            "title": "A text message",
            "properties": {
                "channel": { "enum": ["sms", "lms"] },
                "recipient": { "pattern": E164 },
                "body": { "type": "string", "minLength": 1 },
                "attachments": { "type": ["array", "null"], "items": { "type": "string" }, "maxItems": 0 },
            },
            "required": ["body"],
        },
        {
            "title": "A multimedia message",
            "properties": { "channel": { "const": "mms" }, "recipient": { "pattern": E164 } },
            "anyOf": content(),
        },
        {
            "title": "A message of an operator's own channel",
            "properties": {
                "channel": { "not": { "enum": ["sms", "lms", "mms"] } },
                "recipient": { "pattern": ANYBODY },
            },
            "anyOf": content(),
        },
    ]);
    schema.insert("anyOf".to_owned(), rules);
}
