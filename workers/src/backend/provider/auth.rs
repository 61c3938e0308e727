//! How a request proves who sends it.

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use naru_shared::{domain::Timestamp, keys::random_bytes};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName};
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

use super::{
    ProviderError,
    document::{Algorithm, Auth, Encoding, HmacAuth},
    request::{Made, header_value},
    source::Opened,
    template::{Template, Vocabulary},
};

/// What a signed text may name.
const SIGNED: &[&str] = &[
    "method",
    "host",
    "path",
    "url",
    "key",
    "seconds",
    "millis",
    "date",
    "nonce",
    "id",
    "body",
    "body_sha256",
];

/// What the headers of a signature may name.
const SHOWN: &[&str] = &[
    "method",
    "host",
    "path",
    "url",
    "key",
    "seconds",
    "millis",
    "date",
    "nonce",
    "id",
    "body_sha256",
    "signature",
];

/// What begins a Standard Webhooks secret.
const WEBHOOK_SECRET: &str = "whsec_";

/// Bytes of a Standard Webhooks secret, by its specification.
const WEBHOOK_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// An [`Auth`] that was read; its secrets are not in it.
#[derive(Debug)]
pub(super) enum Proof {
    Basic { user: String },
    Bearer,
    Hmac(Signature),
    StandardWebhooks,
}

/// See [`Auth::Hmac`].
#[derive(Debug)]
pub(super) struct Signature {
    key: String,
    algorithm: Algorithm,
    encoding: Encoding,
    signed: Template,
    headers: Vec<(HeaderName, Template)>,
}

/// What a proof goes by beside the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment<'a> {
    pub(super) now: Timestamp,
    /// The message's: the same at every attempt.
    pub(super) id: &'a str,
    pub(super) method: &'a reqwest::Method,
}

impl Proof {
    pub(super) fn parse(text: &Auth) -> Result<Self, ProviderError> {
        let wrong = |why: &str| ProviderError::Auth(why.to_owned());
        Ok(match text {
            Auth::Basic { user, .. } if user.contains(':') || user.chars().any(char::is_control) => {
                return Err(wrong("a user has no colon and no control characters (RFC 7617)"));
            }
            Auth::Basic { user, .. } => Self::Basic { user: user.clone() },
            Auth::Bearer { .. } => Self::Bearer,
            Auth::StandardWebhooks { .. } => Self::StandardWebhooks,
            Auth::Hmac(text) => Self::Hmac(Signature::parse(text)?),
        })
    }

    /// Whether opened secrets are such as it needs.
    pub(super) fn check(&self, secrets: &Opened) -> Result<(), ProviderError> {
        let wrong = |why: &str| Err(ProviderError::Auth(why.to_owned()));
        let secret = |name| secrets.get(name).map_or("", |secret| secret.as_str());
        match self {
            Self::Basic { .. } if secret("auth.password").chars().any(char::is_control) => {
                wrong("a password has no control characters (RFC 7617)")
            }
            Self::Bearer if header_value(secret("auth.token")).is_none() => {
                wrong("a token has visible ASCII characters only")
            }
            Self::StandardWebhooks if webhook_key(secret("auth.secret")).is_none() => {
                wrong("a Standard Webhooks secret is whsec_ and 24 to 64 bytes in base 64")
            }
            _ => Ok(()),
        }
    }

    /// Adds what proves it to the request.
    pub(super) fn add(
        &self,
        made: &mut Made,
        secrets: &Opened,
        moment: Moment<'_>,
    ) -> Result<(), ProviderError> {
        let secret = |name: &str| secrets.get(name).map_or("", |secret| secret.as_str());
        match self {
            Self::Basic { user } => {
                let pair = Zeroizing::new(format!("{user}:{}", secret("auth.password")));
                let text = Zeroizing::new(format!("Basic {}", BASE64.encode(pair.as_bytes())));
                put(&mut made.headers, AUTHORIZATION, &text)
            }
            Self::Bearer => {
                let text = Zeroizing::new(format!("Bearer {}", secret("auth.token")));
                put(&mut made.headers, AUTHORIZATION, &text)
            }
            Self::Hmac(signature) => signature.add(made, secret("auth.secret"), moment),
            Self::StandardWebhooks => {
                let key = webhook_key(secret("auth.secret")).unwrap_or_default();
                let seconds = (moment.now.as_millis() / 1_000).to_string();
                let text = [moment.id.as_bytes(), b".", seconds.as_bytes(), b".", &made.body].concat();
                let signed = format!("v1,{}", BASE64.encode(&mac(Algorithm::Sha256, &key, &text)));
                put(&mut made.headers, HeaderName::from_static("webhook-id"), moment.id)?;
                put(&mut made.headers, HeaderName::from_static("webhook-timestamp"), &seconds)?;
                put(&mut made.headers, HeaderName::from_static("webhook-signature"), &signed)
            }
        }
    }
}

impl Signature {
    fn parse(text: &HmacAuth) -> Result<Self, ProviderError> {
        let known = |names| Vocabulary { names, prefixes: Vec::new(), more: Vec::new() };
        let mut headers = Vec::new();
        for (name, value) in &text.headers {
            let header: HeaderName =
                name.parse().map_err(|_| ProviderError::Auth(format!("`{name}` is no name of a header")))?;
            headers.push((header, Template::parse(value, &known(SHOWN))?));
        }
        if !text.headers.values().any(|value| value.contains("{signature")) {
            return Err(ProviderError::Auth("no header holds {signature}".to_owned()));
        }
        let signed = Template::parse(&text.signed, &known(SIGNED))?;
        if signed.is_plain() {
            return Err(ProviderError::Auth("what is signed names nothing of the request".to_owned()));
        }
        Ok(Self {
            key: text.key.clone(),
            algorithm: text.algorithm,
            encoding: text.encoding,
            signed,
            headers,
        })
    }

    fn add(&self, made: &mut Made, secret: &str, moment: Moment<'_>) -> Result<(), ProviderError> {
        let nonce = HEXLOWER.encode(&random_bytes::<16>());
        let path = made
            .url
            .query()
            .map_or_else(|| made.url.path().to_owned(), |query| format!("{}?{query}", made.url.path()));
        let host = authority(made);
        let millis = moment.now.as_millis();
        let find = |name: &str| -> Option<Value> {
            Some(match name {
                "method" => moment.method.as_str().into(),
                "host" => host.as_str().into(),
                "path" => path.as_str().into(),
                "url" => made.url.as_str().into(),
                "key" => self.key.as_str().into(),
                "seconds" => (millis / 1_000).into(),
                "millis" => millis.into(),
                "date" => json!(moment.now),
                "nonce" => nonce.as_str().into(),
                "id" => moment.id.into(),
                "body" => String::from_utf8_lossy(&made.body).into(),
                "body_sha256" => HEXLOWER.encode(&Sha256::digest(&made.body)).into(),
                _ => return None,
            })
        };
        let text = self.signed.text(&find).map_err(|lacking| ProviderError::Auth(lacking.to_string()))?;
        let digest = mac(self.algorithm, secret.as_bytes(), text.unwrap_or_default().as_bytes());
        let signature = match self.encoding {
            Encoding::Hex => HEXLOWER.encode(&digest),
            Encoding::Base64 => BASE64.encode(&digest),
        };
        let shown =
            |name: &str| if name == "signature" { Some(signature.as_str().into()) } else { find(name) };
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, template) in &self.headers {
            let text = template.text(&shown).map_err(|lacking| ProviderError::Auth(lacking.to_string()))?;
            headers.push((name.clone(), text.unwrap_or_default()));
        }
        headers.into_iter().try_for_each(|(name, text)| put(&mut made.headers, name, &text))
    }
}

/// As the header `Host` has it.
fn authority(made: &Made) -> String {
    let host = made.url.host_str().unwrap_or_default();
    made.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn put(headers: &mut HeaderMap, name: HeaderName, text: &str) -> Result<(), ProviderError> {
    let wrong = || ProviderError::Auth(format!("the header {name} cannot hold what it should"));
    let mut value = header_value(text).ok_or_else(wrong)?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

fn webhook_key(secret: &str) -> Option<Zeroizing<Vec<u8>>> {
    let key = BASE64.decode(secret.strip_prefix(WEBHOOK_SECRET)?.as_bytes()).ok().map(Zeroizing::new)?;
    WEBHOOK_BYTES.contains(&key.len()).then_some(key)
}

fn mac(algorithm: Algorithm, key: &[u8], text: &[u8]) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
    fn keyed<M: Mac + KeyInit>(key: &[u8], text: &[u8]) -> Vec<u8> {
        let mut mac = <M as KeyInit>::new_from_slice(key).expect("any bytes are a key");
        mac.update(text);
        mac.finalize().into_bytes().to_vec()
    }
    match algorithm {
        Algorithm::Sha256 => keyed::<Hmac<Sha256>>(key, text),
        Algorithm::Sha512 => keyed::<Hmac<Sha512>>(key, text),
    }
}
