//! What several calls have in common: parameters, headers, ways to prove who one is.

use naru_shared::domain::{Key, MessageId, RouteName, Simulated, Simulation};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::examples::{KEY, MESSAGE_ID};
use crate::{calls::reports, limits, problem::Code, simulate};

fn schema<T: JsonSchema>() -> Value {
    T::json_schema(&mut SchemaGenerator::default()).to_value()
}

fn header(name: &str, description: &str, schema: &Value, example: &str) -> Value {
    json!({
        "name": name, "in": "header", "required": false, "description": description,
        "schema": schema, "example": example,
    })
}

fn path(name: &str, description: &str, schema: &Value, example: &str) -> Value {
    json!({
        "name": name, "in": "path", "required": true, "description": description,
        "schema": schema, "example": example,
    })
}

fn query(name: &str, description: &str, range: (u64, u64), default: u64) -> Value {
    json!({
        "name": name, "in": "query", "required": false, "description": description,
        "schema": { "type": "integer", "minimum": range.0, "maximum": range.1, "default": default },
    })
}

/// The header that asks for one of these outcomes.
fn simulation(of: impl Fn(Simulated) -> bool) -> Value {
    header(
        &canonical(simulate::HEADER.as_str()),
        "What is to happen, in the sandbox alone: an outcome and its parameters, an item of RFC 9651.",
        &json!({ "type": "string", "maxLength": simulate::LONGEST, "pattern": Simulation::pattern(of) }),
        "unavailable;retry-after=2",
    )
}

/// Parameters by the names that operations call them.
pub fn parameters() -> Value {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    json!({
        "IdempotencyKey": header(
            &canonical(limits::IDEMPOTENCY_KEY.as_str()),
            "The message's key, bare or quoted. The same key and content is the same message for 30 days.",
            &schema::<Key>(),
            KEY,
        ),
        "Traceparent": header(
            "traceparent",
            "W3C Trace Context; carried to the backend, ignored where it cannot be read.",
            &json!({ "type": "string" }),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
        "Simulate": simulation(|_| true),
        "SimulateRefusal": simulation(|outcome| matches!(outcome, Simulated::RateLimited | Simulated::Unavailable)),
        "ContentDigest": header(
            "Content-Digest",
            "SHA-256 of the body (RFC 9530): the server makes sure that what came is what was sent.",
            &text("^sha-256=:[A-Za-z0-9+/]{43}=:$"),
            "sha-256=:YCfEPgsUf2jNhpvSbAkmt+s73stlTYDIJ3xgkWIUIqE=:",
        ),
        "IfNoneMatch": header(
            "If-None-Match",
            "The tag of the content that is known already.",
            &json!({ "type": "string" }),
            "\"00000000000000000000000000000000\"",
        ),
        "MessageId": path("id", "The message's id.", &schema::<MessageId>(), MESSAGE_ID),
        "Route": path("route", "The route whose provider calls.", &schema::<RouteName>(), "carrier-a"),
        "Code": path("code", "The code.", &json!({ "type": "string", "enum": codes }), "rate-limited"),
        "DryRun": json!({
            "name": "dry_run", "in": "query", "required": false,
            "description": "`true`: check, route and count as in earnest, and send, keep and charge nothing.",
            "schema": { "type": "boolean", "default": false },
        }),
        "Limit": query("limit", "So many reports at the most.", reports::LIMIT, reports::LIMIT_DEFAULT),
        "Wait": query("wait", "Seconds to wait for the first, if there is none.", reports::WAIT, 0),
    })
}

/// `idempotency-key` as it is written in documentation.
fn canonical(name: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

/// Headers of answers.
pub fn headers() -> Value {
    let text = json!({ "type": "string" });
    let rates = "draft-ietf-httpapi-ratelimit-headers-10, of customers with rates";
    json!({
        "Request-Id": {
            "description": "The call's id. Quote it when you ask the operator.",
            "required": true,
            "schema": { "type": "string", "pattern": "^req_[0-9a-hjkmnp-tv-z]{26}$" },
        },
        "RateLimit-Policy": { "description": format!("`q` messages in `w` seconds ({rates})."), "schema": text },
        "RateLimit": {
            "description": format!("`r` messages that could come now, `t` seconds until the whole burst is free ({rates})."),
            "schema": text,
        },
        "Retry-After": {
            "description": "Seconds until the same call may succeed.",
            "schema": { "type": "integer", "minimum": 1 },
        },
        "Location": {
            "description": "Where it can be read.",
            "required": true,
            "schema": { "type": "string", "format": "uri-reference" },
        },
        "WWW-Authenticate": { "description": "How to prove who one is.", "required": true, "schema": text },
        "ETag": { "description": "The content's tag.", "required": true, "schema": text },
        "Cache-Control": { "description": "For how long it need not be asked for.", "required": true, "schema": text },
    })
}

/// Ways to prove who one is. A further one is an entry here, and a line in `security` of the document.
pub fn security() -> Value {
    let mut schemes = Map::new();
    schemes.insert(
        "basic".to_owned(),
        json!({
            "type": "http",
            "scheme": "basic",
            "description": "HTTP Basic (RFC 7617) with three parts, `ID:PW:API_KEY`: the user is ID, the password PW:API_KEY.",
        }),
    );
    schemes.insert(
        "token".to_owned(),
        json!({
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A token (RFC 6750, RFC 7519) that the credential's owner signed, or that `POST /tokens` made.",
        }),
    );
    schemes.insert(
        "signature".to_owned(),
        json!({
            "type": "apiKey",
            "in": "header",
            "name": "Signature-Input",
            "description": "The call is signed (RFC 9421, `hmac-sha256`): `Signature-Input` and `Signature`, and `Content-Digest` (RFC 9530) where there is a body.",
        }),
    );
    schemes.insert(
        "provider".to_owned(),
        json!({ "type": "http", "scheme": "basic", "description": "The proof that the route asks for: here a user and a password." }),
    );
    schemes.insert(
        "providerSignature".to_owned(),
        json!({
            "type": "apiKey",
            "in": "header",
            "name": "webhook-signature",
            "description": "The proof that the route asks for: here a signature as Standard Webhooks has it, or in a header that the route names.",
        }),
    );
    Value::Object(schemes)
}
