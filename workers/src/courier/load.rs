//! Whether a route has more to do than it can, since when, and how much it does meanwhile.
//!
//! Only a route that is full shows how much it can do: what one does that waits for work says nothing.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// What is looked back upon.
const LOOK_BACK: Duration = Duration::from_secs(60);

/// Before so long nothing is said.
const LEAST: Duration = Duration::from_secs(10);

/// Marks are so far apart.
const APART: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Load {
    begun: AtomicU64,
    full: Mutex<Option<Full>>,
}

#[derive(Debug)]
struct Full {
    since: Instant,
    /// How much had begun at moments of the last minute.
    marks: VecDeque<(Instant, u64)>,
}

impl Load {
    /// So many attempts begin.
    pub(crate) fn begin(&self, attempts: usize) {
        self.begun.fetch_add(u64::try_from(attempts).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Something waits that nobody can begin.
    pub(crate) fn is_full(&self) {
        let mut full = self.full.lock();
        if full.is_none() {
            let now = Instant::now();
            let marks = VecDeque::from([(now, self.begun.load(Ordering::Relaxed))]);
            *full = Some(Full { since: now, marks });
        }
    }

    /// Nothing was left to wait, or attempts rest: what was measured tells nothing of what comes.
    pub(crate) fn ease(&self) {
        let mut full = self.full.lock();
        if full.is_some() {
            *full = None;
        }
    }

    /// For how long it has been full.
    pub(crate) fn full_for(&self) -> Duration {
        self.full.lock().as_ref().map_or(Duration::ZERO, |full| full.since.elapsed())
    }

    /// Attempts that begin in a second, while it is full; to be asked about once a second.
    pub(crate) fn per_second(&self) -> Option<f64> {
        self.per_second_at(Instant::now())
    }

    fn per_second_at(&self, now: Instant) -> Option<f64> {
        let begun = self.begun.load(Ordering::Relaxed);
        let mut full = self.full.lock();
        let full = full.as_mut()?;
        if full.marks.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= APART) {
            full.marks.push_back((now, begun));
        }
        while full.marks.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= LOOK_BACK) {
            full.marks.pop_front();
        }
        let (at, before) = full.marks.front()?;
        let span = now.saturating_duration_since(*at);
        #[expect(clippy::cast_precision_loss, reason = "a count of attempts is far below 2^52")]
        let attempts = begun.saturating_sub(*before) as f64;
        (span >= LEAST).then(|| attempts / span.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_told_only_of_a_route_that_is_full_for_a_while() {
        let load = Load::default();
        load.begin(100);
        assert_eq!(load.per_second_at(Instant::now()), None, "it is not full");
        load.is_full();
        let now = Instant::now();
        load.begin(50);
        assert_eq!(load.per_second_at(now + Duration::from_secs(9)), None, "not for long");
        let rate = load.per_second_at(now + Duration::from_secs(10)).unwrap();
        assert!((4.9..=5.1).contains(&rate), "{rate}");
        // What was longer ago than a minute is forgotten, though it is full since then.
        for second in 11..=80 {
            load.begin(1);
            load.per_second_at(now + Duration::from_secs(second));
        }
        let rate = load.per_second_at(now + Duration::from_secs(80)).unwrap();
        assert!((0.9..=1.1).contains(&rate), "{rate}");
        load.ease();
        assert_eq!(load.per_second_at(now + Duration::from_secs(100)), None);
    }
}
