//! What was under way when harm was done: shown, so that a reader can tell a hard run from a lucky one.

use std::{path::Path, time::Duration};

use naru_shared::domain::State;
use rusqlite::{Connection, OpenFlags};

use super::crowd::Crowd;
use crate::{deployment::Deployment, gateway::Helper, wire::Wire};

/// What was under way at one harm.
#[derive(Debug, Clone, Copy, Default)]
pub struct InFlight {
    /// Calls without an answer.
    pub calls: u64,
    /// Packs on the queue, found in its file afterwards; of a broker it is not asked.
    pub packs: Option<u64>,
    /// Messages in `sending`, found in the ledger afterwards, if it answered.
    pub sending: Option<u64>,
    /// Requests open at the receiver.
    pub requests: u64,
}

/// From outside, before the harm.
pub(super) fn before(crowd: &Crowd, receiver: &Helper) -> InFlight {
    let mut wire = Wire::new(receiver.address, Duration::from_secs(1));
    let open = wire.call("GET", "/", &[], b"").ok().and_then(|reply| reply.json()["open"].as_u64());
    InFlight { calls: crowd.open() as u64, requests: open.unwrap_or(0), ..InFlight::default() }
}

/// From the files of the dead process, read and not touched.
pub(super) fn after(data: &Path, seen: &mut InFlight) {
    let count = |file: &str, sql: &str| -> rusqlite::Result<u64> {
        let connection = Connection::open_with_flags(data.join(file), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.query_row(sql, [], |row| row.get(0))
    };
    let sending = format!("SELECT count(*) FROM message WHERE state = {}", State::Sending.as_u8());
    // Shown, not judged: a file that cannot be read is passed over.
    seen.packs = count("queue.db", "SELECT count(*) FROM pack").ok();
    seen.sending = count("ledger.db", &sending).ok();
}

/// From the shared ledger, if it is there.
pub(super) fn after_wide(site: &Deployment, seen: &mut InFlight) {
    let sql = format!("SELECT count(*) FROM naru.message WHERE state = {}", State::Sending.as_u8());
    seen.sending = site.psql(&sql).ok().and_then(|count| count.parse().ok());
}

/// The median of each figure that was seen.
pub(super) fn medians(all: &[InFlight]) -> String {
    let median = |of: fn(&InFlight) -> Option<u64>| {
        let mut values: Vec<u64> = all.iter().filter_map(of).collect();
        values.sort_unstable();
        values.get(values.len() / 2).map_or_else(|| "?".to_owned(), u64::to_string)
    };
    format!(
        "{} calls unanswered, {} packs queued, {} messages sending, {} requests open at the receiver",
        median(|f| Some(f.calls)),
        median(|f| f.packs),
        median(|f| f.sending),
        median(|f| Some(f.requests))
    )
}
