//! Settle: outcomes of attempts, fenced by the attempt's number.

use rusqlite::{CachedStatement, Connection};

use super::{change::Change, rows::load, stops};
use crate::{
    domain::{Code, Next, State, Timestamp},
    ledger::{
        Settled, Settlement, StopPhase,
        book::{BACKEND_ID, How, cut, own_words},
    },
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
                let (at, from) = (now.as_millis(), change.page.from(now).as_millis());
                let done = self.delivered.execute((row, id, detail, backend_id, at, from))? > 0;
                if done {
                    change.tell_report_of(row)?;
                }
                Ok(done)
            }
            Next::Sent { backend_id, look_at } => {
                let backend_id = kept_id(backend_id.as_deref());
                let done = self.sent.execute((row, id, look_at.as_millis(), backend_id))? > 0;
                change.page.news.due(look_at.as_millis());
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
    let Some(mut row) = load(change.connection, settlement.row)? else { return Ok(Settled::Unknown) };
    let (settled, changed) = change.page.settle(&mut row, settlement, now, emit);
    if changed {
        if row.state == State::Retrying {
            let rules = stops::rules(change.connection, StopPhase::Standing)?;
            change.page.stop_if(&mut row, &rules, How::CameBack, now);
        }
        change.save(&row)?;
    }
    Ok(settled)
}
