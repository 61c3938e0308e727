//! Letting go of what was kept long enough: two walks from the oldest row on, each in small steps.
//!
//! Rows lie in the order of their intake, which is nearly that of their acceptance. A walk ends at the first row that is too
//! young; what stands behind it by a clock that went back has its turn with a later walk. Neither walk meets again what it has
//! dealt with, so that one with nothing to do reads a page or two.

use rusqlite::{Connection, Row as SqlRow, params};

use super::{change::Change, rows};
use crate::{
    domain::{State, Timestamp, masked},
    ledger::{Forgotten, Keep, book::Charge},
};

/// Where the two walks go on; `None`: one has ended, and waits for the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walks {
    messages: Option<i64>,
    texts: Option<i64>,
}

impl Default for Walks {
    fn default() -> Self {
        Self { messages: Some(0), texts: Some(0) }
    }
}

/// A row as the walks see it.
struct Old {
    row: i64,
    state: State,
    accepted_at: i64,
    final_at: Option<i64>,
    unread: bool,
}

impl Old {
    fn read(row: &SqlRow<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            row: row.get(0)?,
            state: rows::state(row, 1)?,
            accepted_at: row.get(2)?,
            final_at: row.get(3)?,
            unread: row.get(4)?,
        })
    }

    /// Whether it ended before this moment.
    fn ended_before(&self, moment: Timestamp) -> bool {
        self.state.is_final() && self.final_at.is_some_and(|at| at < moment.as_millis())
    }
}

pub(super) const MESSAGES: &str = "SELECT row, state, accepted_at, final_at, report_at IS NOT NULL FROM message \
     WHERE row > ?1 ORDER BY row LIMIT ?2";

/// A message's text is gone once it has been forgotten: only those that have one are met.
pub(super) const TEXTS: &str = "SELECT message.row, state, accepted_at, final_at, report_at IS NOT NULL \
     FROM content CROSS JOIN message ON message.row = content.row WHERE content.row > ?1 ORDER BY content.row LIMIT ?2";

/// What is kept no more cannot be counted: a bill must know it.
const FORGOTTEN: &str = "INSERT INTO meta (name, value) VALUES ('forgotten_before', ?1) \
     ON CONFLICT DO UPDATE SET value = max(value, excluded.value)";

pub(super) fn forget(
    change: &Change<'_>,
    walks: Walks,
    now: Timestamp,
    keep: Keep,
    max: usize,
) -> rusqlite::Result<(Forgotten, Walks)> {
    let connection = change.connection;
    let (horizon, fresh) = (now.minus(keep.horizon), now.minus(keep.texts));
    let (mut forgotten, mut newest) = (Forgotten::default(), 0);
    let messages = walk(connection, MESSAGES, walks.messages, horizon, max, |old| {
        if old.state.is_final() && (!old.unread || old.ended_before(horizon)) {
            remove(connection, old.row)?;
            forgotten.removed += 1;
            newest = newest.max(old.accepted_at);
        }
        Ok(())
    })?;
    if forgotten.removed > 0 {
        connection.prepare_cached(FORGOTTEN)?.execute([newest + 1])?;
    }
    let texts = walk(connection, TEXTS, walks.texts, fresh, max, |old| {
        if old.ended_before(fresh) {
            blank(connection, old.row)?;
            forgotten.masked += 1;
        }
        Ok(())
    })?;
    forgotten.more = messages.is_some() || texts.is_some();
    Ok((forgotten, if forgotten.more { Walks { messages, texts } } else { Walks::default() }))
}

/// Looks at up to `max` rows that were accepted before a moment. Where the walk goes on; `None`: it has ended.
fn walk(
    connection: &Connection,
    query: &str,
    from: Option<i64>,
    before: Timestamp,
    max: usize,
    mut visit: impl FnMut(&Old) -> rusqlite::Result<()>,
) -> rusqlite::Result<Option<i64>> {
    let rows: Vec<Old> = connection
        .prepare_cached(query)?
        .query_map((from, max), Old::read)?
        .collect::<rusqlite::Result<_>>()?;
    for old in &rows {
        if old.accepted_at >= before.as_millis() {
            return Ok(None);
        }
        visit(old)?;
    }
    Ok(rows.last().filter(|_| rows.len() >= max).map(|last| last.row))
}

/// Removes a message with all that is known of it. Its units stay in the sums that limits are held against.
fn remove(connection: &Connection, row: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE usage SET forgotten = forgotten + message.units FROM message \
             WHERE message.row = ?1 AND message.charge IN (?2, ?3) AND usage.customer = message.customer \
             AND usage.day = message.day AND usage.channel = message.channel",
        )?
        .execute(params![row, Charge::Reserved.as_u8(), Charge::Captured.as_u8()])?;
    for delete in [
        "DELETE FROM content WHERE row = ?1",
        "DELETE FROM attempt_note WHERE message = ?1",
        "DELETE FROM report_history WHERE message = ?1",
        "DELETE FROM earlier_sending WHERE message = ?1",
        "DELETE FROM message WHERE row = ?1",
    ] {
        connection.prepare_cached(delete)?.execute([row])?;
    }
    Ok(())
}

/// Removes a message's text and masks to whom it went, here and in its earlier reports.
fn blank(connection: &Connection, row: i64) -> rusqlite::Result<()> {
    let recipient: String = connection
        .prepare_cached("SELECT recipient FROM message WHERE row = ?1")?
        .query_row([row], |row| row.get(0))?;
    let recipient = masked(&recipient);
    connection
        .prepare_cached("UPDATE message SET recipient = ?2 WHERE row = ?1")?
        .execute((row, &recipient))?;
    connection
        .prepare_cached(
            "UPDATE report_history SET report = json_set(report, '$.recipient', ?2) WHERE message = ?1",
        )?
        .execute((row, &recipient))?;
    connection.prepare_cached("DELETE FROM content WHERE row = ?1")?.execute([row])?;
    Ok(())
}
