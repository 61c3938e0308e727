//! How much waits: counted once from the file, then kept in step with each commit.

use std::collections::HashMap;

use rusqlite::{Connection, Row as SqlRow};

use super::{
    change::Change,
    memory::Place,
    rows::{account, lane, parsed},
};

fn place(row: &SqlRow<'_>) -> rusqlite::Result<(Place, i64)> {
    Ok(((parsed(row, 0)?, lane(row, 1)?, account(row, 2)?), row.get(4)?))
}

/// Counts everything that waits. What drifted before is in the count.
pub(super) fn count(connection: &Connection) -> rusqlite::Result<HashMap<Place, i64>> {
    connection.execute("DELETE FROM drift", [])?;
    connection
        .prepare_cached(
            "SELECT route, lane, customer, sandbox, count(*) FROM message INDEXED BY message_wake \
             WHERE state IN (1, 2, 4) GROUP BY route, lane, customer, sandbox",
        )?
        .query_map([], place)?
        .collect()
}

/// Takes in what an operator's command changed in another process.
pub(super) fn take_drift(change: &mut Change<'_>) -> rusqlite::Result<()> {
    let drifted: Vec<(Place, i64)> = change
        .connection
        .prepare_cached("SELECT route, lane, customer, sandbox, messages FROM drift ORDER BY row LIMIT 1000")?
        .query_map([], place)?
        .collect::<rusqlite::Result<_>>()?;
    if drifted.is_empty() {
        return Ok(());
    }
    change
        .connection
        .execute("DELETE FROM drift WHERE row IN (SELECT row FROM drift ORDER BY row LIMIT 1000)", [])?;
    for ((route, lane, account), messages) in drifted {
        change.news.waits(&route, lane, &account, messages);
        change.news.ready.insert(route);
    }
    Ok(())
}
