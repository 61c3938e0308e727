//! What a call says about its signature (RFC 9421 sections 2.3, 4.1 and 4.2), read before anybody is asked anything.

use std::time::Duration;

use actix_web::{
    HttpRequest,
    http::header::{AUTHORIZATION, HeaderMap, HeaderName},
};
use data_encoding::BASE64;
use naru_shared::{
    domain::{Nonce, Timestamp},
    shared_secret::TAG,
};
use sfv::{BareItem, Dictionary, InnerList, ListEntry, Parser};

use super::{base, components::Components};
use crate::{
    content_digest::Digests,
    problem::{Code, Problem},
    unread,
};

const SIGNATURE: HeaderName = HeaderName::from_static("signature");
const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");

/// Headers that must be signed where they mean something.
const DIGEST: &str = "content-digest";
const KEY: &str = "idempotency-key";

/// The tag of a signature that is for this server; one without a tag is as well.
const TAG_NAME: &str = "naru";

/// The algorithm of every signature here.
const ALGORITHM: &str = "hmac-sha256";

/// How far `created` may lie from the clock here, in either direction.
const WINDOW: Duration = Duration::from_secs(300);

/// A whole second is that second to its end: so many milliseconds more.
const TO_ITS_END: i64 = 999;

/// For how long beyond its window a nonce stays known: clocks of servers side by side may differ by so much.
const SLACK: Duration = Duration::from_secs(60);

/// What a call claims: who signed what.
#[derive(Debug)]
pub struct Claim {
    /// Whose secret it is said to be.
    pub key_id: String,
    /// Used once.
    pub nonce: Nonce,
    /// For how long the same signature could be taken again.
    pub lasts: Duration,
    /// What the body must hash to, if it is signed.
    pub digests: Option<Digests>,
    /// What must have been signed.
    pub base: String,
    /// The MAC that was sent.
    pub tag: [u8; TAG],
}

/// Whether a call says that it is signed. One with `Authorization` does not by signatures that are for others, such as a proxy's.
pub fn is_signed(headers: &HeaderMap) -> bool {
    let any = headers.contains_key(&SIGNATURE_INPUT) || headers.contains_key(&SIGNATURE);
    any && !(headers.contains_key(AUTHORIZATION) && are_for_others(headers))
}

fn are_for_others(headers: &HeaderMap) -> bool {
    let is_for_another = |entry: &ListEntry| match entry {
        ListEntry::InnerList(list) => {
            matches!(list.params.get("tag"), Some(BareItem::String(tag)) if tag.as_str() != TAG_NAME)
        }
        ListEntry::Item(_) => false,
    };
    dictionary(headers, &SIGNATURE_INPUT).is_ok_and(|inputs| inputs.values().all(is_for_another))
}

impl Claim {
    /// Reads the head of a call.
    ///
    /// # Errors
    /// With a code of its own for each mistake that can be seen without knowing whose secret it is: syntax, what is not covered, a time
    /// outside the window.
    pub fn read(request: &HttpRequest, now: Timestamp) -> Result<Self, Problem> {
        let headers = request.headers();
        if headers.contains_key(AUTHORIZATION) {
            let sentence = "The call has both Authorization and a signature: prove it in one way.";
            return Err(Problem::new(Code::MalformedAuthorization, sentence));
        }
        let (list, tag) = ours(headers)?;
        let parameters = Parameters::of(&list)?;
        let covered = Components::of(&list)?;
        let must = ["@method", "@authority", "@path", "@query"].into_iter();
        let must = must.chain(unread::has_body(request).then_some(DIGEST));
        // A key that is not signed could be changed by whoever repeats the call, and the message be sent again.
        let must = must.chain(headers.contains_key(KEY).then_some(KEY));
        let missing: Vec<&str> = must.filter(|name| !covered.contains(name)).collect();
        if !missing.is_empty() {
            let sentence = format!("The signature does not cover {}.", missing.join(", "));
            return Err(Problem::new(Code::SignatureIncomplete, sentence));
        }
        let lasts = parameters.window(now)?;
        let digests = match covered.contains(DIGEST) {
            true => Digests::of(headers).map_err(|_| {
                malformed(
                    "Content-Digest holds sha-256=:…: or sha-512=:…: with the base64 of the body's hash.",
                )
            })?,
            false => None,
        };
        let base = base::build(request, &covered, list)?;
        let Parameters { key_id, nonce, .. } = parameters;
        Ok(Self { key_id, nonce, lasts, digests, base, tag })
    }
}

/// The refusal of a signature that is not written as it should be.
pub(super) fn malformed(sentence: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(Code::MalformedSignature, sentence)
}

fn dictionary(headers: &HeaderMap, name: &HeaderName) -> Result<Dictionary, Problem> {
    let lines: Vec<&[u8]> = headers.get_all(name).map(|value| value.as_bytes()).collect();
    if lines.is_empty() {
        return Err(malformed("A signed call has both headers, Signature-Input and Signature."));
    }
    let parsed = Parser::new(&lines.join(&b", "[..])).parse();
    parsed.map_err(|_| malformed(format!("The header {name} is no dictionary (RFC 9651).")))
}

/// The one signature that is for this server: without a tag, or with ours. Those with another tag are for others.
fn ours(headers: &HeaderMap) -> Result<(InnerList, [u8; TAG]), Problem> {
    let inputs = dictionary(headers, &SIGNATURE_INPUT)?;
    let mut signatures = dictionary(headers, &SIGNATURE)?;
    if inputs.len() != signatures.len() || !inputs.keys().all(|label| signatures.contains_key(label)) {
        return Err(malformed("Signature-Input and Signature have different labels."));
    }
    let mut found = None;
    for (label, entry) in inputs {
        let ListEntry::InnerList(list) = entry else {
            return Err(malformed("A member of Signature-Input is a list of components."));
        };
        let tag = list.params.get("tag").map(|tag| tag.as_string().map(|text| text.as_str() == TAG_NAME));
        match tag {
            Some(None) => return Err(malformed("The parameter tag is a string.")),
            Some(Some(false)) => continue,
            Some(Some(true)) | None => {}
        }
        if found.is_some() {
            return Err(malformed("More than one signature is for this server."));
        }
        let bytes = match signatures.swap_remove(&label) {
            Some(ListEntry::Item(item)) => match item.bare_item {
                BareItem::ByteSequence(bytes) => bytes.try_into().ok(),
                _ => None,
            },
            _ => None,
        };
        let mac = bytes.filter(|mac| is_written(headers, mac));
        let mac = mac.ok_or_else(|| malformed("A signature is a byte sequence of 32 bytes in base64."))?;
        found = Some((list, mac));
    }
    found.ok_or_else(|| malformed("No signature is for this server: leave tag out, or say \"naru\"."))
}

/// Whether these bytes stand in the header as they are written (RFC 9651 section 4.1.8): one signature has one spelling.
fn is_written(headers: &HeaderMap, mac: &[u8; TAG]) -> bool {
    let text = format!(":{}:", BASE64.encode(mac));
    let mut lines = headers.get_all(&SIGNATURE);
    lines.any(|line| line.to_str().is_ok_and(|line| line.contains(&text)))
}

/// What a signature says of itself (RFC 9421 section 2.3). Others than these are signed with it, and mean nothing here.
struct Parameters {
    key_id: String,
    nonce: Nonce,
    created: i64,
    expires: Option<i64>,
}

impl Parameters {
    fn of(list: &InnerList) -> Result<Self, Problem> {
        let text = |name: &str| match list.params.get(name) {
            None => Ok(None),
            Some(BareItem::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(malformed(format!("The parameter {name} is a string."))),
        };
        let seconds = |name: &str| match list.params.get(name) {
            None => Ok(None),
            Some(BareItem::Integer(seconds)) => Ok(Some(i64::from(*seconds))),
            Some(_) => {
                Err(malformed(format!("The parameter {name} is a whole number of seconds since 1970.")))
            }
        };
        let missing = |name: &str| malformed(format!("The signature lacks the parameter {name}."));
        if text("alg")?.is_some_and(|algorithm| algorithm != ALGORITHM) {
            return Err(malformed("The parameter alg can be left out; if it is given it is hmac-sha256."));
        }
        let nonce = text("nonce")?.ok_or_else(|| missing("nonce"))?;
        Ok(Self {
            key_id: text("keyid")?.ok_or_else(|| missing("keyid"))?.to_owned(),
            nonce: nonce.parse().map_err(|_| malformed("A nonce has 8 to 128 characters."))?,
            created: seconds("created")?.ok_or_else(|| missing("created"))?,
            expires: seconds("expires")?,
        })
    }

    /// Whether it was made a moment ago; for how long it could come again.
    fn window(&self, now: Timestamp) -> Result<Duration, Problem> {
        let millis = |seconds: i64| seconds.saturating_mul(1_000);
        let (now, window) = (now.as_millis(), i64::try_from(WINDOW.as_millis()).unwrap_or(i64::MAX));
        let created = millis(self.created);
        let stale = |what: &str| {
            let clock = Timestamp::from_millis(now);
            Err(Problem::new(Code::StaleSignature, format!("{what} The clock here says {clock}.")))
        };
        if created.saturating_add(window + TO_ITS_END) < now || created > now.saturating_add(window) {
            return stale("The parameter created lies more than 300 seconds from the clock here.");
        }
        if self
            .expires
            .is_some_and(|expires| expires < self.created || millis(expires).saturating_add(TO_ITS_END) < now)
        {
            return stale("The parameter expires says that the time of the signature is over.");
        }
        let left =
            u64::try_from(created.saturating_add(window + TO_ITS_END + 1).saturating_sub(now)).unwrap_or(0);
        Ok(Duration::from_millis(left) + SLACK)
    }
}
