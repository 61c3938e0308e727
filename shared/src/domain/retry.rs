//! When a message that was not taken is tried again.

use std::time::Duration;

use super::Timestamp;

/// 1 s, 5 s, 30 s, 2 min, 10 min, then every 30 min, with full jitter, never before the backend's `Retry-After`.
#[derive(Debug, Clone, Copy, Default)]
pub struct RetryPolicy;

const STEPS: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
    Duration::from_secs(1_800),
];

/// A `Retry-After` of more than a day is taken as a day.
const LONGEST: Duration = Duration::from_secs(86_400);

/// The last attempt that is pulled forward begins so long before the end of the message's time: as long as a route's attempts
/// may pause.
const LAST_CALL: Duration = Duration::from_secs(30);

/// Of a short time it is this part.
const LAST_CALL_PART: u32 = 10;

/// What is due is begun within this long: no start is planned nearer to the end.
const BEGUN_WITHIN: Duration = Duration::from_secs(1);

/// The time within which attempts of a message may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// The first moment.
    pub from: Timestamp,
    /// The last moment.
    pub until: Timestamp,
}

impl Lifetime {
    /// Where an attempt that would come too late is pulled forward to.
    fn last_call(self) -> Timestamp {
        self.until.minus(self.margin())
    }

    /// The latest start that is planned.
    fn closing(self) -> Timestamp {
        self.until.minus(self.margin().min(BEGUN_WITHIN))
    }

    fn margin(self) -> Duration {
        (self.until.since(self.from) / LAST_CALL_PART).min(LAST_CALL)
    }
}

impl RetryPolicy {
    /// When to begin the attempt after number `attempt` (from 1), which ended `now`; `None` if no time is left for it.
    ///
    /// `asked` is the backend's `Retry-After`, `jitter` a random number in [0, 1). What would begin after the message's
    /// time is pulled forward, once: to shortly before the end, or to the moment that was asked for, if that still lies
    /// within its time.
    #[must_use]
    pub fn next_start(
        self,
        attempt: u32,
        asked: Option<Duration>,
        jitter: f64,
        now: Timestamp,
        life: Lifetime,
    ) -> Option<Timestamp> {
        let earliest = now.plus(asked.unwrap_or_default().min(LONGEST));
        let planned = earliest.plus(drawn(attempt, jitter));
        if planned <= life.closing() {
            Some(planned)
        } else if now >= life.last_call() {
            None
        } else if earliest <= life.closing() {
            Some(earliest.max(life.last_call()))
        } else {
            Some(life.last_call())
        }
    }
}

/// The wait of our own after attempt number `attempt`.
fn drawn(attempt: u32, jitter: f64) -> Duration {
    let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX).min(STEPS.len() - 1);
    STEPS[index].mul_f64(jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, proptest};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A time to live that began now.
    fn life(seconds: u64) -> Lifetime {
        Lifetime { from: NOW, until: NOW.plus(secs(seconds)) }
    }

    fn wait(attempt: u32, asked: Option<Duration>, jitter: f64, life: Lifetime) -> Option<Duration> {
        RetryPolicy.next_start(attempt, asked, jitter, NOW, life).map(|at| at.since(NOW))
    }

    #[test]
    fn delays_grow_then_stay_and_honour_retry_after() {
        let long = life(2_592_000);
        let longest = (1..=8).map(|n| wait(n, None, 1.0, long).unwrap().as_secs()).collect::<Vec<_>>();
        assert_eq!(longest, [1, 5, 30, 120, 600, 1_800, 1_800, 1_800]);
        assert_eq!(wait(3, None, 0.0, long), Some(Duration::ZERO));
        assert_eq!(wait(1, Some(secs(9)), 0.5, long), Some(Duration::from_millis(9_500)));
        assert_eq!(wait(1, Some(Duration::ZERO), 0.5, long), Some(Duration::from_millis(500)));
        assert_eq!(wait(1, Some(Duration::MAX), 0.0, long), Some(LONGEST));
    }

    #[test]
    fn what_would_come_too_late_is_pulled_forward_to_shortly_before_the_end() {
        assert_eq!(wait(1, Some(secs(3_600)), 0.5, life(600)), Some(secs(570)));
        assert_eq!(wait(1, Some(Duration::MAX), 0.5, life(600)), Some(secs(570)));
        assert_eq!(wait(1, Some(secs(3_600)), 0.5, life(60)), Some(secs(54)));
        assert_eq!(wait(1, Some(secs(3_600)), 0.5, life(1)), Some(Duration::from_millis(900)));
        assert_eq!(wait(6, None, 1.0, life(600)), Some(secs(570)), "a wait of our own");
        assert_eq!(
            wait(6, Some(secs(590)), 1.0, life(600)),
            Some(secs(590)),
            "what was asked for still fits"
        );
        assert_eq!(wait(6, Some(secs(10)), 1.0, life(600)), Some(secs(570)));
    }

    #[test]
    fn after_the_last_call_only_what_fits_is_begun() {
        let late = Lifetime { from: NOW.minus(secs(580)), until: NOW.plus(secs(20)) };
        assert_eq!(wait(1, Some(secs(3_600)), 0.0, late), None);
        assert_eq!(wait(6, None, 1.0, late), None);
        assert_eq!(wait(1, Some(secs(15)), 1.0, late), Some(secs(16)));
        assert_eq!(wait(1, None, 0.5, late), Some(Duration::from_millis(500)));
        let over = Lifetime { from: NOW.minus(secs(600)), until: NOW };
        assert_eq!(wait(1, None, 0.0, over), None);
    }

    proptest! {
        #[test]
        fn a_start_is_within_its_time_and_never_before_what_was_asked_while_that_is_possible(
            attempt in 1..20_u32,
            asked in proptest::option::of(proptest::prop_oneof![0..100_u64, 0..200_000_u64, any::<u64>()].prop_map(secs)),
            jitter in 0.0..1.0,
            ttl in 1..2_592_000_u64,
            past in 0.0..1.2,
        ) {
            let from = NOW.minus(secs(ttl).mul_f64(past));
            let life = Lifetime { from, until: from.plus(secs(ttl)) };
            let earliest = NOW.plus(asked.unwrap_or_default().min(LONGEST));
            match RetryPolicy.next_start(attempt, asked, jitter, NOW, life) {
                Some(at) => {
                    assert!(NOW <= at && at <= life.until);
                    assert!(at >= earliest || earliest > life.closing());
                }
                None => assert!(life.until.since(NOW) <= LAST_CALL.min(secs(ttl) / LAST_CALL_PART)),
            }
        }

        #[test]
        fn a_backend_that_asks_for_too_much_for_ever_is_called_once_more(
            attempt in 1..20_u32, jitter in 0.0..1.0, ttl in 1..2_592_000_u64, late in 0..2_000_u64,
        ) {
            let life = Lifetime { from: NOW, until: NOW.plus(secs(ttl)) };
            let asked = Some(Duration::MAX);
            // Not more than a day is believed, so the last call may be days away.
            let (mut starts, mut now) = (0, NOW);
            while let Some(at) = RetryPolicy.next_start(attempt, asked, jitter, now, life) {
                starts += 1;
                now = at.plus(Duration::from_millis(late));
            }
            assert!((1..=1 + ttl / LONGEST.as_secs()).contains(&starts), "{starts}");
        }
    }
}
