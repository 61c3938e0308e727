//! How the words that are no plain structures look in JSON, as JSON Schema (2020-12): the contract that ingress serves is made of these.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{Key, MessageId, State, Timestamp, Units};

/// What every id is written with behind its prefix: 26 characters, of which the first has three bits.
#[must_use]
pub(crate) fn type_id_pattern(prefix: &str) -> String {
    format!("^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$")
}

/// The states of a report.
pub(super) fn final_state(_: &mut SchemaGenerator) -> Schema {
    let states: Vec<&str> =
        State::ALL.into_iter().filter(|state| state.is_final()).map(State::as_str).collect();
    json_schema!({ "type": "string", "enum": states })
}

/// A word that is written within other schemas, never by reference.
macro_rules! inline {
    ($type:ident, $schema:expr) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

inline!(MessageId, json_schema!({ "type": "string", "pattern": type_id_pattern("msg") }));
inline!(Timestamp, json_schema!({ "type": "string", "format": "date-time" }));
inline!(
    Key,
    json_schema!({ "type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$", "minLength": 1, "maxLength": 255 })
);
inline!(Units, json_schema!({ "type": "integer", "minimum": 1, "maximum": 1_000_000 }));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_of_a_final_state() {
        let schema = final_state(&mut SchemaGenerator::default());
        let states = schema.get("enum").and_then(serde_json::Value::as_array).unwrap();
        assert_eq!(states.len(), 5, "{states:?}");
        assert_eq!(type_id_pattern("msg"), "^msg_[0-7][0-9a-hjkmnp-tv-z]{25}$");
    }
}
