//! The request to a provider: its shape is read once, when the route's backend is made, and filled for each message. Every
//! value is written by who writes that place: JSON by `serde_json`, forms, queries and paths by `url`, headers only if they
//! can hold it.

use bytes::Bytes;
use naru_shared::ledger::Work;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use url::{Url, form_urlencoded};

use super::{
    ProviderError,
    document::{Auth, Description, Method, OneOrMany},
    source::Opened,
    template::{Find, Lacking, Template, Vocabulary},
};
use crate::backend::http;

/// The longest body that is sent.
const BODY_BYTES: usize = 2 * 1_024 * 1_024;

/// The longest URL that is sent.
const URL_BYTES: usize = 8 * 1_024;

/// The fields of a message.
pub(super) const FIELDS: &[&str] = &[
    "id",
    "backend_key",
    "key",
    "customer",
    "channel",
    "recipient",
    "sender",
    "subject",
    "body",
    "data",
    "reference",
    "lane",
    "route",
    "attempt",
    "possible_duplicate",
    "accepted_at",
    "accepted_seconds",
    "accepted_millis",
];

/// Headers that the connection, or the body, decides.
const TAKEN: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "content-encoding",
];

/// What a name has in it whose value proves something.
const PROVING: &[&str] =
    &["authorization", "token", "secret", "password", "apikey", "api-key", "api_key", "cookie"];

/// See the module.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) method: reqwest::Method,
    pub(super) base: Url,
    path: Vec<Template>,
    query: Vec<(String, Template)>,
    headers: Vec<(HeaderName, Template)>,
    body: Written,
}

#[derive(Debug)]
enum Written {
    Nothing,
    Form(Vec<(String, Template)>),
    Json(Node),
}

/// JSON with templates for texts.
#[derive(Debug)]
enum Node {
    Given(Value),
    Text(Template),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// A request that can be sent.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why a message makes no request; it would make none the next time.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error(transparent)]
    Lacking(#[from] Lacking),
    #[error("the header {0} cannot hold what the message has")]
    Header(HeaderName),
    #[error("the path cannot hold what the message has")]
    Path,
    #[error("the request would be too long")]
    Long,
}

impl Shape {
    /// Reads the shape; every field must be known.
    pub(super) fn parse(text: &Description) -> Result<Self, ProviderError> {
        let known = Vocabulary {
            names: FIELDS,
            prefixes: vec!["data.".to_owned()],
            more: text.secrets.keys().map(|name| format!("secret.{name}")).collect(),
        };
        let (base, path) = address(&text.url, &known)?;
        let body = match (&text.form, &text.json) {
            (Some(_), Some(_)) => {
                return Err(ProviderError::Request("it has both a form and JSON".to_owned()));
            }
            (None, None) => Written::Nothing,
            _ if text.method == Method::Get => {
                return Err(ProviderError::Request("a GET has no body".to_owned()));
            }
            (Some(form), None) => Written::Form(parameters("form", form, &known)?),
            (None, Some(json)) => Written::Json(Node::parse(json, &known)?),
        };
        Ok(Self {
            method: match text.method {
                Method::Get => reqwest::Method::GET,
                Method::Post => reqwest::Method::POST,
                Method::Put => reqwest::Method::PUT,
                Method::Patch => reqwest::Method::PATCH,
            },
            base,
            path,
            query: parameters("query", &text.query, &known)?,
            headers: headers(text, &known)?,
            body,
        })
    }

    /// The request of a message.
    pub(super) fn make(&self, work: &Work, secrets: &Opened) -> Result<Made, Unfit> {
        let find = |name: &str| field(work, secrets, name);
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear();
            for template in &self.path {
                let text = template.text(&find)?.unwrap_or_default();
                // An empty part, or one that leads upwards, would be another place; and a tab or the end of a line would be left out of
                // it (URL Standard, section 4.4), which may make it one.
                let leads_elsewhere = text == "." || text == ".." || text.chars().any(char::is_control);
                if (text.is_empty() && !template.is_plain()) || leads_elsewhere {
                    return Err(Unfit::Path);
                }
                segments.push(&text);
            }
        }
        if !self.query.is_empty() {
            let mut pairs = url.query_pairs_mut();
            fill(&self.query, &find, |name, value| {
                pairs.append_pair(name, value);
            })?;
        }
        // With nothing in it, a question mark would be left.
        if url.query() == Some("") {
            url.set_query(None);
        }
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 8);
        let body = self.body(&find, &mut headers)?;
        for (name, template) in &self.headers {
            if let Some(text) = template.text(&find)? {
                let value = header_value(&text).ok_or_else(|| Unfit::Header(name.clone()))?;
                headers.insert(name, value);
            }
        }
        if body.len() > BODY_BYTES || url.as_str().len() > URL_BYTES {
            return Err(Unfit::Long);
        }
        Ok(Made { url, headers, body })
    }

    fn body(&self, find: &Find<'_>, headers: &mut HeaderMap) -> Result<Bytes, Unfit> {
        let (kind, text) = match &self.body {
            Written::Nothing => return Ok(Bytes::new()),
            Written::Form(parameters) => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                fill(parameters, find, |name, value| {
                    form.append_pair(name, value);
                })?;
                ("application/x-www-form-urlencoded", form.finish())
            }
            Written::Json(node) => ("application/json", node.value(find)?.unwrap_or_default().to_string()),
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Ok(Bytes::from(text))
    }
}

fn fill(
    parameters: &[(String, Template)],
    find: &Find<'_>,
    mut append: impl FnMut(&str, &str),
) -> Result<(), Lacking> {
    for (name, template) in parameters {
        if let Some(text) = template.text(find)? {
            append(name, &text);
        }
    }
    Ok(())
}

/// Where to: the host is the operator's, the path may have fields, the query is elsewhere.
fn address(text: &str, known: &Vocabulary) -> Result<(Url, Vec<Template>), ProviderError> {
    let wrong = |why: &str| ProviderError::Request(format!("url: {why}"));
    let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if host.contains(['{', '}']) {
        return Err(wrong("its host has no fields"));
    }
    if text.contains(['?', '#', '\\']) {
        return Err(wrong("parameters stand in [query]; a path has no ?, # or \\"));
    }
    let base = http::parse(&format!("{scheme}://{host}/"))?;
    let templates =
        path.split('/').map(|part| Template::parse(part, known)).collect::<Result<Vec<_>, _>>()?;
    let only = |name: &str| {
        templates.iter().filter(|t| t.is_plain()).any(|t| t.text(&|_| None) == Ok(Some(name.to_owned())))
    };
    if only(".") || only("..") {
        return Err(wrong("its path leads nowhere else"));
    }
    Ok((base, templates))
}

fn parameters<'a>(
    place: &str,
    texts: impl IntoIterator<Item = (&'a String, &'a OneOrMany)>,
    known: &Vocabulary,
) -> Result<Vec<(String, Template)>, ProviderError> {
    let mut all = Vec::new();
    for (name, values) in texts {
        for text in values.texts() {
            let template = Template::parse(text, known)?;
            refuse_bare_secret(place, name, &template)?;
            all.push((name.clone(), template));
        }
    }
    Ok(all)
}

fn headers(text: &Description, known: &Vocabulary) -> Result<Vec<(HeaderName, Template)>, ProviderError> {
    let mut all = Vec::new();
    for (name, value) in &text.headers {
        let wrong = |why: &str| ProviderError::Request(format!("headers.{name}: {why}"));
        let header: HeaderName = name.parse().map_err(|_| wrong("this is no name of a header"))?;
        if TAKEN.contains(&header.as_str()) || header.as_str().starts_with("proxy-") {
            return Err(wrong("it follows from the connection and the body"));
        }
        let proves = matches!(text.auth, Some(Auth::Basic { .. } | Auth::Bearer { .. }));
        if proves && header == reqwest::header::AUTHORIZATION {
            return Err(wrong("[auth] says it"));
        }
        let template = Template::parse(value, known)?;
        refuse_bare_secret("headers", name, &template)?;
        let plain = template.is_plain().then(|| template.text(&|_| None).ok().flatten().unwrap_or_default());
        if plain.is_some_and(|text| header_value(&text).is_none()) {
            return Err(wrong("a header has visible ASCII characters and blanks"));
        }
        all.push((header, template));
    }
    Ok(all)
}

/// What a header can hold and every server reads alike: visible ASCII characters and blanks (RFC 9110 section 5.5).
pub(super) fn header_value(text: &str) -> Option<HeaderValue> {
    if text.is_ascii() { HeaderValue::from_str(text).ok() } else { None }
}

/// What proves something does not stand among what is shown.
fn refuse_bare_secret(place: &str, name: &str, template: &Template) -> Result<(), ProviderError> {
    let proves = PROVING.iter().any(|word| name.to_ascii_lowercase().contains(word));
    if proves && template.is_plain() {
        let why = format!(
            "{place}.{name}: this looks like a secret; write it into [secrets], and {{secret.NAME}} here"
        );
        return Err(ProviderError::Request(why));
    }
    Ok(())
}

impl Node {
    fn parse(value: &Value, known: &Vocabulary) -> Result<Self, ProviderError> {
        Ok(match value {
            Value::String(text) => Self::Text(Template::parse(text, known)?),
            Value::Array(list) => {
                Self::List(list.iter().map(|value| Self::parse(value, known)).collect::<Result<_, _>>()?)
            }
            Value::Object(members) => {
                let member = |(name, value): (&String, &Value)| {
                    if name.contains(['{', '}']) || name.starts_with("$__toml") {
                        let why =
                            format!("json: `{name}` is no name; names have no fields, and dates are texts");
                        return Err(ProviderError::Request(why));
                    }
                    Ok((name.clone(), Self::parse(value, known)?))
                };
                Self::Object(members.iter().map(member).collect::<Result<_, _>>()?)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::Given(value.clone()),
        })
    }

    /// What it comes to; `None`: it is a field that is not there, and its place is left out.
    fn value(&self, find: &Find<'_>) -> Result<Option<Value>, Lacking> {
        Ok(match self {
            Self::Given(value) => Some(value.clone()),
            Self::Text(template) => template.value(find)?,
            Self::List(nodes) => {
                let values = nodes.iter().filter_map(|node| node.value(find).transpose());
                Some(Value::Array(values.collect::<Result<_, _>>()?))
            }
            Self::Object(members) => {
                let mut object = Map::with_capacity(members.len());
                for (name, node) in members {
                    if let Some(value) = node.value(find)? {
                        object.insert(name.clone(), value);
                    }
                }
                Some(Value::Object(object))
            }
        })
    }
}

/// The value of a message's field.
fn field(work: &Work, secrets: &Opened, name: &str) -> Option<Value> {
    let message = &work.message;
    let content = &message.content;
    let millis = message.accepted_at.as_millis();
    Some(match name {
        "id" => message.id.to_string().into(),
        "backend_key" => message.backend_key().into(),
        "key" => message.key.as_ref()?.as_str().into(),
        "customer" => work.account.customer.as_str().into(),
        "channel" => content.channel.as_str().into(),
        "recipient" => content.recipient.as_str().into(),
        "sender" => content.sender.as_deref()?.into(),
        "subject" => content.subject.as_deref()?.into(),
        "body" => content.body.as_str().into(),
        "data" => Value::Object(content.data.clone()),
        "reference" => content.reference.as_deref()?.into(),
        "lane" => work.lane.as_str().into(),
        "route" => work.route.as_str().into(),
        "attempt" => work.attempt.into(),
        "possible_duplicate" => work.possible_duplicate.into(),
        "accepted_at" => json!(message.accepted_at),
        "accepted_seconds" => (millis / 1_000).into(),
        "accepted_millis" => millis.into(),
        other => match other.strip_prefix("data.") {
            Some(name) => content.data.get(name)?.clone(),
            None => secrets.get(&format!("secrets.{}", other.strip_prefix("secret.")?))?.as_str().into(),
        },
    })
}
