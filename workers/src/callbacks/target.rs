//! One call of a webhook: signed, guarded, bounded in time and in what is read of the answer.

use std::time::{Duration, Instant};

use bytes::Bytes;
use naru_shared::{
    domain::{IpNetwork, Timestamp, Webhook},
    signing::{WebhookSecret, signatures},
};
use reqwest::{
    Client, Response,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect,
};
use url::Url;

use crate::backend::{
    BackendError,
    egress::{Egress, NotAllowed},
    http::{describe, parse, retry_after, short, sources},
};

/// The longest wait for a connection, look-up and TLS included.
const CONNECT: Duration = Duration::from_secs(3);

/// The longest call, the answer's body included.
const TOTAL: Duration = Duration::from_secs(15);

/// How long a connection may lie idle: less than common servers leave it open.
const IDLE: Duration = Duration::from_secs(4);

/// Connections to one host that may lie idle.
const IDLE_CONNECTIONS: usize = 16;

/// The most of an answer's body that is read; a longer one is cut.
const BODY_BYTES: usize = 4 * 1_024;

const AGENT: &str = concat!("naru/", env!("CARGO_PKG_VERSION"), " (webhooks)");

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Why a webhook cannot be called at all.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The URL is not one that can be posted to.
    #[error("the webhook's URL must be http or https, with a host, without credentials or fragment: {0}")]
    Url(&'static str),
    /// The HTTP client could not be made.
    #[error("the HTTP client could not be made")]
    Client(#[source] BackendError),
}

/// What is posted.
#[derive(Debug)]
pub struct Post<'a> {
    /// The event's id: the same at every attempt.
    pub id: &'a str,
    /// The event.
    pub body: Bytes,
    /// What signs it.
    pub secrets: &'a [WebhookSecret],
    /// When it is sent.
    pub now: Timestamp,
}

/// What came of a call.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The answer's status; none if there was no answer.
    pub status: Option<u16>,
    /// In a few words.
    pub detail: String,
    /// How long the target asked to be left alone (`429` and `503` only).
    pub retry_after: Option<Duration>,
    /// The beginning of the answer's body.
    pub body: Vec<u8>,
    /// How long it took.
    pub took: Duration,
}

impl Answered {
    /// Whether the target took the event: `2xx`, whatever becomes of the body.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// Whether the target wants no events any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.status == Some(410)
    }

    /// Without an answer.
    pub(super) fn none(detail: String, took: Duration) -> Self {
        Self { status: None, detail, retry_after: None, body: Vec::new(), took }
    }
}

/// Calls webhooks with the same exceptions to the guard, over one pool of connections.
#[derive(Debug, Clone)]
pub struct Caller {
    client: Client,
    egress: Egress,
}

impl Caller {
    /// A client that may also call these networks.
    ///
    /// # Errors
    /// If no client can be made.
    pub fn new(allow: Vec<IpNetwork>) -> Result<Self, TargetError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(TargetError::Client(BackendError::NoTls));
        }
        let egress = Egress::new(allow);
        let client = Client::builder()
            .user_agent(AGENT)
            .http1_only()
            .no_proxy()
            .referer(false)
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tcp_nodelay(true)
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .dns_resolver(egress.clone())
            .build()
            .map_err(|error| TargetError::Client(BackendError::Client(error)))?;
        Ok(Self { client, egress })
    }

    /// Posts an event to a URL. Never takes longer than the total time-out and a moment.
    pub async fn post(&self, url: &str, post: Post<'_>) -> Answered {
        self.send(url, headers(&post), post.body, TOTAL).await
    }

    /// Posts a body to a URL, within a time.
    pub(crate) async fn send(
        &self,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
        within: Duration,
    ) -> Answered {
        let begun = Instant::now();
        let url = match target(url) {
            Ok(url) => url,
            Err(error) => return Answered::none(error.to_string(), begun.elapsed()),
        };
        if self.egress.check_literal(&url).is_err() {
            return Answered::none(NotAllowed.to_string(), begun.elapsed());
        }
        let sent = self.client.post(url).headers(headers).body(body).send();
        let deadline = tokio::time::Instant::now() + within;
        match tokio::time::timeout_at(deadline, sent).await {
            Err(_elapsed) => Answered::none("timed out".to_owned(), begun.elapsed()),
            Ok(Err(error)) => Answered::none(failure(&error), begun.elapsed()),
            Ok(Ok(response)) => answered(response, deadline, begun).await,
        }
    }
}

/// Whether a webhook could be called: its URL can be posted to, and is not itself an address that the guard refuses. A name is
/// looked at when it is resolved.
///
/// # Errors
/// If the URL cannot be posted to.
pub fn may_call(webhook: &Webhook) -> Result<bool, TargetError> {
    let url = target(&webhook.url)?;
    Ok(Egress::new(webhook.allow_networks.clone()).check_literal(&url).is_ok())
}

fn target(text: &str) -> Result<Url, TargetError> {
    parse(text).map_err(|error| match error {
        BackendError::Url(why) => TargetError::Url(why),
        other => TargetError::Client(other),
    })
}

fn headers(post: &Post<'_>) -> HeaderMap {
    let seconds = post.now.as_millis() / 1_000;
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/cloudevents+json"));
    headers.insert(TIMESTAMP, HeaderValue::from(seconds));
    let signed = signatures(post.secrets, post.id, seconds, &post.body);
    // Both are of our own making: letters, digits and punctuation.
    for (name, value) in [(ID, HeaderValue::from_str(post.id)), (SIGNATURE, HeaderValue::from_str(&signed))] {
        if let Ok(value) = value {
            headers.insert(name, value);
        }
    }
    headers
}

fn failure(error: &reqwest::Error) -> String {
    if sources(error).any(|source| source.is::<NotAllowed>()) {
        return NotAllowed.to_string();
    }
    short(&describe(error))
}

/// The head decides; of the body no more is read than tells a person what is wrong. Dropping the response closes its connection.
async fn answered(mut response: Response, deadline: tokio::time::Instant, begun: Instant) -> Answered {
    let status = response.status().as_u16();
    let retry_after = if matches!(status, 429 | 503) { retry_after(response.headers()) } else { None };
    let mut body: Vec<u8> = Vec::new();
    let reading = async {
        while body.len() < BODY_BYTES
            && let Ok(Some(chunk)) = response.chunk().await
        {
            let room = BODY_BYTES - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
    };
    drop(tokio::time::timeout_at(deadline, reading).await);
    Answered {
        status: Some(status),
        detail: format!("HTTP {status}"),
        retry_after,
        body,
        took: begun.elapsed(),
    }
}
