//! What one process knows of the rates of one account: what is in hand, what was refused, how it stood.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;

use super::{LEASE, share::Share};
use crate::{
    domain::RatePolicy,
    gate::{
        RateStanding, RateVerdict,
        memory::gcra::NEVER,
        redis::{names::Names, pace::Pace, watch::Sight},
    },
};

/// A refusal is repeated without asking for so long, at the most.
const REFUSED: Duration = Duration::from_millis(100);

/// The rates of one account.
#[derive(Default)]
pub(super) struct Rates {
    /// Held by whoever asks Redis.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
    state: Mutex<State>,
    /// Messages whose calls are here and not answered.
    asked: AtomicU32,
}

#[derive(Default)]
struct State {
    policies: Vec<RatePolicy>,
    /// The lease is one of many, one after the other: one of which an answer was lost is not used any more.
    lease: u32,
    /// Since when Redis knew everything when it was leased.
    since: i64,
    left: u32,
    till: Duration,
    /// How much was in hand after the last question.
    block: u32,
    /// Used of the lease, and not told yet.
    used: u32,
    /// Let in without asking, and not told yet.
    away: u64,
    pace: Pace,
    refused: Option<Refusal>,
    seen: Vec<Seen>,
    seen_at: Duration,
    spent: u32,
    share: Option<Share>,
}

struct Refusal {
    messages: u32,
    until: Duration,
    free_at: Duration,
}

/// How a policy stood after the last question, what is in hand counted as free.
struct Seen {
    left: u32,
    free_at: Duration,
}

/// Messages of a call that is here.
pub(super) struct Waiting<'a>(&'a AtomicU32, u32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// A question on its way. Dropped before it has landed, the lease is given up: what Redis did is not known.
pub(super) struct Trip<'a> {
    rates: &'a Rates,
    lease: u32,
    since: i64,
    landed: bool,
    pub(super) used: u32,
    pub(super) back: u32,
    pub(super) want: u32,
    pub(super) away: u64,
}

impl Rates {
    /// Counts a call's messages as wanted until it is dropped.
    pub(super) fn waiting(&self, messages: u32) -> Waiting<'_> {
        self.asked.fetch_add(messages, Ordering::Relaxed);
        Waiting(&self.asked, messages)
    }

    /// Lets messages in from what is in hand, or repeats a fresh refusal; and whether more should be fetched.
    pub(super) fn in_hand(
        &self,
        policies: &[RatePolicy],
        messages: u32,
        sight: Sight,
        now: Duration,
    ) -> Option<(RateVerdict, bool)> {
        let mut state = self.state.lock();
        if state.policies != policies {
            return None;
        }
        if let Some(refused) = &state.refused
            && messages >= refused.messages
            && now < refused.until
        {
            let wait = refused.free_at.saturating_sub(now);
            return Some((RateVerdict::Over(state.standings(now), wait), false));
        }
        let usable = sight.is_trusted(now) && sight.since == state.since && now < state.till;
        if !usable || state.left < messages {
            return None;
        }
        state.left -= messages;
        state.used = state.used.saturating_add(messages);
        state.spent = state.spent.saturating_add(messages);
        state.pace.add(messages, now);
        let low = state.left < state.block / 4;
        Some((RateVerdict::Within(state.standings(now)), low))
    }

    /// Begins a question that leaves what is in hand in use.
    pub(super) fn report(&self, sight: Sight, now: Duration) -> Trip<'_> {
        let state = self.state.lock();
        // A block of another time is not added to.
        let want = if sight.since == state.since { self.wanted(&state, sight, now) } else { 0 };
        Trip {
            rates: self,
            lease: state.lease,
            since: sight.since,
            landed: false,
            used: state.used,
            back: 0,
            want,
            away: 0,
        }
    }

    /// Begins a question that gives back what is in hand.
    pub(super) fn empty(
        &self,
        policies: &[RatePolicy],
        messages: u32,
        sight: Sight,
        now: Duration,
    ) -> Trip<'_> {
        let mut state = self.state.lock();
        if state.policies != policies {
            state.policies = policies.to_vec();
            state.refused = None;
        }
        let want = self.wanted(&state, sight, now).saturating_sub(messages);
        let (used, back, away) =
            (std::mem::take(&mut state.used), std::mem::take(&mut state.left), state.away);
        let (lease, since) = (state.lease, sight.since);
        Trip { rates: self, lease, since, landed: false, used, back, want, away }
    }

    /// A block for the calls that are here, and for some seconds at the pace of late. None that could not be used.
    fn wanted(&self, state: &State, sight: Sight, now: Duration) -> u32 {
        if !sight.is_trusted(now) {
            return 0;
        }
        state.pace.block(now).saturating_add(self.asked.load(Ordering::Relaxed))
    }

    /// What this process's share says while Redis is away.
    pub(super) fn share(
        &self,
        policies: &[RatePolicy],
        messages: u32,
        fronts: u32,
        now: Duration,
    ) -> RateVerdict {
        let mut state = self.state.lock();
        let share = match state.share.take() {
            Some(share) if share.is_of(policies) => share,
            _ => {
                let known = if state.policies == policies { state.standings(now) } else { Vec::new() };
                Share::new(policies, &known, fronts, now)
            }
        };
        let share = state.share.insert(share);
        let verdict = share.ask(messages, now);
        if matches!(verdict, RateVerdict::Within(_)) {
            state.away = state.away.saturating_add(messages.into());
        }
        verdict
    }
}

impl Trip<'_> {
    /// The lease's name.
    pub(super) fn lease(&self, names: &Names) -> String {
        format!("{}.{}", names.process(), self.lease)
    }

    /// Takes the answer in. Something was said to a question that was sent at `sent`.
    pub(super) fn landed(
        mut self,
        policies: &[RatePolicy],
        answer: &[i64],
        messages: u32,
        sent: Duration,
    ) -> RateVerdict {
        self.landed = true;
        let number = |index: usize| answer.get(index).copied().unwrap_or_default();
        let span = |micros: i64| Duration::from_micros(u64::try_from(micros).unwrap_or(0));
        let mut state = self.rates.state.lock();
        let granted = u32::try_from(number(1)).unwrap_or(0);
        state.left = state.left.saturating_add(granted);
        (state.block, state.since, state.till) = (state.left, self.since, sent + LEASE);
        // While it was on its way, what was in hand may have stayed in use.
        state.used =
            if self.back == 0 && messages == 0 { state.used.saturating_sub(self.used) } else { state.used };
        state.away = state.away.saturating_sub(self.away);
        let in_hand = state.left;
        let seen = policies.iter().enumerate().map(|(index, _)| Seen {
            left: u32::try_from(number(3 + 2 * index)).unwrap_or(u32::MAX).saturating_add(in_hand),
            free_at: sent + span(number(4 + 2 * index)),
        });
        state.seen = seen.collect();
        (state.seen_at, state.spent, state.share) = (sent, 0, None);
        if number(0) == 1 {
            state.refused = None;
            state.pace.add(messages, sent);
            return RateVerdict::Within(state.standings(sent));
        }
        let wait = match number(2) {
            -1 => NEVER,
            micros => span(micros.max(1)),
        };
        state.refused = Some(Refusal { messages, until: sent + wait.min(REFUSED), free_at: sent + wait });
        RateVerdict::Over(state.standings(sent), wait)
    }
}

impl Drop for Trip<'_> {
    fn drop(&mut self) {
        if !self.landed {
            let mut state = self.rates.state.lock();
            state.lease = state.lease.wrapping_add(1);
            (state.left, state.used, state.block) = (0, 0, 0);
        }
    }
}

impl State {
    /// How the policies stand, as far as is known without asking.
    fn standings(&self, now: Duration) -> Vec<RateStanding> {
        let passed = now.saturating_sub(self.seen_at);
        let standing = |(policy, seen): (&RatePolicy, &Seen)| {
            let window = u128::from(policy.window_seconds.max(1)) * 1_000_000;
            let flowed = passed.as_micros() * u128::from(policy.limit) / window;
            let flowed = u32::try_from(flowed).unwrap_or(u32::MAX);
            let spent = u64::from(self.spent) * u64::from(policy.window_seconds) * 1_000_000;
            let longer = spent.checked_div(policy.limit.into()).unwrap_or(0);
            RateStanding {
                policy: policy.clone(),
                remaining: seen.left.saturating_sub(self.spent).saturating_add(flowed).min(policy.burst),
                reset: seen.free_at.saturating_sub(now) + Duration::from_micros(longer),
            }
        };
        self.policies.iter().zip(&self.seen).map(standing).collect()
    }
}
