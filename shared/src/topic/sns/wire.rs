//! An event as SNS carries it: CloudEvents JSON (structured mode) with attributes that filter policies match.
//!
//! SNS takes 256 KiB, attributes included. An event is cut to [`LARGEST`], so that it also fits when SNS wraps it into an
//! envelope of its own for a subscriber who did not ask for raw delivery: there every quotation mark is written as two bytes.

use std::collections::HashMap;

use aws_sdk_sns::types::MessageAttributeValue;
use serde_json::Value;

use crate::domain::Event;

/// What SNS takes in one call, in bytes.
pub(super) const TAKEN: usize = 262_144;

/// The longest body of one event, in bytes: twice that and an envelope's own words are less than SNS and SQS take.
pub(super) const LARGEST: usize = 120 << 10;

/// Fields of the data that become attributes: plain words, if they are there and are text.
const FIELDS: [(&str, &str); 5] = [
    ("customer", "customer"),
    ("environment", "environment"),
    ("route", "route"),
    ("channel", "channel"),
    ("status", "state"),
];

/// The longest value of an attribute, in bytes: names and words are shorter.
const WORD: usize = 256;

/// Strings are cut to this length, and to ever less while it is not enough.
const FIRST_CUT: usize = 16 << 10;

/// Where that ends: what a cut says of itself is not much shorter.
const SHORTEST_CUT: usize = 256;

/// What an event becomes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) body: String,
    pub(super) attributes: Vec<(&'static str, String)>,
}

impl Entry {
    /// Encodes an event.
    ///
    /// # Errors
    /// If it is no JSON, or too large even without its data.
    pub(super) fn of(event: &Event) -> Result<Self, Unfit> {
        Ok(Self { body: body(event)?, attributes: attributes(event) })
    }

    /// What it counts for at SNS, in bytes.
    pub(super) fn weight(&self) -> usize {
        let of_attributes =
            self.attributes.iter().map(|(name, text)| name.len() + "String".len() + text.len());
        self.body.len() + of_attributes.sum::<usize>()
    }

    /// The attributes in the SDK's words.
    pub(super) fn values(&self) -> HashMap<String, MessageAttributeValue> {
        let value = |text: &String| {
            MessageAttributeValue::builder().data_type("String").string_value(text).build().ok()
        };
        self.attributes.iter().filter_map(|(name, text)| Some(((*name).to_owned(), value(text)?))).collect()
    }
}

/// An event that cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error("the event cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    #[error("the event has {0} bytes without its data")]
    Large(usize),
}

fn attributes(event: &Event) -> Vec<(&'static str, String)> {
    let field = |(name, attribute): (&str, &'static str)| {
        let text = event.data.get(name)?.as_str()?;
        (!text.is_empty() && text.len() <= WORD).then(|| (attribute, text.to_owned()))
    };
    let own = [
        ("content-type", "application/cloudevents+json; charset=UTF-8".to_owned()),
        ("kind", event.kind.clone()),
    ];
    own.into_iter().chain(FIELDS.into_iter().filter_map(field)).collect()
}

/// JSON that SQS takes too: two characters that it refuses are written as JSON may write any.
fn body(event: &Event) -> Result<String, Unfit> {
    let text = written(event)?;
    if text.len() <= LARGEST {
        return Ok(text);
    }
    let (whole, mut longest) = (text.len(), FIRST_CUT);
    let mut event = event.clone();
    let data = event.data.clone();
    while longest >= SHORTEST_CUT {
        let mut cut = Vec::new();
        event.data.clone_from(&data);
        shorten(&mut event.data, longest, "", &mut cut);
        tell(&mut event.data, cut);
        let text = written(&event)?;
        if text.len() <= LARGEST {
            return Ok(text);
        }
        longest /= 4;
    }
    // It is not its texts that make it so large.
    let kept = attributes(&event).into_iter().filter_map(|(attribute, text)| {
        let (field, _) = FIELDS.iter().find(|(_, name)| *name == attribute)?;
        Some(((*field).to_owned(), Value::String(text)))
    });
    let mut data: serde_json::Map<String, Value> = kept.collect();
    data.insert("cut".to_owned(), Value::String(format!("the data: the event had {whole} bytes")));
    event.data = Value::Object(data);
    let text = written(&event)?;
    if text.len() <= LARGEST { Ok(text) } else { Err(Unfit::Large(text.len())) }
}

fn written(event: &Event) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string(event)?;
    if text.contains(['\u{fffe}', '\u{ffff}']) {
        return Ok(text.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff"));
    }
    Ok(text)
}

/// Cuts every string that is longer; where, as JSON Pointers (RFC 6901).
fn shorten(value: &mut Value, longest: usize, place: &str, cut: &mut Vec<Value>) {
    match value {
        Value::String(text) if text.len() > longest => {
            let end = text.floor_char_boundary(longest);
            let left_out = text.len() - end;
            text.truncate(end);
            text.push_str(&format!("… ({left_out} bytes left out)"));
            cut.push(Value::String(place.to_owned()));
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                shorten(item, longest, &format!("{place}/{index}"), cut);
            }
        }
        Value::Object(fields) => {
            for (name, item) in fields.iter_mut() {
                let name = name.replace('~', "~0").replace('/', "~1");
                shorten(item, longest, &format!("{place}/{name}"), cut);
            }
        }
        _ => {}
    }
}

/// Says in the data what of it was cut.
fn tell(data: &mut Value, cut: Vec<Value>) {
    if let Value::Object(fields) = data {
        fields.insert("cut".to_owned(), Value::Array(cut));
    }
}

/// Which entries go together: by index, in order, as many as SNS takes in one call.
pub(super) fn batches(weights: &[usize]) -> Vec<std::ops::Range<usize>> {
    const ENTRIES: usize = 10;
    let (mut all, mut begin, mut sum) = (Vec::new(), 0, 0);
    for (index, weight) in weights.iter().enumerate() {
        if index > begin && (index - begin == ENTRIES || sum + weight > TAKEN) {
            all.push(begin..index);
            (begin, sum) = (index, 0);
        }
        sum += weight;
    }
    if begin < weights.len() {
        all.push(begin..weights.len());
    }
    all
}

#[cfg(test)]
mod tests;
