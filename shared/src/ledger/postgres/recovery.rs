//! Recovery: who lives, what the dead left, what is due, what is given back.

use std::{collections::HashMap, time::Duration};

use sqlx::{PgConnection, Row as _};

use super::{
    opt_outs,
    rows::{COLUMNS, message, read, read_all, row_columns},
    settle::LOCK,
    stops,
    write::{self, sorted},
};
use crate::{
    domain::{IncarnationId, MessageId, State, Timestamp},
    ledger::{
        RowRef, Woken, Work,
        book::{How, News, Page, Row, Woke},
    },
    postgres::PgError,
};

pub(super) async fn beat(connection: &mut PgConnection, incarnation: IncarnationId) -> Result<(), PgError> {
    sqlx::query(
        "INSERT INTO incarnation AS i (id, beat) VALUES ($1, 1) ON CONFLICT (id) DO UPDATE SET beat = i.beat + 1",
    )
    .bind(incarnation.as_i64())
    .execute(connection)
    .await?;
    Ok(())
}

/// Whoever has a row of its own, and whoever holds rows without one: it died before its first beat.
pub(super) const INCARNATIONS: &str = "WITH RECURSIVE holder (id) AS ( \
       SELECT (SELECT incarnation FROM message WHERE state = 3 AND incarnation >= 0 \
               ORDER BY incarnation LIMIT 1) \
       UNION ALL \
       SELECT (SELECT incarnation FROM message WHERE state = 3 AND incarnation > holder.id \
               ORDER BY incarnation LIMIT 1) \
         FROM holder WHERE holder.id IS NOT NULL) \
     SELECT id, beat FROM incarnation \
     UNION ALL \
     SELECT id, 0 FROM holder WHERE id IS NOT NULL AND id NOT IN (SELECT id FROM incarnation)";

pub(super) async fn incarnations(
    connection: &mut PgConnection,
) -> Result<Vec<(IncarnationId, i64)>, PgError> {
    let rows = sqlx::query(INCARNATIONS).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((IncarnationId::from_i64(row.try_get(0)?), row.try_get(1)?))).collect()
}

pub(super) const LOST: &str = concat!(
    "SELECT ",
    row_columns!(),
    ", c.message FROM message m LEFT JOIN content c ON c.row = m.row \
     WHERE m.state = 3 AND m.incarnation = $1 ORDER BY m.row LIMIT $2"
);

pub(super) async fn lost(
    connection: &mut PgConnection,
    incarnation: IncarnationId,
    max: usize,
) -> Result<Vec<Work>, PgError> {
    let rows = sqlx::query(LOST).bind(incarnation.as_i64()).bind(limit(max)).fetch_all(connection).await?;
    // If the content cannot be read, what the row itself knows must do: nothing is sent from it, but it can be settled.
    rows.iter()
        .map(|found| {
            let (row, message) = (read(found)?, message(found, COLUMNS)?);
            let message = message.unwrap_or_else(|| row.remnant());
            Ok(row.into_work(message))
        })
        .collect()
}

pub(super) fn limit(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}

pub(super) async fn bury(connection: &mut PgConnection, incarnation: IncarnationId) -> Result<bool, PgError> {
    let row = sqlx::query(
        "WITH held AS (SELECT EXISTS (SELECT 1 FROM message WHERE state = 3 AND incarnation = $1) AS rows), \
         gone AS (DELETE FROM incarnation i USING held WHERE i.id = $1 AND NOT held.rows) \
         SELECT rows FROM held",
    )
    .bind(incarnation.as_i64())
    .fetch_one(connection)
    .await?;
    Ok(!row.try_get::<bool, _>(0)?)
}

pub(super) const DUE: &str = concat!(
    "SELECT ",
    row_columns!(),
    " FROM message m WHERE m.state IN (1, 2, 4) AND m.wake_at <= $1 ORDER BY m.wake_at LIMIT $2 \
     FOR UPDATE SKIP LOCKED"
);

pub(super) async fn wake(
    connection: &mut PgConnection,
    now: Timestamp,
    max: usize,
    emit: bool,
    clock: Timestamp,
) -> Result<(Woken, News), PgError> {
    let due = sqlx::query(DUE).bind(now.as_millis()).bind(limit(max)).fetch_all(&mut *connection).await?;
    let mut rows = read_all(&due)?;
    rows.sort_unstable_by_key(|row| row.at.id);
    let (mut woken, mut page) = (Woken::default(), Page::new(clock));
    let out = opt_outs::of_rows(connection, &rows).await?;
    for row in &mut rows {
        if out.contains(&row.at.id) {
            page.opted_out(row, now, emit);
            woken.expired += 1;
            continue;
        }
        match page.wake(row, now, emit) {
            Woke::Expired => woken.expired += 1,
            Woke::Ready => woken.ready += 1,
        }
    }
    let ready = rows.iter().filter(|row| row.state == State::Ready).count();
    stops::stop_some(connection, &mut page, &mut rows, How::Swept, now).await?;
    woken.ready -= ready - rows.iter().filter(|row| row.state == State::Ready).count();
    write::save(connection, &rows).await?;
    let news = write::page(connection, page).await?;
    Ok((woken, news))
}

pub(super) const DUE_REPORTS: &str = concat!(
    "WITH due AS (SELECT id FROM message WHERE state = 7 AND wake_at <= $1 ORDER BY wake_at LIMIT $2 \
       FOR UPDATE SKIP LOCKED), \
     m AS (UPDATE message SET wake_at = $3 FROM due WHERE message.id = due.id RETURNING message.*) \
     SELECT ",
    row_columns!(),
    ", c.message FROM m LEFT JOIN content c ON c.row = m.row ORDER BY m.row"
);

pub(super) async fn due_reports(
    connection: &mut PgConnection,
    now: Timestamp,
    max: usize,
    lease: Duration,
) -> Result<Vec<Work>, PgError> {
    let until = now.plus(lease).as_millis().max(now.as_millis() + 1);
    let rows = sqlx::query(DUE_REPORTS)
        .bind(now.as_millis())
        .bind(limit(max))
        .bind(until)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|found| {
            let (row, message) = (read(found)?, message(found, COLUMNS)?);
            let message = message.unwrap_or_else(|| row.remnant());
            Ok(row.into_work(message))
        })
        .collect()
}

pub(super) async fn give_back(
    connection: &mut PgConnection,
    given: &[(RowRef, u32)],
    clock: Timestamp,
) -> Result<News, PgError> {
    let ids = sorted(given.iter().map(|(at, _)| *at));
    let found = sqlx::query(LOCK).bind(super::rows::bytes(&ids)).fetch_all(&mut *connection).await?;
    let found = read_all(&found)?;
    let out = opt_outs::of_rows(connection, &found).await?;
    let mut rows: HashMap<MessageId, Row> = found.into_iter().map(|row| (row.at.id, row)).collect();
    let mut page = Page::new(clock);
    let mut saved = Vec::new();
    for (at, attempt) in given {
        if let Some(row) = rows.get_mut(&at.id).filter(|row| row.at == *at)
            && page.give_back(row, *attempt, out.contains(&at.id))
        {
            saved.push(row.clone());
        }
    }
    saved.sort_unstable_by_key(|row: &Row| row.at.id);
    stops::stop_some(connection, &mut page, &mut saved, How::CameBack, clock).await?;
    write::save(connection, &saved).await?;
    write::page(connection, page).await
}

/// The earliest moment of each index: one look at its beginning.
pub(super) const EARLIEST: &str = "SELECT least( \
     (SELECT wake_at FROM message WHERE state IN (1, 2, 4) AND wake_at >= 0 ORDER BY wake_at LIMIT 1), \
     (SELECT wake_at FROM message WHERE state = 7 AND wake_at >= 0 ORDER BY wake_at LIMIT 1), \
     (SELECT look_at FROM early_report WHERE look_at >= 0 ORDER BY look_at LIMIT 1))";

pub(super) async fn earliest(connection: &mut PgConnection) -> Result<Option<i64>, PgError> {
    Ok(sqlx::query(EARLIEST).fetch_one(connection).await?.try_get(0)?)
}

/// What waits: the sum of all changes.
pub(super) const WAITING: &str = "SELECT route, lane, customer, sandbox, sum(messages)::bigint, count(*) FROM backlog \
     GROUP BY route, lane, customer, sandbox";

/// Sums up changes that nobody else is summing up.
pub(super) const FOLD: &str = "WITH old AS (SELECT ctid FROM backlog LIMIT 20000 FOR UPDATE SKIP LOCKED), \
     gone AS (DELETE FROM backlog b USING old WHERE b.ctid = old.ctid \
              RETURNING b.route, b.lane, b.customer, b.sandbox, b.messages) \
     INSERT INTO backlog (route, lane, customer, sandbox, messages) \
     SELECT route, lane, customer, sandbox, sum(messages) FROM gone \
     GROUP BY route, lane, customer, sandbox HAVING sum(messages) <> 0";
