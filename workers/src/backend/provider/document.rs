//! The description of a provider's API: what an operator writes in a TOML file, and what the catalog keeps as JSON. What is
//! not known in it is refused, by whoever reads it: half a description would send something else.

use std::{collections::BTreeMap, path::PathBuf};

use naru_shared::domain::ProviderDocument;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ProviderError, source::Source};

/// The longest description.
const BYTES: usize = 128 * 1_024;

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Scheme, host and path; the path may have fields.
    pub(super) url: String,
    #[serde(default)]
    pub(super) method: Method,
    #[serde(default)]
    pub(super) query: BTreeMap<String, OneOrMany>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) form: Option<BTreeMap<String, OneOrMany>>,
    #[serde(default)]
    pub(super) json: Option<Value>,
    /// What templates may name as `secret.NAME`.
    #[serde(default)]
    pub(super) secrets: BTreeMap<String, Source>,
    #[serde(default)]
    pub(super) auth: Option<Auth>,
    #[serde(default)]
    pub(super) tls: Tls,
    #[serde(default)]
    pub(super) answer: Answers,
    /// Whether the headers go along by which attempts are told apart.
    #[serde(default = "yes")]
    pub(super) labels: bool,
    /// How the provider's reports come; it is kept beside the description, where the front finds it.
    #[serde(default, skip_serializing)]
    reports: Option<Value>,
    /// How long a connection may lie idle.
    #[serde(default = "idle")]
    pub(super) idle_ms: u32,
}

const fn yes() -> bool {
    true
}

const fn idle() -> u32 {
    4_000
}

/// A method that may carry a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Method {
    Get,
    #[default]
    Post,
    Put,
    Patch,
}

/// A parameter that stands once or several times.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(super) fn texts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

/// How a request proves who sends it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Auth {
    /// RFC 7617.
    Basic { user: String, password: Source },
    /// RFC 6750.
    Bearer { token: Source },
    /// An HMAC over a text of the request's own, in headers.
    Hmac(HmacAuth),
    /// Standard Webhooks 1.0.0.
    StandardWebhooks { secret: Source },
}

/// See [`Auth::Hmac`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HmacAuth {
    /// What the provider knows the secret by.
    #[serde(default)]
    pub(super) key: String,
    pub(super) secret: Source,
    #[serde(default)]
    pub(super) algorithm: Algorithm,
    #[serde(default)]
    pub(super) encoding: Encoding,
    /// What is signed.
    #[serde(default = "signed")]
    pub(super) signed: String,
    #[serde(default = "signature_headers")]
    pub(super) headers: BTreeMap<String, String>,
}

fn signed() -> String {
    "{method}\n{path}\n{seconds}\n{nonce}\n{body_sha256}".to_owned()
}

fn signature_headers() -> BTreeMap<String, String> {
    let headers = [
        ("x-naru-key", "{key}"),
        ("x-naru-timestamp", "{seconds}"),
        ("x-naru-nonce", "{nonce}"),
        ("x-naru-signature", "{signature}"),
    ];
    headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Algorithm {
    #[default]
    Sha256,
    Sha512,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Encoding {
    #[default]
    Hex,
    Base64,
}

/// Whom to trust, and who we are.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    /// Certificates of authorities; if given, no other authority is trusted.
    #[serde(default)]
    pub(super) ca: Option<Source>,
    /// Our certificate, and those between it and its authority.
    #[serde(default)]
    pub(super) certificate: Option<Source>,
    /// Its key.
    #[serde(default)]
    pub(super) key: Option<Source>,
}

/// What answers mean.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answers {
    /// Where the provider's own id stands.
    #[serde(default)]
    pub(super) id: Option<String>,
    /// Where the provider's code stands.
    #[serde(default)]
    pub(super) code: Option<String>,
    /// Where the provider's words stand.
    #[serde(default)]
    pub(super) detail: Option<String>,
    /// How long the report of what was `sent` may take; none given: as long as its channel says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) report_within_ms: Option<u64>,
    /// The first that matches decides; if none does, the table of all HTTP backends.
    #[serde(default)]
    pub(super) rules: Vec<RuleText>,
}

/// A line of the mapping.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleText {
    /// 201, or `2xx`.
    pub(super) status: Vec<StatusText>,
    /// A place in the answer (RFC 6901).
    #[serde(default)]
    pub(super) pointer: Option<String>,
    /// What stands there, one of these; none given: anything but null.
    #[serde(default)]
    pub(super) equals: Vec<Value>,
    pub(super) outcome: Word,
    /// For `not-taken`: not before so long.
    #[serde(default)]
    pub(super) retry_after_ms: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum StatusText {
    One(u16),
    Class(String),
}

/// What an answer comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Word {
    Delivered,
    Sent,
    NotTaken,
    Failed,
    Uncertain,
}

impl Description {
    /// As an operator writes it.
    ///
    /// # Errors
    /// If it is not TOML, or not a description.
    pub fn from_toml(text: &str) -> Result<Self, ProviderError> {
        if text.len() > BYTES {
            return Err(ProviderError::Long(BYTES));
        }
        toml::from_str(text).map_err(|error| ProviderError::Unreadable(error.to_string()))
    }

    /// As the catalog keeps it.
    ///
    /// # Errors
    /// If this release does not know all of it.
    pub(super) fn of(document: &ProviderDocument) -> Result<Self, ProviderError> {
        Self::deserialize(&document.0).map_err(|error| ProviderError::Unreadable(error.to_string()))
    }

    /// To be kept by the catalog, once its secrets are sealed.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn document(&self) -> Result<ProviderDocument, ProviderError> {
        let value = serde_json::to_value(self);
        value.map(ProviderDocument).map_err(|error| ProviderError::Unreadable(error.to_string()))
    }

    /// How the provider's reports come, if the description says it; it is not part of what the catalog keeps of it.
    pub const fn take_reports(&mut self) -> Option<Value> {
        self.reports.take()
    }

    /// Where every secret and file comes from, by name.
    pub(super) fn sources(&mut self) -> Vec<(String, &mut Source)> {
        let mut all: Vec<_> =
            self.secrets.iter_mut().map(|(name, source)| (format!("secrets.{name}"), source)).collect();
        match &mut self.auth {
            Some(Auth::Basic { password, .. }) => all.push(("auth.password".to_owned(), password)),
            Some(Auth::Bearer { token }) => all.push(("auth.token".to_owned(), token)),
            Some(Auth::Hmac(HmacAuth { secret, .. }) | Auth::StandardWebhooks { secret }) => {
                all.push(("auth.secret".to_owned(), secret));
            }
            None => {}
        }
        let Tls { ca, certificate, key } = &mut self.tls;
        for (name, source) in [("tls.ca", ca), ("tls.certificate", certificate), ("tls.key", key)] {
            all.extend(source.as_mut().map(|source| (name.to_owned(), source)));
        }
        all
    }

    /// Where it sends to, as it is written.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How it sends, and how it proves who sends, in a few words.
    #[must_use]
    pub fn manner(&self) -> String {
        let method = match self.method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
        };
        let body = match (&self.form, &self.json) {
            (Some(_), _) => "a form",
            (None, Some(_)) => "JSON",
            (None, None) => "no body",
        };
        let proof = match &self.auth {
            None => "no proof",
            Some(Auth::Basic { .. }) => "Basic",
            Some(Auth::Bearer { .. }) => "a bearer token",
            Some(Auth::Hmac(_)) => "an HMAC",
            Some(Auth::StandardWebhooks { .. }) => "Standard Webhooks",
        };
        let certificate = if self.tls.certificate.is_some() { ", a client certificate" } else { "" };
        let rules = self.answer.rules.len();
        format!("{method}, {body}, {proof}{certificate}; {rules} rules for answers")
    }

    /// The files that workers read.
    #[must_use]
    pub fn files(&mut self) -> Vec<PathBuf> {
        self.sources().into_iter().filter_map(|(_, source)| source.file().cloned()).collect()
    }
}
