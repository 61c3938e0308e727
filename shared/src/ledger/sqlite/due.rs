//! When the next row is due by time.

use rusqlite::{Connection, OptionalExtension};

/// The earliest moment of each index: one look at its beginning.
pub(super) const EARLIEST: &str =
    "SELECT wake_at FROM message WHERE state IN (1, 2, 4) AND wake_at >= 0 ORDER BY wake_at LIMIT 1";

pub(super) const EARLIEST_REPORT: &str =
    "SELECT wake_at FROM message WHERE state = 7 AND wake_at >= 0 ORDER BY wake_at LIMIT 1";

pub(super) const EARLIEST_EARLY: &str =
    "SELECT look_at FROM early_report WHERE look_at >= 0 ORDER BY look_at LIMIT 1";

pub(super) fn earliest(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let look = |query| connection.prepare_cached(query)?.query_row([], |row| row.get(0)).optional();
    let moments: [Option<i64>; 3] = [look(EARLIEST)?, look(EARLIEST_REPORT)?, look(EARLIEST_EARLY)?];
    Ok(moments.into_iter().flatten().min())
}
