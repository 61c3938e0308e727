//! Packs and envelopes: how messages travel on a queue.
//!
//! An envelope begins with `VERSION.KEY-ID.MAC` and a line feed; then comes the pack, as that version writes it
//! (`envelope_format`). The MAC (HMAC-SHA-256, base64url) covers everything but itself. The version stands first, so that a
//! newer one is told from a forged one unread.

use bytes::Bytes;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{
    Account, Lane, Message, NoticePack, PACK_NOTICES, RouteName,
    envelope_format::{EnvelopeFormat, FORMATS, Malformed, PackHead},
};
use crate::keys::Secret;

/// The most messages in a pack.
pub const PACK_MESSAGES: usize = 64;

/// The version of envelopes that hold notices: these are numbered by themselves, from a thousand on, so that a release that knows no
/// notices takes them for newer than itself, and leaves them for one that does.
pub const NOTICES: u32 = 1_001;

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

/// What lay in an envelope.
#[derive(Debug, Clone, PartialEq)]
pub enum Opened {
    /// Messages.
    Pack(Pack),
    /// What a provider told.
    Notices(NoticePack),
}

/// Why an envelope cannot be opened; each says what to do with it.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Written by a newer program: give it back to the queue, a newer worker will open it.
    #[error("envelope version {version} is newer than {newest}")]
    Newer {
        /// Its version.
        version: u32,
        /// The newest that this program reads.
        newest: u32,
    },
    /// It may be ours, by a key or of a version that this program does not have: quarantine it, a person may find what is missing.
    #[error("not an envelope that this program can verify: {0}")]
    Unverified(&'static str),
    /// Forged, cut or damaged: quarantine it.
    #[error("not an envelope that this deployment wrote: {0}")]
    Forged(&'static str),
    /// The MAC is ours and the content is not a pack: quarantine it.
    #[error("the envelope's content is not a pack: {0}")]
    Malformed(#[source] Malformed),
}

/// A version that this program does not write was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("envelopes of version {asked} cannot be written: this program knows {oldest} to {newest}")]
pub struct UnknownFormat {
    /// What was asked for.
    pub asked: u32,
    /// The oldest that it knows.
    pub oldest: u32,
    /// The newest that it knows.
    pub newest: u32,
}

/// The keys that envelopes are signed with: one that signs, and any that still verify; and the versions that are known.
#[derive(Clone)]
pub struct EnvelopeKeys {
    signing: (String, Hmac<Sha256>),
    verifying: Vec<(String, Hmac<Sha256>)>,
    formats: &'static [EnvelopeFormat],
}

impl EnvelopeKeys {
    /// The first key signs; all verify. An id is for people and has no `.` or line feed.
    #[must_use]
    pub fn new(signing: (&str, &Secret), also_valid: &[(&str, &Secret)]) -> Self {
        let keyed = |(id, secret): (&str, &Secret)| (id.to_owned(), secret.hmac());
        let verifying = std::iter::once(signing).chain(also_valid.iter().copied()).map(keyed).collect();
        Self { signing: keyed(signing), verifying, formats: FORMATS }
    }

    /// The same keys, for a release that knows these versions.
    #[must_use]
    pub const fn knowing(mut self, formats: &'static [EnvelopeFormat]) -> Self {
        self.formats = formats;
        self
    }

    /// The newest version that can be opened.
    #[must_use]
    pub fn newest(&self) -> u32 {
        self.formats.iter().map(|format| format.version).max().unwrap_or(0)
    }

    fn format(&self, version: u32) -> Result<&'static EnvelopeFormat, UnknownFormat> {
        let known = self.formats.iter().find(|format| format.version == version);
        known.ok_or_else(|| UnknownFormat {
            asked: version,
            oldest: self.formats.iter().map(|format| format.version).min().unwrap_or(0),
            newest: self.newest(),
        })
    }

    /// Opens an envelope of messages.
    ///
    /// # Errors
    /// See [`EnvelopeError`]; each variant says what to do.
    pub fn open(&self, envelope: &Envelope) -> Result<Pack, EnvelopeError> {
        match self.open_any(envelope)? {
            Opened::Pack(pack) => Ok(pack),
            Opened::Notices(_) => Err(EnvelopeError::Malformed("it holds a provider's reports".into())),
        }
    }

    /// Opens an envelope, whatever it holds.
    ///
    /// # Errors
    /// See [`EnvelopeError`]; each variant says what to do.
    pub fn open_any(&self, envelope: &Envelope) -> Result<Opened, EnvelopeError> {
        let (head, body) = split_head(&envelope.0).ok_or(EnvelopeError::Forged("no head"))?;
        let mut parts = head.split('.');
        let version =
            parts.next().and_then(|v| v.parse::<u32>().ok()).ok_or(EnvelopeError::Forged("no version"))?;
        if version > self.newest() && version != NOTICES {
            return Err(EnvelopeError::Newer { version, newest: self.newest() });
        }
        let (Some(id), Some(tag), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(EnvelopeError::Forged("head of another form"));
        };
        if version == NOTICES {
            self.verify(version, id, tag, body)?;
            let pack: NoticePack =
                serde_json::from_slice(body).map_err(|error| EnvelopeError::Malformed(error.into()))?;
            if pack.notices.len() > PACK_NOTICES {
                return Err(EnvelopeError::Forged("more reports than a call has"));
            }
            return Ok(Opened::Notices(pack));
        }
        let format =
            self.format(version).map_err(|_older| EnvelopeError::Unverified("a version that is not read"))?;
        self.verify(version, id, tag, body)?;
        let pack = (format.read)(body).map_err(EnvelopeError::Malformed)?;
        if pack.messages.len() > PACK_MESSAGES {
            return Err(EnvelopeError::Forged("more messages than a pack holds"));
        }
        Ok(Opened::Pack(pack))
    }

    fn verify(&self, version: u32, id: &str, tag: &str, body: &[u8]) -> Result<(), EnvelopeError> {
        let tag = data_encoding::BASE64URL_NOPAD
            .decode(tag.as_bytes())
            .map_err(|_| EnvelopeError::Forged("MAC"))?;
        let (_, key) = self
            .verifying
            .iter()
            .find(|(known, _)| known == id)
            .ok_or(EnvelopeError::Unverified("unknown key"))?;
        signed(key, version, id, [body]).verify_slice(&tag).map_err(|_| EnvelopeError::Forged("MAC"))
    }

    /// The envelope of what a provider told.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn seal_notices(&self, pack: &NoticePack) -> Result<Envelope, serde_json::Error> {
        let body = serde_json::to_vec(pack)?;
        Ok(self.sealed(NOTICES, |out| out.extend_from_slice(&body)))
    }

    fn sealed(&self, version: u32, write: impl FnOnce(&mut Vec<u8>)) -> Envelope {
        let (id, key) = &self.signing;
        let mut out = format!("{version}.{id}.").into_bytes();
        // The tag is written last, into the place that is kept for it here.
        let tag_at = out.len();
        out.extend_from_slice(&[b'-'; TAG]);
        out.push(b'\n');
        let body_at = out.len();
        write(&mut out);
        let tag = signed(key, version, id, [&out[body_at..]]).finalize().into_bytes();
        data_encoding::BASE64URL_NOPAD.encode_mut(&tag, &mut out[tag_at..tag_at + TAG]);
        Envelope(out.into())
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
    format: &'static EnvelopeFormat,
}

impl PackEncoder {
    /// An encoder that signs with these keys and writes this version.
    ///
    /// # Errors
    /// If these keys do not know the version.
    pub fn new(keys: EnvelopeKeys, version: u32) -> Result<Self, UnknownFormat> {
        let format = keys.format(version)?;
        Ok(Self { keys, format })
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
    pub fn seal(&self, head: PackHead<'_>, fragments: &[&[u8]]) -> Envelope {
        let write = self.format.write;
        self.keys.sealed(self.format.version, |out| write(out, head, fragments))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Content, Environment, Fingerprint, MessageId, Timestamp, Units, WRITTEN};

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
        sealed_as(WRITTEN, keys, messages)
    }

    fn sealed_as(version: u32, keys: &EnvelopeKeys, messages: &[Message]) -> (Pack, Envelope) {
        let account = Account { customer: "acme".parse().unwrap(), environment: Environment::Live };
        let route: RouteName = "carrier-a".parse().unwrap();
        let fragments: Vec<Vec<u8>> = messages.iter().map(|m| PackEncoder::fragment(m).unwrap()).collect();
        let fragments: Vec<&[u8]> = fragments.iter().map(Vec::as_slice).collect();
        let encoder = PackEncoder::new(keys.clone(), version).unwrap();
        let head = PackHead { account: &account, route: &route, lane: Lane::Bulk };
        let envelope = encoder.seal(head, &fragments);
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
            Err(EnvelopeError::Unverified(_))
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
        assert!(matches!(keys.open(&newer), Err(EnvelopeError::Newer { version: 2, newest: 1 })));
        let none = Envelope(Bytes::from_static(b"0.whatever\nbinary"));
        assert!(matches!(keys.open(&none), Err(EnvelopeError::Unverified(_))));
    }

    /// Another way to write a pack: backwards.
    const NEXT: &[EnvelopeFormat] = &[
        FORMATS[0],
        EnvelopeFormat {
            version: 2,
            write: |out, head, fragments| {
                let begin = out.len();
                (FORMATS[0].write)(out, head, fragments);
                out[begin..].reverse();
            },
            read: |content| (FORMATS[0].read)(&content.iter().rev().copied().collect::<Vec<_>>()),
        },
    ];

    #[test]
    fn a_release_reads_all_its_versions_and_writes_the_one_it_is_told_to() {
        let now = EnvelopeKeys::new(("a", &Secret::random()), &[]);
        let next = now.clone().knowing(NEXT);
        let messages = [message("one"), message("two")];
        for version in [1, 2] {
            let (pack, envelope) = sealed_as(version, &next, &messages);
            assert!(envelope.0.starts_with(format!("{version}.").as_bytes()));
            assert_eq!(next.open(&envelope).unwrap(), pack);
        }
        let (pack, older) = sealed_as(1, &next, &messages);
        assert_eq!(
            now.open(&older).unwrap(),
            pack,
            "the release before reads what the next one writes unless told"
        );
        let (_, newer) = sealed_as(2, &next, &messages);
        assert!(matches!(now.open(&newer), Err(EnvelopeError::Newer { version: 2, newest: 1 })));
        let refused = PackEncoder::new(now, 2).err().map(|error| error.to_string());
        assert_eq!(
            refused.as_deref(),
            Some("envelopes of version 2 cannot be written: this program knows 1 to 1")
        );
    }

    /// The MAC covers the version: a pack is not read as another version than it was written in.
    #[test]
    fn an_envelope_cannot_be_passed_off_as_another_version() {
        let next = EnvelopeKeys::new(("a", &Secret::random()), &[]).knowing(NEXT);
        let (_, envelope) = sealed_as(2, &next, &[message("x")]);
        let mut bytes = envelope.0.to_vec();
        bytes[0] = b'1';
        assert!(matches!(next.open(&Envelope(bytes.into())), Err(EnvelopeError::Forged("MAC"))));
    }

    #[test]
    fn what_is_written_unless_told_is_in_the_table_and_versions_are_in_order() {
        let versions: Vec<u32> = FORMATS.iter().map(|format| format.version).collect();
        assert!(versions.contains(&WRITTEN) && versions.is_sorted_by(|a, b| a < b), "{versions:?}");
    }

    #[test]
    fn what_a_provider_told_travels_sealed_and_is_newer_than_a_release_that_knows_no_notices() {
        use crate::domain::{Notice, Said};
        let keys = EnvelopeKeys::new(("a", &Secret::random()), &[]);
        let notice = Notice {
            backend_id: Some("SM1".into()),
            message: Some(MessageId::from_bytes([7; 16])),
            said: Said::Delivered,
            detail: "reported".into(),
        };
        let pack = NoticePack { route: "carrier-a".parse().unwrap(), notices: vec![notice] };
        let envelope = keys.seal_notices(&pack).unwrap();
        assert!(
            envelope.0.starts_with(b"1001.a.") && NOTICES > FORMATS.iter().map(|f| f.version).max().unwrap()
        );
        assert_eq!(keys.open_any(&envelope).unwrap(), Opened::Notices(pack));
        assert!(
            matches!(keys.open(&envelope), Err(EnvelopeError::Malformed(_))),
            "and is no pack of messages"
        );
        for index in 0..envelope.0.len() {
            let mut bytes = envelope.0.to_vec();
            bytes[index] ^= 1;
            assert!(keys.open_any(&Envelope(bytes.into())).is_err(), "byte {index}");
        }
    }
}
