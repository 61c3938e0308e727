//! How a call proves that it comes from a route's provider. Comparisons take the same time wherever texts differ.

use std::time::Duration;

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::InvalidCallback;
use crate::{domain::Timestamp, sealing::Sealer};

/// The least characters of a secret.
const LEAST: usize = 16;

/// How far the clock of a provider may be from ours.
const DRIFT: Duration = Duration::from_secs(300);

/// Secrets, sealed, the newest first: two are valid while one replaces the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secrets(Vec<String>);

impl Secrets {
    pub(super) fn of(sealed: String) -> Self {
        Self(vec![sealed])
    }

    /// The newest of others stays valid.
    pub(super) fn keep(&mut self, others: &Self) {
        self.0.extend(others.0.first().cloned());
    }

    fn open<'a>(
        &'a self,
        place: &'a str,
        sealer: &'a Sealer,
    ) -> impl Iterator<Item = Zeroizing<String>> + 'a {
        self.0.iter().filter_map(move |sealed| sealer.open(place, sealed).ok())
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Proof {
    /// RFC 7617.
    Basic {
        /// The user.
        user: String,
        /// Passwords.
        secrets: Secrets,
    },
    /// Standard Webhooks 1.0.0.
    StandardWebhooks {
        /// `whsec_…`
        secrets: Secrets,
    },
    /// An HMAC in a header, over a text of the call's own.
    Hmac(Signed),
}

/// See [`Proof::Hmac`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// Keys.
    pub secrets: Secrets,
    /// Where the signature stands.
    pub header: String,
    /// What stands before it there.
    #[serde(default)]
    pub prefix: String,
    /// The hash.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// How it is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// What is signed: `{body}`, `{path}`, `{timestamp}`, and `{form}`, which is the form's fields by name, names and values one after the other.
    #[serde(default = "body")]
    pub signed: String,
    /// Where the provider says when it signed, in seconds of Unix; then it must be now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
}

fn body() -> String {
    "{body}".to_owned()
}

/// The hash of an HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// SHA-1, where a provider has nothing better.
    Sha1,
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

/// How an HMAC is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// In hexadecimal digits.
    #[default]
    Hex,
    /// In base 64.
    Base64,
}

/// A call, as far as it proves anything.
pub struct Call<'a> {
    /// A header's value, if it came once.
    pub header: &'a dyn Fn(&str) -> Option<String>,
    /// Its path, without the query.
    pub path: &'a str,
    /// Its body.
    pub body: &'a [u8],
    /// The present moment.
    pub now: Timestamp,
}

/// What an operator writes.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Written {
    Basic {
        user: String,
        secret: String,
    },
    StandardWebhooks {
        secret: String,
    },
    Hmac {
        secret: String,
        header: String,
        #[serde(default)]
        prefix: String,
        #[serde(default)]
        algorithm: Algorithm,
        #[serde(default)]
        encoding: Encoding,
        #[serde(default = "body")]
        signed: String,
        #[serde(default)]
        timestamp: Option<String>,
    },
}

impl Proof {
    /// As an operator writes it, with its secret, which is sealed.
    pub(super) fn describe(value: Value, place: &str, sealer: &Sealer) -> Result<Self, InvalidCallback> {
        let wrong = |why: &str| InvalidCallback(format!("proof: {why}"));
        let written: Written = serde_json::from_value(value).map_err(|error| wrong(&error.to_string()))?;
        let seal = |secret: &str| {
            if secret.len() < LEAST {
                return Err(wrong("a secret has at least 16 characters"));
            }
            sealer.seal(place, secret).map(Secrets::of).map_err(|error| wrong(&error.to_string()))
        };
        match written {
            Written::Basic { user, secret } => {
                if user.is_empty() || user.contains(':') || user.chars().any(char::is_control) {
                    return Err(wrong("a user has no colon, and at least one character"));
                }
                Ok(Self::Basic { user, secrets: seal(&secret)? })
            }
            Written::StandardWebhooks { secret } => {
                if webhook_key(&secret).is_none_or(|key| key.len() < LEAST) {
                    return Err(wrong(
                        "a secret of Standard Webhooks is whsec_ and base 64 of at least 16 bytes",
                    ));
                }
                Ok(Self::StandardWebhooks { secrets: seal(&secret)? })
            }
            Written::Hmac { secret, header, prefix, algorithm, encoding, signed, timestamp } => {
                let timed = signed.contains("{timestamp}");
                if timed != timestamp.is_some() {
                    return Err(wrong(
                        "`timestamp` names the header that {timestamp} in `signed` stands for",
                    ));
                }
                if header.eq_ignore_ascii_case("authorization") {
                    return Err(wrong(
                        "a signature stands in a header of its own: `Authorization` is for Basic here",
                    ));
                }
                if !signed.contains("{body}") && !signed.contains("{form}") {
                    return Err(wrong("`signed` covers {body} or {form}"));
                }
                let secrets = seal(&secret)?;
                Ok(Self::Hmac(Signed { secrets, header, prefix, algorithm, encoding, signed, timestamp }))
            }
        }
    }

    /// Its kind, in a few words.
    #[must_use]
    pub const fn manner(&self) -> &'static str {
        match self {
            Self::Basic { .. } => "Basic",
            Self::StandardWebhooks { .. } => "Standard Webhooks",
            Self::Hmac(_) => "an HMAC",
        }
    }

    /// Whether this is the value of `Authorization` that proves a call. Of a proof by signature nothing is.
    #[must_use]
    pub fn admits_basic(&self, place: &str, sealer: &Sealer, authorization: &str) -> bool {
        let Some(given) = basic(authorization) else { return false };
        let (user, secrets) = match self {
            Self::Basic { user, secrets } => (user.as_str(), secrets),
            // The same work, for nothing.
            Self::StandardWebhooks { secrets } | Self::Hmac(Signed { secrets, .. }) => ("", secrets),
        };
        let mut same = false;
        for secret in secrets.open(place, sealer) {
            let expected = Zeroizing::new(format!("{user}:{}", secret.as_str()));
            same |= verify_slices_are_equal(expected.as_bytes(), given.as_bytes()).is_ok();
        }
        same && matches!(self, Self::Basic { .. })
    }

    /// Whether a call is signed. Of a proof by Basic none is.
    #[must_use]
    pub fn admits_signed(&self, place: &str, sealer: &Sealer, call: &Call<'_>) -> bool {
        match self {
            Self::Basic { secrets, .. } => {
                standard(secrets, place, sealer, call);
                false
            }
            Self::StandardWebhooks { secrets } => standard(secrets, place, sealer, call),
            Self::Hmac(signed) => signed.admits(place, sealer, call),
        }
    }
}

/// `user:password`.
fn basic(authorization: &str) -> Option<Zeroizing<String>> {
    let (word, rest) = authorization.split_once(' ')?;
    let encoded = word.eq_ignore_ascii_case("basic").then(|| rest.trim_matches(' '))?;
    String::from_utf8(BASE64.decode(encoded.as_bytes()).ok()?).ok().map(Zeroizing::new)
}

fn webhook_key(secret: &str) -> Option<Zeroizing<Vec<u8>>> {
    BASE64.decode(secret.strip_prefix("whsec_").unwrap_or(secret).as_bytes()).ok().map(Zeroizing::new)
}

fn is_now(seconds: &str, now: Timestamp) -> bool {
    let told = seconds.parse::<i64>().ok().and_then(|seconds| seconds.checked_mul(1_000));
    let told = told.map(Timestamp::from_millis);
    told.is_some_and(|told| told >= now.minus(DRIFT) && told <= now.plus(DRIFT))
}

fn standard(secrets: &Secrets, place: &str, sealer: &Sealer, call: &Call<'_>) -> bool {
    let header = |name: &str| (call.header)(name).unwrap_or_default();
    let (id, time, given) = (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
    let signed = [id.as_bytes(), b".", time.as_bytes(), b".", call.body].concat();
    let given: Vec<Vec<u8>> = given
        .split(' ')
        .take(8)
        .filter_map(|one| BASE64.decode(one.strip_prefix("v1,")?.as_bytes()).ok())
        .collect();
    let mut valid = false;
    for secret in secrets.open(place, sealer) {
        let key = webhook_key(&secret).unwrap_or_default();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        valid |= given.iter().fold(false, |any, tag| any | hmac::verify(&key, &signed, tag).is_ok());
    }
    valid && !id.is_empty() && is_now(&time, call.now)
}

impl Signed {
    fn admits(&self, place: &str, sealer: &Sealer, call: &Call<'_>) -> bool {
        let Some(given) = (call.header)(&self.header) else { return false };
        let Some(text) = given.strip_prefix(&self.prefix) else { return false };
        let tag = match self.encoding {
            Encoding::Hex => HEXLOWER_PERMISSIVE.decode(text.as_bytes()),
            Encoding::Base64 => BASE64.decode(text.as_bytes()),
        };
        let Ok(tag) = tag else { return false };
        let time = self.timestamp.as_deref().map(|name| (call.header)(name).unwrap_or_default());
        if time.as_deref().is_some_and(|time| !is_now(time, call.now)) {
            return false;
        }
        let algorithm = match self.algorithm {
            Algorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Algorithm::Sha256 => hmac::HMAC_SHA256,
            Algorithm::Sha512 => hmac::HMAC_SHA512,
        };
        let text = self.text(call, time.as_deref().unwrap_or_default());
        let mut valid = false;
        for secret in self.secrets.open(place, sealer) {
            valid |= hmac::verify(&hmac::Key::new(algorithm, secret.as_bytes()), &text, &tag).is_ok();
        }
        valid
    }

    /// What was signed. Fields are filled once: what they bring in is never taken for a field.
    fn text(&self, call: &Call<'_>, time: &str) -> Vec<u8> {
        let (mut text, mut rest) = (Vec::new(), self.signed.as_str());
        while let Some(at) = rest.find('{') {
            text.extend_from_slice(&rest.as_bytes()[..at]);
            rest = &rest[at..];
            let known = ["{body}", "{path}", "{timestamp}", "{form}"];
            let Some(field) = known.into_iter().find(|field| rest.starts_with(field)) else {
                text.push(b'{');
                rest = &rest[1..];
                continue;
            };
            match field {
                "{body}" => text.extend_from_slice(call.body),
                "{path}" => text.extend_from_slice(call.path.as_bytes()),
                "{timestamp}" => text.extend_from_slice(time.as_bytes()),
                _ => {
                    let mut fields: Vec<_> = url::form_urlencoded::parse(call.body).collect();
                    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
                    for (name, value) in fields {
                        text.extend_from_slice(name.as_bytes());
                        text.extend_from_slice(value.as_bytes());
                    }
                }
            }
            rest = &rest[field.len()..];
        }
        text.extend_from_slice(rest.as_bytes());
        text
    }
}

#[cfg(test)]
mod tests;
