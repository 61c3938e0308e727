//! Why a message ended as it did: one machine-readable code, one sentence, and what it means for the charge.

use serde::{Deserialize, Serialize};

/// What a final code does with the reserved units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChargeEffect {
    /// The units are paid for.
    Captured,
    /// The units are given back.
    Released,
}

/// The code of a final state (and of `held`, while it waits). Numbers are what the stores keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Code {
    /// Delivered.
    Ok = 0,
    /// The backend refused the message for what it is.
    BackendRefused = 1,
    /// It cannot be known whether the backend took it.
    Uncertain = 2,
    /// Its time to live ended before it could be sent.
    TtlExpired = 3,
    /// No delivery report came within the channel's window.
    NoReport = 4,
    /// The quota was used up when the message was charged.
    QuotaExceeded = 5,
    /// The customer was suspended when the message was charged.
    Suspended = 6,
    /// No route takes this customer's channel.
    NoRoute = 7,
    /// The customer took it back before it was sent.
    Cancelled = 8,
    /// The store cannot hold what the message contains.
    Indigestible = 9,
    /// Restored from a copy: it may have been sent after the copy was made.
    Restored = 10,
    /// The retry budget was used up while the backend did not take it.
    NotTaken = 11,
    /// An attachment was gone or damaged when the message was to be sent.
    AttachmentLost = 12,
    /// The operator recalled it before it was sent.
    Recalled = 13,
    /// The recipient opted out.
    OptedOut = 14,
    /// It named no sender that its customer registered.
    SenderUnregistered = 18,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 16] = [
        Self::Ok,
        Self::BackendRefused,
        Self::Uncertain,
        Self::TtlExpired,
        Self::NoReport,
        Self::QuotaExceeded,
        Self::Suspended,
        Self::NoRoute,
        Self::Cancelled,
        Self::Indigestible,
        Self::Restored,
        Self::NotTaken,
        Self::AttachmentLost,
        Self::Recalled,
        Self::OptedOut,
        Self::SenderUnregistered,
    ];

    /// As stores keep it.
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        self as u8
    }

    /// As stores give it back.
    #[must_use]
    pub fn from_u8(value: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_u8() == value)
    }

    /// What was not delivered is not paid for.
    #[must_use]
    pub const fn charge(self) -> ChargeEffect {
        match self {
            Self::Ok => ChargeEffect::Captured,
            Self::BackendRefused
            | Self::Uncertain
            | Self::TtlExpired
            | Self::NoReport
            | Self::QuotaExceeded
            | Self::Suspended
            | Self::NoRoute
            | Self::Cancelled
            | Self::Indigestible
            | Self::Restored
            | Self::NotTaken
            | Self::AttachmentLost
            | Self::Recalled
            | Self::OptedOut
            | Self::SenderUnregistered => ChargeEffect::Released,
        }
    }

    /// The word used in reports, tables and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::BackendRefused => "backend-refused",
            Self::Uncertain => "uncertain",
            Self::TtlExpired => "ttl-expired",
            Self::NoReport => "no-report",
            Self::QuotaExceeded => "quota-exceeded",
            Self::Suspended => "suspended",
            Self::NoRoute => "no-route",
            Self::Cancelled => "cancelled",
            Self::Indigestible => "indigestible",
            Self::Restored => "restored",
            Self::NotTaken => "not-taken",
            Self::AttachmentLost => "attachment-lost",
            Self::Recalled => "recalled",
            Self::OptedOut => "opted-out",
            Self::SenderUnregistered => "sender-unregistered",
        }
    }

    /// The sentence of a report that has no better one.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Ok => "delivered",
            Self::BackendRefused => "the backend refused the message",
            Self::Uncertain => "it cannot be known whether the backend took the message",
            Self::TtlExpired => "its time to live ended before it could be sent",
            Self::NoReport => "no delivery report came in time",
            Self::QuotaExceeded => "the quota is used up",
            Self::Suspended => "the customer is suspended",
            Self::NoRoute => "no route takes this channel",
            Self::Cancelled => "cancelled before it was sent",
            Self::Indigestible => "the message holds what cannot be stored",
            Self::Restored => "restored from a backup: it may have been sent after the backup was made",
            Self::NotTaken => "the backend did not take the message in as many attempts as the route allows",
            Self::AttachmentLost => "an attachment was gone or damaged when the message was to be sent",
            Self::Recalled => "recalled by the operator before it was sent",
            Self::OptedOut => "the recipient does not want messages",
            Self::SenderUnregistered => "its sender is not registered",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_and_has_one_word() {
        for code in Code::ALL {
            assert_eq!(Code::from_u8(code.as_u8()), Some(code));
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }

    #[test]
    fn only_what_was_delivered_is_paid_for() {
        for code in Code::ALL {
            assert_eq!(code.charge() == ChargeEffect::Captured, code == Code::Ok, "{code:?}");
        }
    }
}
