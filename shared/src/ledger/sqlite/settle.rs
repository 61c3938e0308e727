//! Settle: outcomes of attempts, fenced by the attempt's number.

use rusqlite::{CachedStatement, Connection, params};

use super::{
    change::{BACKEND_ID, Change, DETAIL, End, cut, own_words},
    rows::Row,
};
use crate::{
    domain::{Code, Next, State, Timestamp},
    ledger::{Settled, Settlement},
};

pub(super) fn settle(
    change: &mut Change<'_>,
    batch: &[Settlement],
    now: Timestamp,
    emit: bool,
) -> rusqlite::Result<Vec<Settled>> {
    let mut quick = Quick::prepare(change.connection)?;
    let mut settled = Vec::with_capacity(batch.len());
    for settlement in batch {
        let done = quick.settle(change, settlement, now, emit)?;
        settled.push(if done { Settled::Applied } else { settle_one(change, settlement, now, emit)? });
    }
    Ok(settled)
}

/// A reserved charge is captured, which changes no usage. (`RETURNING` would cost as much again.)
pub(super) const DELIVERED: &str = "UPDATE message SET state = 10, code = 0, detail = ?3, \
     backend_id = coalesce(?4, backend_id), charge = iif(charge = 1, 2, charge), final_at = ?5, \
     revision = revision + 1, report_at = ?6, wake_at = NULL \
     WHERE row = ?1 AND id = ?2 AND attempt = 1 AND state IN (3, 7)";

pub(super) const SENT: &str = "UPDATE message SET state = 7, wake_at = ?3, backend_id = coalesce(?4, backend_id) \
     WHERE row = ?1 AND id = ?2 AND attempt = 1 AND state IN (3, 7)";

/// The way that nearly all go: the first attempt is the current one and says `delivered` or `sent`. One statement, and
/// nothing of the row is read.
struct Quick<'c> {
    delivered: CachedStatement<'c>,
    sent: CachedStatement<'c>,
}

impl<'c> Quick<'c> {
    fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self { delivered: connection.prepare_cached(DELIVERED)?, sent: connection.prepare_cached(SENT)? })
    }

    /// `false`: nothing changed, and the whole row must be looked at.
    fn settle(
        &mut self,
        change: &mut Change<'_>,
        settlement: &Settlement,
        now: Timestamp,
        emit: bool,
    ) -> rusqlite::Result<bool> {
        if settlement.attempt != 1 {
            return Ok(false);
        }
        let (row, id) = (settlement.row.row, settlement.row.id.as_bytes());
        match &settlement.next {
            Next::Final { state: State::Delivered, code: Code::Ok, detail, backend_id } if !emit => {
                let (detail, backend_id) = (own_words(Code::Ok, detail), kept_id(backend_id.as_deref()));
                let (at, from) = (now.as_millis(), change.from(now));
                let done = self.delivered.execute((row, id, detail, backend_id, at, from))? > 0;
                if done {
                    change.tell_report_of(row)?;
                }
                Ok(done)
            }
            Next::Sent { backend_id, look_at } => {
                let backend_id = kept_id(backend_id.as_deref());
                let done = self.sent.execute((row, id, look_at.as_millis(), backend_id))? > 0;
                change.news.due(look_at.as_millis());
                Ok(done)
            }
            _ => Ok(false),
        }
    }
}

fn kept_id(backend_id: Option<&str>) -> Option<&str> {
    backend_id.map(|id| cut(id, BACKEND_ID))
}

fn settle_one(
    change: &mut Change<'_>,
    settlement: &Settlement,
    now: Timestamp,
    emit: bool,
) -> rusqlite::Result<Settled> {
    let Some(row) = Row::load(change.connection, settlement.row)? else { return Ok(Settled::Unknown) };
    let mine = row.attempt == settlement.attempt;
    if mine && matches!(row.state, State::Sending | State::Sent) {
        apply(change, &row, settlement, now, emit)?;
        return Ok(Settled::Applied);
    }
    // A row that this attempt's own settlement brought where it is keeps its incarnation.
    if mine && row.incarnation.is_some() && already(&row, &settlement.next) {
        return Ok(Settled::Applied);
    }
    late(change, &row, settlement, now, emit)
}

/// The settlement of the current attempt.
fn apply(
    change: &mut Change<'_>,
    row: &Row,
    settlement: &Settlement,
    now: Timestamp,
    emit: bool,
) -> rusqlite::Result<()> {
    let next = &settlement.next;
    let clean = settlement.attempt == 1 && matches!(next, Next::Final { .. } | Next::Sent { .. });
    if !clean {
        change.note(row.at, settlement.attempt, next, false, now)?;
    }
    match next {
        Next::Final { state, code, detail, backend_id } => {
            let backend_id = backend_id.as_deref();
            let end = End { state: *state, code: *code, detail, backend_id, by: row.incarnation };
            change.end(row, &end, now, emit)?;
        }
        Next::Sent { backend_id, look_at } => {
            let backend_id = kept_id(backend_id.as_deref());
            change
                .connection
                .prepare_cached(
                    "UPDATE message SET state = 7, wake_at = ?2, backend_id = coalesce(?3, backend_id) WHERE row = ?1",
                )?
                .execute((row.at.row, look_at.as_millis(), backend_id))?;
            change.news.due(look_at.as_millis());
        }
        Next::Retry { at, possible_duplicate, detail } => {
            let wake_at = at.as_millis().min(row.expires_at.as_millis() + 1);
            let doubt = row.possible_duplicate || *possible_duplicate;
            waits(change, row, State::Retrying, None, detail, Some(wake_at), doubt)?;
            change.news.due(wake_at);
            change.joins(row);
        }
        Next::Held { detail } => {
            waits(change, row, State::Held, Some(Code::Uncertain), detail, None, true)?;
        }
    }
    Ok(())
}

fn waits(
    change: &Change<'_>,
    row: &Row,
    state: State,
    code: Option<Code>,
    detail: &str,
    wake_at: Option<i64>,
    doubt: bool,
) -> rusqlite::Result<()> {
    change
        .connection
        .prepare_cached(
            "UPDATE message SET state = ?2, code = ?3, detail = ?4, wake_at = ?5, possible_duplicate = ?6 \
             WHERE row = ?1",
        )?
        .execute(params![
            row.at.row,
            state.as_u8(),
            code.map(Code::as_u8),
            cut(detail, DETAIL),
            wake_at,
            doubt
        ])?;
    Ok(())
}

/// Whether a settlement is in force already: its answer was lost, and it came again.
fn already(row: &Row, next: &Next) -> bool {
    match next {
        Next::Final { state, code, .. } => row.state == *state && row.code == Some(*code),
        Next::Retry { .. } => row.state == State::Retrying,
        Next::Held { .. } => row.state == State::Held,
        Next::Sent { .. } => row.state == State::Sent,
    }
}

/// A word about an attempt after the message has moved on. Only `delivered` changes anything, and it never
/// interrupts a newer attempt: that one goes on, and its own outcome comes late in its turn.
fn late(
    change: &mut Change<'_>,
    row: &Row,
    settlement: &Settlement,
    now: Timestamp,
    emit: bool,
) -> rusqlite::Result<Settled> {
    change.note(row.at, settlement.attempt, &settlement.next, true, now)?;
    let Next::Final { state: State::Delivered, code, detail, backend_id } = &settlement.next else {
        return Ok(Settled::Evidence);
    };
    if row.state == State::Delivered {
        return Ok(Settled::Evidence);
    }
    let backend_id = backend_id.as_deref();
    let end = End { state: State::Delivered, code: *code, detail, backend_id, by: None };
    change.end(row, &end, now, emit)?;
    Ok(Settled::Corrected)
}
