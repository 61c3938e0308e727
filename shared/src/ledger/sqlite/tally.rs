//! Counting messages after the fact: rows in their own order, a bounded number in each step.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows;
use crate::{
    domain::{Account, Environment, Timestamp},
    ledger::{TALLY_STEP_MS, Tally, TallyCell, TallyCursor, TallyPage, TallyRange},
};

/// Rows that one step looks at.
const ROWS: i64 = 20_000;

pub(super) const TALLY: &str = "SELECT customer, sandbox, channel, route, accepted_at / ?5, class, count(*), \
     sum(state <> 13), sum(state >= 10), sum(state >= 10 AND report_at IS NULL), sum(iif(charge = 1, units, 0)), \
     sum(iif(charge = 2, units, 0)), sum(iif(charge = 3, units, 0)), sum(iif(charge = 4, units, 0)) \
     FROM message NOT INDEXED WHERE row > ?1 AND row <= ?2 AND fingerprint IS NOT NULL \
     AND accepted_at >= ?3 AND accepted_at < ?4 GROUP BY 1, 2, 3, 4, 5, 6";

pub(super) fn tally(
    connection: &Connection,
    range: &TallyRange,
    from: Option<TallyCursor>,
) -> rusqlite::Result<TallyPage> {
    let newest: i64 =
        connection.query_row("SELECT coalesce(max(row), 0) FROM message", [], |row| row.get(0))?;
    let oldest: i64 =
        connection.query_row("SELECT coalesce(min(row), 1) FROM message", [], |row| row.get(0))?;
    let after = from.map_or(0, |at| at.row).max(oldest - 1);
    let last = after.saturating_add(ROWS);
    let cells = connection
        .prepare_cached(TALLY)?
        .query_map(
            params![after, last, range.from.as_millis(), range.until.as_millis(), TALLY_STEP_MS],
            cell,
        )?
        .collect::<rusqlite::Result<_>>()?;
    Ok(TallyPage { cells, next: (last < newest).then_some(TallyCursor { row: last, divide: 0 }) })
}

fn cell(row: &Row<'_>) -> rusqlite::Result<TallyCell> {
    let environment = if row.get(1)? { Environment::Sandbox } else { Environment::Live };
    let step: i64 = row.get(4)?;
    Ok(TallyCell {
        account: Account { customer: rows::parsed(row, 0)?, environment },
        channel: rows::parsed(row, 2)?,
        route: rows::parsed(row, 3)?,
        class: row.get(5)?,
        at: Timestamp::from_millis(step * TALLY_STEP_MS),
        tally: Tally {
            submitted: row.get(6)?,
            accepted: row.get(7)?,
            reported: row.get(8)?,
            acknowledged: row.get(9)?,
            units_reserved: row.get(10)?,
            units_captured: row.get(11)?,
            units_released: row.get(12)?,
            units_credited: row.get(13)?,
        },
    })
}

pub(super) fn forgotten_before(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let at = connection
        .query_row("SELECT value FROM meta WHERE name = 'forgotten_before'", [], |row| row.get(0))
        .optional()?;
    Ok(at.map(Timestamp::from_millis))
}
