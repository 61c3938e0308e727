//! A provider's own API, spoken by configuration alone: the request is filled from the message's fields, what proves the
//! sender is added, and the answer is read by rules.

mod answer;
mod auth;
mod document;
mod request;
mod rule;
mod source;
mod template;
#[cfg(test)]
mod tests;
mod tls;

use std::time::Duration;

use async_trait::async_trait;
pub use document::Description;
use naru_shared::{
    domain::{
        Answer, AnswerHead, Clock, HttpBackend, Outcome, ProviderDocument, Route, SystemClock, http_outcome,
    },
    ledger::Work,
    sealing::Sealer,
};
use reqwest::{Client, Response};
pub use template::TemplateError;
use tokio::time::Instant;
use url::Url;

#[cfg(any(test, feature = "foreign"))]
pub(crate) use self::answer::outcome_by;
use self::{
    answer::{Body, Mapping},
    auth::{Moment, Proof},
    request::{Made, Shape},
    source::Opened,
    tls::Files,
};
use super::{
    Backend, BackendError,
    egress::{Egress, NotAllowed},
    http::{self, Dial, short},
};
use crate::courier::Attachment;

/// How long a connection may lie idle.
const IDLE_MS: std::ops::RangeInclusive<u32> = 0..=300_000;

/// Why a description makes no backend.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It is not TOML, or not a description, or one of a newer release.
    #[error("the description of the provider cannot be read: {0}")]
    Unreadable(String),
    /// It is too long.
    #[error("the description of the provider is longer than {0} bytes")]
    Long(usize),
    /// A text is no template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The request cannot be such.
    #[error("{0}")]
    Request(String),
    /// Its URL cannot be called.
    #[error(transparent)]
    Url(Box<BackendError>),
    /// The mapping of answers means nothing.
    #[error("answer: {0}")]
    Answer(String),
    /// What proves the sender cannot be made.
    #[error("auth: {0}")]
    Auth(String),
    /// A certificate or a key is none.
    #[error("tls: {0}")]
    Tls(String),
    /// A secret or a file cannot be had.
    #[error("{0}: {1}")]
    Source(String, String),
}

impl From<BackendError> for ProviderError {
    fn from(error: BackendError) -> Self {
        Self::Url(Box::new(error))
    }
}

/// A description that was understood.
struct Understood {
    text: Description,
    shape: Shape,
    proof: Option<Proof>,
    mapping: Mapping,
}

/// See the module.
pub(super) struct Provider {
    client: Client,
    egress: Egress,
    total: Duration,
    understood: Understood,
    secrets: Opened,
    files: Files,
}

impl Understood {
    fn read(mut text: Description) -> Result<Self, ProviderError> {
        if !IDLE_MS.contains(&text.idle_ms) {
            return Err(ProviderError::Request("idle_ms is at most 300000".to_owned()));
        }
        text.sources().into_iter().try_for_each(|(name, source)| source.check(&name))?;
        if text.tls.certificate.is_some() != text.tls.key.is_some() {
            return Err(ProviderError::Tls("a certificate and its key belong together".to_owned()));
        }
        Ok(Self {
            shape: Shape::parse(&text)?,
            proof: text.auth.as_ref().map(Proof::parse).transpose()?,
            mapping: Mapping::parse(&text.answer)?,
            text,
        })
    }
}

/// Whether a description can be understood; files and variables of the workers are not looked at.
///
/// # Errors
/// What cannot.
pub fn check(document: &ProviderDocument) -> Result<(), ProviderError> {
    Understood::read(Description::of(document)?).map(drop)
}

/// Whether the secrets that a description brings along are such as they must be: a token that a header can hold, a key that belongs
/// to its certificate.
///
/// # Errors
/// What is not.
pub fn check_sealed(document: &ProviderDocument, route: &str, sealer: &Sealer) -> Result<(), ProviderError> {
    let mut understood = Understood::read(Description::of(document)?)?;
    let opened = understood.text.open_sealed(route, sealer)?;
    let proves = opened.keys().any(|name| name.starts_with("auth."));
    if let Some(proof) = understood.proof.as_ref().filter(|_| proves) {
        proof.check(&opened)?;
    }
    let client = tls::apply(&opened, Client::builder())?.build();
    client.map(drop).map_err(|error| BackendError::Client(error).into())
}

/// Where a provider is: scheme and host.
pub(super) fn base(document: &ProviderDocument) -> Option<Url> {
    Description::of(document).and_then(|text| Shape::parse(&text)).map(|shape| shape.base).ok()
}

/// The description of a route's provider, if it has one, as it may be looked at.
///
/// # Errors
/// If this release does not know all of it.
pub fn described(config: &HttpBackend) -> Result<Option<Description>, ProviderError> {
    config.provider.as_ref().map(Description::of).transpose()
}

impl Provider {
    /// A backend with a client, and so a pool of connections, of its own. Its secrets are opened and its files read here, and
    /// when [`Backend::is_stale`] says so.
    pub(super) fn new(
        route: &Route,
        config: &HttpBackend,
        document: &ProviderDocument,
        sealer: Option<&Sealer>,
    ) -> Result<Self, ProviderError> {
        let mut understood = Understood::read(Description::of(document)?)?;
        understood.mapping.reported_later(route.reports.callback.is_some());
        let files = Files::watch(understood.text.files());
        let secrets = understood.text.open(route.name.as_str(), sealer)?;
        if let Some(proof) = &understood.proof {
            proof.check(&secrets)?;
        }
        let egress = Egress::new(config.allow_networks.clone());
        let idle = Duration::from_millis(u64::from(understood.text.idle_ms));
        let dial = tls::apply(&secrets, http::dial(Dial { route, egress: &egress, idle })?)?;
        Ok(Self {
            client: dial.build().map_err(BackendError::Client)?,
            egress,
            total: Duration::from_millis(u64::from(route.attempt_timeout_ms)),
            understood,
            secrets,
            files,
        })
    }

    fn make(&self, work: &Work) -> Result<Made, String> {
        let shape = &self.understood.shape;
        let mut made = shape.make(work, &self.secrets).map_err(|unfit| unfit.to_string())?;
        if self.understood.text.labels {
            for (name, value) in http::headers(work) {
                if let Some(name) = name.filter(|name| !made.headers.contains_key(name)) {
                    made.headers.insert(name, value);
                }
            }
        }
        if let Some(proof) = &self.understood.proof {
            let id = work.message.backend_key();
            let moment = Moment { now: SystemClock.now(), id: &id, method: &shape.method };
            proof.add(&mut made, &self.secrets, moment).map_err(|error| error.to_string())?;
        }
        Ok(made)
    }

    async fn send(&self, made: Made) -> Outcome {
        let deadline = Instant::now() + self.total;
        let request = self.client.request(self.understood.shape.method.clone(), made.url);
        let sent = request.headers(made.headers).body(made.body).send();
        match tokio::time::timeout_at(deadline, sent).await {
            Err(_elapsed) => http_outcome(Answer::Cut, "timed out"),
            // The URL may hold a secret.
            Ok(Err(error)) => http::failed_exchange(&error.without_url()),
            Ok(Ok(response)) => self.answered(response, deadline).await,
        }
    }

    async fn answered(&self, response: Response, deadline: Instant) -> Outcome {
        let mapping = &self.understood.mapping;
        let status = response.status().as_u16();
        let head = AnswerHead { status, retry_after: http::retry_after(response.headers()) };
        let body = if mapping.reads_bodies() {
            http::read(response, deadline).await.map_or(Body::Cut, Body::Whole)
        } else {
            http::drain(response, deadline).await;
            Body::Cut
        };
        mapping.outcome(head, &body)
    }
}

#[async_trait]
impl Backend for Provider {
    async fn deliver(&self, work: &Work, attachments: &[Attachment]) -> Outcome {
        if self.egress.check_literal(&self.understood.shape.base).is_err() {
            return Outcome::Failed { detail: NotAllowed.to_string() };
        }
        if !attachments.is_empty() {
            return Outcome::Failed { detail: "the route's provider takes no attachments".to_owned() };
        }
        match self.make(work) {
            Ok(made) => self.send(made).await,
            Err(why) => Outcome::Failed { detail: short(&format!("no request can be made of it: {why}")) },
        }
    }

    fn is_stale(&self) -> bool {
        self.files.changed()
    }
}
