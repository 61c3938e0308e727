//! The webhooks there are, as of the registry's version: read from the catalog when it changes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use naru_shared::{
    catalog::{Catalog, CatalogError, Entry, Kind},
    domain::{Account, Event, Webhook, WebhookId, WebhookState},
};
use parking_lot::RwLock;
use serde_json::Value;

use crate::crew::Crew;

/// Documents read from the catalog at once.
const PAGE: usize = 1_000;

/// The webhooks as of one version.
#[derive(Debug, Default)]
pub(super) struct Listing {
    enabled: HashMap<WebhookId, Arc<Webhook>>,
    by_account: HashMap<Account, Vec<Arc<Webhook>>>,
    /// Whether there are any, enabled or not.
    any: bool,
}

impl Listing {
    pub(super) fn enabled(&self, id: &WebhookId) -> Option<&Arc<Webhook>> {
        self.enabled.get(id)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Webhook> {
        self.enabled.values().map(AsRef::as_ref)
    }

    pub(super) const fn any(&self) -> bool {
        self.any
    }

    /// The webhooks that want an event.
    pub(super) fn wanting<'a>(&'a self, event: &'a Event) -> impl Iterator<Item = &'a Arc<Webhook>> {
        let of = account(event).and_then(|account| self.by_account.get(&account));
        of.into_iter().flatten().filter(|webhook| webhook.wants(&event.kind))
    }

    fn add(&mut self, webhook: Webhook) {
        self.any |= webhook.state != WebhookState::Removed;
        if !webhook.is_enabled() {
            return;
        }
        let webhook = Arc::new(webhook);
        let account = Account { customer: webhook.customer.clone(), environment: webhook.environment };
        self.by_account.entry(account).or_default().push(Arc::clone(&webhook));
        self.enabled.insert(webhook.id(), webhook);
    }
}

/// Whose message an event is about.
fn account(event: &Event) -> Option<Account> {
    let part = |name: &str| event.data.get(name).cloned().unwrap_or(Value::Null);
    Some(Account {
        customer: serde_json::from_value(part("customer")).ok()?,
        environment: serde_json::from_value(part("environment")).ok()?,
    })
}

/// Keeps the latest listing.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    latest: RwLock<Option<(u64, Arc<Listing>)>>,
    /// One reads for all.
    reading: tokio::sync::Mutex<()>,
}

impl Directory {
    /// The webhooks as of a version that is not older than the registry's is now.
    ///
    /// # Errors
    /// If they changed and the catalog does not answer.
    pub(super) async fn listing(&self, crew: &Crew) -> Result<Arc<Listing>, CatalogError> {
        if let Some(listing) = self.known(crew.deps.registry.version()) {
            return Ok(listing);
        }
        let _reading = self.reading.lock().await;
        let version = crew.deps.registry.version();
        if let Some(listing) = self.known(version) {
            return Ok(listing);
        }
        let listing = Arc::new(read(&*crew.deps.catalog).await?);
        *self.latest.write() = Some((version, Arc::clone(&listing)));
        Ok(listing)
    }

    fn known(&self, version: u64) -> Option<Arc<Listing>> {
        self.latest.read().as_ref().filter(|(of, _)| *of == version).map(|(_, listing)| Arc::clone(listing))
    }
}

async fn read(catalog: &dyn Catalog) -> Result<Listing, CatalogError> {
    let (mut listing, mut after) = (Listing::default(), String::new());
    loop {
        let page = catalog.list(Kind::Webhook, "", &after, PAGE).await?;
        let all = page.len() < PAGE;
        after = page.last().map(Entry::key).unwrap_or_default();
        // By key, so that events go out to the webhooks of a customer in one order.
        let webhooks: BTreeMap<String, Webhook> = page
            .into_iter()
            .filter_map(|entry| match entry {
                Entry::Webhook(webhook) => Some((webhook.id().to_string(), webhook)),
                _ => None,
            })
            .collect();
        webhooks.into_values().for_each(|webhook| listing.add(webhook));
        if all {
            return Ok(listing);
        }
    }
}
