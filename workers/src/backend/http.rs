//! A backend that takes messages over HTTP: JSON by `POST`, one message in a request. A message with attachments is a form
//! (`multipart/form-data`, RFC 7578): the part `message` is the same JSON, and each part `attachment` is a file.
//!
//! The head of the answer decides (see [`http_outcome`]); its body is read, within the attempt's time and 64 KiB, only so
//! that the connection can be used again. Idle connections are dropped after 4 s: before a common server (5 s and more)
//! would drop them in our hands.

use std::{error::Error, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use naru_shared::{
    blobs::AttachmentId,
    domain::{
        Answer, AnswerHead, ChannelName, Clock, HttpBackend, Key, Lane, MessageId, Outcome, Route,
        SystemClock, Timestamp, http_outcome,
    },
    ledger::Work,
};
use reqwest::{
    Client, ClientBuilder, Response,
    header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
    multipart::{Form, Part},
    redirect,
};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::Instant;
use url::Url;

use super::{
    Backend, BackendError,
    egress::{Egress, NotAllowed},
    provider,
};
use crate::courier::Attachment;

/// The longest wait for a connection, look-up and TLS included.
const CONNECT: Duration = Duration::from_secs(3);

/// How long a connection may lie idle; see the module.
const IDLE: Duration = Duration::from_secs(4);

/// The most of an answer's body that is read.
const BODY_BYTES: usize = 64 * 1_024;

/// The longest sentence about an exchange.
pub(super) const DETAIL_CHARS: usize = 200;

const JSON: &str = "application/json";

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const ATTEMPT: HeaderName = HeaderName::from_static("x-naru-attempt");
const POSSIBLE_DUPLICATE: HeaderName = HeaderName::from_static("x-naru-possible-duplicate");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// See the module.
pub(super) struct Http {
    client: Client,
    url: Url,
    egress: Egress,
    total: Duration,
    /// What it takes is reported later.
    later: bool,
}

/// How a route's connections are made.
pub(super) struct Dial<'a> {
    pub(super) route: &'a Route,
    pub(super) egress: &'a Egress,
    /// How long one may lie idle.
    pub(super) idle: Duration,
}

/// A client, and so a pool of connections, of a route's own.
pub(super) fn dial(dial: Dial<'_>) -> Result<ClientBuilder, BackendError> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        return Err(BackendError::NoTls);
    }
    let total = Duration::from_millis(u64::from(dial.route.attempt_timeout_ms));
    Ok(Client::builder()
        .user_agent("naru")
        .http1_only()
        .no_proxy()
        .referer(false)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .tcp_nodelay(true)
        // The connect must end before the whole attempt does, so that its time-out is known to have written nothing.
        .connect_timeout(CONNECT.min(total.mul_f64(0.8)))
        .pool_idle_timeout(dial.idle)
        .pool_max_idle_per_host(usize::try_from(dial.route.concurrency).unwrap_or(usize::MAX))
        .dns_resolver(dial.egress.clone()))
}

/// What is posted.
#[derive(Serialize)]
struct Posted<'a> {
    id: MessageId,
    key: Option<&'a Key>,
    channel: &'a ChannelName,
    recipient: &'a str,
    sender: Option<&'a str>,
    subject: Option<&'a str>,
    body: &'a str,
    attachments: Vec<Listed>,
    data: &'a Map<String, Value>,
    lane: Lane,
    reference: Option<&'a str>,
    attempt: u32,
    accepted_at: Timestamp,
}

/// A file of the form, as the message tells of it.
#[derive(Serialize)]
struct Listed {
    id: AttachmentId,
    media_type: &'static str,
    bytes: usize,
    sha256: String,
}

impl Http {
    /// A backend with a client, and so a pool of connections, of its own.
    pub(super) fn new(route: &Route, config: &HttpBackend) -> Result<Self, BackendError> {
        let url = parse(&config.url)?;
        let egress = Egress::new(config.allow_networks.clone());
        let client =
            dial(Dial { route, egress: &egress, idle: IDLE })?.build().map_err(BackendError::Client)?;
        let total = Duration::from_millis(u64::from(route.attempt_timeout_ms));
        let later = route.reports.callback.is_some();
        Ok(Self { client, url, egress, total, later })
    }

    async fn post(&self, headers: HeaderMap, message: Bytes, attachments: &[Attachment]) -> Outcome {
        let deadline = Instant::now() + self.total;
        let request = self.client.post(self.url.clone()).headers(headers);
        let request = if attachments.is_empty() {
            request.header(CONTENT_TYPE, JSON).body(message)
        } else {
            match form(message, attachments) {
                Ok(form) => request.multipart(form),
                Err(error) => return Outcome::Failed { detail: short(&error.to_string()) },
            }
        };
        let sent = request.send();
        match tokio::time::timeout_at(deadline, sent).await {
            Err(_elapsed) => http_outcome(Answer::Cut, "timed out"),
            Ok(Err(error)) => failed_exchange(&error),
            Ok(Ok(response)) => match answered(response, deadline).await {
                Outcome::Delivered { backend_id, .. } if self.later => {
                    Outcome::Sent { backend_id, report_in: None }
                }
                other => other,
            },
        }
    }
}

#[async_trait]
impl Backend for Http {
    async fn deliver(&self, work: &Work, attachments: &[Attachment]) -> Outcome {
        if self.egress.check_literal(&self.url).is_err() {
            return Outcome::Failed { detail: NotAllowed.to_string() };
        }
        match encode(work, attachments) {
            Ok(message) => self.post(headers(work), message, attachments).await,
            Err(error) => Outcome::Failed { detail: short(&format!("cannot be written as JSON: {error}")) },
        }
    }
}

/// Whether a backend whose host is written as an address may be connected to; a name is checked when it is resolved.
#[must_use]
pub fn may_connect(config: &HttpBackend) -> bool {
    let egress = Egress::new(config.allow_networks.clone());
    let url = config.provider.as_ref().map_or_else(|| parse(&config.url).ok(), provider::base);
    url.is_some_and(|url| egress.check_literal(&url).is_ok())
}

pub(crate) fn parse(text: &str) -> Result<Url, BackendError> {
    let url: Url = text.parse().map_err(|_| BackendError::Url("not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(BackendError::Url("its scheme is another"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BackendError::Url("it has credentials"));
    }
    if url.fragment().is_some() {
        return Err(BackendError::Url("it has a fragment"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(BackendError::Url("it has no host"));
    }
    Ok(url)
}

/// The message and its files; nothing is copied, and the length is known before.
fn form(message: Bytes, attachments: &[Attachment]) -> reqwest::Result<Form> {
    let mut form = Form::new().part("message", Part::stream(message).mime_str(JSON)?);
    for Attachment { id, blob } in attachments {
        let file = Part::stream(blob.content().clone())
            .file_name(format!("{id}.{}", blob.media_type().ending()))
            .mime_str(blob.media_type().as_str())?;
        form = form.part("attachment", file);
    }
    Ok(form)
}

fn encode(work: &Work, attachments: &[Attachment]) -> Result<Bytes, serde_json::Error> {
    let message = &work.message;
    let content = &message.content;
    serde_json::to_vec(&Posted {
        id: message.id,
        key: message.key.as_ref(),
        channel: &content.channel,
        recipient: &content.recipient,
        sender: content.sender.as_deref(),
        subject: content.subject.as_deref(),
        body: &content.body,
        attachments: attachments
            .iter()
            .map(|Attachment { id, blob }| Listed {
                id: *id,
                media_type: blob.media_type().as_str(),
                bytes: blob.content().len(),
                sha256: blob.digest().to_string(),
            })
            .collect(),
        data: &content.data,
        lane: work.lane,
        reference: content.reference.as_deref(),
        attempt: work.attempt,
        accepted_at: message.accepted_at,
    })
    .map(Bytes::from)
}

/// The headers by which attempts are told apart.
pub(super) fn headers(work: &Work) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(ATTEMPT, HeaderValue::from(work.attempt));
    if let Ok(id) = HeaderValue::try_from(work.message.backend_key()) {
        headers.insert(IDEMPOTENCY_KEY, id);
    }
    if work.possible_duplicate {
        headers.insert(POSSIBLE_DUPLICATE, HeaderValue::from_static("true"));
    }
    // A trace context that cannot be a header is the customer's loss only of the trace.
    if let Some(Ok(trace)) = work.message.traceparent.as_deref().map(HeaderValue::from_str) {
        headers.insert(TRACEPARENT, trace);
    }
    headers
}

/// A head came: it decides, whatever becomes of the body.
async fn answered(response: Response, deadline: Instant) -> Outcome {
    let head =
        AnswerHead { status: response.status().as_u16(), retry_after: retry_after(response.headers()) };
    let detail = format!("HTTP {}", head.status);
    drain(response, deadline).await;
    http_outcome(Answer::Head(head), &detail)
}

/// Reads the body away, so that the connection is free for the next request; gives up on one that is long or late.
pub(super) async fn drain(mut response: Response, deadline: Instant) {
    let reading = async {
        let mut left = BODY_BYTES;
        while let Ok(Some(chunk)) = response.chunk().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                break;
            }
        }
    };
    // Dropping the response closes its connection.
    drop(tokio::time::timeout_at(deadline, reading).await);
}

/// A body to its end; none if it is cut, late or too long.
pub(super) async fn read(mut response: Response, deadline: Instant) -> Option<Vec<u8>> {
    let reading = async {
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(None) => return Some(body),
                Ok(Some(chunk)) if body.len() + chunk.len() <= BODY_BYTES => body.extend_from_slice(&chunk),
                Ok(Some(_)) | Err(_) => return None,
            }
        }
    };
    tokio::time::timeout_at(deadline, reading).await.unwrap_or(None)
}

pub(super) fn failed_exchange(error: &reqwest::Error) -> Outcome {
    if sources(error).any(|source| source.is::<NotAllowed>()) {
        return Outcome::Failed { detail: NotAllowed.to_string() };
    }
    let detail = short(&describe(error));
    // Every error of kind "connect" comes before the first byte of the request: look-up, TCP, TLS handshake.
    http_outcome(if error.is_connect() { Answer::Unwritten } else { Answer::Cut }, &detail)
}

pub(crate) fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

pub(crate) fn describe(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return if error.is_connect() { "connecting timed out" } else { "timed out" }.to_owned();
    }
    if let Some(io) = sources(error).filter_map(|e| e.downcast_ref::<std::io::Error>()).last() {
        return io.kind().to_string();
    }
    // The innermost words tell most, and the outer ones repeat the URL.
    sources(error).last().map_or_else(String::new, ToString::to_string)
}

/// One escaped line of at most 200 characters.
pub(crate) fn short(text: &str) -> String {
    text.chars().flat_map(char::escape_debug).take(DETAIL_CHARS).collect()
}

/// `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date, which is measured against the answer's own `Date`, since
/// the server's clock made both. A moment that is over asks for nothing; what is neither is not heard.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are a very long time all the same.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let millis = |text: &str| {
        let at = httpdate::parse_http_date(text).ok()?;
        let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_millis()).ok().map(Timestamp::from_millis)
    };
    let until = millis(text)?;
    let date = headers.get(DATE).and_then(|value| millis(value.to_str().ok()?));
    Some(until.since(date.unwrap_or_else(|| SystemClock.now())))
}
