//! What a customer reads of a message.

use serde::{Deserialize, Serialize};

use super::{ChannelName, Code, Key, Lane, MessageId, RouteName, State, Timestamp, Units};

/// The last known state of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MessageView {
    /// The message.
    pub id: MessageId,
    /// Grows with every report; 0 before the first.
    pub revision: u32,
    /// The customer's reference.
    pub reference: Option<String>,
    /// The customer's idempotency key.
    pub key: Option<Key>,
    /// Kind of delivery.
    pub channel: ChannelName,
    /// To whom.
    pub recipient: String,
    /// Where it stands.
    pub status: State,
    /// Why, once that is known.
    pub code: Option<Code>,
    /// A sentence.
    pub detail: Option<String>,
    /// What it costs.
    pub units: Units,
    /// Whether its units are paid for.
    pub charged: bool,
    /// Attempts begun.
    pub attempts: u32,
    /// Where it went.
    pub route: RouteName,
    /// How soon it wanted to go.
    pub lane: Lane,
    /// When ingress accepted it.
    pub accepted_at: Timestamp,
    /// Not before this moment.
    pub send_at: Option<Timestamp>,
    /// When the last attempt began.
    pub sent_at: Option<Timestamp>,
    /// When it ended.
    pub final_at: Option<Timestamp>,
}

/// A final outcome as the customer receives it. A later truth is a new revision, never a silent change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Report {
    /// The message.
    pub id: MessageId,
    /// From 1.
    pub revision: u32,
    /// The customer's reference.
    pub reference: Option<String>,
    /// The customer's idempotency key.
    pub key: Option<Key>,
    /// Kind of delivery.
    pub channel: ChannelName,
    /// To whom.
    pub recipient: String,
    /// A final state.
    #[schemars(schema_with = "super::schema::final_state")]
    pub status: State,
    /// Why.
    pub code: Code,
    /// A sentence.
    pub detail: String,
    /// What it costs.
    pub units: Units,
    /// Whether its units are paid for.
    pub charged: bool,
    /// Attempts begun.
    pub attempts: u32,
    /// Where it went.
    pub route: RouteName,
    /// When ingress accepted it.
    pub accepted_at: Timestamp,
    /// When the last attempt began.
    pub sent_at: Option<Timestamp>,
    /// When it ended.
    pub final_at: Timestamp,
}

impl MessageView {
    /// The report of a message that has ended; `None` before.
    #[must_use]
    pub fn into_report(self) -> Option<Report> {
        if !self.status.is_final() {
            return None;
        }
        let code = self.code?;
        Some(Report {
            id: self.id,
            revision: self.revision,
            reference: self.reference,
            key: self.key,
            channel: self.channel,
            recipient: self.recipient,
            status: self.status,
            code,
            detail: self.detail.unwrap_or_else(|| code.sentence().to_owned()),
            units: self.units,
            charged: self.charged,
            attempts: self.attempts,
            route: self.route,
            accepted_at: self.accepted_at,
            sent_at: self.sent_at,
            final_at: self.final_at?,
        })
    }
}
