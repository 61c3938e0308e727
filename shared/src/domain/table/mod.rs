//! The table backend: a database of its own, and how its columns are to be read and written.

mod check;
mod presets;
mod url;

use std::collections::BTreeMap;

pub use check::InvalidMapping;
pub use presets::{PRESETS, preset};
use serde::{Deserialize, Serialize};
pub use url::{InvalidTableUrl, TableEngine, TableUrl};

use super::TimeZone;

/// A backend that inserts rows into a table, where a carrier's agent takes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableBackend {
    /// Where the database is.
    pub url: TableUrl,
    /// How its table is to be understood.
    pub mapping: TableMapping,
}

/// What the keys of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum TableKey {
    /// The message's id.
    #[default]
    Text,
    /// A number, given to the id by the table beside.
    Number,
}

/// A table by its columns, status values and log tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableMapping {
    /// What people call it.
    pub name: String,
    /// The live table.
    pub table: String,
    /// The log tables by month, with `%Y` and `%m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// What its keys are.
    #[serde(default)]
    pub key: TableKey,
    /// The first number that is given, if keys are numbers.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub first_number: u64,
    /// In which zone its times are written.
    #[serde(default = "utc")]
    pub time_zone: TimeZone,
    /// Recipients and senders that begin with `+` and these digits are written with a `0` instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub national: Option<String>,
    /// How the table is made if it is not there: column by column. Empty: it must be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub definition: Vec<String>,
    /// The columns that a carrier may write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carrier: Vec<String>,
    /// What is in which column.
    pub columns: TableColumns,
    /// What its states are.
    pub status: TableStatus,
    /// What its results are, where a state says only that there is one.
    #[serde(default, skip_serializing_if = "TableResults::is_empty")]
    pub results: TableResults,
    /// Columns that always hold the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fixed: BTreeMap<String, String>,
    /// As `fixed`, by channel, and stronger.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub channel: BTreeMap<String, BTreeMap<String, String>>,
}

const fn first() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_first(number: &u64) -> bool {
    *number == first()
}

const fn utc() -> TimeZone {
    TimeZone::UTC
}

/// The columns of a table; what is not named is not written, or not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct TableColumns {
    /// The primary key.
    pub key: String,
    /// The state.
    pub status: String,
    /// To whom.
    pub recipient: String,
    /// The text.
    pub body: String,
    /// The message's id, where the key is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Kind of delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// From whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// The title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Files, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachments: Option<String>,
    /// Free fields, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// How soon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// Not before, if the customer said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_at: Option<String>,
    /// Not before, always written: when it was accepted, unless the customer named a later moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<String>,
    /// Not after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// When it was inserted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// The revision that was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected_rev: Option<String>,
    /// When the row was withdrawn; nobody begins it after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<String>,
    /// Grows with every report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_rev: Option<String>,
    /// The carrier's own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_id: Option<String>,
    /// The result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// The result in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_text: Option<String>,
    /// When it was reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_at: Option<String>,
}

/// The values of the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct TableStatus {
    /// Of a row that waits to be taken.
    pub ready: String,
    /// It arrived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delivered: Vec<String>,
    /// It did not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// Nobody reported it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// The result says what became of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reported: Vec<String>,
}

/// The values of the result; any other says that it failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct TableResults {
    /// It arrived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delivered: Vec<String>,
    /// Nobody reported it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

impl TableResults {
    const fn is_empty(&self) -> bool {
        self.delivered.is_empty() && self.unknown.is_empty()
    }
}

/// What a row says became of its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It arrived.
    Delivered,
    /// It did not.
    Failed,
    /// The carrier does not know, and waits no longer.
    Unknown,
}

impl TableMapping {
    /// What a state and a result say; `None`: nothing yet.
    #[must_use]
    pub fn verdict(&self, status: &str, result: Option<&str>) -> Option<Verdict> {
        let holds = |values: &[String], value: &str| values.iter().any(|known| known == value.trim());
        let states = &self.status;
        if holds(&states.delivered, status) {
            return Some(Verdict::Delivered);
        }
        if holds(&states.failed, status) {
            return Some(Verdict::Failed);
        }
        if holds(&states.unknown, status) {
            return Some(Verdict::Unknown);
        }
        if !holds(&states.reported, status) {
            return None;
        }
        let result = result.unwrap_or_default();
        Some(if holds(&self.results.delivered, result) {
            Verdict::Delivered
        } else if holds(&self.results.unknown, result) {
            Verdict::Unknown
        } else {
            Verdict::Failed
        })
    }

    /// Every state that says that something became of the message.
    #[must_use]
    pub fn final_states(&self) -> Vec<&str> {
        let states = &self.status;
        let all = [&states.delivered, &states.failed, &states.unknown, &states.reported];
        all.into_iter().flatten().map(String::as_str).collect()
    }

    /// The table in which it is kept which message a row is of, and what was taken back of it.
    #[must_use]
    pub fn beside(&self) -> String {
        format!("{}_naru", self.table)
    }

    /// The table in which it is kept who collects.
    #[must_use]
    pub fn lease(&self) -> String {
        format!("{}_naru_lease", self.table)
    }
}

#[cfg(test)]
mod tests;
