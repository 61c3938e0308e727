//! What customers are called with: their webhooks.

use naru_shared::domain::{Audience, DataShape, Environment, EventKind, Key, MessageId, kinds};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::examples;

/// One entry for each kind of event that customers hear of.
pub fn all() -> Value {
    let told = kinds::ALL.iter().filter(|kind| kind.audience != Audience::Operator);
    told.map(|kind| (kind.name.to_owned(), call(kind))).collect::<Map<_, _>>().into()
}

fn schema<T: JsonSchema>() -> Value {
    T::json_schema(&mut SchemaGenerator::default()).to_value()
}

fn header(name: &str, description: &str, schema: &Value) -> Value {
    json!({ "name": name, "in": "header", "required": true, "description": description, "schema": schema })
}

/// What the event says beside whose message it is.
fn data(shape: DataShape) -> Value {
    let whose = json!({ "$ref": "#/components/schemas/Whose" });
    match shape {
        DataShape::Report => json!({ "allOf": [{ "$ref": "#/components/schemas/Report" }, whose] }),
        DataShape::Conflict => json!({
            "allOf": [
                {
                    "type": "object",
                    "properties": {
                        "id": schema::<MessageId>(),
                        "key": schema::<Option<Key>>(),
                        "fingerprint": { "type": "string", "pattern": "^[0-9a-f]{32}$" },
                    },
                    "required": ["id", "key", "fingerprint"],
                },
                whose,
            ],
        }),
        // A call to try the way.
        _ => json!({ "type": "object" }),
    }
}

fn call(kind: &EventKind) -> Value {
    let text = json!({ "type": "string" });
    let of_kind = json!({
        "type": "object",
        "properties": {
            "type": { "const": kind.name },
            "data": data(kind.data),
        },
    });
    let mut media = json!({ "schema": { "allOf": [{ "$ref": "#/components/schemas/Event" }, of_kind] } });
    if let Some(page) = examples::answer("readReports", 200).filter(|_| kind.name == kinds::DELIVERED.name) {
        media["example"] = example(kind, &page["reports"][0]);
    }
    let word = kind.name.rsplit('.').next().unwrap_or_default();
    json!({
        "post": {
            "operationId": format!("told-{word}"),
            "tags": ["reports"],
            "summary": kind.meaning,
            "description": "Posted to the customer's URL, signed as Standard Webhooks asks. Verify the bytes as they came. It may come twice, \
                with the same `webhook-id`, and in any order: keep the highest `sequence` of each `subject`. What is not answered `2xx` \
                within 15 seconds comes again, for three days.",
            "security": [],
            "parameters": [
                header("webhook-id", "The event's id: the same at every attempt.", &text),
                header("webhook-timestamp", "When this attempt was made, in seconds since 1970.", &json!({ "type": "integer" })),
                header("webhook-signature", "One or two signatures, separated by a blank.", &json!({ "type": "string", "pattern": "^v1," })),
            ],
            "requestBody": { "required": true, "content": { "application/cloudevents+json": media } },
            "responses": {
                "2XX": { "description": "It was taken and does not come again." },
                "410": { "description": "No more is wanted: the webhook is switched off." },
                "default": { "description": "It comes again; with `429` and `503` not before `Retry-After`." },
            },
        },
    })
}

/// The event of a report.
fn example(kind: &EventKind, report: &Value) -> Value {
    let mut data = report.clone();
    data["customer"] = "acme".into();
    data["environment"] = "live".into();
    json!({
        "specversion": "1.0",
        "id": format!("{}.1", examples::MESSAGE_ID),
        "source": "/naru",
        "type": kind.name,
        "subject": examples::MESSAGE_ID,
        "time": report["final_at"],
        "sequence": 1,
        "datacontenttype": "application/json",
        "data": data,
    })
}

/// Whose message an event is about.
pub fn whose() -> Value {
    json!({
        "type": "object",
        "description": "Whose message it is.",
        "properties": {
            "customer": { "type": "string", "description": "The customer." },
            "environment": schema::<Environment>(),
        },
        "required": ["customer", "environment"],
    })
}

/// The event around what happened.
pub fn event() -> Value {
    json!({
        "type": "object",
        "description": "A CloudEvent 1.0 about a message.",
        "properties": {
            "specversion": { "const": "1.0" },
            "id": { "type": "string", "description": "Stable: what comes twice has the same id." },
            "source": { "const": "/naru" },
            "type": { "type": "string", "description": "What happened." },
            "subject": { "type": "string", "description": "The message's id." },
            "time": { "type": "string", "format": "date-time", "description": "When it happened." },
            "sequence": { "type": "integer", "minimum": 0, "description": "Grows with every event of the subject." },
            "datacontenttype": { "const": "application/json" },
            "data": { "type": "object", "description": "What is told." },
        },
        "required": ["specversion", "id", "source", "type", "subject", "time", "sequence", "datacontenttype", "data"],
    })
}
