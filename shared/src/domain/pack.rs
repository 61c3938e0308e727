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
        let version = parts.next().and_then(version_of).ok_or(EnvelopeError::Forged("no version"))?;
        if version > self.newest() && version != NOTICES {
            return Err(EnvelopeError::Newer { version, newest: self.newest() });
        }
        let format = match version {
            NOTICES => None,
            version => Some(
                self.format(version)
                    .map_err(|_older| EnvelopeError::Unverified("a version that is not read"))?,
            ),
        };
        let (Some(id), Some(tag), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(EnvelopeError::Forged("head of another form"));
        };
        self.verify(version, id, tag, body)?;
        let Some(format) = format else {
            let pack: NoticePack =
                serde_json::from_slice(body).map_err(|error| EnvelopeError::Malformed(error.into()))?;
            if pack.notices.len() > PACK_NOTICES {
                return Err(EnvelopeError::Forged("more reports than a call has"));
            }
            return Ok(Opened::Notices(pack));
        };
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

    /// An envelope of whatever is written.
    pub(crate) fn sealed(&self, version: u32, write: impl FnOnce(&mut Vec<u8>)) -> Envelope {
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

/// A version in the one way in which it is signed: without a sign or zeros before it.
fn version_of(text: &str) -> Option<u32> {
    text.parse().ok().filter(|version: &u32| version.to_string() == text)
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
mod tests;
