//! What providers tell: whom it speaks of, and what is kept of it until that is known.

use std::collections::{HashMap, HashSet};

use sqlx::{PgConnection, Row as _, postgres::PgRow};

use super::{
    dead,
    recovery::limit,
    rows::{self, bytes, id, parsed},
    write::{int, without_nul},
};
use crate::{
    domain::{MessageId, Notice, RouteName, Timestamp},
    ledger::{
        ParkedNotice, RowRef, SpokenOf,
        book::{By, Earlier, spoken_of as of_attempt},
    },
    postgres::PgError,
};

/// Of each id the newest message, in the one place or in the other.
pub(super) const BY_BACKEND_ID: &str = "SELECT s.backend_id, m.row, m.id, m.attempt, m.state \
     FROM unnest($2::text[]) AS s (backend_id) CROSS JOIN LATERAL ( \
       SELECT row, id, attempt, state FROM message \
       WHERE route = $1 AND backend_id = s.backend_id AND fingerprint IS NOT NULL ORDER BY row DESC LIMIT 1) m";

pub(super) const BY_BACKEND_ID_ARCHIVED: &str = "SELECT s.backend_id, m.row, m.id, m.attempt, m.state \
     FROM unnest($2::text[]) AS s (backend_id) CROSS JOIN LATERAL ( \
       SELECT row, id, attempt, state FROM archive \
       WHERE route = $1 AND backend_id = s.backend_id ORDER BY row DESC LIMIT 1) m";

/// Of each id the newest that it named before it was sent again, on the route over which that went then.
pub(super) const BY_EARLIER_BACKEND_ID: &str = "SELECT s.backend_id, e.id, e.attempt \
     FROM unnest($2::text[]) AS s (backend_id) CROSS JOIN LATERAL ( \
       SELECT id, attempt FROM earlier_sending \
       WHERE route = $1 AND backend_id = s.backend_id ORDER BY at DESC, id DESC, attempt DESC LIMIT 1) e";

/// Of each id of ours its last attempt on a route over which it went before it was sent again.
pub(super) const BY_EARLIER_ROUTE: &str = "SELECT s.id, e.attempt FROM unnest($2::bytea[]) AS s (id) CROSS JOIN LATERAL ( \
       SELECT attempt FROM earlier_sending WHERE id = s.id AND route = $1 ORDER BY attempt DESC LIMIT 1) e";

fn attempt(row: &PgRow, index: usize) -> Result<u32, PgError> {
    let attempt: i32 = row.try_get(index)?;
    u32::try_from(attempt).map_err(|error| PgError::unreadable("attempt", error))
}

fn found(row: &PgRow) -> Result<SpokenOf, PgError> {
    let at = RowRef { row: row.try_get(1)?, id: id(row, 2)? };
    Ok(of_attempt(at, attempt(row, 3)?, rows::state(row, 4)?, None, By::BackendId))
}

pub(super) async fn spoken_of(
    connection: &mut PgConnection,
    route: &RouteName,
    notices: &[Notice],
) -> Result<Vec<Option<SpokenOf>>, PgError> {
    let by_backend_id = by_backend_id(connection, route, notices).await?;
    let of_backend = |notice: &Notice| {
        notice.backend_id.as_deref().and_then(|id| by_backend_id.get(&without_nul(id)).copied())
    };
    let ours: HashSet<MessageId> =
        notices.iter().filter(|notice| of_backend(notice).is_none()).filter_map(|n| n.message).collect();
    let ours: Vec<MessageId> = ours.into_iter().collect();
    if ours.is_empty() {
        return Ok(notices.iter().map(of_backend).collect());
    }
    let by_our_id = rows::find_all(connection, &ours).await?;
    // A first attempt has none before it.
    let later = by_our_id.values().filter(|row| row.route == *route && row.attempt > 1);
    let later: Vec<MessageId> = later.map(|row| row.at.id).collect();
    let texts = if later.is_empty() { HashMap::new() } else { dead::texts(connection, &later).await? };
    let gone = by_our_id.values().filter(|row| row.route != *route);
    let gone: Vec<MessageId> = gone.map(|row| row.at.id).collect();
    let before = before_on(connection, route, &gone).await?;
    let of_ours = |notice: &Notice| {
        let id = notice.message?;
        let row = by_our_id.get(&id)?;
        let (again, by) = if row.route == *route {
            (texts.get(&id).and_then(|message| message.again), By::OurKey(notice.time))
        } else {
            (None, By::Earlier(*before.get(&id)?))
        };
        Some(of_attempt(row.at, row.attempt, row.state, again, by))
    };
    Ok(notices.iter().map(|notice| of_backend(notice).or_else(|| of_ours(notice))).collect())
}

/// What backends' ids name: now, else before it was sent again.
async fn by_backend_id(
    connection: &mut PgConnection,
    route: &RouteName,
    notices: &[Notice],
) -> Result<HashMap<String, SpokenOf>, PgError> {
    let named: HashSet<String> =
        notices.iter().filter_map(|notice| notice.backend_id.as_deref()).map(without_nul).collect();
    let mut by_backend_id: HashMap<String, SpokenOf> = HashMap::new();
    let missing = |known: &HashMap<String, SpokenOf>| -> Vec<String> {
        named.iter().filter(|id| !known.contains_key(*id)).cloned().collect()
    };
    // A row may move while it is looked for: first the one place, then the other, then the first again.
    for place in [BY_BACKEND_ID, BY_BACKEND_ID_ARCHIVED, BY_BACKEND_ID] {
        let missing = missing(&by_backend_id);
        if missing.is_empty() {
            break;
        }
        let rows = sqlx::query(place).bind(route.as_str()).bind(&missing).fetch_all(&mut *connection).await?;
        for row in &rows {
            by_backend_id.insert(row.try_get(0)?, found(row)?);
        }
    }
    let missing = missing(&by_backend_id);
    if missing.is_empty() {
        return Ok(by_backend_id);
    }
    let query = sqlx::query(BY_EARLIER_BACKEND_ID).bind(route.as_str()).bind(&missing);
    let before = query.fetch_all(&mut *connection).await?;
    let ids: Vec<MessageId> = before.iter().map(|row| id(row, 1)).collect::<Result<_, _>>()?;
    let found = if ids.is_empty() { HashMap::new() } else { rows::find_all(connection, &ids).await? };
    for row in &before {
        if let Some(of) = found.get(&id(row, 1)?) {
            let by = By::Earlier(attempt(row, 2)?);
            by_backend_id.insert(row.try_get(0)?, of_attempt(of.at, of.attempt, of.state, None, by));
        }
    }
    Ok(by_backend_id)
}

/// The last attempt of each over a route that it has left.
async fn before_on(
    connection: &mut PgConnection,
    route: &RouteName,
    ids: &[MessageId],
) -> Result<HashMap<MessageId, u32>, PgError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let query = sqlx::query(BY_EARLIER_ROUTE).bind(route.as_str()).bind(bytes(ids));
    query.fetch_all(connection).await?.iter().map(|row| Ok((id(row, 0)?, attempt(row, 1)?))).collect()
}

/// Remembers how messages were sent before they are sent again.
pub(super) async fn remember(
    connection: &mut PgConnection,
    before: &[Earlier],
    now: Timestamp,
) -> Result<(), PgError> {
    if before.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO earlier_sending (at, attempt, id, route, backend_id) \
         SELECT $1, * FROM unnest($2::integer[], $3::bytea[], $4::text[], $5::text[]) ON CONFLICT DO NOTHING",
    )
    .bind(now.as_millis())
    .bind(before.iter().map(|one| int(one.attempt)).collect::<Vec<_>>())
    .bind(before.iter().map(|one| one.at.id.as_bytes().as_slice()).collect::<Vec<_>>())
    .bind(before.iter().map(|one| one.route.as_str()).collect::<Vec<_>>())
    .bind(before.iter().map(|one| one.backend_id.as_deref()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// What is there already stays; what is new is kept while there is room. The room is measured before: two that write at once may
/// exceed it by what they bring.
pub(super) const PARK: &str = "WITH s AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[]) \
       AS s (route, digest, notice, since, until, look_at)), \
     many AS (SELECT r.route, (SELECT count(*) FROM (SELECT 1 FROM early_report e WHERE e.route = r.route LIMIT $7) AS part) AS n \
       FROM (SELECT DISTINCT route FROM s) r) \
     INSERT INTO early_report (route, digest, notice, since, until, look_at) \
     SELECT s.route, s.digest, s.notice, s.since, s.until, s.look_at FROM s JOIN many ON many.route = s.route \
     WHERE many.n < $7 ORDER BY s.route, s.digest ON CONFLICT (route, digest) DO NOTHING";

pub(super) const PARKED_ALREADY: &str = "SELECT e.route, e.digest FROM early_report e \
     JOIN unnest($1::text[], $2::text[]) AS s (route, digest) ON e.route = s.route AND e.digest = s.digest";

pub(super) async fn park(
    connection: &mut PgConnection,
    notices: &[ParkedNotice],
    now: Timestamp,
    most: u64,
) -> Result<Vec<bool>, PgError> {
    let written: Vec<(String, String)> = notices.iter().map(ParkedNotice::written).collect();
    let routes: Vec<&str> = notices.iter().map(|parked| parked.route.as_str()).collect();
    let digests: Vec<&str> = written.iter().map(|(_, digest)| digest.as_str()).collect();
    sqlx::query(PARK)
        .bind(&routes)
        .bind(&digests)
        .bind(written.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>())
        .bind(notices.iter().map(|parked| parked.since.as_millis()).collect::<Vec<_>>())
        .bind(notices.iter().map(|parked| parked.until.as_millis()).collect::<Vec<_>>())
        .bind(notices.iter().map(|parked| parked.look_at(now).as_millis()).collect::<Vec<_>>())
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .execute(&mut *connection)
        .await?;
    let there = sqlx::query(PARKED_ALREADY).bind(&routes).bind(&digests).fetch_all(connection).await?;
    let there: HashSet<(String, String)> =
        there.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, PgError>>()?;
    let kept = notices.iter().zip(&written);
    Ok(kept
        .map(|(parked, (_, digest))| there.contains(&(parked.route.to_string(), digest.clone())))
        .collect())
}

/// Each is looked at again after as long as it has been kept, but at least a second and at most a minute.
pub(super) const PARKED: &str = "WITH due AS (SELECT row FROM early_report WHERE look_at <= $1 ORDER BY look_at LIMIT $2 \
       FOR UPDATE SKIP LOCKED) \
     UPDATE early_report e SET look_at = $1 + least(greatest($1 - e.since, 1000), 60000) FROM due WHERE e.row = due.row \
     RETURNING e.route, e.notice, e.since, e.until";

pub(super) async fn parked(
    connection: &mut PgConnection,
    now: Timestamp,
    max: usize,
) -> Result<Vec<ParkedNotice>, PgError> {
    let rows = sqlx::query(PARKED).bind(now.as_millis()).bind(limit(max)).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let text: &str = row.try_get(1)?;
            Ok(ParkedNotice {
                route: parsed(row, 0)?,
                notice: serde_json::from_str(text).map_err(|error| PgError::unreadable("notice", error))?,
                since: Timestamp::from_millis(row.try_get(2)?),
                until: Timestamp::from_millis(row.try_get(3)?),
            })
        })
        .collect()
}

pub(super) const UNPARK: &str = "DELETE FROM early_report e USING unnest($1::text[], $2::text[]) AS s (route, digest) \
     WHERE e.route = s.route AND e.digest = s.digest";

pub(super) async fn unpark(connection: &mut PgConnection, notices: &[ParkedNotice]) -> Result<(), PgError> {
    sqlx::query(UNPARK)
        .bind(notices.iter().map(|parked| parked.route.as_str()).collect::<Vec<_>>())
        .bind(notices.iter().map(|parked| parked.written().1).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}
