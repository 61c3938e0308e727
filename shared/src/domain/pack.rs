//! Packs and envelopes: how messages travel on a queue.
//!
//! An envelope is text: `VERSION.KEY-ID.MAC` and a line feed, then the pack as JSON. The MAC (HMAC-SHA-256, base64url)
//! covers everything but itself. The version stands first, so that a newer one is told from a forged one unread.

use bytes::Bytes;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{Account, Lane, Message, RouteName};
use crate::keys::Secret;

/// The most messages in a pack.
pub const PACK_MESSAGES: usize = 64;

/// The envelope version that this program writes, and the newest that it reads.
const VERSION: u32 = 1;

/// About the bytes of a message's JSON besides its text.
const FRAGMENT: usize = 384;

/// Characters of a MAC in base64url without padding.
const TAG: usize = 43;

/// Up to [`PACK_MESSAGES`] messages of one account, route and lane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pack {
    /// Whose.
    #[serde(flatten)]
    pub account: Account,
    /// Where they go.
    pub route: RouteName,
    /// How soon.
    pub lane: Lane,
    /// In the order of their acceptance.
    pub messages: Vec<Message>,
}

/// A pack as it lies on a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope(pub Bytes);

/// Why an envelope cannot be opened; each says what to do with it.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Written by a newer program: give it back to the queue, a newer worker will open it.
    #[error("envelope version {0} is newer than {VERSION}")]
    Newer(u32),
    /// Forged, cut or damaged: quarantine it.
    #[error("not an envelope that this deployment wrote: {0}")]
    Forged(&'static str),
    /// The MAC is ours and the content is not a pack: quarantine it.
    #[error("the envelope's content is not a pack: {0}")]
    Malformed(#[source] serde_json::Error),
}

/// The keys that envelopes are signed with: one that signs, and any that still verify.
#[derive(Clone)]
pub struct EnvelopeKeys {
    signing: (String, Hmac<Sha256>),
    verifying: Vec<(String, Hmac<Sha256>)>,
}

impl EnvelopeKeys {
    /// The first key signs; all verify. An id is for people and has no `.` or line feed.
    #[must_use]
    pub fn new(signing: (&str, &Secret), also_valid: &[(&str, &Secret)]) -> Self {
        let keyed = |(id, secret): (&str, &Secret)| (id.to_owned(), secret.hmac());
        let verifying = std::iter::once(signing).chain(also_valid.iter().copied()).map(keyed).collect();
        Self { signing: keyed(signing), verifying }
    }

    /// Opens an envelope.
    ///
    /// # Errors
    /// See [`EnvelopeError`]; each variant says what to do.
    pub fn open(&self, envelope: &Envelope) -> Result<Pack, EnvelopeError> {
        let (head, body) = split_head(&envelope.0).ok_or(EnvelopeError::Forged("no head"))?;
        let mut parts = head.split('.');
        let version =
            parts.next().and_then(|v| v.parse::<u32>().ok()).ok_or(EnvelopeError::Forged("no version"))?;
        if version > VERSION {
            return Err(EnvelopeError::Newer(version));
        }
        let (Some(id), Some(tag), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(EnvelopeError::Forged("head of another form"));
        };
        let tag = data_encoding::BASE64URL_NOPAD
            .decode(tag.as_bytes())
            .map_err(|_| EnvelopeError::Forged("MAC"))?;
        let (_, key) = self
            .verifying
            .iter()
            .find(|(known, _)| known == id)
            .ok_or(EnvelopeError::Forged("unknown key"))?;
        let mac = signed(key, version, id, [body]);
        mac.verify_slice(&tag).map_err(|_| EnvelopeError::Forged("MAC"))?;
        let pack: Pack = serde_json::from_slice(body).map_err(EnvelopeError::Malformed)?;
        if pack.messages.len() > PACK_MESSAGES {
            return Err(EnvelopeError::Forged("more messages than a pack holds"));
        }
        Ok(pack)
    }
}

fn split_head(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().take(128).position(|b| *b == b'\n')?;
    Some((str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

fn signed<'a>(
    key: &Hmac<Sha256>,
    version: u32,
    id: &str,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> Hmac<Sha256> {
    let mut mac = key.clone();
    mac.update(format!("{version}.{id}\n").as_bytes());
    for part in parts {
        mac.update(part);
    }
    mac
}

/// Writes packs from messages that were serialised one by one, where they were accepted.
#[derive(Clone)]
pub struct PackEncoder {
    keys: EnvelopeKeys,
}

impl PackEncoder {
    /// An encoder that signs with these keys.
    #[must_use]
    pub const fn new(keys: EnvelopeKeys) -> Self {
        Self { keys }
    }

    /// One message as JSON, ready to be put into a pack.
    ///
    /// # Errors
    /// If the message cannot be written as JSON.
    pub fn fragment(message: &Message) -> Result<Vec<u8>, serde_json::Error> {
        let mut fragment = Vec::with_capacity(FRAGMENT + message.content.body.len());
        serde_json::to_writer(&mut fragment, message)?;
        Ok(fragment)
    }

    /// The envelope of these fragments, at most [`PACK_MESSAGES`].
    #[must_use]
    pub fn seal<'a>(
        &self,
        account: &Account,
        route: &RouteName,
        lane: Lane,
        fragments: impl IntoIterator<Item = &'a [u8]> + Clone,
    ) -> Envelope {
        let (id, key) = &self.keys.signing;
        let mut out = format!("{VERSION}.{id}.").into_bytes();
        // The tag is written last, into the place that is kept for it here.
        let tag_at = out.len();
        out.extend_from_slice(&[b'-'; TAG]);
        out.push(b'\n');
        let body_at = out.len();
        // Names hold only plain characters: no escaping is needed.
        out.extend_from_slice(
            format!(
                r#"{{"customer":"{}","environment":"{}","route":"{route}","lane":"{}","messages":["#,
                account.customer,
                account.environment.as_str(),
                lane.as_str()
            )
            .as_bytes(),
        );
        out.reserve(fragments.clone().into_iter().map(|fragment| fragment.len() + 1).sum::<usize>() + 2);
        for (index, fragment) in fragments.into_iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(fragment);
        }
        out.extend_from_slice(b"]}");
        let tag = signed(key, VERSION, id, [&out[body_at..]]).finalize().into_bytes();
        data_encoding::BASE64URL_NOPAD.encode_mut(&tag, &mut out[tag_at..tag_at + TAG]);
        Envelope(out.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Content, Environment, Fingerprint, MessageId, Timestamp, Units};

    fn message(body: &str) -> Message {
        let content = Content {
            channel: "sms".parse().unwrap(),
            recipient: "+821012345678".into(),
            sender: Some("0215441234".into()),
            subject: None,
            body: body.into(),
            attachments: Vec::new(),
            data: serde_json::Map::new(),
            reference: None,
            send_at: Some(Timestamp::from_millis(12_345)),
            ttl: None,
        };
        Message {
            id: MessageId::from_bytes([7; 16]),
            key: Some("k".parse().unwrap()),
            fingerprint: Fingerprint::of(&content, Lane::Bulk),
            units: Units::ONE,
            accepted_at: Timestamp::from_millis(1),
            traceparent: None,
            content,
        }
    }

    fn sealed(keys: &EnvelopeKeys, messages: &[Message]) -> (Pack, Envelope) {
        let account = Account { customer: "acme".parse().unwrap(), environment: Environment::Live };
        let route: RouteName = "carrier-a".parse().unwrap();
        let fragments: Vec<Vec<u8>> = messages.iter().map(|m| PackEncoder::fragment(m).unwrap()).collect();
        let encoder = PackEncoder::new(keys.clone());
        let envelope = encoder.seal(&account, &route, Lane::Bulk, fragments.iter().map(Vec::as_slice));
        (Pack { account, route, lane: Lane::Bulk, messages: messages.to_vec() }, envelope)
    }

    #[test]
    fn what_was_sealed_opens_to_the_same_pack() {
        let keys = EnvelopeKeys::new(("a", &Secret::random()), &[]);
        let (pack, envelope) = sealed(&keys, &[message("one \"quoted\"\n"), message("둘")]);
        assert_eq!(keys.open(&envelope).unwrap(), pack);
    }

    #[test]
    fn a_second_key_verifies_while_both_are_valid() {
        let (old, new) = (Secret::random(), Secret::random());
        let (_, envelope) = sealed(&EnvelopeKeys::new(("old", &old), &[]), &[message("x")]);
        assert!(EnvelopeKeys::new(("new", &new), &[("old", &old)]).open(&envelope).is_ok());
        assert!(matches!(
            EnvelopeKeys::new(("new", &new), &[]).open(&envelope),
            Err(EnvelopeError::Forged(_))
        ));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let keys = EnvelopeKeys::new(("a", &Secret::random()), &[]);
        let (_, envelope) = sealed(&keys, &[message("x")]);
        for index in 0..envelope.0.len() {
            let mut bytes = envelope.0.to_vec();
            bytes[index] ^= 1;
            let changed = Envelope(bytes.into());
            assert!(keys.open(&changed).is_err(), "byte {index}");
        }
        for length in 0..envelope.0.len() {
            assert!(keys.open(&Envelope(envelope.0.slice(..length))).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn a_newer_version_is_told_from_a_forged_one() {
        let keys = EnvelopeKeys::new(("a", &Secret::random()), &[]);
        let newer = Envelope(Bytes::from_static(b"2.whatever\nbinary"));
        assert!(matches!(keys.open(&newer), Err(EnvelopeError::Newer(2))));
    }
}
