//! An operator's search. The indexes serve the way of a message, and one more for each column that a person may ask for
//! would be paid by every message: so a search reads rows from the newest back, a bounded number of them, and says where it
//! ended. What has an index of its own is looked at whole: messages by their ids, and the states that wait for a person or an
//! answer.

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    change::{by_id, select},
    rows::row_columns,
};
use crate::{
    domain::{CustomerId, RouteName, State, Timestamp},
    ledger::{
        Found, Search, Unseen,
        book::{matches, told},
    },
};

/// The most messages that a search answers with.
const FOUND: usize = 10_000;

/// Rows that a search looks at.
pub(super) const LOOKED: i64 = 1_000_000;

/// What must hold, of rows between two numbers.
macro_rules! matching {
    ($from:literal) => {
        concat!(
            "SELECT ",
            row_columns!(),
            " FROM message ",
            $from,
            " AND fingerprint IS NOT NULL AND (?1 IS NULL OR customer = ?1) \
             AND (?2 IS NULL OR recipient = ?2) AND (?3 IS NULL OR reference = ?3) AND (?4 IS NULL OR key = ?4) \
             AND (?5 IS NULL OR route = ?5) AND (?6 IS NULL OR state = ?6) AND row >= ?7 AND row < ?8 \
             ORDER BY row DESC LIMIT ?9"
        )
    };
}

/// Rows in their own order, whatever their state.
pub(super) const WALK: &str = matching!("NOT INDEXED WHERE TRUE");

/// Rows of one state that has an index of its own and of which there are few.
pub(super) const SENDING: &str = matching!("INDEXED BY message_sending WHERE state = 3");
pub(super) const HELD: &str = matching!("INDEXED BY message_held WHERE state = 5");
pub(super) const STOPPED: &str = matching!("INDEXED BY message_stopped WHERE state = 6");

pub(super) fn find(connection: &Connection, search: &Search, looked: i64) -> rusqlite::Result<Found> {
    if !search.ids.is_empty() {
        return by_ids(connection, search);
    }
    let (query, looked) = match search.state {
        Some(State::Sending) => (SENDING, i64::MAX),
        Some(State::Held) => (HELD, i64::MAX),
        Some(State::Stopped) => (STOPPED, i64::MAX),
        _ => (WALK, looked),
    };
    let newest: i64 =
        connection.query_row("SELECT coalesce(max(row), 0) FROM message", [], |row| row.get(0))?;
    let above = search.older_than.unwrap_or(i64::MAX).min(newest.saturating_add(1));
    let floor = above.saturating_sub(looked).max(0);
    let limit = search.limit.min(FOUND);
    let found = select(
        connection,
        query,
        params![
            search.customer.as_ref().map(CustomerId::as_str),
            search.recipient,
            search.reference,
            search.key,
            search.route.as_ref().map(RouteName::as_str),
            search.state.map(State::as_u8),
            floor,
            above,
            limit,
        ],
    )?;
    let ended = match found.last() {
        Some(last) if found.len() >= limit => last.at.row,
        _ => floor,
    };
    Ok(Found { unseen: unseen(connection, ended)?, messages: found.into_iter().map(told).collect() })
}

/// What lies before a row, if anything does.
fn unseen(connection: &Connection, row: i64) -> rusqlite::Result<Option<Unseen>> {
    let before: Option<i64> = connection
        .query_row("SELECT accepted_at FROM message WHERE row < ?1 ORDER BY row DESC LIMIT 1", [row], |row| {
            row.get(0)
        })
        .optional()?;
    Ok(before.map(|at| Unseen { before: Timestamp::from_millis(at), older_than: row }))
}

fn by_ids(connection: &Connection, search: &Search) -> rusqlite::Result<Found> {
    let mut messages = Vec::new();
    for id in search.ids.iter().take(search.limit.min(FOUND)) {
        messages.extend(by_id(connection, *id)?.filter(|row| matches(row, search)).map(told));
    }
    Ok(Found { messages, unseen: None })
}
