//! The registry of one process: maps in memory, filled by a follower of the catalog.

mod follower;
mod tenant;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
pub use follower::Follower;
use parking_lot::RwLock;
use tenant::Tenant;
use tokio::sync::watch;

use super::{Profile, Registry, RegistryError, credential_id};
use crate::{
    catalog::{Entry, Subscription},
    domain::{Credential, CredentialId, CustomerId, QuietRules, Route, RouteName, SubscriptionName},
    ledger::Quiet,
};

#[derive(Default)]
struct Maps {
    credentials: HashMap<CredentialId, Arc<Credential>>,
    tenants: HashMap<CustomerId, Tenant>,
    routes: HashMap<RouteName, Arc<Route>>,
    subscriptions: HashMap<SubscriptionName, Subscription>,
    suspended: Arc<BTreeSet<CustomerId>>,
    quiet: Quiet,
}

/// A projection of the catalog in memory.
pub struct MemoryRegistry {
    maps: RwLock<Maps>,
    listened: AtomicBool,
    complete: AtomicBool,
    version: watch::Sender<u64>,
}

impl MemoryRegistry {
    /// An empty one, which is not complete.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            maps: RwLock::default(),
            listened: AtomicBool::new(false),
            complete: AtomicBool::new(false),
            version: watch::Sender::new(0),
        })
    }

    /// Takes documents in, each only if it is newer than what is known of it. With them everything up to `version` is
    /// here; `complete` says that the catalog had nothing newer when they were read. Once complete, it stays so: the
    /// last known copy rules.
    pub fn apply(&self, entries: Vec<Entry>, complete: bool, version: u64) {
        let mut maps = self.maps.write();
        let mut touched = HashSet::new();
        for entry in entries {
            maps.apply(entry, &mut touched);
        }
        touched.into_iter().for_each(|customer| maps.rebuild(customer));
        let listened = maps.subscriptions.values().any(|subscription| !subscription.ended);
        drop(maps);
        self.listened.store(listened, Ordering::Release);
        if complete {
            self.complete.store(true, Ordering::Release);
        }
        self.version.send_if_modified(|known| {
            let newer = version > *known;
            *known = version.max(*known);
            newer
        });
    }

    /// What was found; what was not is believed only of a complete registry.
    fn believed<T>(&self, found: Option<T>) -> Result<Option<T>, RegistryError> {
        if found.is_some() || self.is_complete() { Ok(found) } else { Err(RegistryError) }
    }
}

impl Maps {
    /// Makes a customer's profile anew, and keeps the set of the suspended in step.
    fn rebuild(&mut self, id: CustomerId) {
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        tenant.rebuild();
        let suspended = tenant.profile().is_some_and(|profile| profile.customer.suspended);
        // A copy is made only where the set changes: whoever reads it keeps what it was given.
        if suspended && !self.suspended.contains(&id) {
            Arc::make_mut(&mut self.suspended).insert(id.clone());
        } else if !suspended && self.suspended.contains(&id) {
            Arc::make_mut(&mut self.suspended).remove(&id);
        }
        let rules = tenant.profile().map(|profile| &profile.customer.quiet).filter(|rules| !rules.is_empty());
        match (rules, self.quiet.get(&id)) {
            (Some(rules), known) if known.is_none_or(|known| known.0 != *rules) => {
                let rules = Arc::new(QuietRules(rules.clone()));
                Arc::make_mut(&mut self.quiet).insert(id, rules);
            }
            (None, Some(_)) => drop(Arc::make_mut(&mut self.quiet).remove(&id)),
            _ => {}
        }
    }

    /// The same name, in the memory that it already has.
    fn one_copy(&self, id: CustomerId) -> CustomerId {
        self.tenants.get_key_value(&id).map_or(id, |(known, _)| known.clone())
    }

    fn apply(&mut self, entry: Entry, touched: &mut HashSet<CustomerId>) {
        match entry {
            Entry::Credential(mut new) => {
                new.customer = self.one_copy(new.customer);
                if self.credentials.get(&new.id).is_none_or(|known| known.version < new.version) {
                    self.credentials.insert(new.id.clone(), Arc::new(new));
                }
            }
            Entry::Route(new) => {
                if self.routes.get(&new.name).is_none_or(|known| known.version < new.version) {
                    self.routes.insert(new.name.clone(), Arc::new(new));
                }
            }
            Entry::Subscription(new) => {
                if self.subscriptions.get(&new.name).is_none_or(|known| known.version < new.version) {
                    self.subscriptions.insert(new.name.clone(), new);
                }
            }
            // Nothing that an accept must know: whoever needs them reads the catalog.
            Entry::Webhook(_) | Entry::Alarm(_) | Entry::Keys(_) => {}
            Entry::Customer(new) => {
                touched.insert(new.id.clone());
                self.tenants.entry(new.id.clone()).or_default().set_customer(new);
            }
            Entry::Assignment(mut new) => {
                new.customer = self.one_copy(new.customer);
                new.route = self.routes.get(&new.route).map_or(new.route, |route| route.name.clone());
                touched.insert(new.customer.clone());
                self.tenants.entry(new.customer.clone()).or_default().set_assignment(new);
            }
            Entry::Quota(mut new) => {
                new.customer = self.one_copy(new.customer);
                touched.insert(new.customer.clone());
                self.tenants.entry(new.customer.clone()).or_default().set_quota(new);
            }
        }
    }
}

#[async_trait]
impl Registry for MemoryRegistry {
    async fn credential(&self, id: &str) -> Result<Option<Arc<Credential>>, RegistryError> {
        let find = |id| self.maps.read().credentials.get(&id).cloned();
        self.believed(credential_id(id).and_then(find))
    }

    async fn profile(&self, id: &CustomerId) -> Result<Option<Arc<Profile>>, RegistryError> {
        let found = self.maps.read().tenants.get(id).and_then(Tenant::profile).cloned();
        self.believed(found)
    }

    async fn route(&self, name: &RouteName) -> Result<Option<Arc<Route>>, RegistryError> {
        let found = self.maps.read().routes.get(name).cloned();
        self.believed(found)
    }

    async fn routes(&self) -> Result<Vec<Arc<Route>>, RegistryError> {
        // A list says that there are no others.
        if !self.is_complete() {
            return Err(RegistryError);
        }
        let mut routes: Vec<_> = self.maps.read().routes.values().cloned().collect();
        routes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(routes)
    }

    fn has_subscribers(&self) -> bool {
        self.listened.load(Ordering::Acquire)
    }

    fn weight(&self, id: &CustomerId) -> u32 {
        let maps = self.maps.read();
        maps.tenants.get(id).and_then(Tenant::profile).map_or(1, |profile| profile.customer.weight)
    }

    fn suspended(&self) -> Arc<BTreeSet<CustomerId>> {
        Arc::clone(&self.maps.read().suspended)
    }

    fn quiet(&self) -> Quiet {
        Arc::clone(&self.maps.read().quiet)
    }

    fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    fn version(&self) -> u64 {
        *self.version.borrow()
    }

    async fn changed(&self, seen: u64) {
        // The sender lives as long as `self`: waiting ends with a change or with the caller.
        drop(self.version.subscribe().wait_for(|version| *version != seen).await);
    }
}
