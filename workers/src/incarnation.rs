//! The names under which this process holds rows, and the calls that are about to hold more.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use naru_shared::domain::IncarnationId;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

/// The incarnation in whose name rows are taken, and those before it that may still hold some.
pub(crate) struct Incarnations {
    names: RwLock<(IncarnationId, Vec<IncarnationId>)>,
    /// The name after this one. It stays the same until it is taken: the ledger may have heard of it without our knowing.
    next: Mutex<IncarnationId>,
    begun: Instant,
    /// Milliseconds after `begun` of the last beat that the ledger confirmed.
    beat: AtomicU64,
    alive: watch::Sender<bool>,
}

impl Incarnations {
    pub(crate) fn new() -> Self {
        Self {
            names: RwLock::new((IncarnationId::random(), Vec::new())),
            next: Mutex::new(IncarnationId::random()),
            begun: Instant::now(),
            beat: AtomicU64::new(0),
            alive: watch::Sender::new(false),
        }
    }

    pub(crate) fn current(&self) -> IncarnationId {
        self.names.read().0
    }

    /// The current one and those before it.
    pub(crate) fn all(&self) -> Vec<IncarnationId> {
        let names = self.names.read();
        std::iter::once(names.0).chain(names.1.iter().copied()).collect()
    }

    /// A beat was confirmed that was sent at `sent`: the ledger knows this name, rows may be taken in it.
    pub(crate) fn beaten(&self, sent: Instant) {
        let at = sent.saturating_duration_since(self.begun).as_millis();
        self.beat.store(u64::try_from(at).unwrap_or(u64::MAX), Ordering::Release);
        self.alive.send_replace(true);
    }

    /// How long ago the last confirmed beat was sent.
    pub(crate) fn silent_for(&self) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_millis(self.beat.load(Ordering::Acquire)))
    }

    /// The name to make known to the ledger before [`Incarnations::renew`].
    pub(crate) fn next(&self) -> IncarnationId {
        *self.next.lock()
    }

    /// From now on rows are taken in the next name; the ledger knows it already.
    pub(crate) fn renew(&self) {
        let name = std::mem::replace(&mut *self.next.lock(), IncarnationId::random());
        let mut names = self.names.write();
        let former = std::mem::replace(&mut names.0, name);
        names.1.push(former);
    }

    /// A former name holds nothing any more.
    pub(crate) fn forget(&self, name: IncarnationId) {
        self.names.write().1.retain(|former| *former != name);
    }

    /// Returns when the first beat was confirmed: what was taken before it would never be found after a crash.
    pub(crate) async fn alive(&self) {
        // The sender lives in `self`, so this cannot fail.
        drop(self.alive.subscribe().wait_for(|alive| *alive).await);
    }
}

/// Numbers the calls under way that may end with rows in this process's name.
#[derive(Default)]
pub(crate) struct Transit(Mutex<(u64, BTreeSet<u64>)>);

/// One such call; dropped when its rows are in the table of what is held, or the call was given up.
pub(crate) struct InTransit<'a> {
    transit: &'a Transit,
    number: u64,
}

impl Transit {
    pub(crate) fn begin(&self) -> InTransit<'_> {
        let mut state = self.0.lock();
        state.0 += 1;
        let number = state.0;
        state.1.insert(number);
        InTransit { transit: self, number }
    }

    /// A number that every call begun so far is below or at.
    pub(crate) fn latest(&self) -> u64 {
        self.0.lock().0
    }

    /// Whether every call up to this number has ended.
    pub(crate) fn all_ended(&self, number: u64) -> bool {
        self.0.lock().1.first().is_none_or(|oldest| *oldest > number)
    }
}

impl Drop for InTransit<'_> {
    fn drop(&mut self) {
        self.transit.0.lock().1.remove(&self.number);
    }
}
