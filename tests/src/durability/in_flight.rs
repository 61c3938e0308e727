//! What was under way when harm was done: shown, so that a reader can tell a hard run from a lucky one.

use std::{path::Path, time::Duration};

use naru_shared::domain::State;
use rusqlite::{Connection, OpenFlags};

use super::crowd::Crowd;
use crate::{gateway::Helper, wire::Wire};

/// What was under way at one harm.
#[derive(Debug, Clone, Copy, Default)]
pub struct InFlight {
    /// Calls without an answer.
    pub calls: u64,
    /// Packs on the queue, found in its file afterwards.
    pub packs: u64,
    /// Messages in `sending`, found in the ledger's file afterwards.
    pub sending: u64,
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
    // Shown, not judged: a file that cannot be read counts as empty.
    seen.packs = count("queue.db", "SELECT count(*) FROM pack").unwrap_or(0);
    seen.sending = count("ledger.db", &sending).unwrap_or(0);
}

/// The median of each figure.
pub(super) fn medians(all: &[InFlight]) -> String {
    let median = |of: fn(&InFlight) -> u64| {
        let mut values: Vec<u64> = all.iter().map(of).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or(0)
    };
    format!(
        "{} calls unanswered, {} packs queued, {} messages sending, {} requests open at the receiver",
        median(|f| f.calls),
        median(|f| f.packs),
        median(|f| f.sending),
        median(|f| f.requests)
    )
}
