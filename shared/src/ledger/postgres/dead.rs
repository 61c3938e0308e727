//! Messages that ended without being delivered, and how they are sent again.

use std::collections::HashMap;

use sqlx::{PgConnection, Row as _};

use super::{
    archive, opt_outs,
    recovery::limit,
    rows::{COLUMNS, bytes, id, message, read, row_columns},
    settle, stops, usage,
    write::{self, json, sorted},
};
use crate::{
    domain::{Code, CustomerId, Day, Message, MessageId, RouteName, Timestamp},
    ledger::{
        DeadFilter, DeadPage, Redrive, Redriven, RowRef, StopPhase,
        book::{News, Page, Row, Tallies, as_entry, in_doubt, is_charged_again, is_dead, told_dead},
    },
    postgres::PgError,
};

/// Row numbers that one page looks at.
const LOOKED: i64 = 1_000_000;

/// What must hold, in the table called `m`.
macro_rules! matching {
    () => {
        " m.row > $1 AND m.row <= $2 AND m.state IN (11, 12) AND ($3::text IS NULL OR m.customer = $3) \
         AND ($4::text IS NULL OR m.route = $4) AND ($5::smallint IS NULL OR m.code = $5) \
         AND ($6::bigint IS NULL OR m.final_at >= $6) AND ($7::bigint IS NULL OR m.final_at < $7) \
         ORDER BY m.row LIMIT $8"
    };
}

const DEAD: &str = concat!(
    "SELECT * FROM ((SELECT ",
    row_columns!(),
    ", EXISTS (SELECT FROM content c WHERE c.row = m.row) AS has_text FROM message m \
     WHERE m.fingerprint IS NOT NULL AND",
    matching!(),
    ") UNION ALL (SELECT ",
    row_columns!(),
    ", m.message IS NOT NULL FROM archive m WHERE",
    matching!(),
    ")) AS found ORDER BY row LIMIT $8"
);

const NEWEST: &str =
    "SELECT coalesce(greatest((SELECT max(row) FROM message), (SELECT max(row) FROM archive)), 0)";

pub(super) async fn dead(
    connection: &mut PgConnection,
    filter: &DeadFilter,
    from: Option<i64>,
    max: usize,
) -> Result<DeadPage, PgError> {
    let newest: i64 = sqlx::query(NEWEST).fetch_one(&mut *connection).await?.try_get(0)?;
    let from = from.unwrap_or(0);
    let until = from.saturating_add(LOOKED).min(newest);
    let rows = sqlx::query(DEAD)
        .bind(from)
        .bind(until)
        .bind(filter.customer.as_ref().map(CustomerId::as_str))
        .bind(filter.route.as_ref().map(RouteName::as_str))
        .bind(filter.code.map(|code| i16::from(Code::as_u8(code))))
        .bind(filter.since.map(Timestamp::as_millis))
        .bind(filter.until.map(Timestamp::as_millis))
        .bind(limit(max))
        .fetch_all(connection)
        .await?;
    let mut dead = Vec::with_capacity(rows.len());
    let mut last = from;
    for row in &rows {
        last = row.try_get(0)?;
        dead.push(told_dead(read(row)?, row.try_get(COLUMNS)?));
    }
    let next = if rows.len() >= max { Some(last) } else { Some(until).filter(|until| *until < newest) };
    Ok(DeadPage { dead, next })
}

/// Texts of rows, wherever they are.
const TEXTS: &str = "SELECT m.id, c.message FROM message m JOIN content c ON c.row = m.row WHERE m.id = ANY($1) \
     UNION ALL SELECT id, message FROM archive WHERE id = ANY($1) AND message IS NOT NULL";

pub(super) async fn texts(
    connection: &mut PgConnection,
    ids: &[MessageId],
) -> Result<HashMap<MessageId, Message>, PgError> {
    let rows = sqlx::query(TEXTS).bind(bytes(ids)).fetch_all(connection).await?;
    let mut texts = HashMap::with_capacity(rows.len());
    for row in &rows {
        if let Some(message) = message(row, 1)? {
            texts.insert(id(row, 0)?, message);
        }
    }
    Ok(texts)
}

pub(super) async fn redrive(
    connection: &mut PgConnection,
    redrive: &Redrive,
    clock: Timestamp,
) -> Result<(Vec<Redriven>, News), PgError> {
    let ids = sorted(redrive.ids.iter().map(|id| RowRef { row: 0, id: *id }));
    let settle::Loaded { mut rows, archived } = settle::load(connection, &ids).await?;
    let mut texts = texts(connection, &ids).await?;
    let dead: Vec<Row> = rows.values().filter(|row| is_dead(row)).cloned().collect();
    let out = opt_outs::of_rows_held(connection, &dead).await?;
    let rules = stops::rules(connection, StopPhase::Standing).await?;
    let day = Day::of(redrive.now, &redrive.time_zone);
    let entries: Vec<_> = redrive
        .ids
        .iter()
        .filter_map(|id| {
            Some(as_entry(rows.get(id).filter(|row| is_dead(row))?, texts.get(id)?.clone(), day))
        })
        .collect();
    let mut tallies = Tallies::of(&redrive.quotas, &entries);
    usage::read_alone(connection, tallies.list()).await?;
    let mut page = Page::new(clock);
    let mut begun = Vec::new();
    let mut answers = Vec::with_capacity(redrive.ids.len());
    for id in &redrive.ids {
        let Some(mut row) = rows.remove(id).filter(is_dead) else {
            answers.push(Redriven::NotDead);
            continue;
        };
        if in_doubt(&row) && !redrive.uncertain {
            answers.push(Redriven::InDoubt);
            continue;
        }
        let Some(mut message) = texts.remove(id) else {
            answers.push(Redriven::NoText);
            continue;
        };
        if out.contains(id) {
            answers.push(Redriven::OptedOut);
            continue;
        }
        if is_charged_again(&row) {
            let entry = as_entry(&row, message.clone(), day);
            if !tallies.see(&entry) {
                answers.push(Redriven::OverQuota);
                continue;
            }
            tallies.reserve(&entry);
        }
        answers.push(page.redrive(&mut row, &mut message, &rules, day, redrive.now));
        begun.push((row, json(&message)?));
    }
    begun.sort_unstable_by_key(|(row, _)| row.at.id);
    let (begun, messages): (Vec<_>, Vec<_>) = begun.into_iter().unzip();
    let ids: Vec<MessageId> = begun.iter().map(|row| row.at.id).collect();
    let back: Vec<MessageId> = ids.iter().filter(|id| archived.contains(id)).copied().collect();
    archive::bring_back(connection, &back).await?;
    write::save(connection, &begun).await?;
    sqlx::query(
        "WITH s AS (SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::integer[], $4::text[]) AS s (id, row, day, message)), \
         charged AS (UPDATE content c SET message = s.message FROM s WHERE c.row = s.row), \
         unread AS (DELETE FROM unread u USING s WHERE u.id = s.id) \
         UPDATE message m SET day = s.day FROM s WHERE m.id = s.id",
    )
    .bind(bytes(&ids))
    .bind(begun.iter().map(|row| row.at.row).collect::<Vec<_>>())
    .bind(begun.iter().map(|row| row.day.as_i32()).collect::<Vec<_>>())
    .bind(messages)
    .execute(&mut *connection)
    .await?;
    let news = write::page(connection, page).await?;
    Ok((answers, news))
}
