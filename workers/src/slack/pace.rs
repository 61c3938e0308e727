//! When the next post may go out.

use std::time::{Duration, Instant};

/// Slack takes one message a second through a webhook, and short bursts.
const APART: Duration = Duration::from_secs(1);

/// The first pause after a post that was not taken; it doubles.
const FIRST: Duration = Duration::from_secs(1);

/// The longest pause that we choose ourselves.
const LONGEST: Duration = Duration::from_secs(300);

/// The longest that Slack is obeyed when it asks for a pause; then it is asked again.
const OBEYED: Duration = Duration::from_secs(900);

/// The pause after `429` without a time.
const LIMITED: Duration = Duration::from_secs(30);

/// Posts are evenly apart: no span of a minute holds more than are allowed, and none is kept waiting behind a burst.
#[derive(Debug)]
pub(super) struct Pace {
    apart: Duration,
    next: Option<Instant>,
    failures: u32,
}

impl Pace {
    pub(super) fn new(per_minute: u32) -> Self {
        let apart = Duration::from_secs(60) / per_minute.max(1);
        Self { apart: apart.max(APART), next: None, failures: 0 }
    }

    /// The earliest moment of the next post.
    pub(super) fn next(&self, now: Instant) -> Instant {
        self.next.map_or(now, |next| next.max(now))
    }

    /// Whether the last post was not taken.
    pub(super) const fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// How often in a row posts were not taken.
    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    /// A post was begun at this moment.
    pub(super) fn begun(&mut self, at: Instant) {
        self.next = Some(at + self.apart);
    }

    /// It was taken.
    pub(super) const fn taken(&mut self) {
        self.failures = 0;
    }

    /// It was not taken: `asked` is how long Slack asked to be left alone, if it did.
    pub(super) fn failed(&mut self, now: Instant, asked: Option<Duration>) {
        let own = FIRST.saturating_mul(1_u32 << self.failures.min(16)).min(LONGEST);
        let pause = asked.map_or(own, |asked| asked.clamp(APART, OBEYED));
        self.failures = self.failures.saturating_add(1);
        self.next = Some(self.next(now).max(now + pause));
    }

    /// As [`Pace::failed`], for an answer that says "too many".
    pub(super) fn limited(&mut self, now: Instant, asked: Option<Duration>) {
        self.failed(now, Some(asked.unwrap_or(LIMITED)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn posts_are_a_second_apart_and_no_minute_holds_more_than_are_allowed() {
        for per_minute in [1, 7, 20, 60, 1_000] {
            let mut pace = Pace::new(per_minute);
            let begin = Instant::now();
            let mut posts = Vec::new();
            let mut now = begin;
            while now < begin + Duration::from_secs(300) {
                now = pace.next(now);
                pace.begun(now);
                pace.taken();
                posts.push(now);
            }
            assert_eq!(posts[0], begin, "the first is not kept waiting");
            for (index, post) in posts.iter().enumerate() {
                let until = *post + Duration::from_secs(60) - Duration::from_millis(1);
                let within = posts[index..].iter().take_while(|other| **other <= until).count();
                assert!(within <= usize::try_from(per_minute.min(60)).unwrap(), "{per_minute}: {within}");
            }
        }
    }

    #[test]
    fn failures_pause_ever_longer_and_what_slack_asks_for_is_obeyed_within_bounds() {
        let mut pace = Pace::new(60);
        let now = Instant::now();
        let pauses: Vec<u64> = (0..12)
            .map(|_| {
                pace.next = None;
                pace.failed(now, None);
                (pace.next(now) - now).as_secs()
            })
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        pace.taken();
        assert!(!pace.is_failing());
        for (asked, pause) in [(Some(0), 1), (Some(7), 7), (Some(1_000_000), 900), (None, 30)] {
            pace.next = None;
            pace.limited(now, asked.map(Duration::from_secs));
            assert_eq!((pace.next(now) - now).as_secs(), pause, "{asked:?}");
        }
    }
}
