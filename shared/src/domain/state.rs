//! The states of a message.

use serde::{Deserialize, Serialize};

/// Where a message stands. Numbers are what the stores keep; they never change meaning.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum State {
    /// Accepted; no worker has seen it.
    Queued = 0,
    /// Waits for a courier.
    Ready = 1,
    /// Waits for its time.
    Scheduled = 2,
    /// An attempt is under way.
    Sending = 3,
    /// Waits for another attempt.
    Retrying = 4,
    /// It cannot be known whether it was sent; waits for a person, charge reserved.
    Held = 5,
    /// Recalled, charge reserved; may be undone.
    Stopped = 6,
    /// The backend took it; its report comes later.
    Sent = 7,
    /// Final: it arrived.
    Delivered = 10,
    /// Final: it did not arrive.
    Failed = 11,
    /// Final: its time ran out.
    Expired = 12,
    /// Final: refused by quota, suspension or for want of a route.
    Rejected = 13,
    /// Final: the customer took it back.
    Cancelled = 14,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 13] = [
        Self::Queued,
        Self::Ready,
        Self::Scheduled,
        Self::Sending,
        Self::Retrying,
        Self::Held,
        Self::Stopped,
        Self::Sent,
        Self::Delivered,
        Self::Failed,
        Self::Expired,
        Self::Rejected,
        Self::Cancelled,
    ];

    /// As stores keep it.
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        self as u8
    }

    /// As stores give it back.
    #[must_use]
    pub fn from_u8(value: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_u8() == value)
    }

    /// Whether a report of it can be read.
    #[must_use]
    pub const fn is_final(self) -> bool {
        self.as_u8() >= Self::Delivered.as_u8()
    }

    /// Whether it waits in the ledger for the start of an attempt, and so can expire.
    #[must_use]
    pub const fn is_waiting(self) -> bool {
        matches!(self, Self::Ready | Self::Scheduled | Self::Retrying)
    }

    /// The word used in answers, tables and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Ready => "ready",
            Self::Scheduled => "scheduled",
            Self::Sending => "sending",
            Self::Retrying => "retrying",
            Self::Held => "held",
            Self::Stopped => "stopped",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_reads_back_and_has_one_word() {
        for state in State::ALL {
            assert_eq!(State::from_u8(state.as_u8()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        assert_eq!(State::from_u8(9), None);
    }
}
