//! The operator's questions and decisions. They may come from another process while the server runs.

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::{
    SqliteLedger,
    change::{by_id, select, unreadable},
    rows::{self, row_columns},
};
use crate::{
    domain::{Account, CustomerId, MessageId, MessageView, Report, State, Timestamp},
    ledger::{
        AttemptNote, Dossier, LaneStatus, LedgerDesk, LedgerError, Resolution, Search,
        book::{Charge, Row, lane_number, sandbox},
    },
};

/// The most messages that a search answers with.
const FOUND: usize = 10_000;

#[async_trait]
impl LedgerDesk for SqliteLedger {
    async fn dossier(&self, id: MessageId) -> Result<Option<Dossier>, LedgerError> {
        Ok(self.db.read(move |c| dossier(c, id)).await?)
    }

    async fn find(&self, search: Search) -> Result<Vec<(Account, MessageView)>, LedgerError> {
        Ok(self.db.read(move |c| find(c, &search)).await?)
    }

    async fn resolve(
        &self,
        ids: Vec<MessageId>,
        resolution: Resolution,
        now: Timestamp,
        emit: bool,
    ) -> Result<Vec<MessageId>, LedgerError> {
        self.change(move |change| {
            let mut decided = Vec::new();
            for id in ids {
                if let Some(mut row) = by_id(change.connection, id)?.filter(|row| row.state == State::Held) {
                    change.page.resolve(&mut row, resolution, now, emit);
                    change.save(&row)?;
                    if row.state.is_waiting() {
                        drifts(change.connection, &row)?;
                    }
                    decided.push(id);
                }
            }
            Ok(decided)
        })
        .await
    }

    async fn lanes(&self) -> Result<Vec<LaneStatus>, LedgerError> {
        Ok(self.db.read(lanes).await?)
    }

    async fn audit_usage(&self) -> Result<Vec<CustomerId>, LedgerError> {
        Ok(self.db.read(audit_usage).await?)
    }
}

fn dossier(connection: &Connection, id: MessageId) -> rusqlite::Result<Option<Dossier>> {
    let Some(row) = by_id(connection, id)? else { return Ok(None) };
    let attempts_log = connection
        .prepare_cached(
            "SELECT attempt, at, outcome, detail, late FROM attempt_note WHERE message = ?1 ORDER BY at, attempt",
        )?
        .query_map([row.at.row], |note| {
            Ok(AttemptNote {
                attempt: note.get(0)?,
                at: Timestamp::from_millis(note.get(1)?),
                outcome: note.get(2)?,
                detail: note.get(3)?,
                late: note.get(4)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let earlier_reports = connection
        .prepare_cached("SELECT report FROM report_history WHERE message = ?1 ORDER BY revision")?
        .query_map([row.at.row], |kept| {
            serde_json::from_str::<Report>(kept.get_ref(0)?.as_str()?).map_err(unreadable)
        })?
        .collect::<rusqlite::Result<_>>()?;
    let account = row.account.clone();
    Ok(Some(Dossier { account, view: row.view(), attempts_log, earlier_reports }))
}

/// Walks back from the newest row; the indexes serve the way of a message, and a person can wait a moment.
fn find(connection: &Connection, search: &Search) -> rusqlite::Result<Vec<(Account, MessageView)>> {
    let query = concat!(
        "SELECT ",
        row_columns!(),
        " FROM message WHERE fingerprint IS NOT NULL AND (?1 IS NULL OR customer = ?1) \
         AND (?2 IS NULL OR recipient = ?2) AND (?3 IS NULL OR reference = ?3) AND (?4 IS NULL OR key = ?4) \
         AND (?5 IS NULL OR route = ?5) AND (?6 IS NULL OR state = ?6) ORDER BY row DESC LIMIT ?7"
    );
    let rows = select(
        connection,
        query,
        params![
            search.customer.as_ref().map(CustomerId::as_str),
            search.recipient,
            search.reference,
            search.key,
            search.route.as_ref().map(crate::domain::RouteName::as_str),
            search.state.map(State::as_u8),
            search.limit.min(FOUND),
        ],
    )?;
    Ok(rows.into_iter().map(|row| (row.account.clone(), row.view())).collect())
}

/// A row begins to wait by the hand of a process that does not count; the one that does reads this.
fn drifts(connection: &Connection, row: &Row) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO drift (route, lane, customer, sandbox, messages) VALUES (?1, ?2, ?3, ?4, 1)",
        )?
        .execute((
            row.route.as_str(),
            lane_number(row.lane),
            row.account.customer.as_str(),
            sandbox(row.account.environment),
        ))?;
    Ok(())
}

/// One question for each state that has an index of its own, so that what has ended is never read.
const LANES: &str = "\
    SELECT route, lane, 1, count(*), min(accepted_at) FROM message INDEXED BY message_ready \
      WHERE state = 1 GROUP BY route, lane \
    UNION ALL SELECT route, lane, state, count(*), min(accepted_at) FROM message INDEXED BY message_wake \
      WHERE state IN (1, 2, 4) AND state <> 1 GROUP BY route, lane, state \
    UNION ALL SELECT route, lane, 3, count(*), min(accepted_at) FROM message INDEXED BY message_sending \
      WHERE state = 3 GROUP BY route, lane \
    UNION ALL SELECT route, lane, 5, count(*), min(accepted_at) FROM message INDEXED BY message_held \
      WHERE state = 5 GROUP BY route, lane \
    UNION ALL SELECT route, lane, 6, count(*), min(accepted_at) FROM message INDEXED BY message_stopped \
      WHERE state = 6 GROUP BY route, lane \
    UNION ALL SELECT route, lane, 7, count(*), min(accepted_at) FROM message INDEXED BY message_sent \
      WHERE state = 7 GROUP BY route, lane \
    ORDER BY 1, 2, 3";

fn lanes(connection: &Connection) -> rusqlite::Result<Vec<LaneStatus>> {
    connection
        .prepare_cached(LANES)?
        .query_map([], |row| {
            Ok(LaneStatus {
                route: rows::parsed(row, 0)?,
                lane: rows::lane(row, 1)?,
                state: rows::state(row, 2)?,
                messages: row.get(3)?,
                oldest: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_millis),
            })
        })?
        .collect()
}

fn audit_usage(connection: &Connection) -> rusqlite::Result<Vec<CustomerId>> {
    connection
        .prepare_cached(
            "WITH fact AS ( \
               SELECT customer, day, channel, sum(units) AS units FROM message \
               WHERE charge IN (?1, ?2) GROUP BY customer, day, channel), \
             book AS (SELECT customer, day, channel, used - credited AS units FROM usage) \
             SELECT DISTINCT customer FROM ( \
               SELECT coalesce(fact.customer, book.customer) AS customer \
               FROM fact FULL JOIN book USING (customer, day, channel) \
               WHERE coalesce(fact.units, 0) <> coalesce(book.units, 0)) ORDER BY customer",
        )?
        .query_map([Charge::Reserved.as_u8(), Charge::Captured.as_u8()], |row| rows::parsed(row, 0))?
        .collect()
}
