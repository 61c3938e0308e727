//! The body of a batch: its items are split first and read one by one, so that a bad one does not harm the others.

use std::fmt;

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    accept::{Plain, malformed},
    problem::{Code, Problem},
};

/// The most items of a list.
pub const ITEMS: usize = 1_000;

const TOO_MANY: &str = "more than 1000 items";

/// A list that stops being read when it is too long.
struct Capped<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Capped<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
            type Value = Vec<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    if list.len() == ITEMS {
                        return Err(A::Error::custom(TOO_MANY));
                    }
                    list.push(item);
                }
                Ok(list)
            }
        }
        deserializer.deserialize_seq(Items(std::marker::PhantomData)).map(Self)
    }
}

/// The body of a batch.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Batch", description = "Messages, each on its own.")]
pub struct Body<'a> {
    /// The messages; not more than the rates let in at once.
    #[serde(borrow)]
    #[schemars(with = "Vec<Plain<'a>>", length(min = 1, max = ITEMS))]
    messages: Capped<&'a RawValue>,
}

/// The items as they came, 1 to 1,000.
pub fn split(body: &[u8]) -> Result<Vec<&RawValue>, Problem> {
    let list = serde_json::from_slice::<Body<'_>>(body).map_err(|error| refusal(&error))?.messages.0;
    if list.is_empty() { Err(Code::EmptyBatch.into()) } else { Ok(list) }
}

fn refusal(error: &serde_json::Error) -> Problem {
    if !error.is_data() {
        return malformed(error);
    }
    if error.to_string().starts_with(TOO_MANY) {
        return Code::BatchTooLarge.into();
    }
    Problem::new(Code::InvalidMessage, "A batch is an object with one field, the array messages.")
}

/// The body of an acknowledgement.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Acknowledgement", description = "Reports that were read.")]
pub struct Acknowledged {
    /// Which.
    #[schemars(with = "Vec<Revision>", length(min = 1, max = ITEMS))]
    reports: Capped<Revision>,
}

/// One report that was read.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// The message.
    #[schemars(with = "naru_shared::domain::MessageId")]
    pub id: String,
    /// Which revision of its report.
    #[serde(deserialize_with = "crate::whole::read")]
    #[schemars(with = "u32", range(max = u32::MAX))]
    pub revision: u32,
}

/// The reports of an acknowledgement, 1 to 1,000.
pub fn revisions(body: &[u8]) -> Result<Vec<Revision>, Problem> {
    crate::strict_json::check(body).map_err(|error| malformed(&error))?;
    let list = serde_json::from_slice::<Acknowledged>(body).map_err(|error| {
        if error.to_string().starts_with(TOO_MANY) {
            return Problem::from(Code::BatchTooLarge);
        }
        let sentence =
            "An acknowledgement is an object with the array reports of objects with id and revision.";
        Problem::new(Code::InvalidMessage, sentence)
    })?;
    if list.reports.0.is_empty() { Err(Code::EmptyBatch.into()) } else { Ok(list.reports.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &str) -> Result<usize, Code> {
        split(body.as_bytes()).map(|items| items.len()).map_err(|problem| problem.code)
    }

    #[test]
    fn a_bad_item_does_not_harm_the_list() {
        assert_eq!(code(r#"{"messages":[{"a":1,"a":2},5,null,"\u0000"]}"#), Ok(4));
        assert_eq!(code(r#"{"messages":[]}"#), Err(Code::EmptyBatch));
        assert_eq!(code(r#"{"messages":{}}"#), Err(Code::InvalidMessage));
        assert_eq!(code(r#"{"messages":[1],"more":1}"#), Err(Code::InvalidMessage));
        assert_eq!(code(r#"{"messages":[1],"messages":[1]}"#), Err(Code::InvalidMessage));
        assert_eq!(code(r#"{"messages":[1,]}"#), Err(Code::MalformedJson));
        let list = |n| format!(r#"{{"messages":[{}]}}"#, vec!["1"; n].join(","));
        assert_eq!(code(&list(1_000)), Ok(1_000));
        assert_eq!(code(&list(1_001)), Err(Code::BatchTooLarge));
    }

    #[test]
    fn an_acknowledgement_names_revisions() {
        let read = |body: &str| revisions(body.as_bytes()).map(|r| r.len()).map_err(|p| p.code);
        assert_eq!(read(r#"{"reports":[{"id":"msg_x","revision":1}]}"#), Ok(1));
        assert_eq!(read(r#"{"reports":[]}"#), Err(Code::EmptyBatch));
        assert_eq!(read(r#"{"reports":[{"id":"msg_x","revision":-1}]}"#), Err(Code::InvalidMessage));
        assert_eq!(read(r#"{"reports":[{"id":"a","id":"b","revision":1}]}"#), Err(Code::MalformedJson));
    }
}
