//! Recovery: who lives, what the dead left, what is due, what is given back.

use std::time::Duration;

use rusqlite::Connection;

use super::{
    change::{Change, select},
    rows::{content, load, row_columns},
    stops,
};
use crate::{
    domain::{IncarnationId, Timestamp},
    ledger::{
        RowRef, StopPhase, Woken, Work,
        book::{How, Row, Woke},
    },
};

pub(super) fn beat(connection: &Connection, incarnation: IncarnationId) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO incarnation (id, beat) VALUES (?1, 1) ON CONFLICT DO UPDATE SET beat = beat + 1",
        )?
        .execute([incarnation.as_i64()])?;
    Ok(())
}

/// Whoever has a row of its own, and whoever holds rows without one: it died before its first beat.
pub(super) const INCARNATIONS: &str = "WITH RECURSIVE holder (id) AS ( \
       SELECT (SELECT min(incarnation) FROM message WHERE state = 3) \
       UNION ALL \
       SELECT (SELECT min(incarnation) FROM message WHERE state = 3 AND incarnation > holder.id) \
         FROM holder WHERE holder.id IS NOT NULL) \
     SELECT id, beat FROM incarnation \
     UNION ALL \
     SELECT id, 0 FROM holder WHERE id IS NOT NULL AND id NOT IN (SELECT id FROM incarnation)";

pub(super) fn incarnations(connection: &Connection) -> rusqlite::Result<Vec<(IncarnationId, i64)>> {
    connection
        .prepare_cached(INCARNATIONS)?
        .query_map([], |row| Ok((IncarnationId::from_i64(row.get(0)?), row.get(1)?)))?
        .collect()
}

pub(super) const LOST: &str = concat!(
    "SELECT ",
    row_columns!(),
    " FROM message WHERE state = 3 AND incarnation = ?1 ORDER BY row LIMIT ?2"
);

pub(super) fn lost(
    connection: &Connection,
    incarnation: IncarnationId,
    max: usize,
) -> rusqlite::Result<Vec<Work>> {
    let rows = select(connection, LOST, (incarnation.as_i64(), max))?;
    let mut work = Vec::with_capacity(rows.len());
    for row in rows {
        work.push(with_content(connection, row)?);
    }
    Ok(work)
}

/// A row with its message. If the content cannot be read, what the row itself knows must do: nothing is sent from it
/// (a take would end it), but the row can be settled.
fn with_content(connection: &Connection, row: Row) -> rusqlite::Result<Work> {
    let message = content(connection, row.at.row)?.unwrap_or_else(|| row.remnant());
    Ok(row.into_work(message))
}

pub(super) fn bury(connection: &Connection, incarnation: IncarnationId) -> rusqlite::Result<bool> {
    let holds: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM message WHERE state = 3 AND incarnation = ?1)")?
        .query_row([incarnation.as_i64()], |row| row.get(0))?;
    if !holds {
        connection
            .prepare_cached("DELETE FROM incarnation WHERE id = ?1")?
            .execute([incarnation.as_i64()])?;
    }
    Ok(!holds)
}

pub(super) const DUE: &str = concat!(
    "SELECT ",
    row_columns!(),
    " FROM message WHERE state IN (1, 2, 4) AND wake_at <= ?1 ORDER BY wake_at LIMIT ?2"
);

pub(super) fn wake(
    change: &mut Change<'_>,
    now: Timestamp,
    max: usize,
    emit: bool,
) -> rusqlite::Result<Woken> {
    let rules = stops::rules(change.connection, StopPhase::Standing)?;
    let mut woken = Woken::default();
    for mut row in change.rows(DUE, (now.as_millis(), max))? {
        match change.page.wake(&mut row, now, emit) {
            Woke::Expired => woken.expired += 1,
            Woke::Ready if change.page.stop_if(&mut row, &rules, How::Swept, now) => {}
            Woke::Ready => woken.ready += 1,
        }
        change.save(&row)?;
    }
    Ok(woken)
}

pub(super) const DUE_REPORTS: &str = concat!(
    "SELECT ",
    row_columns!(),
    " FROM message WHERE state = 7 AND wake_at <= ?1 ORDER BY wake_at LIMIT ?2"
);

pub(super) fn due_reports(
    change: &mut Change<'_>,
    now: Timestamp,
    max: usize,
    lease: Duration,
) -> rusqlite::Result<Vec<Work>> {
    let mut work = Vec::new();
    for row in change.rows(DUE_REPORTS, (now.as_millis(), max))? {
        change
            .connection
            .prepare_cached("UPDATE message SET wake_at = ?2 WHERE row = ?1")?
            .execute((row.at.row, now.plus(lease).as_millis().max(now.as_millis() + 1)))?;
        work.push(with_content(change.connection, row)?);
    }
    Ok(work)
}

pub(super) fn give_back(change: &mut Change<'_>, rows: &[(RowRef, u32)]) -> rusqlite::Result<()> {
    let rules = stops::rules(change.connection, StopPhase::Standing)?;
    for (at, attempt) in rows {
        let Some(mut row) = load(change.connection, *at)? else { continue };
        if change.page.give_back(&mut row, *attempt) {
            change.page.stop_if(&mut row, &rules, How::CameBack, change.page.clock);
            change.save(&row)?;
        }
    }
    Ok(())
}
