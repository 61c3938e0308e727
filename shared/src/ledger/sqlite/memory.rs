//! What is kept in memory beside the file: who waits for news, how much waits, whose turn it is.
//!
//! Nothing here is truth. It changes after the commit it tells of, and is counted anew when the file is opened.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{due::DueBell, forget::Walks, turns::RouteTurns};
use crate::{
    domain::{Account, Lane, RouteName},
    ledger::Waiting,
};

/// Where messages wait, and whose they are.
pub(super) type Place = (RouteName, Lane, Account);

/// What a transaction tells once it is durable.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) ready: HashSet<RouteName>,
    pub(super) reports: HashSet<Account>,
    /// There are reports of which nobody asked whose they are, since nobody listened.
    pub(super) any_report: bool,
    pub(super) events: bool,
    /// The earliest moment at which a row is to be looked at that the transaction wrote, in UTC milliseconds.
    pub(super) due: Option<i64>,
    pub(super) waiting: HashMap<Place, i64>,
}

impl News {
    pub(super) fn due(&mut self, at: i64) {
        self.due = Some(self.due.map_or(at, |known| known.min(at)));
    }

    pub(super) fn waits(&mut self, route: &RouteName, lane: Lane, account: &Account, messages: i64) {
        *self.waiting.entry((route.clone(), lane, account.clone())).or_default() += messages;
    }
}

/// Bells by name, each there only while somebody listens.
#[derive(Debug)]
pub(super) struct Bells<K>(Mutex<HashMap<K, Arc<Notify>>>);

impl<K: std::hash::Hash + Eq + Clone> Bells<K> {
    fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// The bell of that name. Enable its `notified()` before looking whether there is something to wait for.
    pub(super) fn listen(&self, name: &K) -> Arc<Notify> {
        let mut bells = self.0.lock();
        if let Some(bell) = bells.get(name) {
            return Arc::clone(bell);
        }
        // Bells that nobody holds any more are dropped here, so the map is no larger than twice its listeners.
        if bells.len() == bells.capacity() {
            bells.retain(|_, bell| Arc::strong_count(bell) > 1);
        }
        Arc::clone(bells.entry(name.clone()).or_default())
    }

    /// Whether anybody listens.
    pub(super) fn listened(&self) -> bool {
        self.0.lock().values().any(|bell| Arc::strong_count(bell) > 1)
    }

    fn ring_all(&self) {
        self.0.lock().values().for_each(|bell| bell.notify_waiters());
    }

    fn ring<'a>(&self, names: impl Iterator<Item = &'a K>)
    where
        K: 'a,
    {
        let bells = self.0.lock();
        for name in names {
            if let Some(bell) = bells.get(name) {
                bell.notify_waiters();
            }
        }
    }
}

/// Shared by the clones of a ledger.
pub(super) struct Memory {
    pub(super) ready: Bells<RouteName>,
    pub(super) reports: Bells<Account>,
    pub(super) events: Notify,
    pub(super) due: DueBell,
    pub(super) turns: Mutex<HashMap<RouteName, RouteTurns>>,
    pub(super) walks: Mutex<Walks>,
    /// `None` until somebody asks: an operator's command never needs it.
    waiting: Mutex<Option<HashMap<Place, i64>>>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            ready: Bells::new(),
            reports: Bells::new(),
            events: Notify::new(),
            due: DueBell::new(),
            turns: Mutex::new(HashMap::new()),
            walks: Mutex::default(),
            waiting: Mutex::new(None),
        }
    }

    /// Tells what a commit changed. Runs on the writer's thread, in the order of the commits.
    pub(super) fn tell(&self, news: &News) {
        if let Some(waiting) = self.waiting.lock().as_mut() {
            for (place, change) in &news.waiting {
                add(waiting, place, *change);
            }
        }
        self.ready.ring(news.ready.iter());
        self.reports.ring(news.reports.iter());
        if news.any_report {
            // Nobody listened when the change began: whoever began since is woken, and looks.
            self.reports.ring_all();
        }
        if let Some(due) = news.due {
            self.due.ring(due);
        }
        if news.events {
            self.events.notify_waiters();
        }
    }

    /// Counts from the file. Runs on the writer's thread after the commit that counted.
    pub(super) fn count_anew(&self, counted: HashMap<Place, i64>) {
        *self.waiting.lock() = Some(counted);
    }

    /// What waits; `None` if it was never counted.
    pub(super) fn waiting(&self) -> Option<Vec<Waiting>> {
        let waiting = self.waiting.lock();
        let list = waiting.as_ref()?.iter().map(|((route, lane, account), messages)| Waiting {
            route: route.clone(),
            lane: *lane,
            account: account.clone(),
            messages: u64::try_from(*messages).unwrap_or(0),
        });
        Some(list.collect())
    }
}

fn add(waiting: &mut HashMap<Place, i64>, place: &Place, change: i64) {
    if let Some(count) = waiting.get_mut(place) {
        *count += change;
        if *count == 0 {
            waiting.remove(place);
        }
    } else if change != 0 {
        waiting.insert(place.clone(), change);
    }
}

/// Waits for a bell that was enabled, at the latest for that long.
pub(super) async fn rung(notified: impl Future<Output = ()>, wait: Duration) -> bool {
    tokio::time::timeout(wait, notified).await.is_ok()
}
