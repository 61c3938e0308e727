//! The model: what is known of one message, and what becomes of it.

use std::time::Duration;

use naru_shared::{
    domain::{Environment, IntakeToken, State, Timestamp},
    ledger::{IntakeEntry, RowRef, Settled},
};

use super::ops::End;

#[derive(Debug, Clone)]
pub(super) struct Life {
    pub(super) at: RowRef,
    pub(super) entry: IntakeEntry,
    pub(super) token: IntakeToken,
    pub(super) state: State,
    pub(super) attempt: u32,
    pub(super) doubt: bool,
    pub(super) charged: bool,
    pub(super) revision: u32,
    pub(super) read: u32,
    /// How often it has begun to wait for a person.
    pub(super) held: u32,
    pub(super) due: Timestamp,
    pub(super) expires: Timestamp,
    /// What settled the current attempt, until anything else happened.
    pub(super) settled: Option<End>,
}

impl Life {
    pub(super) fn units(&self) -> u64 {
        if self.charged { u64::from(self.entry.message.units.get()) } else { 0 }
    }

    pub(super) fn live(&self) -> bool {
        self.entry.account.environment == Environment::Live
    }

    pub(super) fn end(&mut self, state: State) {
        self.state = state;
        self.charged = state == State::Delivered && self.live();
        self.revision += 1;
        self.settled = None;
    }

    pub(super) fn settle(&mut self, attempt: u32, end: End, now: Timestamp) -> Settled {
        if attempt == self.attempt && matches!(self.state, State::Sending | State::Sent) {
            match end {
                End::Delivered => self.end(State::Delivered),
                End::Failed | End::Uncertain => self.end(State::Failed),
                End::Sent => self.state = State::Sent,
                End::Held => {
                    self.state = State::Held;
                    self.held += 1;
                }
                End::Retry | End::RetryInDoubt => {
                    self.state = State::Retrying;
                    self.due = now.plus(RETRY);
                }
            }
            self.doubt |= matches!(end, End::Held | End::RetryInDoubt);
            self.settled = Some(end);
            return Settled::Applied;
        }
        if attempt == self.attempt && self.settled.is_some_and(|settled| same(settled, end)) {
            return Settled::Applied;
        }
        if end == End::Delivered && self.state != State::Delivered {
            self.end(State::Delivered);
            return Settled::Corrected;
        }
        Settled::Evidence
    }

    pub(super) fn wake(&mut self, now: Timestamp) {
        if !self.state.is_waiting() {
            return;
        }
        if now > self.expires {
            self.end(if self.doubt { State::Failed } else { State::Expired });
        } else if self.state != State::Ready && now >= self.due {
            self.state = State::Ready;
            self.settled = None;
        }
    }
}

pub(super) const RETRY: Duration = Duration::from_secs(5);

/// Two retries are one settlement sent twice, whatever their doubt.
pub(super) fn same(one: End, other: End) -> bool {
    let retry = |end| matches!(end, End::Retry | End::RetryInDoubt);
    one == other || (retry(one) && retry(other))
}
