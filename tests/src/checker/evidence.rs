//! What the checker judges: the journals of every side, and what the API says in the end. Nothing from inside Naru.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    receiver::journaling::Arrival,
    wire::{CallError, Reply},
};

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

impl Said {
    /// What came back from `POST /messages`.
    #[must_use]
    pub fn of_call(answer: &Result<Reply, CallError>) -> Self {
        match answer {
            Ok(reply) => Self::of(reply.status, &reply.json(), &reply.json()),
            Err(CallError::Unsent(_)) => Self::Unsent,
            Err(CallError::Unanswered(_)) => Self::Unanswered,
        }
    }

    /// What a batch's answer says of one item.
    #[must_use]
    pub fn of_item(result: &Value) -> Self {
        let problem = &result["problem"];
        let status = problem["status"].as_u64().and_then(|status| u16::try_from(status).ok());
        let accepted = result["result"] == "accepted";
        Self::of(if accepted { 202 } else { status.unwrap_or_default() }, result, problem)
    }

    fn of(status: u16, accepted: &Value, problem: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match (status, text(&problem["code"])) {
            (202, _) => Self::Accepted { id: text(&accepted["id"]) },
            (503, code) if code == "accept-unknown" => Self::Unknown { id: text(&problem["id"]) },
            // Of a balancer, which sent the call and has no answer: the gateway's own refusals have a code.
            (502 | 504, code) if code.is_empty() => Self::Unanswered,
            (status, code) => Self::Refused { status, code },
        }
    }
}

/// One message that a client wanted delivered, and all it was told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Wish {
    /// Whose: the customer's number in the run.
    pub customer: usize,
    /// Unique in the run; also the message's reference.
    pub reference: String,
    /// Whom the message is for; unique in the run, so that nobody can get another's unseen.
    pub recipient: String,
    /// What the message costs.
    pub units: u64,
    /// The idempotency key, if the client used one.
    pub key: Option<String>,
    /// The route's answer to uncertainty.
    pub policy: Policy,
    /// What the attached file says, if one is.
    #[serde(default)]
    pub attached: Option<String>,
    /// One for each try, in order.
    pub said: Vec<Said>,
}

impl Wish {
    /// Every id that any answer named.
    pub fn told_ids(&self) -> impl Iterator<Item = &str> {
        self.said.iter().filter_map(|said| match said {
            Said::Accepted { id } | Said::Unknown { id } => Some(id.as_str()),
            _ => None,
        })
    }

    /// Some try was refused for this reason.
    #[must_use]
    pub fn refused_for(&self, reason: &str) -> bool {
        self.said.iter().any(|said| matches!(said, Said::Refused { code, .. } if code == reason))
    }

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

/// What was done to whoever makes attempts, or to what it commits to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    /// SIGKILL, from outside or at a window.
    Kill,
    /// SIGSTOP until SIGCONT.
    Stop,
    /// The ledger, or the way to it, was away: nothing could be committed.
    Away,
}

/// A disturbance and its span, in nanoseconds of the monotonic clock.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Disturbance {
    /// What.
    pub harm: Harm,
    /// The last moment at which the gateway was certainly undisturbed.
    pub from: u64,
    /// For a kill, the moment at which it was certainly dead; for a stop, that of SIGCONT; else when all was well again.
    pub to: u64,
}

/// A message as the API tells it, in a report or a look-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Who was told: the customer's number in the run.
    #[serde(default)]
    pub reader: usize,
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
    /// Whom it is for.
    #[serde(default)]
    pub recipient: String,
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
    /// The last state of every id that anybody heard of, from every customer who is told one.
    pub views: BTreeMap<String, Vec<Told>>,
    /// Used units of each customer, by `GET /quota`.
    pub used: Vec<u64>,
    /// The most units that each customer may use, where the run comes near it.
    pub limit: Option<u64>,
    /// What the subscriber got.
    pub events: Vec<EventSeen>,
    /// What a subscriber got who is not of Naru's, if there was one.
    #[serde(default)]
    pub outside: Option<Vec<EventSeen>>,
    /// How long after the receiver's answer an outcome may be uncommitted, in milliseconds; 0: half a second.
    #[serde(default)]
    pub commit_ms: u64,
}
