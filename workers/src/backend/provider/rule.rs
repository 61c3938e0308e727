//! The rules of a mapping: for which statuses each is, what it asks of the body, and what it then says.

use std::time::Duration;

use serde_json::Value;

use super::{
    ProviderError,
    document::{RuleText, StatusText, Word},
};

/// The longest wait that a rule may ask for.
const LONGEST_WAIT_MS: u64 = 86_400_000;

/// A JSON Pointer (RFC 6901).
#[derive(Debug)]
pub(super) struct Pointer(String);

#[derive(Debug)]
pub(super) struct Rule {
    statuses: Vec<Statuses>,
    /// What the body must have where; none given: anything but null.
    body: Option<(Pointer, Vec<Value>)>,
    pub(super) outcome: Word,
    pub(super) retry_after: Option<Duration>,
}

#[derive(Debug)]
enum Statuses {
    One(u16),
    Class(u16),
}

impl Pointer {
    /// Reads a pointer.
    pub(super) fn parse(text: &str) -> Result<Self, ProviderError> {
        let escaped = |(at, _): (usize, &str)| matches!(text.as_bytes().get(at + 1), Some(b'0' | b'1'));
        if (text.is_empty() || text.starts_with('/')) && text.match_indices('~').all(escaped) {
            return Ok(Self(text.to_owned()));
        }
        Err(ProviderError::Answer(format!("`{text}` is no JSON Pointer, such as /data/id")))
    }

    /// What it points at, if that is there.
    pub(super) fn find<'a>(&self, json: &'a Value) -> Option<&'a Value> {
        json.pointer(&self.0)
    }
}

impl Statuses {
    fn parse(text: &StatusText) -> Result<Self, ProviderError> {
        match text {
            // What is below 200 is no answer yet (RFC 9110 section 15.2).
            StatusText::One(status @ 200..=599) => Ok(Self::One(*status)),
            StatusText::Class(text) if matches!(text.as_bytes(), [b'2'..=b'5', b'x', b'x']) => {
                Ok(Self::Class(u16::from(text.as_bytes()[0] - b'0')))
            }
            StatusText::One(_) | StatusText::Class(_) => Err(ProviderError::Answer(
                "a status is a number such as 201, or a class such as \"2xx\"".to_owned(),
            )),
        }
    }

    /// Whether it holds whatever the other does.
    const fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::One(one), Self::One(other)) => *one == *other,
            (Self::Class(class), Self::One(one)) => *one / 100 == *class,
            (Self::Class(class), Self::Class(other)) => *class == *other,
            (Self::One(_), Self::Class(_)) => false,
        }
    }

    const fn holds(&self, status: u16) -> bool {
        match self {
            Self::One(one) => *one == status,
            Self::Class(class) => status / 100 == *class,
        }
    }
}

impl Rule {
    /// Reads a rule.
    pub(super) fn parse(text: &RuleText) -> Result<Self, ProviderError> {
        let wrong = |why: &str| Err(ProviderError::Answer(why.to_owned()));
        if text.status.is_empty() {
            return wrong("a rule without a status never matches");
        }
        if text.retry_after_ms.is_some() && text.outcome != Word::NotTaken {
            return wrong("only what was `not-taken` is tried again after `retry_after_ms`");
        }
        if text.retry_after_ms.is_some_and(|ms| ms > LONGEST_WAIT_MS) {
            return wrong("`retry_after_ms` is at most a day");
        }
        let scalar = |value: &Value| !value.is_array() && !value.is_object();
        if !text.equals.iter().all(scalar) || (text.pointer.is_none() && !text.equals.is_empty()) {
            return wrong("`equals` lists texts, numbers and truth values, and stands beside a `pointer`");
        }
        let pointer = text.pointer.as_deref().map(Pointer::parse).transpose()?;
        Ok(Self {
            statuses: text.status.iter().map(Statuses::parse).collect::<Result<_, _>>()?,
            body: pointer.map(|pointer| (pointer, text.equals.clone())),
            outcome: text.outcome,
            retry_after: text.retry_after_ms.map(Duration::from_millis),
        })
    }

    /// Whether rules that look at no body decide before it comes to this one.
    pub(super) fn is_behind(&self, before: &[Self]) -> bool {
        let decides = |status: &Statuses| {
            before
                .iter()
                .filter(|rule| !rule.looks())
                .any(|rule| rule.statuses.iter().any(|s| s.covers(status)))
        };
        self.statuses.iter().all(decides)
    }

    /// Whether it is about such a status.
    pub(super) fn holds_status(&self, status: u16) -> bool {
        self.statuses.iter().any(|statuses| statuses.holds(status))
    }

    /// Whether it looks into the body.
    pub(super) const fn looks(&self) -> bool {
        self.body.is_some()
    }

    /// Whether a body has what it asks for; a rule that does not look into bodies asks for nothing.
    pub(super) fn holds_body(&self, json: &Value) -> bool {
        self.body.as_ref().is_none_or(|(pointer, equals)| match pointer.find(json) {
            None => false,
            Some(found) if equals.is_empty() => !found.is_null(),
            Some(found) => equals.contains(found),
        })
    }
}
