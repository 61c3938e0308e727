//! When the next row is due by time.

use rusqlite::{Connection, OptionalExtension};

/// The earliest moment of each index: one look at its beginning.
pub(super) const EARLIEST: &str =
    "SELECT wake_at FROM message WHERE state IN (1, 2, 4) AND wake_at >= 0 ORDER BY wake_at LIMIT 1";

pub(super) const EARLIEST_REPORT: &str =
    "SELECT wake_at FROM message WHERE state = 7 AND wake_at >= 0 ORDER BY wake_at LIMIT 1";

pub(super) fn earliest(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let look = |query| connection.prepare_cached(query)?.query_row([], |row| row.get(0)).optional();
    let (waiting, report): (Option<i64>, Option<i64>) = (look(EARLIEST)?, look(EARLIEST_REPORT)?);
    Ok(waiting.into_iter().chain(report).min())
}
