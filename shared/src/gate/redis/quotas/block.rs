//! What one process has in hand of a customer's quotas for a channel.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;

use super::{LEASE, Limit, Moment, Question};
use crate::{
    domain::Day,
    gate::{QuotaVerdict, redis::pace::Pace},
};

/// A refusal is repeated without asking for so long.
const REFUSED: Duration = Duration::from_millis(100);

/// A block of units.
#[derive(Default)]
pub(super) struct Block {
    /// Held by whoever asks Redis.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
    state: Mutex<State>,
    /// Units whose calls are here and not answered.
    asked: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Of which limits and periods it is.
    of: Vec<(u64, (Day, Day))>,
    lease: u32,
    left: u64,
    till: Duration,
    /// How much was in hand after the last question.
    block: u64,
    /// Used of the lease, and not told yet.
    used: u64,
    pace: Pace,
    refused: Option<Refusal>,
}

struct Refusal {
    units: u64,
    until: Duration,
    /// How often something had been observed.
    observed: u64,
    /// Which limit had no room.
    limit: usize,
}

/// Units of a call that is here.
pub(super) struct Waiting<'a>(&'a AtomicU64, u64);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// A question on its way. Dropped before it has landed, the lease is given up: what Redis did is not known.
pub(super) struct Trip<'a> {
    block: &'a Block,
    pub(super) lease: u32,
    used: u64,
    back: u64,
    want: u64,
    landed: bool,
}

impl Block {
    /// Counts a call's units as wanted until it is dropped.
    pub(super) fn waiting(&self, units: u64) -> Waiting<'_> {
        self.asked.fetch_add(units, Ordering::Relaxed);
        Waiting(&self.asked, units)
    }

    /// Takes units that are in hand, or repeats a fresh refusal; and whether more should be fetched.
    pub(super) fn in_hand(
        &self,
        limits: &[Limit<'_>],
        units: u64,
        at: Moment,
    ) -> Option<(QuotaVerdict, bool)> {
        let mut state = self.state.lock();
        if !state.is_of(limits) {
            return None;
        }
        if let Some(refused) = &state.refused
            && units >= refused.units
            && at.now < refused.until
            && at.observed == refused.observed
        {
            let quota = limits.get(refused.limit)?.quota;
            return Some((QuotaVerdict::Exceeded(Arc::clone(quota)), false));
        }
        if at.now >= state.till || state.left < units {
            return None;
        }
        state.left -= units;
        state.used = state.used.saturating_add(units);
        state.add(units, at.now);
        Some((QuotaVerdict::Within, state.left < state.block / 4))
    }

    /// Begins a question that leaves what is in hand in use.
    pub(super) fn report(&self, at: Moment) -> Trip<'_> {
        let state = self.state.lock();
        let want = self.wanted(&state, at.now);
        Trip { block: self, lease: state.lease, used: state.used, back: 0, want, landed: false }
    }

    /// Begins a question that gives back what is in hand.
    pub(super) fn empty(&self, limits: &[Limit<'_>], units: u64, at: Moment) -> Trip<'_> {
        let mut state = self.state.lock();
        if !state.is_of(limits) {
            // Another period, or another limit: what was leased of the former ends by itself.
            let of = limits.iter().map(|limit| (limit.quota.limit, limit.days)).collect();
            let lease = state.lease.wrapping_add(1);
            *state = State { of, lease, pace: std::mem::take(&mut state.pace), ..State::default() };
        }
        let want = self.wanted(&state, at.now).saturating_sub(units);
        let (used, back) = (std::mem::take(&mut state.used), std::mem::take(&mut state.left));
        Trip { block: self, lease: state.lease, used, back, want, landed: false }
    }

    fn wanted(&self, state: &State, now: Duration) -> u64 {
        u64::from(state.pace.block(now)).saturating_add(self.asked.load(Ordering::Relaxed))
    }

    /// Puts units back that were taken of the block; whether they were.
    pub(super) fn give_back(&self, limits: &[Limit<'_>], units: u64, at: Moment) -> bool {
        let mut state = self.state.lock();
        state.refused = None;
        if !state.is_of(limits) || at.now >= state.till || state.used < units {
            return false;
        }
        state.used -= units;
        state.left += units;
        true
    }
}

impl State {
    fn is_of(&self, limits: &[Limit<'_>]) -> bool {
        self.of.iter().copied().eq(limits.iter().map(|limit| (limit.quota.limit, limit.days)))
    }

    fn add(&mut self, units: u64, now: Duration) {
        self.pace.add(u32::try_from(units).unwrap_or(u32::MAX), now);
    }
}

impl Trip<'_> {
    /// What is asked, with `take` units to be used at once.
    pub(super) const fn question(&self, take: u64) -> Question {
        Question { used: self.used, back: self.back, refused: 0, take, want: self.want }
    }

    /// Takes the answer in: which limit had no room (0: all had), and the units granted beside.
    pub(super) fn landed(
        mut self,
        limits: &[Limit<'_>],
        (full, granted): (usize, u64),
        units: u64,
        sent: Moment,
    ) -> QuotaVerdict {
        self.landed = true;
        let mut state = self.block.state.lock();
        state.left = state.left.saturating_add(granted);
        (state.block, state.till) = (state.left, sent.now + LEASE);
        if self.back == 0 && units == 0 {
            state.used = state.used.saturating_sub(self.used);
        }
        let Some((limit, quota)) = full.checked_sub(1).and_then(|index| Some((index, limits.get(index)?)))
        else {
            state.refused = None;
            state.add(units, sent.now);
            return QuotaVerdict::Within;
        };
        if units > 0 {
            state.refused =
                Some(Refusal { units, until: sent.now + REFUSED, observed: sent.observed, limit });
        }
        QuotaVerdict::Exceeded(Arc::clone(quota.quota))
    }
}

impl Drop for Trip<'_> {
    fn drop(&mut self) {
        if !self.landed {
            let mut state = self.block.state.lock();
            state.lease = state.lease.wrapping_add(1);
            (state.left, state.used, state.block) = (0, 0, 0);
        }
    }
}
