//! What providers tell: whom it speaks of, and what is kept of it until that is known.

use rusqlite::{Connection, OptionalExtension, Row as SqlRow};

use super::{
    change::{Change, unreadable},
    rows::{parsed, state},
};
use crate::{
    domain::{MessageId, Notice, RouteName, Timestamp},
    ledger::{ParkedNotice, RowRef, SpokenOf},
};

pub(super) const BY_BACKEND_ID: &str = "SELECT row, id, attempt, state FROM message \
     WHERE route = ?1 AND backend_id = ?2 AND fingerprint IS NOT NULL ORDER BY row DESC LIMIT 1";

pub(super) const BY_OUR_ID: &str = "SELECT row, id, attempt, state FROM message \
     WHERE id = ?2 AND route = ?1 AND fingerprint IS NOT NULL";

fn found(row: &SqlRow<'_>) -> rusqlite::Result<SpokenOf> {
    let at = RowRef { row: row.get(0)?, id: MessageId::from_bytes(row.get(1)?) };
    Ok(SpokenOf { row: at, attempt: row.get(2)?, state: state(row, 3)? })
}

pub(super) fn spoken_of(
    connection: &Connection,
    route: &RouteName,
    notices: &[Notice],
) -> rusqlite::Result<Vec<Option<SpokenOf>>> {
    let mut by_backend_id = connection.prepare_cached(BY_BACKEND_ID)?;
    let mut by_our_id = connection.prepare_cached(BY_OUR_ID)?;
    let mut answers = Vec::with_capacity(notices.len());
    for Notice { backend_id, message, .. } in notices {
        let mut answer = None;
        if let Some(id) = backend_id {
            answer = by_backend_id.query_row((route.as_str(), id), found).optional()?;
        }
        if let (None, Some(id)) = (&answer, message) {
            answer = by_our_id.query_row((route.as_str(), id.as_bytes()), found).optional()?;
        }
        answers.push(answer);
    }
    Ok(answers)
}

pub(super) fn park(
    change: &mut Change<'_>,
    notices: &[ParkedNotice],
    now: Timestamp,
    most: u64,
) -> rusqlite::Result<Vec<bool>> {
    let mut kept = Vec::with_capacity(notices.len());
    for parked in notices {
        let (text, digest) = parked.written();
        let (route, look_at) = (parked.route.as_str(), parked.look_at(now).as_millis());
        let there: bool = change
            .connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM early_report WHERE route = ?1 AND digest = ?2)")?
            .query_row((route, &digest), |row| row.get(0))?;
        let many: u64 = change
            .connection
            .prepare_cached("SELECT count(*) FROM (SELECT 1 FROM early_report WHERE route = ?1 LIMIT ?2)")?
            .query_row((route, most), |row| row.get(0))?;
        if !there && many < most {
            change
                .connection
                .prepare_cached(
                    "INSERT INTO early_report (route, digest, notice, since, until, look_at) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute((
                    route,
                    &digest,
                    &text,
                    parked.since.as_millis(),
                    parked.until.as_millis(),
                    look_at,
                ))?;
            change.page.news.due(look_at);
        }
        kept.push(there || many < most);
    }
    Ok(kept)
}

pub(super) const PARKED: &str = "SELECT row, route, notice, since, until FROM early_report \
     WHERE look_at <= ?1 ORDER BY look_at LIMIT ?2";

pub(super) fn parked(
    change: &mut Change<'_>,
    now: Timestamp,
    max: usize,
) -> rusqlite::Result<Vec<ParkedNotice>> {
    let due: Vec<(i64, ParkedNotice)> = change
        .connection
        .prepare_cached(PARKED)?
        .query_map((now.as_millis(), max), |row| Ok((row.get(0)?, read(row)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (row, parked) in &due {
        change
            .connection
            .prepare_cached("UPDATE early_report SET look_at = ?2 WHERE row = ?1")?
            .execute((row, parked.look_at(now).as_millis()))?;
    }
    Ok(due.into_iter().map(|(_, parked)| parked).collect())
}

fn read(row: &SqlRow<'_>) -> rusqlite::Result<ParkedNotice> {
    Ok(ParkedNotice {
        route: parsed(row, 1)?,
        notice: serde_json::from_str(row.get_ref(2)?.as_str()?).map_err(unreadable)?,
        since: Timestamp::from_millis(row.get(3)?),
        until: Timestamp::from_millis(row.get(4)?),
    })
}

pub(super) fn unpark(change: &mut Change<'_>, notices: &[ParkedNotice]) -> rusqlite::Result<()> {
    for parked in notices {
        let (_, digest) = parked.written();
        change
            .connection
            .prepare_cached("DELETE FROM early_report WHERE route = ?1 AND digest = ?2")?
            .execute((parked.route.as_str(), digest))?;
    }
    Ok(())
}
