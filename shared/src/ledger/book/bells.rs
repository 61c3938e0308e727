//! Bells that wake who waits in this process.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Bells by name, each there only while somebody listens.
#[derive(Debug)]
pub(in crate::ledger) struct Bells<K>(Mutex<HashMap<K, Arc<Notify>>>);

impl<K: std::hash::Hash + Eq + Clone> Bells<K> {
    pub(in crate::ledger) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// The bell of that name. Enable its `notified()` before looking whether there is something to wait for.
    pub(in crate::ledger) fn listen(&self, name: &K) -> Arc<Notify> {
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
    pub(in crate::ledger) fn listened(&self) -> bool {
        self.0.lock().values().any(|bell| Arc::strong_count(bell) > 1)
    }

    /// For what somebody listens.
    pub(in crate::ledger) fn names(&self) -> Vec<K> {
        let bells = self.0.lock();
        bells.iter().filter(|(_, bell)| Arc::strong_count(bell) > 1).map(|(name, _)| name.clone()).collect()
    }

    /// Wakes everybody.
    pub(in crate::ledger) fn ring_all(&self) {
        self.0.lock().values().for_each(|bell| bell.notify_waiters());
    }

    /// Wakes who listens for these.
    pub(in crate::ledger) fn ring<'a>(&self, names: impl Iterator<Item = &'a K>)
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

/// Waits for a bell that was enabled, at the latest for that long.
pub(in crate::ledger) async fn rung(notified: impl Future<Output = ()>, wait: Duration) -> bool {
    tokio::time::timeout(wait, notified).await.is_ok()
}
