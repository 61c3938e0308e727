//! What the checker judges: the journals of every side, and what the API says in the end. Nothing from inside Naru.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::receiver::journaling::Arrival;

/// What the route of a message does about uncertainty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Sends again, labelled.
    Retry,
    /// Fails.
    Fail,
}

/// What a client was told about one try of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "said")]
pub enum Said {
    /// `202`.
    Accepted {
        /// The message.
        id: String,
    },
    /// A refusal: nothing happened.
    Refused {
        /// Its status.
        status: u16,
        /// Its code.
        code: String,
    },
    /// `503 accept-unknown`.
    Unknown {
        /// The message, if there is one.
        id: String,
    },
    /// No byte was sent.
    Unsent,
    /// Bytes were sent and no answer came.
    Unanswered,
}

/// One message that a client wanted delivered, and all it was told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Wish {
    /// Unique in the run; also the message's reference.
    pub reference: String,
    /// The idempotency key, if the client used one.
    pub key: Option<String>,
    /// The route's answer to uncertainty.
    pub policy: Policy,
    /// One for each try, in order.
    pub said: Vec<Said>,
}

impl Wish {
    /// The id that a `202` named.
    #[must_use]
    pub fn accepted(&self) -> Option<&str> {
        self.said.iter().find_map(|said| match said {
            Said::Accepted { id } => Some(id.as_str()),
            _ => None,
        })
    }

    /// Some try may have had an effect that the client was not told of.
    #[must_use]
    pub fn in_doubt(&self) -> bool {
        self.said.iter().any(|said| matches!(said, Said::Unknown { .. } | Said::Unanswered))
    }
}

/// What was done to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    /// SIGKILL, from outside or at a window.
    Kill,
    /// SIGSTOP until SIGCONT.
    Stop,
}

/// A disturbance and its span, in nanoseconds of the monotonic clock.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Disturbance {
    /// What.
    pub harm: Harm,
    /// The last moment at which the gateway was certainly undisturbed.
    pub from: u64,
    /// For a kill, the moment at which it was certainly dead; for a stop, that of SIGCONT.
    pub to: u64,
}

/// A message as the API tells it, in a report or a look-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The message.
    pub id: String,
    /// Of the report.
    #[serde(default)]
    pub revision: u32,
    /// The customer's reference.
    #[serde(default)]
    pub reference: Option<String>,
    /// The customer's key.
    #[serde(default)]
    pub key: Option<String>,
    /// Its state.
    pub status: String,
    /// Why.
    #[serde(default)]
    pub code: Option<String>,
    /// Its cost.
    #[serde(default)]
    pub units: u64,
    /// Whether it is paid for.
    #[serde(default)]
    pub charged: bool,
    /// Attempts begun.
    #[serde(default)]
    pub attempts: u32,
}

/// States from which nothing moves but by a new revision.
pub const FINAL: [&str; 5] = ["delivered", "failed", "expired", "rejected", "cancelled"];

impl Told {
    /// Whether it has ended.
    #[must_use]
    pub fn is_final(&self) -> bool {
        FINAL.contains(&self.status.as_str())
    }
}

/// An event in a subscriber's hands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSeen {
    /// Its id.
    pub id: String,
    /// The message.
    pub subject: String,
    /// Its number.
    pub sequence: u32,
    /// Its type.
    pub kind: String,
}

/// All of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// What the clients wanted and were told.
    pub wishes: Vec<Wish>,
    /// What the receiver got.
    pub arrivals: Vec<Arrival>,
    /// What was done to the gateway.
    pub disturbances: Vec<Disturbance>,
    /// Every report, as often as it was handed out.
    pub reports: Vec<Told>,
    /// The last state of every id that anybody heard of; `None`: `404`.
    pub views: BTreeMap<String, Option<Told>>,
    /// Used units by `GET /quota`.
    pub used: u64,
    /// What the subscriber got.
    pub events: Vec<EventSeen>,
}
