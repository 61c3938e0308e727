//! Nonces that were spent, exactly, until their time is over.
//!
//! No cache that forgets as it likes: whoever is forgotten can be replayed. What does not fit is not remembered and said so.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use parking_lot::Mutex;

use crate::{
    domain::{Account, NonceMark},
    gate::GateError,
};

/// Nonces that are remembered at once, and of one account: 16 bytes each, and what a set needs around them.
const MOST: usize = 4_000_000;
const OF_ONE: usize = 1_000_000;

/// Nonces of so many seconds are forgotten together, once the last of them has no time left.
const STEP: u64 = 15;

/// By when they are forgotten.
#[derive(Default)]
struct Spent {
    by_step: BTreeMap<u64, HashSet<NonceMark>>,
    count: usize,
}

#[derive(Default)]
struct All {
    of: HashMap<Account, Spent>,
    count: usize,
    /// Everything that ends by this step was forgotten.
    swept: u64,
}

#[derive(Default)]
pub(super) struct Nonces(Mutex<All>);

impl Nonces {
    /// Whether it was not spent yet; now it is.
    pub(super) fn spend(
        &self,
        account: &Account,
        mark: NonceMark,
        span: Duration,
        now: Duration,
    ) -> Result<bool, GateError> {
        let mut all = self.0.lock();
        all.sweep(now.as_secs() / STEP);
        let whole = all.count >= MOST;
        let spent = match all.of.get_mut(account) {
            Some(spent) => spent,
            None => all.of.entry(account.clone()).or_default(),
        };
        if spent.by_step.values().any(|marks| marks.contains(&mark)) {
            return Ok(false);
        }
        if whole || spent.count >= OF_ONE {
            return Err(GateError("more nonces were spent than can be remembered".into()));
        }
        // Up to the end of its step, so never for less than its span.
        let until = now.saturating_add(span).as_millis().div_ceil(u128::from(STEP) * 1_000);
        spent.by_step.entry(u64::try_from(until).unwrap_or(u64::MAX)).or_default().insert(mark);
        spent.count += 1;
        all.count += 1;
        Ok(true)
    }
}

impl All {
    /// Forgets what has no time left, once in a step.
    fn sweep(&mut self, step: u64) {
        if step <= self.swept {
            return;
        }
        self.swept = step;
        let mut gone = 0;
        self.of.retain(|_, spent| {
            while let Some(first) = spent.by_step.first_entry().filter(|first| *first.key() <= step) {
                let marks = first.remove().len();
                spent.count -= marks;
                gone += marks;
            }
            spent.count > 0
        });
        self.count -= gone;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Environment;

    fn mark(number: u64) -> NonceMark {
        let mut mark = [0; 16];
        mark[..8].copy_from_slice(&number.to_be_bytes());
        NonceMark(mark)
    }

    fn account(name: &str) -> Account {
        Account { customer: name.parse().unwrap(), environment: Environment::Live }
    }

    #[test]
    fn one_account_fills_its_own_share_and_what_is_over_is_forgotten() {
        let nonces = Nonces::default();
        let (acme, other) = (account("acme"), account("other"));
        let (span, start) = (Duration::from_secs(360), Duration::from_secs(7));
        for number in 0..OF_ONE as u64 {
            assert!(nonces.spend(&acme, mark(number), span, start).unwrap());
        }
        assert!(nonces.spend(&acme, mark(u64::MAX), span, start).is_err(), "not remembered, and said so");
        assert!(!nonces.spend(&acme, mark(5), span, start).unwrap(), "what was remembered stays known");
        assert!(nonces.spend(&other, mark(1), span, start).unwrap(), "others have room");
        let later = start + span + Duration::from_secs(STEP);
        assert!(nonces.spend(&acme, mark(u64::MAX), span, later).unwrap());
        let all = nonces.0.lock();
        assert_eq!((all.count, all.of.len(), all.of[&acme].count), (1, 1, 1));
    }

    #[test]
    fn a_nonce_is_known_for_its_whole_span_whenever_it_was_spent() {
        for start in [0, 1, 14_999, 15_000, 15_001] {
            let nonces = Nonces::default();
            let (acme, start, span) =
                (account("acme"), Duration::from_millis(start), Duration::from_secs(60));
            assert!(nonces.spend(&acme, mark(1), span, start).unwrap());
            let last = start + span - Duration::from_millis(1);
            assert!(!nonces.spend(&acme, mark(1), span, last).unwrap(), "{start:?}");
        }
    }
}
