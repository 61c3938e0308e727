//! One transaction's changes of the file: rows one by one, and what the page of the book gathered beside them.

use rusqlite::{Connection, params, types::Type};

use super::{
    notices,
    rows::{read, row_columns},
    stops, usage,
};
use crate::{
    domain::{Account, Code, Environment, Timestamp},
    ledger::book::{News, Page, Row},
};

/// A transaction under way. Messages change first, usage is written last.
pub(super) struct Change<'a> {
    pub(super) connection: &'a Connection,
    pub(super) page: Page,
    /// Whether anybody waited for reports when the change began.
    listened: bool,
}

impl<'a> Change<'a> {
    pub(super) fn new(connection: &'a Connection, clock: Timestamp, listened: bool) -> Self {
        Self { connection, page: Page::new(clock), listened }
    }

    /// Writes all of a row that can change. A report that was handed out before belongs to an older revision: rows that
    /// ended are saved only with a new one.
    pub(super) fn save(&self, row: &Row) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE message SET state = ?2, code = ?3, detail = ?4, charge = ?5, attempt = ?6, \
                 incarnation = ?7, possible_duplicate = ?8, backend_id = ?9, wake_at = ?10, expires_at = ?11, \
                 sent_at = ?12, final_at = ?13, revision = ?14, report_at = ?15 WHERE row = ?1",
            )?
            .execute(params![
                row.at.row,
                row.state.as_u8(),
                row.code.map(Code::as_u8),
                row.detail,
                row.charge.as_u8(),
                row.attempt,
                row.incarnation,
                row.possible_duplicate,
                row.backend_id,
                row.wake_at,
                row.expires_at.as_millis(),
                row.sent_at.map(Timestamp::as_millis),
                row.final_at.map(Timestamp::as_millis),
                row.revision,
                row.report_at.map(Timestamp::as_millis),
            ])?;
        Ok(())
    }

    /// Tells of a report of a row of which nothing was read. Whose it is matters only if somebody listens.
    pub(super) fn tell_report_of(&mut self, row: i64) -> rusqlite::Result<()> {
        if !self.listened {
            self.page.news.any_report = true;
            return Ok(());
        }
        let mut whose =
            self.connection.prepare_cached("SELECT customer, sandbox FROM message WHERE row = ?1")?;
        let mut rows = whose.query([row])?;
        let Some(row) = rows.next()? else { return Ok(()) };
        let environment = if row.get(1)? { Environment::Sandbox } else { Environment::Live };
        if !self.page.has_told(row.get_ref(0)?.as_str()?, environment) {
            let account = Account { customer: super::rows::parsed(row, 0)?, environment };
            self.page.tell_report(&account);
        }
        Ok(())
    }

    /// Writes what comes last, and gives what is to be told.
    pub(super) fn close(self) -> rusqlite::Result<News> {
        let Page { usage, news, notes, kept, earlier, halts, events, .. } = self.page;
        for note in notes {
            self.connection
                .prepare_cached(
                    "INSERT INTO attempt_note (message, attempt, late, outcome, at, detail, began_at, doubtful, backend_id) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
                )?
                .execute((
                    note.at.row,
                    note.attempt,
                    note.late,
                    note.outcome,
                    note.when.as_millis(),
                    note.detail,
                    note.began.map(Timestamp::as_millis),
                    note.doubtful,
                    note.backend_id,
                ))?;
        }
        for (at, report) in kept {
            self.connection
                .prepare_cached("INSERT INTO report_history (message, revision, report) VALUES (?1, ?2, ?3)")?
                .execute((at.row, report.revision, json(&report)?))?;
        }
        notices::remember(&earlier, self.connection)?;
        stops::write(halts, self.connection)?;
        for (free_at, event) in events {
            self.connection
                .prepare_cached("INSERT INTO outbox (free_at, event) VALUES (?1, ?2)")?
                .execute((free_at.as_millis(), json(&event)?))?;
        }
        usage::write(usage, self.connection)?;
        Ok(news)
    }

    /// The first rows found by a query over their columns; the others are not looked at.
    pub(super) fn first_rows(
        &self,
        query: &str,
        params: impl rusqlite::Params,
        most: usize,
    ) -> rusqlite::Result<Vec<Row>> {
        self.connection.prepare_cached(query)?.query_map(params, read)?.take(most).collect()
    }

    /// Rows found by a query over their columns.
    pub(super) fn rows(&self, query: &str, params: impl rusqlite::Params) -> rusqlite::Result<Vec<Row>> {
        select(self.connection, query, params)
    }
}

/// Rows found by a query over their columns.
pub(super) fn select(
    connection: &Connection,
    query: &str,
    params: impl rusqlite::Params,
) -> rusqlite::Result<Vec<Row>> {
    connection.prepare_cached(query)?.query_map(params, read)?.collect()
}

pub(super) const BY_ID: &str =
    concat!("SELECT ", row_columns!(), " FROM message WHERE id = ?1 AND fingerprint IS NOT NULL");

/// A row by its message's id, unless it is a tombstone.
pub(super) fn by_id(connection: &Connection, id: crate::domain::MessageId) -> rusqlite::Result<Option<Row>> {
    Ok(select(connection, BY_ID, [id.as_bytes()])?.pop())
}

/// Text that another writer than this program put into the file, as an error of the file.
pub(super) fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
