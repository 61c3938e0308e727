//! Events: what subscribers of the topic receive, as CloudEvents 1.0 in JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Account, ChannelName, Code, MessageId, Report, RouteName, Timestamp, kinds};

/// One event (CloudEvents 1.0, JSON event format). Ids are stable: what comes twice has the same id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// `1.0`.
    pub specversion: String,
    /// Stable; for a message `msg_….N`, N being its sequence number.
    pub id: String,
    /// `/naru`.
    pub source: String,
    /// For instance `naru.message.delivered`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is about: a message's id.
    pub subject: String,
    /// When it happened.
    pub time: Timestamp,
    /// Grows with every event of the subject; projections only move forward (CloudEvents extension `sequence`).
    pub sequence: u32,
    /// `application/json`.
    pub datacontenttype: String,
    /// What happened.
    pub data: Value,
}

#[derive(Serialize)]
struct MessageData<'a> {
    #[serde(flatten)]
    account: &'a Account,
    #[serde(flatten)]
    report: &'a Report,
}

/// A message of which it cannot be known whether it was sent.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct HeldMessage<'a> {
    /// Which.
    pub id: MessageId,
    /// Where it went.
    pub route: &'a RouteName,
    /// By which channel.
    pub channel: &'a ChannelName,
    /// The attempt that is in doubt; 0 if a copy brought the message back, so that nobody knows of attempts.
    pub attempt: u32,
    /// Why it waits.
    pub code: Option<Code>,
    /// What was seen of the attempt.
    pub detail: &'a str,
}

#[derive(Serialize)]
struct HeldData<'a> {
    #[serde(flatten)]
    account: &'a Account,
    #[serde(flatten)]
    held: &'a HeldMessage<'a>,
}

impl Event {
    /// The event of a report.
    #[must_use]
    pub fn of_report(account: &Account, report: &Report) -> Self {
        let data = serde_json::to_value(MessageData { account, report }).unwrap_or_default();
        // There is no report of a state that is not final.
        let kind = kinds::of_report(report.status).unwrap_or(kinds::FAILED);
        Self::about(&report.id.to_string(), report.revision, kind, report.final_at, data)
    }

    /// The event of a message that waits for a person: it is no report, so that it has no place among those.
    #[must_use]
    pub fn of_held(account: &Account, held: &HeldMessage<'_>, time: Timestamp) -> Self {
        let data = serde_json::to_value(HeldData { account, held }).unwrap_or_default();
        let id = format!("{}.held.{}", held.id, held.attempt);
        Self::uncounted(id, &format!("held/{}", held.id), kinds::HELD, time, data)
    }

    /// An event about something whose events nobody counts: its sequence is the second, which grows as well, and those of this
    /// century fit.
    #[must_use]
    pub fn uncounted(
        id: String,
        subject: &str,
        kind: impl Into<String>,
        time: Timestamp,
        data: Value,
    ) -> Self {
        let second = u32::try_from(time.as_millis() / 1_000).unwrap_or(u32::MAX);
        Self { id, ..Self::about(subject, second, kind, time, data) }
    }

    /// An event about anything that has an id and counts its events.
    #[must_use]
    pub fn about(
        subject: &str,
        sequence: u32,
        kind: impl Into<String>,
        time: Timestamp,
        data: Value,
    ) -> Self {
        Self {
            specversion: "1.0".to_owned(),
            id: format!("{subject}.{sequence}"),
            source: "/naru".to_owned(),
            kind: kind.into(),
            subject: subject.to_owned(),
            time,
            sequence,
            datacontenttype: "application/json".to_owned(),
            data,
        }
    }
}
