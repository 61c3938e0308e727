//! Administrative acts: one event for each document that was written, in the transaction that wrote it.

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Entry, Kind};
use crate::{
    audit::{Act, AuditKey},
    domain::{
        BackendConfig, CallbackDocument, Credential, CredentialKind, Event, EventKind, ProviderDocument,
        ShownRoute, Timestamp, WebhookState, kinds,
    },
    outbox::OutboxRow,
};

/// Characters of a name.
const NAME: usize = 128;

/// Bytes of the digest in an act's id.
const DIGEST: usize = 12;

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A process of ours, nobody having asked it.
    Process,
    /// A person, by the name that the command line knows.
    Operator(Box<str>),
}

impl Actor {
    /// A person by name. What would break a line, or is longer than 128 characters, is left out.
    #[must_use]
    pub fn operator(name: &str) -> Self {
        let clean: String = name.chars().filter(|c| !c.is_control()).take(NAME).collect();
        Self::Operator(if clean.is_empty() { "unknown".into() } else { clean.into() })
    }

    /// As a person reads it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Process => "the process",
            Self::Operator(name) => name,
        }
    }

    /// As events tell it.
    #[must_use]
    pub fn told(&self) -> Value {
        match self {
            Self::Process => json!({ "kind": "process" }),
            Self::Operator(name) => json!({ "kind": "operator", "name": name }),
        }
    }
}

/// Acts that were claimed to be published.
#[derive(Debug, Clone, Default)]
pub struct Acts {
    /// Under a lease in the caller's name.
    pub rows: Vec<OutboxRow>,
    /// Acts that are left, in others' hands or beyond what was asked for: whoever wants all of them looks again.
    pub left: u64,
}

/// What was done, `before` being the version that the document had. Nothing for what only processes write.
fn kind(entry: &Entry, before: u64) -> Option<EventKind> {
    let pick = |created, changed| if before == 0 { created } else { changed };
    Some(match entry {
        Entry::Keys(_) => return None,
        Entry::Credential(credential) if credential.revoked_at.is_some() => kinds::CREDENTIAL_REVOKED,
        Entry::Subscription(subscription) if subscription.ended => kinds::SUBSCRIPTION_ENDED,
        Entry::Webhook(webhook) if webhook.state == WebhookState::Removed => kinds::WEBHOOK_REMOVED,
        Entry::Customer(_) => pick(kinds::CUSTOMER_CREATED, kinds::CUSTOMER_CHANGED),
        Entry::Credential(_) => pick(kinds::CREDENTIAL_CREATED, kinds::CREDENTIAL_CHANGED),
        Entry::Route(_) => pick(kinds::ROUTE_CREATED, kinds::ROUTE_CHANGED),
        Entry::Assignment(_) => pick(kinds::ASSIGNMENT_CREATED, kinds::ASSIGNMENT_CHANGED),
        Entry::Quota(_) => pick(kinds::QUOTA_CREATED, kinds::QUOTA_CHANGED),
        Entry::Alarm(_) => pick(kinds::ALARM_CREATED, kinds::ALARM_CHANGED),
        Entry::Webhook(_) => pick(kinds::WEBHOOK_CREATED, kinds::WEBHOOK_CHANGED),
        // One that was ended is made again under its name.
        Entry::Subscription(_) => kinds::SUBSCRIPTION_CREATED,
    })
}

/// A document as others may see it: what proves anything, or is somebody's secret, is not in it, not even as a hash.
fn redacted(entry: &Entry) -> Value {
    match entry {
        Entry::Credential(document) => credential(document),
        Entry::Route(route) => {
            let mut route = route.clone();
            if let BackendConfig::Http(http) = &mut route.backend {
                http.url = without_query(&http.url);
                http.provider = http.provider.as_ref().map(outline);
            }
            // That it changed is told, and not how calls are proved.
            route.reports.callback = route.reports.callback.as_ref().map(|callback| {
                let digest = Sha256::digest(callback.0.to_string());
                CallbackDocument(
                    json!({ "digest": HEXLOWER.encode(digest.get(..DIGEST).unwrap_or(&digest)) }),
                )
            });
            plain(&ShownRoute(&route))
        }
        Entry::Webhook(webhook) => {
            let mut webhook = webhook.clone();
            webhook.url = origin(&webhook.url);
            plain(&webhook)
        }
        Entry::Customer(document) => plain(document),
        Entry::Assignment(document) => plain(document),
        Entry::Quota(document) => plain(document),
        Entry::Subscription(document) => plain(document),
        Entry::Alarm(document) => plain(document),
        // It proves which secrets they are.
        Entry::Keys(_) => Value::Null,
    }
}

/// Of keys only their names are told, and what they verify.
fn credential(credential: &Credential) -> Value {
    let mut shown = json!({
        "id": credential.id,
        "customer": credential.customer,
        "environment": credential.environment,
        "kind": credential.kind.as_str(),
        "created_at": credential.created_at,
        "revoked_at": credential.revoked_at,
        "version": credential.version,
    });
    if let (CredentialKind::Jwt { keys }, Some(shown)) = (&credential.kind, shown.as_object_mut()) {
        let keys = keys.iter().map(|key| json!({ "kid": key.kid, "alg": key.alg })).collect();
        shown.insert("keys".to_owned(), keys);
    }
    if let (Some(shown), Value::Object(access)) = (shown.as_object_mut(), plain(&credential.access)) {
        shown.extend(access);
    }
    shown
}

fn plain<T: serde::Serialize>(document: &T) -> Value {
    serde_json::to_value(document).unwrap_or_default()
}

/// What stands for the parts of a URL that are not told.
const HIDDEN: &str = "…";

/// Keys to a backend are often in the query of its URL.
fn without_query(url: &str) -> String {
    match url.split_once(['?', '#']) {
        Some((before, _)) => format!("{before}?{HIDDEN}"),
        None => url.to_owned(),
    }
}

/// Of a provider's description only where it leads is told, and that it changed: what is sent, and proves who sends, is not.
fn outline(provider: &ProviderDocument) -> ProviderDocument {
    let digest = Sha256::digest(provider.0.to_string());
    ProviderDocument(json!({
        "url": provider.text("url").map(origin),
        "digest": HEXLOWER.encode(digest.get(..DIGEST).unwrap_or(&digest)),
    }))
}

/// Whoever knows the whole URL of a webhook may often post there: its path and query are not told.
fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.find(['/', '?', '#', '\\']).map_or((rest, ""), |at| rest.split_at(at));
    // Refused where it is written; if it is there all the same, it is not told.
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let hidden = if path.len() > 1 { HIDDEN } else { "" };
    format!("{scheme}://{host}/{hidden}")
}

/// Whose document it is, if it is a customer's.
fn customer(entry: &Entry) -> Option<&str> {
    match entry {
        Entry::Customer(document) => Some(document.id.as_str()),
        Entry::Credential(document) => Some(document.customer.as_str()),
        Entry::Assignment(document) => Some(document.customer.as_str()),
        Entry::Quota(document) => Some(document.customer.as_str()),
        Entry::Webhook(document) => Some(document.customer.as_str()),
        Entry::Route(_) | Entry::Subscription(_) | Entry::Alarm(_) | Entry::Keys(_) => None,
    }
}

/// The event of a document that was written, `before` being the version that it had. None when a process changes a webhook by
/// itself: it says so with its reason (`naru.webhook.disabled`).
pub(super) fn event(entry: &Entry, before: u64, actor: &Actor, now: Timestamp) -> Option<Event> {
    if *actor == Actor::Process && entry.kind() == Kind::Webhook {
        return None;
    }
    let kind = kind(entry, before)?;
    let (word, key, version) = (entry.kind().as_str(), entry.key(), entry.version());
    let mut data = json!({
        "actor": actor.told(),
        "entry": word,
        "key": key,
        "version": version,
        "document": redacted(entry),
    });
    if let (Some(customer), Some(object)) = (customer(entry), data.as_object_mut()) {
        object.insert("customer".to_owned(), customer.into());
    }
    let sequence = u32::try_from(version).unwrap_or(u32::MAX);
    let mut event = Event::about(&format!("catalog/{word}/{key}"), sequence, kind, now, data);
    event.id = id(&event, version);
    Some(event)
}

/// The same as a record, whoever did it and whoever listens; also of what is told to nobody. Of the whole document, secrets and
/// all, it holds a digest that only the deployment can make: so a change of what is not told shows.
pub(super) fn record(entry: &Entry, before: u64, key: &AuditKey) -> Act {
    let (word, version) = (entry.kind().as_str(), entry.version());
    let what = kind(entry, before).map_or("keys.marked", |kind| kind.name);
    let mut detail = json!({
        "version": version,
        "before": before,
        "digest": key.digest(&plain(entry).to_string()),
        "document": redacted(entry),
    });
    if let (Some(customer), Some(object)) = (customer(entry), detail.as_object_mut()) {
        object.insert("customer".to_owned(), customer.into());
    }
    Act::new(what, &format!("catalog/{word}/{}", entry.key()), detail)
}

/// A catalog that was restored counts its versions once more: what is told then, when, and by whom keeps ids apart.
fn id(event: &Event, version: u64) -> String {
    let mut digest = Sha256::new();
    for part in [event.kind.as_str(), &event.subject, &event.time.as_millis().to_string()] {
        digest.update(part);
        digest.update([0]);
    }
    digest.update(event.data.to_string());
    let digest = digest.finalize();
    format!("act_{version}_{}", HEXLOWER.encode(digest.get(..DIGEST).unwrap_or(&digest)))
}

#[cfg(test)]
mod tests;
