//! The cap on a route's rate: how many attempts may begin in a second. Attempts stand in a row, one gap apart; no turn is saved up,
//! so that in no time `t` more than `t / gap + 1` begin.
//!
//! A row is taken from the ledger only against a promise, and no more are promised than have their turn soon: what waits longer
//! waits in the ledger, where it can expire and be cancelled.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// How far ahead turns are promised: as long as a take from the ledger may last, so that none is lost meanwhile.
const AHEAD: Duration = Duration::from_millis(250);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Pacer(Mutex<Turns>);

#[derive(Debug, Default)]
struct Turns {
    /// The first turn that is nobody's.
    next: Option<Instant>,
    /// Turns that somebody will ask for.
    promised: u32,
}

impl Turns {
    fn first_free(&self, gap: Duration, now: Instant) -> Instant {
        self.next.map_or(now, |next| next.max(now)) + gap.saturating_mul(self.promised)
    }
}

/// The right to a turn soon. Dropped, it is another's.
#[derive(Debug)]
pub(crate) struct Promise(Arc<Pacer>);

impl Pacer {
    /// A turn soon, if there is one that is not promised.
    pub(crate) fn promise(self: &Arc<Self>, gap: Duration, now: Instant) -> Option<Promise> {
        let mut turns = self.0.lock();
        if turns.first_free(gap, now) > now + AHEAD {
            return None;
        }
        turns.promised = turns.promised.saturating_add(1);
        Some(Promise(Arc::clone(self)))
    }

    /// In how long there will be a turn to promise.
    pub(crate) fn opens_in(&self, gap: Duration, now: Instant) -> Duration {
        self.0.lock().first_free(gap, now).saturating_duration_since(now + AHEAD)
    }
}

impl Promise {
    /// Takes the turn: when it is.
    pub(crate) fn turn(self, gap: Duration, now: Instant) -> Instant {
        let mut turns = self.0.0.lock();
        let at = turns.next.map_or(now, |next| next.max(now));
        turns.next = Some(at + gap);
        drop(turns);
        at
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let mut turns = self.0.0.lock();
        turns.promised = turns.promised.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    const GAP: Duration = Duration::from_millis(100);

    #[test]
    fn no_more_is_promised_than_has_its_turn_soon_and_what_is_not_used_is_anothers() {
        let (pacer, now) = (Arc::new(Pacer::default()), Instant::now());
        let promises: Vec<Promise> = std::iter::from_fn(|| pacer.promise(GAP, now)).collect();
        assert_eq!(promises.len(), 3, "at 0, 100 and 200 ms");
        assert_eq!(pacer.opens_in(GAP, now), Duration::from_millis(50));
        let turns: Vec<Instant> = promises.into_iter().map(|promise| promise.turn(GAP, now)).collect();
        assert_eq!(turns, [now, now + GAP, now + GAP * 2]);
        assert!(pacer.promise(GAP, now).is_none());
        let later = now + GAP * 3;
        drop(pacer.promise(GAP, later));
        assert_eq!(std::iter::from_fn(|| pacer.promise(GAP, later)).collect::<Vec<_>>().len(), 3);
    }

    #[test]
    fn a_rest_saves_up_nothing() {
        let (pacer, now) = (Arc::new(Pacer::default()), Instant::now());
        assert_eq!(pacer.promise(GAP, now).unwrap().turn(GAP, now), now);
        let later = now + GAP * 100;
        let turns = [(); 2].map(|()| pacer.promise(GAP, later).unwrap().turn(GAP, later));
        assert_eq!(turns, [later, later + GAP]);
    }

    proptest! {
        #[test]
        fn turns_are_a_gap_apart_whoever_asks_when(steps in proptest::collection::vec((0..300_u64, any::<bool>()), 1..200)) {
            let pacer = Arc::new(Pacer::default());
            let (mut now, mut turns, mut held) = (Instant::now(), Vec::new(), Vec::new());
            for (wait, uses) in steps {
                now += Duration::from_millis(wait);
                held.extend(pacer.promise(GAP, now));
                if uses && let Some(promise) = held.pop() {
                    turns.push((promise.turn(GAP, now), now));
                } else {
                    held.pop();
                }
            }
            for pair in turns.windows(2) {
                assert!(pair[1].0 >= pair[0].0 + GAP);
            }
            for (at, asked) in turns {
                assert!(at >= asked && at <= asked + AHEAD);
            }
        }
    }
}
