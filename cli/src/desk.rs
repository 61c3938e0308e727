//! The operator's desk: what a command opens, beside whoever runs on the same engines.

use std::{
    collections::BTreeSet,
    env,
    sync::{Arc, OnceLock},
};

use anyhow::Context;
use naru_shared::{
    audit::{Act, AnchorFile, AnchorKind, Audit, Scribe},
    catalog::{Actor, Catalog, CatalogError, Entry, Kind},
    data_dir::DataDir,
    domain::{Clock, Customer, CustomerId, Event, Route, RouteName, SystemClock, Timestamp},
    keys::Keyring,
    ports::{self, DeskPorts},
    presence::Presence,
};
use tokio::runtime::Handle;

use crate::{
    config::Config,
    exit::Failure,
    fingerprint,
    output::{Output, note},
    place, verbs,
};

/// Documents asked for at once.
const PAGE: usize = 1_000;

/// How often a change is tried again when somebody else changed the document meanwhile.
pub const CHANGE_ATTEMPTS: usize = 8;

/// A command's view of the deployment.
pub struct Desk {
    /// The configuration.
    pub config: Config,
    dir: Option<DataDir>,
    /// How to answer.
    pub out: Output,
    /// Who records what is done, or why nobody can.
    scribe: OnceLock<Result<(Scribe, Keyring), String>>,
}

impl Desk {
    /// Over the engines of a configuration, and over its data directory if any of them is embedded.
    ///
    /// # Errors
    /// If there should be a data directory and is none.
    pub fn open(config: Config, out: Output) -> anyhow::Result<Self> {
        let dir = place::look(&config)?;
        Ok(Self { config, dir, out, scribe: OnceLock::new() })
    }

    /// The data directory; none where all engines are shared.
    #[must_use]
    pub const fn dir(&self) -> Option<&DataDir> {
        self.dir.as_ref()
    }

    /// The catalog.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn book(&self) -> anyhow::Result<Book> {
        let scribe = self.scribe().as_ref().ok().map(|(scribe, _)| scribe.clone());
        let catalog = ports::open_catalog(&self.config.catalog, self.dir(), &Handle::current(), scribe)?;
        let keys = self.scribe().as_ref().map(|(_, keyring)| keyring.clone()).map_err(Clone::clone);
        Ok(Book { catalog, actor: actor(), keys: Some(keys) })
    }

    /// Who records what this command does. What only looks goes without one.
    fn scribe(&self) -> &Result<(Scribe, Keyring), String> {
        self.scribe.get_or_init(|| match self.keyring() {
            Ok(keyring) => Ok((Scribe::new(keyring.audit(), actor()), keyring)),
            Err(error) => Err(format!("{error:#}")),
        })
    }

    /// What fronts tell of themselves.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn presence(&self) -> anyhow::Result<Arc<dyn Presence>> {
        Ok(ports::open_presence(&self.config.catalog, self.dir(), &Handle::current())?)
    }

    /// The ledger's faces for the operator and for a customer, to look at. Whoever changes something takes [`Desk::hand`].
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn ledger(&self) -> anyhow::Result<DeskPorts> {
        let scribe = self.scribe().as_ref().ok().map(|(scribe, _)| scribe.clone());
        Ok(ports::open_desk(&self.config.ledger, self.dir(), &Handle::current(), scribe)?)
    }

    /// The same to change something with: what is done is recorded in the transaction that does it, under the deployment's own
    /// secrets or not at all.
    ///
    /// # Errors
    /// As [`Desk::ledger`] and [`Desk::own_keyring`].
    pub async fn hand(&self) -> anyhow::Result<DeskPorts> {
        self.own_keyring().await.context(RECORDED)?;
        self.ledger()
    }

    /// The records of acts.
    ///
    /// # Errors
    /// If they cannot be opened, or there are no secrets.
    pub fn audits(&self) -> anyhow::Result<[Arc<dyn Audit>; 2]> {
        let (scribe, _) = self.scribe().as_ref().map_err(|why| Failure::Refused(why.clone()))?;
        let engines = (&self.config.catalog, &self.config.ledger);
        Ok(ports::open_audits(engines, self.dir(), &Handle::current(), scribe)?)
    }

    /// Records acts on what lies in neither catalog nor ledger, before they are done: one that is recorded and fails is harmless, and
    /// one that is done and not recorded is not.
    ///
    /// # Errors
    /// If they cannot be recorded: then they are not to be done.
    pub async fn record(&self, acts: Vec<Act>) -> anyhow::Result<()> {
        self.own_keyring().await.context(RECORDED)?;
        let [_, of_ledger] = self.audits()?;
        Ok(of_ledger.append(acts).await?)
    }

    /// Where heads of the record are anchored, if anywhere.
    #[must_use]
    pub fn anchor_file(&self) -> Option<AnchorFile> {
        place::anchors(&self.config, self.dir())
    }

    /// Anchors the heads of the record if this command recorded anything. That it cannot is said, and changes nothing of what was
    /// done; workers anchor it within a minute.
    ///
    /// # Errors
    /// If standard error is closed.
    pub async fn anchor(&self) -> anyhow::Result<()> {
        let acted = matches!(self.scribe.get(), Some(Ok((scribe, _))) if scribe.has_acted());
        let Some(file) = self.anchor_file().filter(|_| acted) else { return Ok(()) };
        let written = async {
            let heads = verbs::audit::heads(self, AnchorKind::Head, self.now()).await?;
            tokio::task::spawn_blocking(move || file.append(&heads)).await?.context("its file of anchors")
        };
        match written.await {
            Ok(()) => Ok(()),
            Err(error) => note(&format!("the record of this act is not anchored yet: {error:#}")),
        }
    }

    /// Tells of acts that no document of the catalog shows, if anybody listens.
    ///
    /// # Errors
    /// If it cannot be told; what was done stands.
    pub async fn tell(&self, events: Vec<Event>) -> anyhow::Result<()> {
        if events.is_empty() || !self.book()?.has_subscribers().await? {
            return Ok(());
        }
        self.ledger()?.outbox.put(events).await.context("it is done, and could not be told as an event")
    }

    /// The secrets.
    ///
    /// # Errors
    /// If they are missing, open to others or damaged.
    pub fn keyring(&self) -> anyhow::Result<Keyring> {
        place::keyring(&self.config, self.dir())
    }

    /// The secrets, once they are known to be those of the deployment: for whoever makes or proves anything with them.
    ///
    /// # Errors
    /// As [`Desk::keyring`]; if they are others; if the catalog does not answer.
    pub async fn own_keyring(&self) -> anyhow::Result<Keyring> {
        let keyring = self.keyring()?;
        self.book()?.hold(&keyring).await?;
        Ok(keyring)
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        SystemClock.now()
    }
}

/// Why secrets are needed to change anything.
const RECORDED: &str = "what is done is recorded under the deployment's secrets";

/// Who types: the user by whom the program runs, as the environment names them (`SUDO_USER` before `USER`); it is a note for
/// people, not a proof.
#[must_use]
pub fn actor() -> Actor {
    let named = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| env::var(name).ok());
    let user = named.filter(|name| !name.is_empty());
    Actor::operator(&user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw())))
}

/// The catalog in the operator's words.
pub struct Book {
    catalog: Arc<dyn Catalog>,
    actor: Actor,
    /// Of a person: the secrets under which is recorded what is changed, or why there are none.
    keys: Option<Result<Keyring, String>>,
}

impl Book {
    /// Over a catalog, for the process itself.
    #[must_use]
    pub fn new(catalog: Arc<dyn Catalog>) -> Self {
        Self { catalog, actor: Actor::Process, keys: None }
    }

    /// Whether these are the secrets that the deployment was made with, as far as it says.
    ///
    /// # Errors
    /// If they are others; if the catalog does not answer.
    pub async fn hold(&self, keyring: &Keyring) -> anyhow::Result<()> {
        fingerprint::hold(&self.catalog, keyring, false).await
    }

    /// Every document of a kind whose key begins with `prefix`, by key.
    ///
    /// # Errors
    /// If the catalog does not answer.
    pub async fn all(&self, kind: Kind, prefix: &str) -> anyhow::Result<Vec<Entry>> {
        let mut found: Vec<Entry> = Vec::new();
        loop {
            let after = found.last().map(Entry::key).unwrap_or_default();
            let page = self.catalog.list(kind, prefix, &after, PAGE).await?;
            let last = page.len() < PAGE;
            found.extend(page);
            if last {
                return Ok(found);
            }
        }
    }

    /// The customers that are suspended.
    ///
    /// # Errors
    /// If the catalog does not answer.
    pub async fn suspended(&self) -> anyhow::Result<BTreeSet<CustomerId>> {
        let entries = self.all(Kind::Customer, "").await?;
        let suspended = entries.into_iter().filter_map(|entry| match entry {
            Entry::Customer(customer) if customer.suspended => Some(customer.id),
            _ => None,
        });
        Ok(suspended.collect())
    }

    /// Every route.
    ///
    /// # Errors
    /// If the catalog does not answer.
    pub async fn routes(&self) -> anyhow::Result<Vec<Route>> {
        let entries = self.all(Kind::Route, "").await?;
        Ok(entries.into_iter().filter_map(|e| if let Entry::Route(r) = e { Some(r) } else { None }).collect())
    }

    /// One document, if it is there.
    ///
    /// # Errors
    /// If the catalog does not answer.
    pub async fn find(&self, kind: Kind, key: &str) -> anyhow::Result<Option<Entry>> {
        Ok(self.catalog.get(kind, key).await?)
    }

    /// One document that must be there.
    ///
    /// # Errors
    /// If it is not.
    pub async fn get(&self, kind: Kind, key: &str) -> anyhow::Result<Entry> {
        let found = self.catalog.get(kind, key).await?;
        found.ok_or_else(|| Failure::NotFound(kind.as_str(), key.to_owned()).into())
    }

    /// A customer that must be there.
    ///
    /// # Errors
    /// If it is not.
    pub async fn customer(&self, id: &CustomerId) -> anyhow::Result<Customer> {
        match self.get(Kind::Customer, id.as_str()).await? {
            Entry::Customer(customer) => Ok(customer),
            _ => Err(Failure::NotFound("customer", id.to_string()).into()),
        }
    }

    /// A route that must be there.
    ///
    /// # Errors
    /// If it is not.
    pub async fn route(&self, name: &RouteName) -> anyhow::Result<Route> {
        match self.get(Kind::Route, name.as_str()).await? {
            Entry::Route(route) => Ok(route),
            _ => Err(Failure::NotFound("route", name.to_string()).into()),
        }
    }

    /// Whether anybody listens to the topic, so that events are wanted.
    ///
    /// # Errors
    /// If the catalog does not answer.
    pub async fn has_subscribers(&self) -> anyhow::Result<bool> {
        let entries = self.all(Kind::Subscription, "").await?;
        Ok(entries.iter().any(|e| matches!(e, Entry::Subscription(s) if !s.ended)))
    }

    /// Whether what is changed can be recorded. With others' secrets a record would look forged.
    async fn may_act(&self) -> anyhow::Result<()> {
        match &self.keys {
            // A process has looked when it started.
            None => Ok(()),
            Some(Ok(keyring)) => self.hold(keyring).await.context(RECORDED),
            Some(Err(why)) => Err(Failure::Refused(format!("{RECORDED}: {why}")).into()),
        }
    }

    /// Writes documents, all or none.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] if any is not as it was read, or exists already.
    pub async fn put(&self, entries: Vec<Entry>) -> anyhow::Result<u64> {
        self.may_act().await?;
        Ok(self.catalog.put_as(&self.actor, entries).await?)
    }

    /// Writes documents of which the first is new, all or none. `hint` says what to do if it is not.
    ///
    /// # Errors
    /// [`Failure::Conflict`] if it exists already; as [`Book::put`] for the others.
    pub async fn add(&self, entries: Vec<Entry>, hint: &str) -> anyhow::Result<u64> {
        self.may_act().await?;
        let first = entries.first().map(|entry| (entry.kind().as_str(), entry.key()));
        match self.catalog.put_as(&self.actor, entries).await {
            Err(CatalogError::Conflict { kind, key })
                if first.is_some_and(|new| new == (kind, key.clone())) =>
            {
                Err(Failure::Conflict(format!("{kind} `{key}` exists already: {hint}")).into())
            }
            other => Ok(other?),
        }
    }

    /// Changes a document that must be there, again if somebody else changed it meanwhile.
    ///
    /// # Errors
    /// If it is not there, or `change` refuses.
    pub async fn change<F>(&self, kind: Kind, key: &str, change: F) -> anyhow::Result<Entry>
    where
        F: Fn(Entry) -> anyhow::Result<Entry> + Send,
    {
        self.may_act().await?;
        let mut tries = 0;
        loop {
            let changed = change(self.get(kind, key).await?)?;
            tries += 1;
            match self.catalog.put_as(&self.actor, vec![changed.clone()]).await {
                Ok(version) => return Ok(changed.at_version(version)),
                Err(CatalogError::Conflict { .. }) if tries < CHANGE_ATTEMPTS => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
