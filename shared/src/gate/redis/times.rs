//! Time as the gate's scripts and the gate itself see it.

use std::time::{Duration, Instant};

use crate::gate::Stopwatch;

/// The moment at which a given time begins, in microseconds.
const BEGIN: i64 = 1_700_000_000_000_000;

/// Where the scripts and this process take their time from.
#[derive(Clone)]
pub struct Times {
    stopwatch: Stopwatch,
    given: bool,
}

impl Times {
    /// Scripts take the server's time, so that all processes have one; what is local, this machine's monotonic clock.
    #[must_use]
    pub fn of_the_server() -> Self {
        let began = Instant::now();
        Self { stopwatch: std::sync::Arc::new(move || began.elapsed()), given: false }
    }

    /// Everything goes by a stopwatch of the caller's, for tests that own the time.
    #[must_use]
    pub fn given(stopwatch: Stopwatch) -> Self {
        Self { stopwatch, given: true }
    }

    /// Time since the gate began, that never goes back.
    pub(super) fn now(&self) -> Duration {
        (self.stopwatch)()
    }

    /// What a script is given: microseconds, or -1 for the server's own.
    pub(super) fn for_script(&self) -> i64 {
        if self.given {
            BEGIN.saturating_add(i64::try_from(self.now().as_micros()).unwrap_or(i64::MAX / 4))
        } else {
            -1
        }
    }
}
