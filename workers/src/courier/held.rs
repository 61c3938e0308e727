//! The table of rows that a route's couriers hold, each with its permit.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use naru_shared::ledger::Work;
use parking_lot::Mutex;

use super::{Permit, pacer::Promise};

/// A row in hand, by the engine's number and the attempt's.
pub(crate) type Key = (i64, u32);

/// What is held until its outcome has committed.
pub(crate) struct Held {
    pub(crate) work: Work,
    since: Instant,
    ended: bool,
    permit: Permit,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Table(Mutex<HashMap<Key, Held>>);

impl Table {
    /// Holds a row; to be called before its attempt is spawned, so that the attempt finds it.
    pub(crate) fn hold(&self, work: Work, permit: Permit) {
        self.insert(work, permit, false);
    }

    /// Holds a row whose attempt does not begin, until it was given back.
    pub(crate) fn hold_idle(&self, work: Work, permit: Permit) {
        self.insert(work, permit, true);
    }

    fn insert(&self, work: Work, permit: Permit, ended: bool) {
        let key = (work.row.row, work.attempt);
        let held = Held { work, since: Instant::now(), ended, permit };
        self.0.lock().insert(key, held);
    }

    /// Claims the right to say how an attempt ended: once, whoever comes first.
    pub(crate) fn end(&self, key: Key) -> bool {
        let mut rows = self.0.lock();
        rows.get_mut(&key).is_some_and(|held| !std::mem::replace(&mut held.ended, true))
    }

    /// The turn of an attempt that begins, where its route's rate is capped.
    pub(crate) fn promise(&self, key: Key) -> Option<Promise> {
        self.0.lock().get_mut(&key).and_then(|held| held.permit.take_promise())
    }

    /// Claims attempts that are older than `limit` and hands out what they held. Their own time-outs did not end them, so they
    /// block a thread; they are not stopped, since what they say in the end is still worth knowing.
    pub(crate) fn overdue(&self, limit: Duration, max: usize) -> Vec<Work> {
        let mut rows = self.0.lock();
        let late = rows.values_mut().filter(|held| !held.ended && held.since.elapsed() > limit).take(max);
        late.map(|held| {
            held.ended = true;
            held.work.clone()
        })
        .collect()
    }

    /// Lets rows go, and their permits: their outcome has committed, or they were given back.
    pub(crate) fn release(&self, keys: impl IntoIterator<Item = Key>) {
        let mut rows = self.0.lock();
        let gone: Vec<Held> = keys.into_iter().filter_map(|key| rows.remove(&key)).collect();
        drop(rows);
        drop(gone);
    }

    pub(crate) fn holds(&self, key: Key) -> bool {
        self.0.lock().contains_key(&key)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }
}
