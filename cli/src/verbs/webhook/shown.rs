//! What is told of webhooks.

use naru_shared::{
    callbacks::CallbackState,
    domain::{CustomerId, Timestamp, Webhook},
};
use serde::Serialize;

use super::change;
use crate::{desk::Desk, output::age};

/// A webhook, how it fares, and its secrets if they are asked for.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    webhook: &'a Webhook,
    waiting: u64,
    given_up: u64,
    not_kept: u64,
    failing_since: Option<Timestamp>,
    last_at: Option<Timestamp>,
    last_answer: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<String>,
}

impl<'a> Shown<'a> {
    fn of(webhook: &'a Webhook, state: Option<&CallbackState>) -> Self {
        // What was before it was made is of another webhook of this name, before it was enabled of another matter.
        let last = state.filter(|state| state.last_at.is_some_and(|at| at >= webhook.created_at));
        let failing = state.and_then(|state| state.failing_since);
        Self {
            webhook,
            waiting: state.map_or(0, |state| state.waiting),
            given_up: state.map_or(0, |state| state.given_up),
            not_kept: state.map_or(0, |state| state.not_kept),
            failing_since: failing.map(|since| since.max(webhook.since)).filter(|_| last.is_some()),
            last_at: last.and_then(|state| state.last_at),
            last_answer: last.and_then(|state| state.last_answer.clone()),
            secrets: Vec::new(),
        }
    }

    fn state(&self) -> String {
        let why = self.webhook.why.map(|why| format!(" ({})", why.as_str()));
        format!("{}{}", self.webhook.state.as_str(), why.unwrap_or_default())
    }

    fn failing(&self, now: Timestamp) -> String {
        self.failing_since.map_or_else(String::new, |since| age(now.since(since)))
    }

    fn last(&self) -> String {
        match (&self.last_answer, self.last_at) {
            (Some(answer), Some(at)) => format!("{answer}, {at}"),
            _ => "none yet".to_owned(),
        }
    }

    fn kinds(&self) -> String {
        let words: Vec<&str> = self.webhook.kinds.iter().map(|kind| kind.as_str()).collect();
        if words.is_empty() { "all about messages".to_owned() } else { words.join(" ") }
    }
}

async fn states(desk: &Desk, webhooks: &[Webhook]) -> anyhow::Result<Vec<CallbackState>> {
    let ids: Vec<_> = webhooks.iter().map(Webhook::id).collect();
    Ok(desk.ledger()?.callbacks.states(&ids).await?)
}

pub(super) async fn list(desk: &Desk, customer: Option<&CustomerId>) -> anyhow::Result<()> {
    let book = desk.book()?;
    if let Some(id) = customer {
        book.customer(id).await?;
    }
    let prefix = customer.map_or_else(String::new, |id| format!("{id}/"));
    let webhooks = change::all(&book, &prefix).await?;
    let states = states(desk, &webhooks).await?;
    let state = |webhook: &Webhook| states.iter().find(|state| state.webhook == webhook.id());
    let shown: Vec<Shown<'_>> = webhooks.iter().map(|webhook| Shown::of(webhook, state(webhook))).collect();
    let now = desk.now();
    let head = ["customer", "webhook", "environment", "to", "state", "failing for", "waiting", "last answer"];
    desk.out.rows(&shown, &head, |s| {
        vec![
            s.webhook.customer.to_string(),
            s.webhook.name.to_string(),
            s.webhook.environment.as_str().to_owned(),
            s.webhook.url.clone(),
            s.state(),
            s.failing(now),
            s.waiting.to_string(),
            s.last(),
        ]
    })
}

pub(super) async fn one(desk: &Desk, webhook: &Webhook) -> anyhow::Result<()> {
    print(desk, webhook, Vec::new()).await
}

/// With the secrets that sign now, the newest first.
pub(super) async fn with_secrets(desk: &Desk, webhook: &Webhook) -> anyhow::Result<()> {
    let signing = desk.own_keyring().await?.webhooks().signing(webhook, desk.now());
    let secrets = signing.iter().map(|secret| secret.shown().as_str().to_owned()).collect();
    print(desk, webhook, secrets).await
}

async fn print(desk: &Desk, webhook: &Webhook, secrets: Vec<String>) -> anyhow::Result<()> {
    let states = states(desk, std::slice::from_ref(webhook)).await?;
    let shown = Shown { secrets, ..Shown::of(webhook, states.first()) };
    let networks: Vec<String> = webhook.allow_networks.iter().copied().map(String::from).collect();
    let mut lines = vec![
        ("webhook", webhook.id().to_string()),
        ("environment", webhook.environment.as_str().to_owned()),
        ("to", webhook.url.clone()),
        ("events", shown.kinds()),
        ("state", format!("{}, since {}", shown.state(), webhook.since)),
        ("failing for", shown.failing(desk.now())),
        ("waiting", shown.waiting.to_string()),
        ("given up", shown.given_up.to_string()),
        ("not kept", shown.not_kept.to_string()),
        ("last answer", shown.last()),
        ("allowed networks", networks.join(" ")),
    ];
    let mut secrets = shown.secrets.iter();
    lines.extend(secrets.next().map(|secret| ("secret", secret.clone())));
    let older =
        webhook.older_until.map_or_else(String::new, |until| format!(" (signs as well until {until})"));
    lines.extend(secrets.next().map(|secret| ("secret before", format!("{secret}{older}"))));
    lines.retain(|(_, value)| !value.is_empty());
    desk.out.one(&shown, &lines)
}
