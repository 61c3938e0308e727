//! What all loops of this process share.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use naru_shared::{
    domain::{Day, EnvelopeKeys, Period, Quota, RouteName, Timestamp},
    ledger::{PassedOver, QuotaUse, Weights},
    metrics,
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    anchors::Anchored,
    callbacks::Hooks,
    config::WorkersConfig,
    courier::{self, Attachments, Desk},
    herald::Herald,
    incarnation::{Incarnations, Transit},
    intake::Newer,
    outcome::Ended,
    start::WorkersDeps,
};

/// Limits that are watched; beyond that, the next intake of their customers tells.
const WATCHED_LIMITS: usize = 10_000;

/// With fewer units left than these, a limit is watched however large it is.
const FEW_UNITS: u64 = 1_000;

/// Names a limit of record: there is one for each customer and channel.
type LimitKey = (naru_shared::domain::CustomerId, Option<naru_shared::domain::ChannelName>, Period);

/// See the module.
pub(crate) struct Crew {
    pub(crate) deps: WorkersDeps,
    pub(crate) config: WorkersConfig,
    pub(crate) envelopes: EnvelopeKeys,
    pub(crate) attachments: Attachments,
    pub(crate) newer: Newer,
    pub(crate) herald: Arc<Herald>,
    pub(crate) anchored: Anchored,
    pub(crate) incarnations: Incarnations,
    pub(crate) transit: Transit,
    pub(crate) hooks: Hooks,
    pub(crate) ended: mpsc::Sender<Ended>,
    /// Ends what brings new work: intake, feeders, the roster.
    pub(crate) stop: CancellationToken,
    /// Ends what finishes work: committer, relay, sweeper, observer, heartbeat.
    pub(crate) end: CancellationToken,
    desks: RwLock<HashMap<RouteName, Arc<Desk>>>,
    watched: Mutex<HashMap<LimitKey, (Arc<Quota>, Day)>>,
    /// What intake saw of limits, to be told to ingress with the next turn.
    used: Mutex<HashMap<LimitKey, QuotaUse>>,
    tell: Notify,
    /// How many workers share the rates of routes, this process among them; 0: not known yet.
    pub(crate) peers: Arc<AtomicU32>,
    suspected: AtomicBool,
    suspicion: Notify,
}

fn key(quota: &Quota) -> LimitKey {
    (quota.customer.clone(), quota.channel.clone(), quota.period)
}

impl Crew {
    pub(crate) fn new(
        deps: WorkersDeps,
        config: WorkersConfig,
        envelopes: EnvelopeKeys,
        ended: mpsc::Sender<Ended>,
    ) -> Self {
        let attachments = Attachments::new(deps.blobs.clone(), &deps.keyring.ids);
        let hooks = Hooks::new(deps.keyring.webhooks());
        let herald = Arc::new(Herald::new(
            Arc::clone(&deps.clock),
            Arc::clone(&deps.registry),
            Arc::clone(&deps.outbox),
        ));
        Self {
            herald,
            anchored: Anchored::default(),
            deps,
            config,
            envelopes,
            attachments,
            newer: Newer::default(),
            incarnations: Incarnations::new(),
            transit: Transit::default(),
            hooks,
            ended,
            stop: CancellationToken::new(),
            end: CancellationToken::new(),
            desks: RwLock::default(),
            watched: Mutex::default(),
            used: Mutex::default(),
            tell: Notify::new(),
            peers: Arc::default(),
            suspected: AtomicBool::new(false),
            suspicion: Notify::new(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.deps.clock.now()
    }

    /// Whether events are wanted.
    pub(crate) fn emit(&self) -> bool {
        self.deps.registry.has_subscribers()
    }

    pub(crate) fn weights(&self) -> Weights {
        let registry = Arc::clone(&self.deps.registry);
        Arc::new(move |customer| registry.weight(customer))
    }

    /// Whose messages wait: the suspended.
    pub(crate) fn passed_over(&self) -> PassedOver {
        self.deps.registry.suspended()
    }

    /// Whether the rows held in this process's name are certainly still its own: its heartbeat was heard within a lease, or
    /// no other process can take them.
    pub(crate) fn is_trusted(&self) -> bool {
        self.deps.exclusive || self.incarnations.silent_for() < self.config.lease()
    }

    pub(crate) fn desk(&self, route: &RouteName) -> Option<Arc<Desk>> {
        self.desks.read().get(route).cloned()
    }

    /// Whether what waits on a route goes on to another.
    pub(crate) fn gives_way(&self, route: &RouteName) -> bool {
        self.desk(route).is_some_and(|desk| courier::gives_way(self, &desk))
    }

    pub(crate) fn routes(&self) -> Vec<RouteName> {
        self.desks.read().keys().cloned().collect()
    }

    pub(crate) fn add_desk(&self, desk: Arc<Desk>) {
        self.desks.write().insert(desk.name.clone(), desk);
    }

    /// Rows held by all couriers.
    pub(crate) fn held(&self) -> usize {
        self.desks.read().values().map(|desk| desk.table.len()).sum()
    }

    /// Whether no call is under way that may end with rows in this process's name.
    pub(crate) fn transit_is_empty(&self) -> bool {
        self.transit.all_ended(self.transit.latest())
    }

    /// So many other workers live: the rates of routes are shared with them.
    pub(crate) fn share_with(&self, others: usize) {
        let peers = u32::try_from(others).unwrap_or(u32::MAX).saturating_add(1);
        self.peers.store(peers, Ordering::Relaxed);
    }

    /// Something went wrong after which rows may be `sending` in this process's name with nobody to send them.
    pub(crate) fn suspect(&self) {
        self.suspected.store(true, Ordering::Release);
        self.suspicion.notify_one();
    }

    /// Whether there is such a suspicion.
    pub(crate) fn is_suspected(&self) -> bool {
        self.suspected.load(Ordering::Acquire)
    }

    /// It is looked into from here on.
    pub(crate) fn take_suspicion(&self) {
        self.suspected.store(false, Ordering::Release);
    }

    /// Returns when a suspicion came up since the last wait.
    pub(crate) async fn suspicion(&self) {
        self.suspicion.notified().await;
    }

    /// Remembers a limit that is nearly used up, so that ingress learns when units are released: once it refuses, no intake
    /// would tell it.
    pub(crate) fn watch_limit(&self, quota: Arc<Quota>, day: Day, used: u64) {
        let left = quota.limit.saturating_sub(used);
        let near = left <= (quota.limit / 10).max(FEW_UNITS);
        let mut watched = self.watched.lock();
        let key = key(&quota);
        if !near {
            watched.remove(&key);
        } else if watched.len() < WATCHED_LIMITS || watched.contains_key(&key) {
            watched.insert(key, (quota, day));
        }
    }

    /// What an intake saw is told to ingress a moment later, together with what others see meanwhile: until then its units
    /// count as on their way, which is the same to whoever asks for more.
    pub(crate) fn tell_used(&self, seen: &[QuotaUse]) {
        if seen.is_empty() {
            return;
        }
        let mut used = self.used.lock();
        for one in seen {
            let before = match used.get(&key(&one.quota)) {
                Some(before) if before.day == one.day => before.seen,
                // Of another day something is lost: it is on its way until it is forgotten.
                Some(_) => 0,
                None if used.len() < WATCHED_LIMITS => 0,
                None => continue,
            };
            used.insert(key(&one.quota), QuotaUse { seen: one.seen.saturating_add(before), ..one.clone() });
        }
        self.tell.notify_one();
    }

    /// Returns when an intake saw something since the last wait.
    pub(crate) async fn seen(&self) {
        self.tell.notified().await;
    }

    /// What intake saw since the last time.
    pub(crate) fn take_used(&self) -> Vec<QuotaUse> {
        std::mem::take(&mut *self.used.lock()).into_values().collect()
    }

    /// Up to `max` of the limits that are watched.
    pub(crate) fn watched_limits(&self, max: usize) -> Vec<(Arc<Quota>, Day)> {
        let watched = self.watched.lock();
        // More than `max` are looked at in turns that begin anywhere.
        let begin = if watched.len() > max { fastrand::usize(..watched.len()) } else { 0 };
        watched.values().cycle().skip(begin).take(max.min(watched.len())).cloned().collect()
    }

    pub(crate) fn count_expired(&self, route: &str, count: usize) {
        metrics::EXPIRED.of(&[("route", route)]).increment(u64::try_from(count).unwrap_or(u64::MAX));
    }
}
