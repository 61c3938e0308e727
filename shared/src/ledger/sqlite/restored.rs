//! What a ledger must know after it was put back from a copy.

use std::path::Path;

use rusqlite::{OptionalExtension, params};

use super::{MIGRATIONS, RESTORED_BEFORE};
use crate::{
    domain::{Code, State, Timestamp},
    sqlite::{DbError, backup::seal, connect, migrate},
};

/// Marks a file that is about to be put in place and that nobody has open: its copy was made at `made_at`, so whatever had
/// not ended may have been sent since, and waits for a person, its charge reserved. How many messages that are.
///
/// Of several restores the latest copy's moment stays: it covers what the earlier ones covered, because everything that a
/// copy holds was accepted before it was made. So does a moment that the copy itself brought with it and that lies later,
/// which only a clock that went back can explain.
///
/// # Errors
/// If the file cannot be opened or written.
pub fn mark_restored(path: &Path, made_at: Timestamp) -> Result<usize, DbError> {
    let mut connection = connect(path)?;
    migrate(&connection, MIGRATIONS)?;
    let change = connection.transaction()?;
    let before: Option<i64> = change
        .query_row("SELECT value FROM meta WHERE name = ?1", [RESTORED_BEFORE], |row| row.get(0))
        .optional()?;
    let moment = before.unwrap_or(0).max(made_at.as_millis());
    change.execute(
        "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)",
        params![RESTORED_BEFORE, moment],
    )?;
    let held = change.execute(
        "UPDATE message SET state = ?1, code = ?2, detail = ?3, possible_duplicate = 1, incarnation = NULL, \
         wake_at = NULL WHERE state IN (?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            State::Held.as_u8(),
            Code::Restored.as_u8(),
            Code::Restored.sentence(),
            State::Ready.as_u8(),
            State::Scheduled.as_u8(),
            State::Retrying.as_u8(),
            State::Sending.as_u8(),
            State::Sent.as_u8(),
            State::Stopped.as_u8(),
        ],
    )?;
    change.execute("DELETE FROM incarnation", [])?;
    change.commit()?;
    seal(connection)?;
    Ok(held)
}
