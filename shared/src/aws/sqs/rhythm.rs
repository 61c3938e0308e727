//! When a queue is asked: all the time while there may be something, and hardly ever while there is nothing. Pure.
//!
//! A queue goes to rest when a ring would be heard, nothing was heard of it for a while, a long poll that began after that
//! came back empty, and then SQS itself says that nothing lies there: neither waiting, nor put off, nor in the hands of
//! another, who may die with it without a ring. At rest it is asked once in a long while, in case a ring was lost.

use std::time::Duration;

use tokio::time::Instant;

use crate::doorbell::Heard;

/// How often a queue is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    /// How long one question waits for an answer while there may be something; whole seconds, 20 at the most.
    pub poll: Duration,
    /// How long nothing must have been heard of a queue before it goes to rest: what SQS says of what lies there may be old.
    pub settle: Duration,
    /// How far apart questions are at rest.
    pub rest: Duration,
}

impl Default for Rhythm {
    /// At rest two lanes together ask at most 14 times in any hour, and at most twice in any ten minutes.
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(20),
            settle: Duration::from_secs(60),
            rest: Duration::from_secs(600),
        }
    }
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Ask for messages.
    Poll,
    /// Ask how much lies there.
    Count,
    /// Nothing before this moment.
    Rest(Instant),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// `since` is when something was last heard of it.
    Awake {
        since: Instant,
        to_count: bool,
    },
    AtRest {
        next: Instant,
    },
}

/// What is known of one queue.
#[derive(Debug)]
pub(super) struct Watch {
    rhythm: Rhythm,
    state: State,
    heard: Heard,
    /// Whether it rests whenever it is empty, and has no bell.
    seldom: bool,
    /// The first rest, so that not all ask at once.
    first: Duration,
    /// Whether it was ever found empty.
    looked: bool,
}

impl Watch {
    /// A queue with a bell. `apart`: its first rest is longer by half.
    pub(super) fn with_bell(rhythm: Rhythm, apart: bool, now: Instant) -> Self {
        let first = if apart { rhythm.rest.mul_f32(1.5) } else { rhythm.rest };
        let state = State::Awake { since: now, to_count: false };
        Self { rhythm, state, heard: Heard::default(), seldom: false, first, looked: false }
    }

    /// A queue on which something lies hardly ever, and never in haste. It is asked soon after the start.
    pub(super) fn seldom(rhythm: Rhythm, apart: bool, now: Instant) -> Self {
        let first = if apart { rhythm.rest.mul_f32(1.5) } else { rhythm.rest };
        let heard = Heard::default();
        Self { rhythm, state: State::AtRest { next: now }, heard, seldom: true, first, looked: false }
    }

    pub(super) const fn poll(&self) -> Duration {
        self.rhythm.poll
    }

    const fn is_at_rest(&self) -> bool {
        matches!(self.state, State::AtRest { .. })
    }

    /// Whether nothing lies there as far as anybody knows.
    pub(super) const fn is_known_to_be_empty(&self) -> bool {
        self.is_at_rest() && self.looked
    }

    /// What its bell says.
    pub(super) fn hear(&mut self, heard: Heard, now: Instant) {
        if self.seldom {
            return;
        }
        if heard.rings != self.heard.rings || !heard.hears {
            let news = heard.rings != self.heard.rings || self.heard.hears;
            if news || self.is_at_rest() {
                self.wake(now);
            }
        }
        self.heard = heard;
    }

    /// Something is known to lie there, or may.
    pub(super) const fn wake(&mut self, now: Instant) {
        self.state = State::Awake { since: now, to_count: false };
    }

    /// A poll that began then brought so many; whether that was a surprise.
    pub(super) fn polled(&mut self, began: Instant, got: usize, now: Instant) -> bool {
        if got > 0 {
            let surprise = self.is_at_rest();
            self.wake(now);
            return surprise;
        }
        self.looked = true;
        match &mut self.state {
            State::Awake { since, to_count } if !self.seldom => {
                let settled = now.saturating_duration_since(*since) >= self.rhythm.settle;
                *to_count |= self.heard.hears && began >= *since && settled;
            }
            _ => self.rest(now),
        }
        false
    }

    /// The count that was asked for then says how much lies there.
    pub(super) fn counted(&mut self, asked: Instant, count: u64, now: Instant) {
        let State::Awake { since, to_count: true } = self.state else { return };
        if count == 0 && self.heard.hears && since <= asked {
            self.rest(now);
        } else {
            self.wake(now);
        }
    }

    /// A question was not answered.
    pub(super) fn failed(&mut self, now: Instant) {
        if self.seldom { self.rest(now) } else { self.wake(now) }
    }

    fn rest(&mut self, now: Instant) {
        self.state = State::AtRest { next: now + self.first };
        self.first = self.rhythm.rest;
    }

    /// What is to be done now.
    pub(super) fn wanted(&self, now: Instant) -> Wanted {
        match self.state {
            State::AtRest { next } if now < next => Wanted::Rest(next),
            State::Awake { to_count: true, .. } => Wanted::Count,
            _ => Wanted::Poll,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RHYTHM: Rhythm = Rhythm {
        poll: Duration::from_secs(20),
        settle: Duration::from_secs(60),
        rest: Duration::from_secs(600),
    };
    const HEARS: Heard = Heard { rings: 1, hears: true };

    /// A queue that was polled until it came to rest, and when that was.
    fn at_rest() -> (Watch, Instant) {
        let mut now = Instant::now();
        let mut watch = Watch::with_bell(RHYTHM, false, now);
        watch.hear(HEARS, now);
        let mut polls = 0;
        while watch.wanted(now) == Wanted::Poll {
            let began = now;
            now += RHYTHM.poll;
            watch.polled(began, 0, now);
            polls += 1;
        }
        assert_eq!((polls, watch.wanted(now)), (3, Wanted::Count));
        watch.counted(now, 0, now);
        assert_eq!(watch.wanted(now), Wanted::Rest(now + RHYTHM.rest));
        (watch, now)
    }

    #[test]
    fn at_rest_it_is_asked_at_most_six_times_an_hour() {
        let (mut watch, mut now) = at_rest();
        let (end, mut asked) = (now + Duration::from_secs(3_600), 0);
        loop {
            match watch.wanted(now) {
                Wanted::Rest(next) if next >= end => break,
                Wanted::Rest(next) => now = next,
                Wanted::Poll => {
                    asked += 1;
                    watch.polled(now, 0, now + RHYTHM.poll);
                    now += RHYTHM.poll;
                }
                Wanted::Count => panic!("at rest nothing is counted"),
            }
        }
        assert_eq!(asked, 5);
    }

    #[test]
    fn a_ring_a_surprise_and_deafness_wake_it() {
        let (mut watch, now) = at_rest();
        watch.hear(Heard { rings: 2, hears: true }, now);
        assert_eq!(watch.wanted(now), Wanted::Poll);
        let (mut watch, now) = at_rest();
        assert!(watch.polled(now, 1, now));
        assert_eq!(watch.wanted(now), Wanted::Poll);
        let (mut watch, now) = at_rest();
        watch.hear(Heard { hears: false, ..HEARS }, now);
        for minutes in 0..100 {
            let now = now + Duration::from_secs(minutes * 60);
            assert_eq!(watch.wanted(now), Wanted::Poll, "deaf it never rests");
            watch.polled(now, 0, now + RHYTHM.poll);
        }
    }

    #[test]
    fn what_is_in_another_s_hands_keeps_it_awake() {
        let mut now = Instant::now();
        let mut watch = Watch::with_bell(RHYTHM, false, now);
        watch.hear(HEARS, now);
        for count in [3, 1, 0] {
            while watch.wanted(now) == Wanted::Poll {
                let began = now;
                now += RHYTHM.poll;
                watch.polled(began, 0, now);
            }
            assert_eq!(watch.wanted(now), Wanted::Count);
            watch.counted(now, count, now);
            assert_eq!(watch.is_at_rest(), count == 0);
        }
    }

    #[test]
    fn a_poll_that_began_before_the_ring_does_not_count_and_neither_does_such_a_count() {
        let now = Instant::now();
        let mut watch = Watch::with_bell(RHYTHM, false, now);
        watch.hear(HEARS, now);
        let late = now + RHYTHM.settle * 2;
        watch.polled(now, 0, late);
        assert_eq!(watch.wanted(late), Wanted::Count);
        watch.hear(Heard { rings: 2, hears: true }, late + RHYTHM.poll);
        watch.counted(late, 0, late + RHYTHM.poll);
        assert_eq!(watch.wanted(late + RHYTHM.poll), Wanted::Poll);
        watch.polled(late, 0, late + RHYTHM.settle * 2);
        assert_eq!(watch.wanted(late + RHYTHM.settle * 2), Wanted::Poll);
    }

    #[test]
    fn a_queue_without_a_bell_is_emptied_and_rests() {
        let now = Instant::now();
        let mut watch = Watch::seldom(RHYTHM, false, now);
        assert_eq!(watch.wanted(now), Wanted::Poll);
        assert!(watch.polled(now, 10, now));
        assert_eq!(watch.wanted(now), Wanted::Poll);
        watch.polled(now, 0, now);
        assert_eq!(watch.wanted(now), Wanted::Rest(now + RHYTHM.rest));
        watch.failed(now);
        assert!(watch.is_at_rest());
    }
}
