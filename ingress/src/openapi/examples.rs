//! Examples: those of docs/api.md, which are run by a test, and one of every problem.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::problem::{Code, Doubt, Problem};

/// A message's id.
pub const MESSAGE_ID: &str = "msg_01kf3m2qz8fx5v6w7y8r9t0abc";

/// A key.
pub const KEY: &str = "order-77";

const REQUEST_ID: &str = "req_01kf3m2qz8fx5v6w7y8r9t0abc";

/// By call: `request`, and `answers` by status. A test writes it from docs/api.md, and holds it against that.
static TAKEN: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("examples.json")).unwrap_or_default());

/// What a call may send.
pub fn request(id: &str) -> Option<&'static Value> {
    TAKEN.get(id)?.get("request")
}

/// What a call may be answered with.
pub fn answer(id: &str, status: u16) -> Option<&'static Value> {
    TAKEN.get(id)?.get("answers")?.get(status.to_string())
}

/// One of every code that the contract names.
pub fn problems() -> Value {
    let named =
        |code: &&Code| super::operations().any(|operation| operation.codes().any(|other| other == **code));
    let example = |code: &Code| {
        let doubt = (*code == Code::AcceptUnknown)
            .then(|| Box::new(Doubt { id: MESSAGE_ID.to_owned(), key: KEY.to_owned() }));
        let problem = Problem { doubt, ..Problem::from(*code) };
        let value = serde_json::to_value(problem.document(REQUEST_ID)).unwrap_or_default();
        let written = json!({ "summary": code.title(), "description": code.advice(), "value": value });
        (code.as_str().to_owned(), written)
    };
    Code::ALL.iter().filter(named).map(example).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_examples_of_every_body() {
        for id in ["sendMessage", "sendBatch", "acknowledgeReports"] {
            assert!(request(id).is_some(), "{id}");
        }
        for (id, status) in [
            ("sendMessage", 202),
            ("sendBatch", 202),
            ("getMessage", 200),
            ("cancelMessage", 200),
            ("readReports", 200),
            ("acknowledgeReports", 200),
            ("readQuota", 200),
            ("uploadAttachment", 201),
        ] {
            assert!(answer(id, status).is_some(), "{id} {status}");
        }
    }
}
