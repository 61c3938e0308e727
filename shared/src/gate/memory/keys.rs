//! Idempotency keys: in flight, or with their first answer.

use std::{sync::Arc, time::Duration};

use moka::{
    ops::compute::{CompResult, Op},
    sync::Cache,
};

use crate::{
    domain::{Account, Clock, Fingerprint, Key, Timestamp},
    gate::{FirstAnswer, KeyVerdict},
};

/// Keys that are remembered. Of one that is forgotten, intake still finds the duplicate.
const KEYS: u64 = 1_000_000;

/// How long an answer is remembered.
const ANSWERED: Duration = Duration::from_secs(24 * 3_600);

/// After this the call that holds a key is taken for lost.
const IN_FLIGHT: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct Known {
    fingerprint: Fingerprint,
    since: Timestamp,
    answer: Option<FirstAnswer>,
}

pub(super) struct Keys {
    known: Cache<(Account, Key), Known>,
    clock: Arc<dyn Clock>,
}

impl Keys {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { known: Cache::builder().max_capacity(KEYS).time_to_live(ANSWERED).build(), clock }
    }

    /// One of many callers at once gets [`KeyVerdict::New`]: the cache computes one at a time for each key.
    pub(super) fn begin(&self, account: &Account, key: &Key, fingerprint: Fingerprint) -> KeyVerdict {
        let now = self.clock.now();
        let claim = Known { fingerprint, since: now, answer: None };
        let result = self.known.entry((account.clone(), key.clone())).and_compute_with(|found| {
            let lost = |known: &Known| known.answer.is_none() && now.since(known.since) >= IN_FLIGHT;
            if found.is_none_or(|entry| lost(entry.value())) { Op::Put(claim) } else { Op::Nop }
        });
        let (CompResult::Unchanged(entry)
        | CompResult::Inserted(entry)
        | CompResult::ReplacedWith(entry)
        | CompResult::Removed(entry)) = &result
        else {
            return KeyVerdict::New;
        };
        let known = entry.value();
        match (&result, &known.answer) {
            (CompResult::Inserted(_) | CompResult::ReplacedWith(_), _) => KeyVerdict::New,
            _ if known.fingerprint != fingerprint => KeyVerdict::Conflict,
            (_, Some(answer)) => KeyVerdict::Answered(answer.clone()),
            (_, None) => KeyVerdict::InFlight,
        }
    }

    /// Of a key that was forgotten meanwhile nothing is kept: its content is not known here.
    pub(super) fn finish(&self, account: &Account, key: &Key, answer: FirstAnswer) {
        self.known.entry((account.clone(), key.clone())).and_compute_with(|found| {
            found.map_or(Op::Nop, |entry| Op::Put(Known { answer: Some(answer), ..entry.into_value() }))
        });
    }

    /// An answer is never forgotten by this.
    pub(super) fn abandon(&self, account: &Account, key: &Key) {
        self.known.entry((account.clone(), key.clone())).and_compute_with(|found| {
            if found.is_some_and(|entry| entry.value().answer.is_none()) { Op::Remove } else { Op::Nop }
        });
    }
}
