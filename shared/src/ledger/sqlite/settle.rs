//! Settle: outcomes of attempts, fenced by the attempt's number.

use rusqlite::{CachedStatement, params};

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
    let mut delivered = change.connection.prepare_cached(DELIVERED)?;
    let mut settled = Vec::with_capacity(batch.len());
    for settlement in batch {
        let quick = !emit && settle_delivered(change, &mut delivered, settlement, now)?;
        settled.push(if quick { Settled::Applied } else { settle_one(change, settlement, now, emit)? });
    }
    Ok(settled)
}

/// The way that nearly all go: the first attempt is the current one and says `delivered`. One statement, and nothing
/// of the row is read. A reserved charge is captured, which changes no usage. (`RETURNING` would cost as much again.)
pub(super) const DELIVERED: &str = "UPDATE message SET state = 10, code = 0, detail = ?3, \
     backend_id = coalesce(?4, backend_id), charge = iif(charge = 1, 2, charge), final_at = ?5, \
     revision = revision + 1, report_at = ?6, wake_at = NULL \
     WHERE row = ?1 AND id = ?2 AND attempt = 1 AND state IN (3, 7)";

fn settle_delivered(
    change: &mut Change<'_>,
    statement: &mut CachedStatement<'_>,
    settlement: &Settlement,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let Next::Final { state: State::Delivered, code: Code::Ok, detail, backend_id } = &settlement.next else {
        return Ok(false);
    };
    if settlement.attempt != 1 {
        return Ok(false);
    }
    let changed = statement.execute(params![
        settlement.row.row,
        settlement.row.id.as_bytes(),
        own_words(Code::Ok, detail),
        backend_id.as_deref().map(|id| cut(id, BACKEND_ID)),
        now.as_millis(),
        change.from(now),
    ])?;
    if changed > 0 {
        change.tell_report_of(settlement.row.row)?;
    }
    Ok(changed > 0)
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
            let backend_id = backend_id.as_deref().map(|id| cut(id, BACKEND_ID));
            change
                .connection
                .prepare_cached(
                    "UPDATE message SET state = 7, wake_at = ?2, backend_id = coalesce(?3, backend_id) WHERE row = ?1",
                )?
                .execute((row.at.row, look_at.as_millis(), backend_id))?;
        }
        Next::Retry { at, possible_duplicate, detail } => {
            let wake_at = at.as_millis().min(row.expires_at.as_millis() + 1);
            let doubt = row.possible_duplicate || *possible_duplicate;
            waits(change, row, State::Retrying, None, detail, Some(wake_at), doubt)?;
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
