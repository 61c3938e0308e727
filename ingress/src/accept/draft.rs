//! From the JSON of one message to a message that keeps every rule, or to the rule that it breaks.

use std::{borrow::Cow, time::Duration};

use naru_shared::{
    blobs::AttachmentId,
    domain::{ChannelName, Content, Key, Lane, Timestamp},
};
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    attachments::MOST,
    problem::{Code, Problem},
    strict_json,
    whole::Whole,
};

const RECIPIENT: usize = 64;
const SENDER: usize = 64;
const SUBJECT: usize = 255;
const REFERENCE: usize = 255;
const DATA: usize = 16 * 1024;
const AHEAD: Duration = Duration::from_secs(30 * 86_400);
const TTL: u32 = 2_592_000;

/// No control character.
const PRINTABLE: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";

/// No U+0000.
const WITHOUT_NUL: &str = "^[^\\u0000]*$";

/// What a customer asked for, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// What to deliver.
    pub content: Content,
    /// How soon.
    pub lane: Lane,
    /// The idempotency key, from the body of a batch's item.
    pub key: Option<Key>,
}

/// Where the message stands, which decides where its key may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Alone in a body: its key is in the header.
    Alone,
    /// One of a batch: its key is a field.
    InBatch,
}

/// The fields as they came, so that each fails with a code of its own. `null` counts as absent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields<'a> {
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    #[serde(borrow)]
    recipient: Option<&'a RawValue>,
    #[serde(borrow)]
    sender: Option<&'a RawValue>,
    #[serde(borrow)]
    subject: Option<&'a RawValue>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    #[serde(borrow)]
    attachments: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    lane: Option<&'a RawValue>,
    #[serde(borrow)]
    reference: Option<&'a RawValue>,
    #[serde(borrow)]
    send_at: Option<&'a RawValue>,
    #[serde(borrow)]
    ttl: Option<&'a RawValue>,
    #[serde(borrow)]
    key: Option<&'a RawValue>,
}

/// The message that nearly all send: known fields of the right type, neither files nor free fields. The contract is made of it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BatchMessage", description = "One message of a batch.", transform = super::wish::rules)]
pub struct Plain<'a> {
    /// Kind of delivery: `sms`, `lms`, `mms`, or a name that the operator defined.
    #[serde(borrow)]
    #[schemars(with = "ChannelName")]
    channel: Cow<'a, str>,
    /// To whom: for `sms`, `lms` and `mms` in E.164.
    #[schemars(length(min = 1, max = RECIPIENT))]
    recipient: String,
    /// In whose name, without control characters. The operator may let in registered senders alone; then it is required.
    #[schemars(length(min = 1, max = SENDER), regex(pattern = PRINTABLE))]
    sender: Option<String>,
    /// The title, without control characters.
    #[schemars(length(max = SUBJECT), regex(pattern = PRINTABLE))]
    subject: Option<String>,
    /// The text. With attachments it may be left out.
    #[schemars(with = "Option<String>", regex(pattern = WITHOUT_NUL))]
    body: String,
    /// Ids of files that were uploaded within the last 7 days, 20 MiB together; `sms` and `lms` carry none.
    #[serde(borrow)]
    #[schemars(with = "Option<Vec<AttachmentId>>", length(max = MOST), extend("uniqueItems" = true))]
    attachments: Option<&'a RawValue>,
    /// Handed to the backend as JSON values; at most 16 KiB.
    #[serde(borrow)]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    data: Option<&'a RawValue>,
    /// How soon; `express` unless it is given.
    lane: Option<Lane>,
    /// Comes back in status and reports; without control characters.
    #[schemars(length(min = 1, max = REFERENCE), regex(pattern = PRINTABLE))]
    reference: Option<String>,
    /// Not before this moment, at most 30 days ahead. A moment that has passed is now.
    send_at: Option<Timestamp>,
    /// Seconds after `send_at`, else after it was accepted, within which an attempt must begin. Default: `express` 600, `bulk` 86400.
    #[schemars(range(min = 1, max = TTL))]
    ttl: Option<u32>,
    /// The message's idempotency key.
    key: Option<Key>,
}

/// Reads one message. What is plain is read in one pass; whatever is not is read again, thoroughly, which finds the rule
/// that it breaks.
pub fn parse(text: &str, place: Place, now: Timestamp) -> Result<Draft, Problem> {
    plain(text, place, now).map_or_else(|| thorough(text, place, now), Ok)
}

/// Reads one message from bytes of which it is not known whether they are text.
pub fn parse_bytes(bytes: &[u8], place: Place, now: Timestamp) -> Result<Draft, Problem> {
    match str::from_utf8(bytes) {
        Ok(text) => parse(text, place, now),
        Err(_) => Err(strict_json::check(bytes).err().map_or(Code::MalformedJson.into(), |e| malformed(&e))),
    }
}

/// The key of a batch's item that was refused for something else, so that its sender finds it again.
pub fn key(text: &str) -> Option<Key> {
    #[derive(Deserialize)]
    struct Named {
        key: Option<Key>,
    }
    strict_json::check(text.as_bytes()).ok()?;
    serde_json::from_str::<Named>(text).ok()?.key
}

/// A plain message that keeps every rule. Serde refuses repeated and unknown fields; nothing in it is nested.
fn plain(text: &str, place: Place, now: Timestamp) -> Option<Draft> {
    let read: Plain<'_> = serde_json::from_str(text).ok()?;
    let absent = |raw: Option<&RawValue>, empty: &str| raw.is_none_or(|raw| raw.get() == empty);
    let nul = |text: &str| text.as_bytes().contains(&0);
    let several = [&read.sender, &read.subject, &read.reference];
    if (read.key.is_some() && place == Place::Alone)
        || !absent(read.attachments, "[]")
        || !absent(read.data, "{}")
        || nul(&read.body)
        || nul(&read.recipient)
        || several.into_iter().flatten().any(|text| nul(text))
    {
        return None;
    }
    let content = Content {
        channel: read.channel.parse().ok()?,
        recipient: read.recipient,
        sender: read.sender,
        subject: read.subject,
        body: read.body,
        attachments: Vec::new(),
        data: serde_json::Map::new(),
        reference: read.reference,
        send_at: read.send_at,
        ttl: read.ttl,
        simulate: None,
    };
    check(&content, 0, now).ok()?;
    Some(Draft { content, lane: read.lane.unwrap_or_default(), key: read.key })
}

fn thorough(text: &str, place: Place, now: Timestamp) -> Result<Draft, Problem> {
    strict_json::check(text.as_bytes()).map_err(|error| malformed(&error))?;
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Problem::new(Code::InvalidMessage, "A message is a JSON object."));
    }
    // Types are not looked at yet: what fails here is a field's name.
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| unknown_field(&error))?;
    if fields.key.is_some() && place == Place::Alone {
        let sentence = "The key of a single message goes into the header Idempotency-Key.";
        return Err(Problem::new(Code::UnknownField, sentence));
    }
    let key: Option<String> = field(fields.key, Code::InvalidKey)?;
    let key = key.map(|text| text.parse()).transpose().map_err(|_| Code::InvalidKey)?;
    let lane = field(fields.lane, Code::InvalidLane)?.unwrap_or_default();
    Ok(Draft { content: content(&fields, now)?, lane, key })
}

/// The sentence for JSON that cannot be read; it tells what and where, never what stood there.
pub fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(Code::MalformedJson, format!("The JSON cannot be read: {error}."))
}

fn unknown_field(error: &serde_json::Error) -> Problem {
    // The name comes from outside: what is no printable character is not repeated.
    let sentence: String = error.to_string().chars().filter(|c| !c.is_control()).take(300).collect();
    Problem::new(Code::UnknownField, format!("The message has a field that is not known: {sentence}."))
}

fn field<T: DeserializeOwned>(raw: Option<&RawValue>, code: Code) -> Result<Option<T>, Problem> {
    raw.map(|raw| serde_json::from_str(raw.get())).transpose().map_err(|_| code.into())
}

fn content(fields: &Fields<'_>, now: Timestamp) -> Result<Content, Problem> {
    let channel: String = field(fields.channel, Code::InvalidChannel)?.ok_or(Code::InvalidChannel)?;
    let content = Content {
        channel: channel.parse().map_err(|_| Code::InvalidChannel)?,
        recipient: field(fields.recipient, Code::InvalidRecipient)?.ok_or(Code::InvalidRecipient)?,
        sender: field(fields.sender, Code::InvalidSender)?,
        subject: field(fields.subject, Code::InvalidSubject)?,
        body: field(fields.body, Code::InvalidBody)?.unwrap_or_default(),
        attachments: field(fields.attachments, Code::InvalidAttachments)?.unwrap_or_default(),
        data: field(fields.data, Code::InvalidData)?.unwrap_or_default(),
        reference: field(fields.reference, Code::InvalidReference)?,
        send_at: field(fields.send_at, Code::InvalidSendAt)?,
        ttl: field::<Whole>(fields.ttl, Code::InvalidTtl)?.map(|whole| whole.0),
        simulate: None,
    };
    check(&content, fields.data.map_or(0, |raw| raw.get().len()), now)?;
    attachments(&content)?;
    Ok(content)
}

/// Whose they are and whether they are there is asked later.
fn attachments(content: &Content) -> Result<(), Problem> {
    let ids = &content.attachments;
    if ids.is_empty() {
        return Ok(());
    }
    let refuse = |sentence: String| Err(Problem::new(Code::InvalidAttachments, sentence));
    if matches!(content.channel.as_str(), "sms" | "lms") {
        return refuse(format!("The channel {} carries no attachments.", content.channel));
    }
    if ids.len() > MOST {
        return refuse(format!("A message has at most {MOST} attachments; these are {}.", ids.len()));
    }
    for (index, id) in ids.iter().enumerate() {
        if id.parse::<AttachmentId>().is_err() {
            let sentence = format!("attachments[{index}] is not the id of an attachment.");
            return Err(Problem::new(Code::UnknownAttachment, sentence));
        }
        if ids.iter().take(index).any(|other| other == id) {
            return refuse(format!("attachments[{index}] is named twice."));
        }
    }
    Ok(())
}

fn check(content: &Content, data_bytes: usize, now: Timestamp) -> Result<(), Problem> {
    let short = |text: &Option<String>, least: usize, most: usize| {
        text.as_deref().is_none_or(|text| printable(text, least, most))
    };
    let text_message = matches!(content.channel.as_str(), "sms" | "lms" | "mms");
    let recipient =
        printable(&content.recipient, 1, RECIPIENT) && (!text_message || is_e164(&content.recipient));
    let rules = [
        (recipient, Code::InvalidRecipient),
        (short(&content.sender, 1, SENDER), Code::InvalidSender),
        (short(&content.subject, 0, SUBJECT), Code::InvalidSubject),
        (!content.body.is_empty() || !content.attachments.is_empty(), Code::InvalidBody),
        (data_bytes <= DATA, Code::InvalidData),
        (short(&content.reference, 1, REFERENCE), Code::InvalidReference),
        // A time that has passed is no mistake: it is what a call with a key looks like when it is sent again.
        (content.send_at.is_none_or(|at| at <= now.plus(AHEAD)), Code::InvalidSendAt),
        (content.ttl.is_none_or(|ttl| (1..=TTL).contains(&ttl)), Code::InvalidTtl),
    ];
    match rules.into_iter().find(|(kept, _)| !kept) {
        Some((_, code)) => Err(code.into()),
        None => Ok(()),
    }
}

fn printable(text: &str, least: usize, most: usize) -> bool {
    if text.is_ascii() {
        return (least..=most).contains(&text.len()) && !text.bytes().any(|byte| byte.is_ascii_control());
    }
    let length = text.chars().take(most + 1).count();
    (least..=most).contains(&length) && !text.chars().any(char::is_control)
}

/// A number in international form: `+`, a digit from 1 to 9, and 7 to 14 more (ITU-T E.164).
fn is_e164(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default().as_bytes();
    (8..=15).contains(&digits.len()) && digits[0] != b'0' && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests;
