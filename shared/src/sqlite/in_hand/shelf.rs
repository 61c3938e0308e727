//! Lines by name, and receivers that wait for them without asking again and again.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::sleep_until};

use super::{Line, Loan};

struct Slot<G> {
    line: Mutex<Line<G>>,
    /// One receiver is woken for what comes; it wakes the next if it leaves something.
    arrived: Notify,
}

/// Every line of a file.
pub(crate) struct Shelf<N, G> {
    slots: Mutex<HashMap<N, Arc<Slot<G>>>>,
    visibility: Duration,
}

impl<N: Clone + Eq + Hash, G: Clone + Eq + Hash> Shelf<N, G> {
    /// An empty shelf; what is lent comes back after `visibility`.
    pub(crate) fn new(visibility: Duration) -> Self {
        Self { slots: Mutex::default(), visibility }
    }

    fn slot(&self, name: &N) -> Arc<Slot<G>> {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.get(name) {
            return Arc::clone(slot);
        }
        let slot = Arc::new(Slot { line: Mutex::default(), arrived: Notify::new() });
        slots.insert(name.clone(), Arc::clone(&slot));
        slot
    }

    /// A row waits from now on.
    pub(crate) fn put(&self, name: &N, group: &G, seq: i64) {
        let slot = self.slot(name);
        slot.line.lock().put(group, seq);
        slot.arrived.notify_one();
    }

    /// Looks into a line, or changes it; receivers look again.
    pub(crate) fn with<T>(&self, name: &N, change: impl FnOnce(&mut Line<G>) -> T) -> T {
        let slot = self.slot(name);
        let result = change(&mut slot.line.lock());
        slot.arrived.notify_one();
        result
    }

    /// Looks into a line.
    pub(crate) fn look<T>(&self, name: &N, look: impl FnOnce(&Line<G>) -> T) -> T {
        look(&self.slot(name).line.lock())
    }

    /// Drops a line with all it holds.
    pub(crate) fn drop_line(&self, name: &N) {
        self.slots.lock().remove(name);
    }

    /// Takes up to `max` rows, waiting up to `wait` for the first. They come back unless the loans are kept.
    pub(crate) async fn take(&self, name: &N, max: usize, wait: Duration) -> Loans<'_, N, G> {
        let slot = self.slot(name);
        let end = Instant::now() + wait;
        loop {
            let arrived = slot.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            let now = Instant::now();
            let (taken, next_due, more) = {
                let mut line = slot.line.lock();
                let taken = line.take(now, max, self.visibility);
                (taken, line.next_due(), line.has_waiting())
            };
            if more {
                slot.arrived.notify_one();
            }
            if !taken.is_empty() || now >= end || max == 0 {
                return Loans { shelf: self, name: name.clone(), loans: taken };
            }
            let until = next_due.map_or(end, |due| due.min(end));
            tokio::select! {
                () = arrived => {}
                () = sleep_until(until.into()) => {}
            }
        }
    }
}

/// Rows just taken; if their receiver goes before it has them, they wait again at once.
pub(crate) struct Loans<'a, N: Clone + Eq + Hash, G: Clone + Eq + Hash> {
    shelf: &'a Shelf<N, G>,
    name: N,
    loans: Vec<Loan>,
}

impl<N: Clone + Eq + Hash, G: Clone + Eq + Hash> Loans<'_, N, G> {
    /// What was taken.
    pub(crate) fn as_slice(&self) -> &[Loan] {
        &self.loans
    }

    /// They are in their receiver's hands.
    pub(crate) fn keep(mut self) {
        self.loans.clear();
    }
}

impl<N: Clone + Eq + Hash, G: Clone + Eq + Hash> Drop for Loans<'_, N, G> {
    fn drop(&mut self) {
        if self.loans.is_empty() {
            return;
        }
        let now = Instant::now();
        self.shelf.with(&self.name, |line| {
            // In reverse: each goes in front of those that came after it.
            for loan in self.loans.iter().rev() {
                line.give_back(now, *loan, Duration::ZERO);
            }
        });
    }
}
