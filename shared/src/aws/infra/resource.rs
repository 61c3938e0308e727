//! One thing on AWS with those of its attributes that Naru owns.

use std::{collections::BTreeMap, fmt};

use serde::{Serialize, Serializer};
use serde_json::Value;

/// What kind of thing, in the order in which things can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// A queue of SQS. Those at which others' redrive policies point come first.
    Queue,
    /// A topic of SNS.
    Topic,
    /// A topic's subscription; it has the name of the queue that it feeds.
    Subscription,
    /// A bucket of S3.
    Bucket,
}

impl Sort {
    /// The word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Topic => "topic",
            Self::Subscription => "subscription",
            Self::Bucket => "bucket",
        }
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An attribute's value as AWS writes it. Documents are equal if they say the same; what is empty is not there.
#[derive(Debug, Clone, Default)]
pub struct Text(String);

impl Text {
    /// As AWS writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it says, however it is written: numbers and what stands alone in a list are written in several ways.
    fn said(&self) -> Value {
        serde_json::from_str(&self.0).map_or_else(|_| Value::String(self.0.clone()), plain)
    }
}

fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::String(number.to_string()),
        Value::Bool(yes) => Value::String(yes.to_string()),
        Value::Array(mut items) if items.len() == 1 => items.pop().map_or(Value::Null, plain),
        Value::Array(items) => Value::Array(items.into_iter().map(plain).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name, plain(value))).collect())
        }
        other => other,
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.said() == other.said()
    }
}

impl Eq for Text {}

impl From<Value> for Text {
    fn from(document: Value) -> Self {
        Self(document.to_string())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "nothing" } else { &self.0 })
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A thing that there shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resource {
    /// What.
    pub sort: Sort,
    /// Its name.
    pub name: String,
    /// Attributes that Naru owns; an empty one shall not be there.
    pub attributes: BTreeMap<&'static str, Text>,
}

/// A thing that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What.
    pub sort: Sort,
    /// Its name.
    pub name: String,
    /// What AWS wants to hear when it is meant: a queue's address, a full name.
    pub handle: String,
    /// What it says of itself.
    pub attributes: BTreeMap<String, Text>,
    /// Attributes that it does not know of.
    pub unspoken: Vec<&'static str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_equal_if_they_say_the_same() {
        let same = |a: &str, b: &str| Text::from(a) == Text::from(b);
        assert!(same(r#"{"maxReceiveCount":"1000","a":1}"#, r#"{ "a": "1", "maxReceiveCount": 1000 }"#));
        assert!(same(r#"{"Action":"sqs:SendMessage"}"#, r#"{"Action":["sqs:SendMessage"]}"#));
        assert!(same("true", "true") && same("", ""));
        assert!(!same("", "{}"));
        assert!(!same(r#"{"Action":["a"]}"#, r#"{"Action":["a","b"]}"#));
        assert!(!same("1209600", "345600"));
    }
}
