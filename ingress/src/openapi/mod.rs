//! The contract (OpenAPI 3.1), made of what the code itself goes by: the types that are read and written, their limits, the table of
//! problems, the kinds of events. What is not in the code, who calls what and why, is the table of `operations`.
//!
//! A further call is an entry in `operations::of`, which does not compile without it; a further code is a word in its list there.

mod codes;
mod examples;
mod operations;
mod parts;
mod paths;
mod schemas;
mod webhooks;

use std::sync::LazyLock;

use naru_shared::blobs::Sha256Sum;
use serde_json::{Value, json};

use crate::{meters::Call, problem::Code};
use operations::{Operation, of};

static SERVED: LazyLock<(String, String)> = LazyLock::new(|| {
    let text = text();
    let digest = data_encoding::HEXLOWER.encode(&Sha256Sum::of(text.as_bytes()).as_bytes()[..16]);
    (text, format!("\"{digest}\""))
});

/// What is served, and the tag of its content.
pub fn served() -> (&'static str, &'static str) {
    let (text, tag) = &*SERVED;
    (text, tag)
}

/// Whether the contract says that this call may be answered with this code.
pub fn may(call: Call, code: Code) -> bool {
    of(call).is_none_or(|operation| operation.codes().any(|other| other == code))
}

/// Each call as `METHOD PATH`, and the codes that it may be answered with, for documentation and tests.
#[must_use]
pub fn listed() -> Vec<(String, Vec<&'static str>)> {
    operations()
        .map(|operation| {
            let codes = operation.own_codes().map(Code::as_str).collect();
            (format!("{} {}", operation.method.to_uppercase(), operation.whole_path()), codes)
        })
        .collect()
}

fn operations() -> impl Iterator<Item = Operation> {
    Call::ALL.into_iter().filter_map(of)
}

fn text() -> String {
    serde_json::to_string_pretty(&document()).unwrap_or_default() + "\n"
}

/// The whole document.
#[must_use]
pub fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {
            "title": "Naru",
            "version": "1.0.0",
            "summary": "Messages that cost money: accepted durably, delivered once, reported.",
            "description": "A call that was answered `202` is never lost, never charged twice and hardly ever sent twice. Refusals are \
                problems (RFC 9457): decide by their `code`; `/problems/{code}` says what each means and what to do. Below `/sandbox/v1.0` \
                everything is the same and nothing is sent or charged. Clients ignore fields that they do not know; the server refuses \
                them.",
            "contact": { "name": "Whoever operates this gateway" },
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [
            { "url": "/sandbox/v1.0", "description": "The sandbox: nothing is sent, nothing is charged." },
            { "url": "/v1.0", "description": "Live: messages are really sent and paid for." },
        ],
        "tags": [
            { "name": "messages", "description": "Send, ask, take back." },
            { "name": "reports", "description": "How messages ended." },
            { "name": "limits", "description": "Quotas and rates." },
            { "name": "providers", "description": "What the providers of routes call." },
            { "name": "about", "description": "What this gateway says about itself; needs no credential." },
        ],
        "security": [{ "basic": [] }, { "token": [] }, { "signature": [] }],
        "paths": paths::all(),
        "webhooks": webhooks::all(),
        "components": {
            "schemas": schemas::all(),
            "parameters": parts::parameters(),
            "headers": parts::headers(),
            "examples": examples::problems(),
            "securitySchemes": parts::security(),
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_call_but_the_unknown_is_in_the_contract() {
        let described: Vec<Call> = Call::ALL.into_iter().filter(|call| of(*call).is_some()).collect();
        assert_eq!(described.len(), Call::ALL.len() - 1);
        let ids: BTreeSet<&str> = operations().map(|operation| operation.id).collect();
        assert_eq!(ids.len(), described.len());
        assert!(may(Call::Message, Code::NoRoute) && !may(Call::Quota, Code::NoRoute));
        assert!(may(Call::Unknown, Code::MethodNotAllowed));
    }

    #[test]
    fn every_reference_leads_somewhere_and_everything_is_referred_to() {
        fn walk(value: &Value, found: &mut BTreeSet<String>) {
            match value {
                Value::Object(map) => {
                    for (name, value) in map {
                        if name == "$ref" {
                            found.insert(value.as_str().unwrap_or_default().to_owned());
                        }
                        walk(value, found);
                    }
                }
                Value::Array(list) => list.iter().for_each(|value| walk(value, found)),
                _ => {}
            }
        }
        let document = document();
        let mut found = BTreeSet::new();
        walk(&document, &mut found);
        assert!(found.len() > 40, "{found:?}");
        for place in &found {
            let pointer = place.strip_prefix('#').unwrap_or_else(|| panic!("{place}"));
            assert!(document.pointer(pointer).is_some(), "{place} leads nowhere");
        }
        for kind in ["schemas", "parameters", "headers", "examples"] {
            for name in document["components"][kind].as_object().unwrap().keys() {
                assert!(found.contains(&format!("#/components/{kind}/{name}")), "{kind} {name} is not used");
            }
        }
    }

    #[test]
    fn limits_are_those_of_the_code() {
        let document = document();
        let message = &document["components"]["schemas"]["Message"];
        assert_eq!(message["properties"]["ttl"]["maximum"], 2_592_000);
        assert_eq!(message["properties"]["sender"]["maxLength"], 64);
        assert_eq!(message["properties"]["attachments"]["maxItems"], crate::attachments::MOST);
        assert!(message["properties"].get("key").is_none());
        assert_eq!(message["additionalProperties"], false);
        assert_eq!(document["components"]["schemas"]["Batch"]["properties"]["messages"]["maxItems"], 1_000);
        let batch = &document["components"]["schemas"]["BatchMessage"];
        assert_eq!(batch["required"], json!(["channel", "recipient"]));
    }

    /// `Plain` is what the contract is made of, and `Fields` what is read: the reader tells the fields that it knows.
    #[test]
    fn the_fields_of_the_contract_are_those_that_are_read() {
        let now = naru_shared::domain::Timestamp::from_millis(0);
        let refused =
            crate::accept::parse(r#"{"nothing":1}"#, crate::accept::Place::InBatch, now).unwrap_err();
        let told: BTreeSet<&str> = refused.detail.split('`').skip(3).step_by(2).collect();
        let document = document();
        let fields = document["components"]["schemas"]["BatchMessage"]["properties"].as_object().unwrap();
        let written: BTreeSet<&str> = fields.keys().map(String::as_str).collect();
        assert_eq!(told, written);
    }
}
