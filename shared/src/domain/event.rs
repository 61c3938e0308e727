//! Events: what subscribers of the topic receive, as CloudEvents 1.0 in JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Account, Report, Timestamp};

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

impl Event {
    /// The event of a report.
    #[must_use]
    pub fn of_report(account: &Account, report: &Report) -> Self {
        let data = serde_json::to_value(MessageData { account, report }).unwrap_or_default();
        let kind = format!("naru.message.{}", report.status.as_str());
        Self::about(&report.id.to_string(), report.revision, kind, report.final_at, data)
    }

    /// An event about anything that has an id and counts its events.
    #[must_use]
    pub fn about(subject: &str, sequence: u32, kind: String, time: Timestamp, data: Value) -> Self {
        Self {
            specversion: "1.0".to_owned(),
            id: format!("{subject}.{sequence}"),
            source: "/naru".to_owned(),
            kind,
            subject: subject.to_owned(),
            time,
            sequence,
            datacontenttype: "application/json".to_owned(),
            data,
        }
    }
}
