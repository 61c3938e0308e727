//! What providers tell: whom it speaks of, and what is kept of it until that is known.

use std::collections::{HashMap, HashSet};

use sqlx::{PgConnection, Row as _, postgres::PgRow};

use super::{
    recovery::limit,
    rows::{self, id, parsed},
    write::without_nul,
};
use crate::{
    domain::{MessageId, Notice, RouteName, Timestamp},
    ledger::{ParkedNotice, RowRef, SpokenOf},
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

fn found(row: &PgRow) -> Result<SpokenOf, PgError> {
    let attempt: i32 = row.try_get(3)?;
    Ok(SpokenOf {
        row: RowRef { row: row.try_get(1)?, id: id(row, 2)? },
        attempt: u32::try_from(attempt).map_err(|error| PgError::unreadable("attempt", error))?,
        state: rows::state(row, 4)?,
    })
}

pub(super) async fn spoken_of(
    connection: &mut PgConnection,
    route: &RouteName,
    notices: &[Notice],
) -> Result<Vec<Option<SpokenOf>>, PgError> {
    let named: HashSet<String> =
        notices.iter().filter_map(|notice| notice.backend_id.as_deref()).map(without_nul).collect();
    let mut by_backend_id: HashMap<String, SpokenOf> = HashMap::new();
    // A row may move while it is looked for: first the one place, then the other, then the first again.
    for place in [BY_BACKEND_ID, BY_BACKEND_ID_ARCHIVED, BY_BACKEND_ID] {
        let missing: Vec<&str> =
            named.iter().map(String::as_str).filter(|id| !by_backend_id.contains_key(*id)).collect();
        if missing.is_empty() {
            break;
        }
        let rows = sqlx::query(place).bind(route.as_str()).bind(&missing).fetch_all(&mut *connection).await?;
        for row in &rows {
            by_backend_id.insert(row.try_get(0)?, found(row)?);
        }
    }
    let of_backend = |notice: &Notice| {
        notice.backend_id.as_deref().and_then(|id| by_backend_id.get(&without_nul(id)).copied())
    };
    let ours: HashSet<MessageId> =
        notices.iter().filter(|notice| of_backend(notice).is_none()).filter_map(|n| n.message).collect();
    let ours: Vec<MessageId> = ours.into_iter().collect();
    let mut by_our_id = HashMap::new();
    if !ours.is_empty() {
        by_our_id = rows::find_all(connection, &ours).await?;
    }
    let of_ours = |notice: &Notice| {
        let row = by_our_id.get(&notice.message?).filter(|row| row.route == *route)?;
        Some(SpokenOf { row: row.at, attempt: row.attempt, state: row.state })
    };
    Ok(notices.iter().map(|notice| of_backend(notice).or_else(|| of_ours(notice))).collect())
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
