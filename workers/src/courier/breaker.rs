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

/// Opens after so many consecutive attempts that were not taken, or uncertain; then 1 s to 30 s, then one probe.
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

    /// Counts an attempt that ended; what it changed, if anything.
    pub(crate) fn count(&self, well: bool) -> Option<Turn> {
        self.count_at(well, Instant::now())
    }

    fn count_at(&self, well: bool, now: Instant) -> Option<Turn> {
        let mut state = self.state.lock();
        if well {
            let rested = std::mem::take(&mut *state).open.is_some();
            return rested.then_some(Turn::Recovers);
        }
        state.failures = state.failures.saturating_add(1);
        let anew = state.open.is_none();
        let pause = match state.open {
            None if state.failures < self.threshold => return None,
            None => FIRST,
            // What was under way when it opened tells nothing new.
            Some(open) if now < open.until => return None,
            Some(open) => open.pause.saturating_mul(2).min(LONGEST),
        };
        state.open = Some(Open { until: now + pause, pause });
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
        assert_eq!(breaker.count_at(false, start), None);
        assert_eq!(breaker.count_at(true, start), None);
        assert_eq!(breaker.count_at(false, start), None);
        assert_eq!(breaker.count_at(false, start), None);
        assert_eq!(breaker.pass_at(start), Pass::Free);
        assert_eq!(breaker.count_at(false, start), Some(Turn::Rests { pause: FIRST, anew: true }));
        assert_eq!(breaker.pass_at(start), Pass::Wait(FIRST));
        assert_eq!(breaker.count_at(false, start), None, "under way when it opened");
        let later = start + FIRST;
        assert_eq!(breaker.pass_at(later), Pass::Probe);
        assert_eq!(breaker.count_at(false, later), Some(Turn::Rests { pause: FIRST * 2, anew: false }));
        assert_eq!(breaker.pass_at(later + FIRST * 2), Pass::Probe);
        assert_eq!(breaker.count_at(true, later + FIRST * 2), Some(Turn::Recovers));
        assert_eq!(breaker.count_at(true, later + FIRST * 2), None, "it is told once");
        assert_eq!(breaker.pass_at(later), Pass::Free);
    }

    #[test]
    fn its_pause_is_bounded() {
        let breaker = Breaker::new(1);
        let mut now = Instant::now();
        let mut last = Duration::ZERO;
        for _ in 0..12 {
            let Some(Turn::Rests { pause, .. }) = breaker.count_at(false, now) else { panic!("it rests") };
            last = pause;
            now += last;
        }
        assert_eq!(last, LONGEST);
    }
}
