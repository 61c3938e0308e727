//! What is known of a recipient goes.

use rusqlite::{Connection, params};

use super::{
    backlog,
    change::{Change, json, select, unreadable},
    rows::row_columns,
};
use crate::{
    domain::{CustomerId, Report},
    ledger::{
        Erased, Erasure,
        book::{erased, in_json, whose_in_json},
    },
};

/// Rows that one step looks at.
const LOOKED: i64 = 20_000;

/// Where the walk goes on once it has looked at every message: at what waits to be told.
const TOLD: i64 = -1;

const TO: &str = concat!(
    "SELECT ",
    row_columns!(),
    " FROM message NOT INDEXED WHERE row > ?1 AND row <= ?2 AND recipient = ?3 AND fingerprint IS NOT NULL \
     AND (?4 IS NULL OR customer = ?4) ORDER BY row"
);

pub(super) fn erase(
    change: &mut Change<'_>,
    erasure: &Erasure,
    from: Option<i64>,
) -> rusqlite::Result<Erased> {
    if from == Some(TOLD) {
        return told(change.connection, erasure);
    }
    let newest: i64 =
        change.connection.query_row("SELECT coalesce(max(row), 0) FROM message", [], |row| row.get(0))?;
    let from = from.unwrap_or(0);
    let until = from.saturating_add(LOOKED).min(newest);
    let customer = erasure.customer.as_ref().map(CustomerId::as_str);
    let rows = select(change.connection, TO, params![from, until, erasure.recipient, customer])?;
    let mut done = Erased { next: Some(if until < newest { until } else { TOLD }), ..Erased::default() };
    for mut row in rows {
        let certain = (row.state.is_waiting() || row.state == crate::domain::State::Stopped)
            && !row.possible_duplicate
            && erasure.cancel;
        if !row.state.is_final() && !certain {
            done.under_way += 1;
            continue;
        }
        done.erased += 1;
        done.cancelled += u64::from(certain);
        if erasure.dry_run {
            continue;
        }
        if certain {
            change.page.recall_certain(&mut row, erasure.now, erasure.emit);
            change.save(&row)?;
        }
        blank(change.connection, row.at.row, &erasure.pseudonym)?;
    }
    backlog::drift(change)?;
    Ok(done)
}

fn blank(connection: &Connection, row: i64, pseudonym: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE message SET recipient = ?2, detail = NULL WHERE row = ?1")?
        .execute((row, pseudonym))?;
    connection.prepare_cached("DELETE FROM content WHERE row = ?1")?.execute([row])?;
    connection.prepare_cached("UPDATE attempt_note SET detail = '' WHERE message = ?1")?.execute([row])?;
    let kept: Vec<(u32, Report)> = connection
        .prepare_cached("SELECT revision, report FROM report_history WHERE message = ?1")?
        .query_map([row], |kept| {
            let report = serde_json::from_str(kept.get_ref(1)?.as_str()?).map_err(unreadable)?;
            Ok((kept.get(0)?, report))
        })?
        .collect::<rusqlite::Result<_>>()?;
    for (revision, report) in kept {
        connection
            .prepare_cached("UPDATE report_history SET report = ?3 WHERE message = ?1 AND revision = ?2")?
            .execute((row, revision, json(&erased(report, pseudonym))?))?;
    }
    Ok(())
}

/// Events and callbacks that wait say the recipient too.
fn told(connection: &Connection, erasure: &Erasure) -> rusqlite::Result<Erased> {
    let (from, to) = (in_json(&erasure.recipient), in_json(&erasure.pseudonym));
    let whose = erasure.customer.as_ref().map(|customer| whose_in_json(customer.as_str()));
    let mut done = Erased::default();
    for (table, column) in [("outbox", "event"), ("callback", "body")] {
        let such = format!("instr({column}, ?1) > 0 AND (?2 IS NULL OR instr({column}, ?2) > 0)");
        let told = if erasure.dry_run {
            let count = format!("SELECT count(*) FROM {table} WHERE {such}");
            connection.query_row(&count, (&from, &whose), |row| row.get(0))?
        } else {
            let change = format!("UPDATE {table} SET {column} = replace({column}, ?1, ?3) WHERE {such}");
            connection.execute(&change, (&from, &whose, &to))?
        };
        done.told += told as u64;
    }
    Ok(done)
}
