//! The circuit breaker of a route: a backend that does not take messages is left alone for a while.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Whether an attempt may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// As many as there are permits.
    Free,
    /// One, to see how the backend is.
    Probe,
    /// None for this long.
    Wait(Duration),
}

/// What an attempt changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The backend is left alone for a while: for the first time, or after another probe that failed.
    Rests { pause: Duration, anew: bool },
    /// The backend takes messages again.
    Recovers,
}

/// Opens after so many consecutive attempts that were not taken, or uncertain; then 1 s to 30 s, at least as long as the backend asked
/// (30 s at the most), then it is half open: one probe, whose end closes it or opens it for twice as long.
#[derive(Debug)]
pub(crate) struct Breaker {
    threshold: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    /// When the first of the failures came that have not ended yet.
    first: Instant,
    since: Instant,
    until: Instant,
    pause: Duration,
}

impl Breaker {
    pub(crate) fn new(threshold: u32) -> Self {
        Self { threshold: threshold.max(1), state: Mutex::default() }
    }

    pub(crate) fn pass(&self) -> Pass {
        self.pass_at(Instant::now())
    }

    fn pass_at(&self, now: Instant) -> Pass {
        match self.state.lock().open {
            None => Pass::Free,
            Some(open) if now < open.until => Pass::Wait(open.until - now),
            Some(_) => Pass::Probe,
        }
    }

    /// For how long the backend has taken nothing, probes included.
    pub(crate) fn resting_for(&self) -> Duration {
        self.state.lock().open.map_or(Duration::ZERO, |open| open.first.elapsed())
    }

    /// Counts an attempt that took so long and ended so, the backend asking perhaps to be left alone; what it changed, if anything.
    pub(crate) fn count(&self, well: bool, asked: Option<Duration>, took: Duration) -> Option<Turn> {
        let now = Instant::now();
        self.count_at(well, asked, now.checked_sub(took).unwrap_or(now), now)
    }

    fn count_at(&self, well: bool, asked: Option<Duration>, begun: Instant, now: Instant) -> Option<Turn> {
        let mut state = self.state.lock();
        // What was under way when it opened tells nothing new, neither good nor bad: only a probe does.
        if state.open.is_some_and(|open| begun < open.since) {
            return None;
        }
        if well {
            let rested = std::mem::take(&mut *state).open.is_some();
            return rested.then_some(Turn::Recovers);
        }
        state.failures = state.failures.saturating_add(1);
        let anew = state.open.is_none();
        let pause = match state.open {
            None if state.failures < self.threshold => return None,
            None => FIRST,
            Some(open) if now < open.until => return None,
            Some(open) => open.pause.saturating_mul(2).min(LONGEST),
        };
        let until = now + pause.max(asked.unwrap_or_default().min(LONGEST));
        let first = state.open.map_or(now, |open| open.first);
        state.open = Some(Open { first, since: now, until, pause });
        let pause = until - now;
        Some(Turn::Rests { pause, anew })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_enough_failures_probes_and_closes() {
        let breaker = Breaker::new(3);
        let start = Instant::now();
        // An attempt that begins and ends at a moment.
        let count = |well, at| breaker.count_at(well, None, at, at);
        assert_eq!(count(false, start), None);
        assert_eq!(count(true, start), None);
        assert_eq!(count(false, start), None);
        assert_eq!(count(false, start), None);
        assert_eq!(breaker.pass_at(start), Pass::Free);
        assert_eq!(count(false, start), Some(Turn::Rests { pause: FIRST, anew: true }));
        assert_eq!(breaker.pass_at(start), Pass::Wait(FIRST));
        assert_eq!(count(false, start), None, "its pause is not over");
        let later = start + FIRST;
        assert_eq!(breaker.pass_at(later), Pass::Probe);
        assert_eq!(count(false, later), Some(Turn::Rests { pause: FIRST * 2, anew: false }));
        assert_eq!(breaker.pass_at(later + FIRST * 2), Pass::Probe);
        assert_eq!(count(true, later + FIRST * 2), Some(Turn::Recovers));
        assert_eq!(count(true, later + FIRST * 2), None, "it is told once");
        assert_eq!(breaker.pass_at(later), Pass::Free);
    }

    #[test]
    fn what_was_under_way_when_it_opened_neither_closes_it_nor_makes_it_rest_longer() {
        let breaker = Breaker::new(1);
        let before = Instant::now();
        let start = before + Duration::from_millis(1);
        assert!(breaker.count_at(false, None, start, start).is_some());
        let later = start + FIRST;
        for well in [true, false] {
            assert_eq!(breaker.count_at(well, None, before, later), None);
            assert_eq!(breaker.pass_at(later), Pass::Probe);
        }
        assert_eq!(breaker.count_at(true, None, later, later), Some(Turn::Recovers));
    }

    #[test]
    fn it_rests_as_long_as_the_backend_asked_within_bounds() {
        let seconds = Duration::from_secs;
        for (asked, pause) in [(0, 1), (7, 7), (3_600, 30)] {
            let (breaker, start) = (Breaker::new(1), Instant::now());
            let turn = breaker.count_at(false, Some(seconds(asked)), start, start);
            assert_eq!(turn, Some(Turn::Rests { pause: seconds(pause), anew: true }));
            assert_eq!(breaker.pass_at(start), Pass::Wait(seconds(pause)));
        }
    }

    #[test]
    fn its_pause_is_bounded() {
        let breaker = Breaker::new(1);
        let mut now = Instant::now();
        let mut last = Duration::ZERO;
        for _ in 0..12 {
            let Some(Turn::Rests { pause, .. }) = breaker.count_at(false, None, now, now) else {
                panic!("it rests")
            };
            last = pause;
            now += last;
        }
        assert_eq!(last, LONGEST);
    }
}
