//! The port `catalog`: customers, credentials, routes and quotas of record, versioned.
//!
//! Every entry is a document with a version from one counter, so that whoever follows the catalog reads what is new
//! since the version it knows, in the order of the changes. Nothing is removed: a revoked credential is a tombstone.

mod act;
mod postgres;
mod sqlite;

use std::time::Duration;

pub use act::{Actor, Acts};
use async_trait::async_trait;
pub use postgres::PostgresCatalog;
use serde::{Deserialize, Serialize};
pub(crate) use sqlite::SCHEMA;
pub use sqlite::SqliteCatalog;

use crate::domain::{AlarmRule, Assignment, Credential, Customer, Quota, Route, SubscriptionName, Webhook};

/// A listener of the topic, of record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Named for ever.
    pub name: SubscriptionName,
    /// Whether it has ended.
    pub ended: bool,
    /// Whether somebody listens by means of their own: events are published, and no queue of ours is made for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outside: bool,
    /// Grows with every change of this row.
    pub version: u64,
}

/// With which secrets the deployment was made: every process compares its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysMark {
    /// [`Keyring::fingerprint`](crate::keys::Keyring::fingerprint)
    pub fingerprint: String,
    /// Grows with every change of this row.
    pub version: u64,
}

impl KeysMark {
    /// Its key: there is one.
    pub const KEY: &str = "deployment";
}

/// One document of the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "entry", content = "document")]
pub enum Entry {
    /// A paying tenant.
    Customer(Customer),
    /// A way to authenticate.
    Credential(Credential),
    /// Where messages go.
    Route(Route),
    /// Which route takes a customer's channel.
    Assignment(Assignment),
    /// A limit of record.
    Quota(Quota),
    /// A listener of the topic.
    Subscription(Subscription),
    /// Where a customer wants to be called back.
    Webhook(Webhook),
    /// A rule of alarms.
    Alarm(AlarmRule),
    /// The secrets of the deployment, by their fingerprint.
    Keys(KeysMark),
}

/// The kinds of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// [`Entry::Customer`]
    Customer,
    /// [`Entry::Credential`]
    Credential,
    /// [`Entry::Route`]
    Route,
    /// [`Entry::Assignment`]
    Assignment,
    /// [`Entry::Quota`]
    Quota,
    /// [`Entry::Subscription`]
    Subscription,
    /// [`Entry::Webhook`]
    Webhook,
    /// [`Entry::Alarm`]
    Alarm,
    /// [`Entry::Keys`]
    Keys,
}

impl Kind {
    /// The word that stores keep.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Credential => "credential",
            Self::Route => "route",
            Self::Assignment => "assignment",
            Self::Quota => "quota",
            Self::Subscription => "subscription",
            Self::Webhook => "webhook",
            Self::Alarm => "alarm",
            Self::Keys => "keys",
        }
    }
}

impl Entry {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Customer(_) => Kind::Customer,
            Self::Credential(_) => Kind::Credential,
            Self::Route(_) => Kind::Route,
            Self::Assignment(_) => Kind::Assignment,
            Self::Quota(_) => Kind::Quota,
            Self::Subscription(_) => Kind::Subscription,
            Self::Webhook(_) => Kind::Webhook,
            Self::Alarm(_) => Kind::Alarm,
            Self::Keys(_) => Kind::Keys,
        }
    }

    /// Its key among those of its kind: a name, `customer/channel` (`*` for all channels), `customer/channel/period` of a quota
    /// beside another, or `customer/name`.
    #[must_use]
    pub fn key(&self) -> String {
        let star = |channel: &Option<crate::domain::ChannelName>| {
            channel.as_ref().map_or_else(|| "*".to_owned(), ToString::to_string)
        };
        match self {
            Self::Customer(c) => c.id.to_string(),
            Self::Credential(c) => c.id.to_string(),
            Self::Route(r) => r.name.to_string(),
            Self::Assignment(a) => format!("{}/{}", a.customer, star(&a.channel)),
            Self::Quota(q) => match q.own_period() {
                Some(period) => format!("{}/{}/{}", q.customer, star(&q.channel), period.as_str()),
                None => format!("{}/{}", q.customer, star(&q.channel)),
            },
            Self::Subscription(s) => s.name.to_string(),
            Self::Webhook(w) => w.id().to_string(),
            Self::Alarm(a) => a.name.to_string(),
            Self::Keys(_) => KeysMark::KEY.to_owned(),
        }
    }

    /// The version it was read at; 0 for one that is new.
    #[must_use]
    pub const fn version(&self) -> u64 {
        match self {
            Self::Customer(e) => e.version,
            Self::Credential(e) => e.version,
            Self::Route(e) => e.version,
            Self::Assignment(e) => e.version,
            Self::Quota(e) => e.version,
            Self::Subscription(e) => e.version,
            Self::Webhook(e) => e.version,
            Self::Alarm(e) => e.version,
            Self::Keys(e) => e.version,
        }
    }

    /// The same with another version.
    #[must_use]
    pub fn at_version(mut self, version: u64) -> Self {
        match &mut self {
            Self::Customer(e) => e.version = version,
            Self::Credential(e) => e.version = version,
            Self::Route(e) => e.version = version,
            Self::Assignment(e) => e.version = version,
            Self::Quota(e) => e.version = version,
            Self::Subscription(e) => e.version = version,
            Self::Webhook(e) => e.version = version,
            Self::Alarm(e) => e.version = version,
            Self::Keys(e) => e.version = version,
        }
        self
    }
}

/// What the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Try again later.
    #[error("the catalog is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Somebody changed it meanwhile (or it exists already): read it again.
    #[error("{kind} `{key}` was changed meanwhile, or exists already")]
    Conflict {
        /// Of which kind.
        kind: &'static str,
        /// Which.
        key: String,
    },
}

/// Documents by compare-and-set, and the feed of their changes.
#[async_trait]
pub trait Catalog: Send + Sync + 'static {
    /// Writes documents together, each only if its stored version is the one it carries (0: only if it is new);
    /// all or none. `Ok` is the version after the last, and promises durability. While any subscription is open once they are
    /// written, an event of each document is written with it, by the name of who did it: the act that opens the first is told to
    /// it, and the one that ends the last is told to nobody. What a process does to a webhook by itself is no act.
    async fn put_as(&self, actor: &Actor, entries: Vec<Entry>) -> Result<u64, CatalogError>;

    /// As [`Catalog::put_as`], by the process itself.
    async fn put(&self, entries: Vec<Entry>) -> Result<u64, CatalogError> {
        self.put_as(&Actor::Process, entries).await
    }

    /// Claims up to `max` acts to be published, for `lease`; what is not told to be published by then is claimed again.
    async fn claim_acts(&self, max: usize, lease: Duration) -> Result<Acts, CatalogError>;

    /// Forgets acts that were published. Idempotent.
    async fn published_acts(&self, rows: Vec<i64>) -> Result<(), CatalogError>;

    /// One document.
    async fn get(&self, kind: Kind, key: &str) -> Result<Option<Entry>, CatalogError>;

    /// Documents whose key begins with `prefix` and comes after `after`, by key, up to `max`.
    async fn list(
        &self,
        kind: Kind,
        prefix: &str,
        after: &str,
        max: usize,
    ) -> Result<Vec<Entry>, CatalogError>;

    /// Documents changed since a version, in order of change, up to `max`; fewer than `max` means that these are all.
    async fn changes(&self, since: u64, max: usize) -> Result<Vec<Entry>, CatalogError>;

    /// The version of the last change; 0 when nothing was ever written.
    async fn version(&self) -> Result<u64, CatalogError>;
}
