//! What providers tell: whom it speaks of, and what is kept of it until that is known.

use rusqlite::{Connection, OptionalExtension, Row as SqlRow};

use super::{
    change::{Change, unreadable},
    rows::{content, parsed, state},
};
use crate::{
    domain::{Again, MessageId, Notice, RouteName, State, Timestamp},
    ledger::{
        ParkedNotice, RowRef, SpokenOf,
        book::{By, Earlier, spoken_of as spoken_of_attempt},
    },
};

pub(super) const BY_BACKEND_ID: &str = "SELECT row, id, attempt, state FROM message \
     WHERE route = ?1 AND backend_id = ?2 AND fingerprint IS NOT NULL ORDER BY row DESC LIMIT 1";

pub(super) const BY_OUR_ID: &str = "SELECT row, id, attempt, state FROM message \
     WHERE id = ?2 AND route = ?1 AND fingerprint IS NOT NULL";

/// By what it was called before it was sent again, on the route over which it went then.
pub(super) const BY_EARLIER_BACKEND_ID: &str = "SELECT m.row, m.id, m.attempt, m.state, e.attempt FROM earlier_sending e \
     JOIN message m ON m.row = e.message \
     WHERE e.route = ?1 AND e.backend_id = ?2 AND m.fingerprint IS NOT NULL ORDER BY e.message DESC, e.attempt DESC LIMIT 1";

/// By our id, on a route over which it went before it was sent again.
pub(super) const BY_EARLIER_ROUTE: &str = "SELECT m.row, m.id, m.attempt, m.state, e.attempt FROM message m \
     JOIN earlier_sending e ON e.message = m.row \
     WHERE m.id = ?2 AND e.route = ?1 AND m.fingerprint IS NOT NULL ORDER BY e.attempt DESC LIMIT 1";

/// A row that a notice may speak of.
struct Found {
    at: RowRef,
    attempt: u32,
    state: State,
}

impl Found {
    fn read(row: &SqlRow<'_>) -> rusqlite::Result<Self> {
        let at = RowRef { row: row.get(0)?, id: MessageId::from_bytes(row.get(1)?) };
        Ok(Self { at, attempt: row.get(2)?, state: state(row, 3)? })
    }

    fn by(self, again: Option<Again>, by: By) -> SpokenOf {
        spoken_of_attempt(self.at, self.attempt, self.state, again, by)
    }
}

fn earlier(row: &SqlRow<'_>) -> rusqlite::Result<SpokenOf> {
    Ok(Found::read(row)?.by(None, By::Earlier(row.get(4)?)))
}

pub(super) fn spoken_of(
    connection: &Connection,
    route: &RouteName,
    notices: &[Notice],
) -> rusqlite::Result<Vec<Option<SpokenOf>>> {
    notices.iter().map(|notice| spoken_of_one(connection, route, notice)).collect()
}

fn spoken_of_one(
    connection: &Connection,
    route: &RouteName,
    notice: &Notice,
) -> rusqlite::Result<Option<SpokenOf>> {
    let query = |text| connection.prepare_cached(text);
    if let Some(id) = &notice.backend_id {
        let named = (route.as_str(), id);
        if let Some(found) = query(BY_BACKEND_ID)?.query_row(named, Found::read).optional()? {
            return Ok(Some(found.by(None, By::BackendId)));
        }
        let before = query(BY_EARLIER_BACKEND_ID)?.query_row(named, earlier).optional()?;
        if before.is_some() {
            return Ok(before);
        }
    }
    let Some(id) = &notice.message else { return Ok(None) };
    let named = (route.as_str(), id.as_bytes());
    let Some(found) = query(BY_OUR_ID)?.query_row(named, Found::read).optional()? else {
        return query(BY_EARLIER_ROUTE)?.query_row(named, earlier).optional();
    };
    // A first attempt has none before it.
    let text = if found.attempt > 1 { content(connection, found.at.row)? } else { None };
    Ok(Some(found.by(text.and_then(|message| message.again), By::OurKey(notice.time))))
}

/// Remembers how messages were sent before they are sent again.
pub(super) fn remember(before: &[Earlier], connection: &Connection) -> rusqlite::Result<()> {
    for Earlier { at, attempt, route, backend_id } in before {
        connection
            .prepare_cached(
                "INSERT INTO earlier_sending (message, attempt, route, backend_id) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT DO NOTHING",
            )?
            .execute((at.row, attempt, route.as_str(), backend_id))?;
    }
    Ok(())
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
