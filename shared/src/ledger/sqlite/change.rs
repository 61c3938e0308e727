//! One transaction's changes: the steps that every way to an end shares, and what is told once it is durable.

use rusqlite::{Connection, types::Type};

use super::{
    memory::News,
    rows::{Row, row_columns, sandbox},
    usage::UsageChanges,
};
use crate::{
    domain::{Account, Code, Environment, Event, MessageView, Next, Report, State, Timestamp},
    ledger::RowRef,
};

/// The longest detail that is kept, in bytes.
pub(super) const DETAIL: usize = 1_024;

/// The longest id of a backend that is kept, in bytes.
pub(super) const BACKEND_ID: usize = 256;

/// A transaction under way. Messages change first, usage is written last.
pub(super) struct Change<'a> {
    pub(super) connection: &'a Connection,
    /// The ledger's own clock: for leases, and for what must not lie in a lease's future.
    pub(super) clock: Timestamp,
    pub(super) usage: UsageChanges,
    pub(super) news: News,
    /// Whether anybody waited for reports when the change began.
    listened: bool,
    last_report: Option<Account>,
}

/// An end, as it is written.
pub(super) struct End<'a> {
    pub(super) state: State,
    pub(super) code: Code,
    pub(super) detail: &'a str,
    pub(super) backend_id: Option<&'a str>,
    /// Who settled it, if it was the current attempt's own settlement.
    pub(super) by: Option<i64>,
}

impl<'a> End<'a> {
    /// An end without words of its own.
    pub(super) const fn plain(state: State, code: Code) -> Self {
        Self { state, code, detail: "", backend_id: None, by: None }
    }

    /// The end of a row whose time ran out.
    pub(super) fn out_of_time(possible_duplicate: bool) -> Self {
        match Next::out_of_time(possible_duplicate) {
            Next::Final { state, code, .. } => Self::plain(state, code),
            _ => Self::plain(State::Expired, Code::TtlExpired),
        }
    }
}

impl<'a> Change<'a> {
    pub(super) fn new(connection: &'a Connection, clock: Timestamp, listened: bool) -> Self {
        Self {
            connection,
            clock,
            usage: UsageChanges::default(),
            news: News::default(),
            listened,
            last_report: None,
        }
    }

    /// From when what happened `now` may be handed out: never later than by the clock that leases are read by.
    pub(super) fn from(&self, now: Timestamp) -> i64 {
        now.min(self.clock).as_millis()
    }

    /// Ends a row, or ends it anew: charge, report, event. `row` is as it stood; what it becomes is returned.
    pub(super) fn end(
        &mut self,
        row: &Row,
        end: &End<'_>,
        now: Timestamp,
        emit: bool,
    ) -> rusqlite::Result<Row> {
        let mut ended = row.clone();
        if row.state.is_final() {
            self.keep_report(row)?;
        }
        self.leaves(row);
        ended.state = end.state;
        ended.code = Some(end.code);
        ended.detail = own_words(end.code, end.detail).map(str::to_owned);
        ended.backend_id = end.backend_id.map(|id| cut(id, BACKEND_ID).to_owned()).or(ended.backend_id);
        ended.charge = self.usage.end(row, end.code.charge(), now);
        ended.incarnation = end.by;
        ended.final_at = Some(now);
        ended.revision = row.revision.saturating_add(1);
        self.connection
            .prepare_cached(
                "UPDATE message SET state = ?2, code = ?3, detail = ?4, backend_id = ?5, charge = ?6, \
                 incarnation = ?7, final_at = ?8, revision = ?9, report_at = ?10, wake_at = NULL WHERE row = ?1",
            )?
            .execute((
                row.at.row,
                ended.state.as_u8(),
                end.code.as_u8(),
                &ended.detail,
                &ended.backend_id,
                ended.charge.as_u8(),
                ended.incarnation,
                now.as_millis(),
                ended.revision,
                self.from(now),
            ))?;
        self.reported(&ended, emit)?;
        Ok(ended)
    }

    /// A report came to be: tells who waits for it, and writes its event if one is wanted.
    pub(super) fn reported(&mut self, row: &Row, emit: bool) -> rusqlite::Result<()> {
        if emit && let Some(report) = row.clone().view().into_report() {
            self.event(&Event::of_report(&row.account, &report), report.final_at)?;
        }
        self.tell_report(row.account.customer.as_str(), sandbox(row.account.environment))
    }

    /// Somebody may wait for a report of this account. Rows of one account come together: only a change is looked at.
    pub(super) fn tell_report(&mut self, customer: &str, sandbox: bool) -> rusqlite::Result<()> {
        let environment = if sandbox { Environment::Sandbox } else { Environment::Live };
        let same = |last: &Account| last.environment == environment && last.customer.as_str() == customer;
        if !self.last_report.as_ref().is_some_and(same) {
            let customer = customer
                .parse()
                .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))?;
            let account = Account { customer, environment };
            self.news.reports.insert(account.clone());
            self.last_report = Some(account);
        }
        Ok(())
    }

    /// As [`Change::tell_report`], for a row of which nothing was read. Whose it is matters only if somebody listens.
    pub(super) fn tell_report_of(&mut self, row: i64) -> rusqlite::Result<()> {
        if !self.listened {
            self.news.any_report = true;
            return Ok(());
        }
        let mut whose =
            self.connection.prepare_cached("SELECT customer, sandbox FROM message WHERE row = ?1")?;
        let mut rows = whose.query([row])?;
        match rows.next()? {
            Some(row) => self.tell_report(row.get_ref(0)?.as_str()?, row.get(1)?),
            None => Ok(()),
        }
    }

    /// Writes an event to publish.
    pub(super) fn event(&mut self, event: &Event, now: Timestamp) -> rusqlite::Result<()> {
        let json = json(event)?;
        self.connection
            .prepare_cached("INSERT INTO outbox (free_at, event) VALUES (?1, ?2)")?
            .execute((self.from(now), json))?;
        self.news.events = true;
        Ok(())
    }

    /// Makes a row ready; it expires the moment after `expires_at`.
    pub(super) fn make_ready(&mut self, row: &Row) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE message SET state = 1, wake_at = ?2, expires_at = ?3, attempt = ?4, incarnation = NULL, \
                 possible_duplicate = ?5, sent_at = ?6, code = NULL, detail = NULL WHERE row = ?1",
            )?
            .execute((
                row.at.row,
                row.expires_at.as_millis() + 1,
                row.expires_at.as_millis(),
                row.attempt,
                row.possible_duplicate,
                row.sent_at.map(Timestamp::as_millis),
            ))?;
        self.news.due(row.expires_at.as_millis() + 1);
        if !self.news.ready.contains(&row.route) {
            self.news.ready.insert(row.route.clone());
        }
        Ok(())
    }

    /// If a row waited, it does not any more.
    pub(super) fn leaves(&mut self, row: &Row) {
        if row.state.is_waiting() {
            self.news.waits(&row.route, row.lane, &row.account, -1);
        }
    }

    /// A row begins to wait.
    pub(super) fn joins(&mut self, row: &Row) {
        self.news.waits(&row.route, row.lane, &row.account, 1);
    }

    /// Remembers what an attempt came to. The same word about the same attempt is kept once, so that a backend that
    /// repeats itself fills nothing.
    pub(super) fn note(
        &self,
        at: RowRef,
        attempt: u32,
        next: &Next,
        late: bool,
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        let (outcome, detail) = match next {
            Next::Final { code, detail, .. } => (code.as_str(), detail.as_str()),
            Next::Sent { .. } => ("sent", ""),
            Next::Retry { possible_duplicate: true, detail, .. } => ("uncertain", detail.as_str()),
            Next::Retry { possible_duplicate: false, detail, .. } => ("not-taken", detail.as_str()),
            Next::Held { detail } => ("held", detail.as_str()),
        };
        self.connection
            .prepare_cached(
                "INSERT INTO attempt_note (message, attempt, late, outcome, at, detail) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
            )?
            .execute((at.row, attempt, late, outcome, now.as_millis(), cut(detail, DETAIL)))?;
        Ok(())
    }

    /// Keeps the report that a later revision replaces.
    fn keep_report(&self, row: &Row) -> rusqlite::Result<()> {
        let Some(report) = row.clone().view().into_report() else { return Ok(()) };
        self.connection
            .prepare_cached("INSERT INTO report_history (message, revision, report) VALUES (?1, ?2, ?3)")?
            .execute((row.at.row, report.revision, json::<Report>(&report)?))?;
        Ok(())
    }

    /// Writes what comes last, and gives what is to be told.
    pub(super) fn close(self) -> rusqlite::Result<News> {
        self.usage.write(self.connection)?;
        Ok(self.news)
    }

    /// The first rows found by a query over their columns; the others are not looked at.
    pub(super) fn first_rows(
        &self,
        query: &str,
        params: impl rusqlite::Params,
        most: usize,
    ) -> rusqlite::Result<Vec<Row>> {
        self.connection.prepare_cached(query)?.query_map(params, Row::read)?.take(most).collect()
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
    connection.prepare_cached(query)?.query_map(params, Row::read)?.collect()
}

pub(super) const BY_ID: &str =
    concat!("SELECT ", row_columns!(), " FROM message WHERE id = ?1 AND fingerprint IS NOT NULL");

/// A row by its message's id, unless it is a tombstone.
pub(super) fn by_id(connection: &Connection, id: crate::domain::MessageId) -> rusqlite::Result<Option<Row>> {
    Ok(select(connection, BY_ID, [id.as_bytes()])?.pop())
}

/// How a message stands, boxed as the port wants it.
pub(super) fn boxed(row: Row) -> Box<MessageView> {
    Box::new(row.view())
}

/// The part of a detail that is kept: nothing if it says no more than its code.
pub(super) fn own_words(code: Code, detail: &str) -> Option<&str> {
    Some(cut(detail, DETAIL)).filter(|detail| !detail.is_empty() && *detail != code.sentence())
}

/// At most `limit` bytes of a text, cut between characters.
pub(super) fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
