//! How much waits: counted once from the file, then kept in step with each commit.

use std::collections::HashMap;

use rusqlite::{Connection, Row as SqlRow};

use super::{
    change::Change,
    rows::{account, lane, parsed},
};
use crate::ledger::book::{Place, lane_number, sandbox};

fn place(row: &SqlRow<'_>) -> rusqlite::Result<(Place, i64)> {
    Ok(((parsed(row, 0)?, lane(row, 1)?, account(row, 2)?), row.get(4)?))
}

/// Counts everything that waits. What drifted before is in the count.
pub(super) fn count(connection: &Connection) -> rusqlite::Result<HashMap<Place, i64>> {
    connection.execute("DELETE FROM drift", [])?;
    // Summed here: a GROUP BY would sort every waiting row in memory.
    let mut counts = HashMap::<Place, i64>::new();
    let mut statement = connection.prepare_cached(
        "SELECT route, lane, customer, sandbox, 1 FROM message INDEXED BY message_wake WHERE state IN (1, 2, 4)",
    )?;
    let mut rows = statement.query([])?;
    // Neighbours are mostly of one place: names are read anew only where it changes.
    let mut last: Option<(Place, i64)> = None;
    while let Some(row) = rows.next()? {
        match &mut last {
            Some((known, messages)) if is_same(known, row)? => *messages += 1,
            _ => {
                if let Some((known, messages)) = last.replace(place(row)?) {
                    *counts.entry(known).or_default() += messages;
                }
            }
        }
    }
    if let Some((known, messages)) = last {
        *counts.entry(known).or_default() += messages;
    }
    Ok(counts)
}

fn is_same((route_name, lane_of, account_of): &Place, row: &SqlRow<'_>) -> rusqlite::Result<bool> {
    Ok(row.get_ref(0)?.as_str()? == route_name.as_str()
        && lane(row, 1)? == *lane_of
        && row.get_ref(2)?.as_str()? == account_of.customer.as_str()
        && row.get::<_, bool>(3)? == sandbox(account_of.environment))
}

/// What a command's change did to what waits, for the process that counts.
pub(super) fn drift(change: &mut Change<'_>) -> rusqlite::Result<()> {
    for ((route, lane, account), messages) in std::mem::take(&mut change.page.news.waiting) {
        if messages != 0 {
            change
                .connection
                .prepare_cached(
                    "INSERT INTO drift (route, lane, customer, sandbox, messages) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute((
                    route.as_str(),
                    lane_number(lane),
                    account.customer.as_str(),
                    sandbox(account.environment),
                    messages,
                ))?;
        }
    }
    Ok(())
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
        change.page.news.waits(&route, lane, &account, messages);
        change.page.news.ready.insert(route);
    }
    Ok(())
}
