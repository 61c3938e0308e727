//! Changes of webhooks, and of the subscription that serves all of them.
//!
//! The subscription is there from the first webhook until the last one is removed. Whoever adds or removes one writes the
//! subscription's document with it, changed or not, so that of two who do so at the same time one conflicts and looks again.

use std::time::Duration;

use naru_shared::{
    catalog::{CatalogError, Entry, Kind, Subscription},
    domain::{
        Environment, IpNetwork, MessageKind, SubscriptionName, Webhook, WebhookId, WebhookState, WhyDisabled,
    },
};
use naru_workers::SUBSCRIPTION;

use super::validate;
use crate::{
    desk::{Book, Desk},
    exit::Failure,
};

/// How often a change is tried again when somebody else changed a document meanwhile.
const TRIES: usize = 8;

/// Events that are given up in one transaction.
const TOGETHER: usize = 5_000;

/// What a new webhook is made of.
pub(super) struct New {
    pub(super) id: WebhookId,
    pub(super) url: String,
    pub(super) environment: Environment,
    pub(super) kinds: Vec<MessageKind>,
    pub(super) allow_networks: Vec<IpNetwork>,
}

/// What is set of one that is there.
pub(super) struct Set {
    pub(super) url: Option<String>,
    pub(super) kinds: Vec<MessageKind>,
    pub(super) all_kinds: bool,
    pub(super) allow_networks: Vec<IpNetwork>,
}

async fn find(book: &Book, id: &WebhookId) -> anyhow::Result<Option<Webhook>> {
    let found = book.find(Kind::Webhook, &id.to_string()).await?;
    Ok(found.and_then(|entry| if let Entry::Webhook(webhook) = entry { Some(webhook) } else { None }))
}

/// A webhook that was not removed.
pub(super) async fn there(book: &Book, id: &WebhookId) -> anyhow::Result<Webhook> {
    let found = find(book, id).await?.filter(|webhook| webhook.state != WebhookState::Removed);
    found.ok_or_else(|| Failure::NotFound("webhook", id.to_string()).into())
}

/// Every webhook that was not removed, or those of one customer.
pub(super) async fn all(book: &Book, prefix: &str) -> anyhow::Result<Vec<Webhook>> {
    let entries = book.all(Kind::Webhook, prefix).await?;
    let webhooks = entries.into_iter().filter_map(|e| if let Entry::Webhook(w) = e { Some(w) } else { None });
    Ok(webhooks.filter(|webhook| webhook.state != WebhookState::Removed).collect())
}

/// The subscription's document as it should be written.
async fn subscription(book: &Book, ended: bool) -> anyhow::Result<Entry> {
    let name: SubscriptionName = SUBSCRIPTION.parse()?;
    let version = book.find(Kind::Subscription, SUBSCRIPTION).await?.map_or(0, |there| there.version());
    Ok(Entry::Subscription(Subscription { name, ended, outside: false, version }))
}

/// Writes documents; `None`: somebody else changed one of them meanwhile.
async fn put(book: &Book, entries: Vec<Entry>) -> anyhow::Result<Option<u64>> {
    match book.put(entries).await {
        Ok(version) => Ok(Some(version)),
        Err(error) if matches!(error.downcast_ref(), Some(CatalogError::Conflict { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}

fn busy(id: &WebhookId) -> anyhow::Error {
    Failure::Conflict(format!("webhook `{id}` was changed by others again and again: try again")).into()
}

pub(super) async fn add(desk: &Desk, new: &New) -> anyhow::Result<Webhook> {
    let book = desk.book()?;
    book.customer(&new.id.customer).await?;
    // Before anything is written: without the secret nobody could verify what comes.
    desk.own_keyring().await?;
    for _ in 0..TRIES {
        let former = find(&book, &new.id).await?;
        if former.as_ref().is_some_and(|former| former.state != WebhookState::Removed) {
            let hint = "`naru webhook set` changes it";
            return Err(Failure::Conflict(format!("webhook `{}` exists already: {hint}", new.id)).into());
        }
        let now = desk.now();
        let webhook = Webhook {
            name: new.id.name.clone(),
            customer: new.id.customer.clone(),
            environment: new.environment,
            url: new.url.clone(),
            kinds: new.kinds.clone(),
            // A secret that was shown for another webhook of this name is never used again.
            generation: former.as_ref().map_or(1, |former| former.generation + 1),
            older_until: None,
            state: WebhookState::Enabled,
            why: None,
            since: now,
            allow_networks: new.allow_networks.clone(),
            created_at: now,
            version: former.map_or(0, |former| former.version),
        };
        validate(&webhook)?;
        let entries = vec![Entry::Webhook(webhook), subscription(&book, false).await?];
        if put(&book, entries).await?.is_some() {
            return there(&book, &new.id).await;
        }
    }
    Err(busy(&new.id))
}

/// Changes a webhook that was not removed.
async fn change<F>(desk: &Desk, id: &WebhookId, change: F) -> anyhow::Result<Webhook>
where
    F: Fn(Webhook) -> anyhow::Result<Webhook>,
{
    let book = desk.book()?;
    for _ in 0..TRIES {
        let changed = change(there(&book, id).await?)?;
        if let Some(version) = put(&book, vec![Entry::Webhook(changed.clone())]).await? {
            return Ok(Webhook { version, ..changed });
        }
    }
    Err(busy(id))
}

pub(super) async fn set(desk: &Desk, id: &WebhookId, set: &Set) -> anyhow::Result<Webhook> {
    let apply = |mut webhook: Webhook| {
        if let Some(url) = &set.url {
            webhook.url.clone_from(url);
        }
        if set.all_kinds || !set.kinds.is_empty() {
            webhook.kinds.clone_from(&set.kinds);
        }
        if !set.allow_networks.is_empty() {
            webhook.allow_networks.clone_from(&set.allow_networks);
        }
        validate(&webhook)?;
        Ok(webhook)
    };
    change(desk, id, apply).await
}

pub(super) async fn rotate(desk: &Desk, id: &WebhookId, overlap: Duration) -> anyhow::Result<Webhook> {
    desk.own_keyring().await?;
    let now = desk.now();
    let apply = |webhook: Webhook| {
        let older_until = (!overlap.is_zero()).then(|| now.plus(overlap));
        Ok(Webhook { generation: webhook.generation + 1, older_until, ..webhook })
    };
    change(desk, id, apply).await
}

pub(super) async fn state(desk: &Desk, id: &WebhookId, state: WebhookState) -> anyhow::Result<Webhook> {
    let now = desk.now();
    let apply = |webhook: Webhook| {
        if webhook.state == state {
            return webhook;
        }
        let why = (state == WebhookState::Disabled).then_some(WhyDisabled::Operator);
        Webhook { state, why, since: now, ..webhook }
    };
    if state != WebhookState::Removed {
        return change(desk, id, |webhook| Ok(apply(webhook))).await;
    }
    let book = desk.book()?;
    for _ in 0..TRIES {
        let removed = apply(there(&book, id).await?);
        let is_last = all(&book, "").await?.iter().all(|other| other.id() == *id);
        let entries = vec![Entry::Webhook(removed.clone()), subscription(&book, is_last).await?];
        if put(&book, entries).await?.is_some() {
            return Ok(removed);
        }
    }
    Err(busy(id))
}

/// Gives up what waits for a webhook that is not called any more; how many events there were.
pub(super) async fn give_up(desk: &Desk, webhook: &Webhook) -> anyhow::Result<usize> {
    let callbacks = desk.ledger()?.callbacks;
    let mut all = 0;
    loop {
        let gone = callbacks.give_up(&webhook.id(), TOGETHER).await?;
        all += gone;
        if gone < TOGETHER {
            return Ok(all);
        }
    }
}
