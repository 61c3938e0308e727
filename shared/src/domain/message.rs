//! A message: one thing to deliver.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{ChannelName, Lane, MessageId, Timestamp};

/// What a message costs: a whole number of units, 1 to 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Units(u32);

impl Units {
    /// One unit.
    pub const ONE: Self = Self(1);

    /// That many units, if within 1 to 1,000,000.
    #[must_use]
    pub const fn new(units: u32) -> Option<Self> {
        if units >= 1 && units <= 1_000_000 { Some(Self(units)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// The customer's idempotency key: 1 to 255 visible ASCII characters, spaces inside allowed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(Arc<str>);

/// Text cannot be an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key is 1 to 255 printable ASCII characters, without spaces at its ends")]
pub struct InvalidKey;

impl Key {
    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = InvalidKey;
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let printable = text.bytes().all(|b| (0x20..0x7f).contains(&b));
        if text.is_empty() || text.len() > 255 || !printable || text.trim_matches(' ').len() != text.len() {
            return Err(InvalidKey);
        }
        Ok(Self(Arc::from(text)))
    }
}

impl TryFrom<String> for Key {
    type Error = InvalidKey;
    fn try_from(text: String) -> Result<Self, InvalidKey> {
        text.parse()
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0.as_ref().to_owned()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// What the customer asked to be delivered. Limits are checked where it enters; a store may still refuse it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// Kind of delivery.
    pub channel: ChannelName,
    /// To whom; E.164 for text messages.
    pub recipient: String,
    /// From whom, as the recipient sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// The title of a long message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The text.
    pub body: String,
    /// Ids of uploaded files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<String>,
    /// Free fields of an operator's own channel.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
    /// The customer's own reference, given back in the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Not before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_at: Option<Timestamp>,
    /// Seconds in which an attempt must begin, from `send_at`, else from acceptance; `None`: the lane's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
    /// What the simulator is to do with it ([`Simulation`](super::Simulation)), as it was written; of sandbox messages alone. A
    /// release that does not know it goes by the recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulate: Option<String>,
}

/// Tells whether two calls with one key ask for the same thing: 128 bits of SHA-256 over the content and lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 16]);

impl Fingerprint {
    /// The fingerprint of what was asked. Every field is written with its length, so that no two contents are the same bytes.
    #[must_use]
    pub fn of(content: &Content, lane: Lane) -> Self {
        let mut hash = Sha256::new();
        let mut field = |bytes: Option<&[u8]>| {
            hash.update(bytes.map_or(u64::MAX, |b| b.len() as u64).to_be_bytes());
            hash.update(bytes.unwrap_or_default());
        };
        field(Some(content.channel.as_str().as_bytes()));
        field(Some(lane.as_str().as_bytes()));
        field(Some(content.recipient.as_bytes()));
        field(content.sender.as_deref().map(str::as_bytes));
        field(content.subject.as_deref().map(str::as_bytes));
        field(Some(content.body.as_bytes()));
        field(content.reference.as_deref().map(str::as_bytes));
        field(content.send_at.map(|at| at.as_millis().to_be_bytes()).as_ref().map(<[u8; 8]>::as_slice));
        field(content.ttl.map(u32::to_be_bytes).as_ref().map(<[u8; 4]>::as_slice));
        for attachment in &content.attachments {
            field(Some(attachment.as_bytes()));
        }
        // serde_json keeps objects sorted by key, so equal objects are equal text.
        if !content.data.is_empty() {
            field(serde_json::to_vec(&content.data).ok().as_deref());
        }
        if let Some(simulate) = &content.simulate {
            field(Some(b"simulate"));
            field(Some(simulate.as_bytes()));
        }
        let digest: [u8; 32] = hash.finalize().into();
        let mut out = [0; 16];
        out.copy_from_slice(&digest[..16]);
        Self(out)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok().and_then(|b| b.try_into().ok());
        bytes.map(Self).ok_or_else(|| serde::de::Error::custom("a fingerprint is 32 hexadecimal digits"))
    }
}

/// A message that ended without being delivered was sent again by an operator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    /// For the how manieth time, from 1.
    pub number: u32,
    /// The time that gave it the key by which its backend knows it: another after a known failure, the same after one that is
    /// in doubt. 0: the message's own.
    pub key: u32,
    /// Attempts that there had been before.
    pub after: u32,
    /// When.
    pub at: Timestamp,
}

/// By what a backend tells one message from another: its id, and after a known failure which time gave it another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BackendKey {
    /// The message.
    pub message: MessageId,
    /// Which time; 0: the id alone.
    pub time: u32,
}

impl BackendKey {
    /// A key as it was given to a backend; `None`: it is none of ours.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let Some((id, time)) = text.split_once(".r") else {
            return Some(Self { message: text.parse().ok()?, time: 0 });
        };
        let plain =
            matches!(time.as_bytes(), [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit));
        Some(Self { message: id.parse().ok()?, time: time.parse().ok().filter(|_| plain)? })
    }
}

impl std::fmt::Display for BackendKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.time {
            0 => write!(f, "{}", self.message),
            time => write!(f, "{}.r{time}", self.message),
        }
    }
}

/// One accepted message as it travels from ingress to the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// One id for its whole life.
    pub id: MessageId,
    /// The customer's idempotency key, if the call had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// What was asked, in 128 bits.
    pub fingerprint: Fingerprint,
    /// What it costs.
    pub units: Units,
    /// When ingress accepted it.
    pub accepted_at: Timestamp,
    /// W3C Trace Context of the accepting call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// That it was sent again after it had ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Again>,
    /// What to deliver.
    #[serde(flatten)]
    pub content: Content,
}

impl Message {
    /// The first moment at which an attempt may begin.
    #[must_use]
    pub fn opens_at(&self) -> Timestamp {
        // A `send_at` that had passed when the message came asks for nothing but "at once".
        self.content.send_at.map_or(self.accepted_at, |at| at.max(self.accepted_at))
    }

    /// By what its backend tells one message from another: the id, and which time gave it another key.
    #[must_use]
    pub fn backend_key(&self) -> String {
        BackendKey { message: self.id, time: self.again.map_or(0, |again| again.key) }.to_string()
    }

    /// The last moment at which an attempt may begin.
    #[must_use]
    pub fn expires_at(&self, lane: Lane) -> Timestamp {
        self.opens_at().plus(self.time_to_live(lane))
    }

    /// The time within which an attempt must begin.
    #[must_use]
    pub fn time_to_live(&self, lane: Lane) -> std::time::Duration {
        std::time::Duration::from_secs(u64::from(self.content.ttl.unwrap_or(lane.default_ttl_seconds())))
    }
}

/// A recipient as it is kept once it is needed no more: how long it was, and its last two characters if that leaves enough
/// unsaid.
#[must_use]
pub fn masked(recipient: &str) -> String {
    let length = recipient.chars().count();
    let shown = if length > 4 { 2 } else { 0 };
    let mask = std::iter::repeat_n('*', length - shown);
    mask.chain(recipient.chars().skip(length - shown)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> Content {
        Content {
            channel: "sms".parse().unwrap(),
            recipient: "+821012345678".into(),
            sender: None,
            subject: None,
            body: "hello".into(),
            attachments: Vec::new(),
            data: Map::new(),
            reference: None,
            send_at: None,
            ttl: None,
            simulate: None,
        }
    }

    #[test]
    fn a_fingerprint_sees_every_field_and_no_boundary_can_be_moved() {
        let base = Fingerprint::of(&content(), Lane::Express);
        assert_eq!(base, Fingerprint::of(&content(), Lane::Express));
        let edits: Vec<fn(&mut Content)> = vec![
            |c| c.channel = "lms".parse().unwrap(),
            |c| c.recipient.push('9'),
            |c| c.sender = Some(String::new()),
            |c| c.subject = Some(String::new()),
            |c| c.body.push('!'),
            |c| c.attachments.push("a".into()),
            |c| drop(c.data.insert("a".into(), Value::Null)),
            |c| c.reference = Some("r".into()),
            |c| c.send_at = Some(Timestamp::from_millis(1)),
            |c| c.ttl = Some(1),
            |c| c.simulate = Some("failed".into()),
            |c| {
                c.recipient.pop();
                c.body = format!("8{}", c.body);
            },
        ];
        let mut seen = vec![base, Fingerprint::of(&content(), Lane::Bulk)];
        for edit in edits {
            let mut edited = content();
            edit(&mut edited);
            let print = Fingerprint::of(&edited, Lane::Express);
            assert!(!seen.contains(&print), "{edited:?}");
            seen.push(print);
        }
    }

    #[test]
    fn a_mask_leaves_at_most_two_characters() {
        assert_eq!(masked("+821012345678"), "***********78");
        assert_eq!(masked("1234"), "****");
        assert_eq!(masked("나루나루나"), "***루나");
        assert_eq!(masked(""), "");
    }

    #[test]
    fn a_backend_s_key_is_read_as_it_was_written_and_nothing_else_is() {
        let message = MessageId::from_bytes([7; 16]);
        for time in [0, 1, 10, u32::MAX] {
            let key = BackendKey { message, time };
            assert_eq!(BackendKey::read(&key.to_string()), Some(key));
        }
        for wrong in [".r0", ".r", ".r01", ".r+1", ".r1x", ".r4294967296", ".r1.r2", "r1", ".R1"] {
            assert_eq!(BackendKey::read(&format!("{message}{wrong}")), None, "{wrong}");
        }
        assert_eq!(BackendKey::read("order-77"), None);
    }

    #[test]
    fn a_key_is_printable_and_bounded() {
        assert!("order 77/ä".parse::<Key>().is_err());
        assert!("order 77".parse::<Key>().is_ok());
        for bad in ["", " a", "a ", "a\nb", &"k".repeat(256)] {
            assert!(bad.parse::<Key>().is_err(), "{bad:?}");
        }
    }
}
