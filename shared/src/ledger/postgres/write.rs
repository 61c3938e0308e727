//! Writing in sets: every array holds one column of many rows, and one statement takes them all.

use sqlx::PgConnection;

use super::{notices, stops};
use crate::{
    domain::{Code, MessageId, Timestamp},
    ledger::{
        RowRef,
        book::{News, Page, Row, UsageChanges, lane_number, sandbox},
    },
    postgres::PgError,
};

/// PostgreSQL keeps no NUL in a text. What others wrote into a sentence of ours is kept without it.
pub(super) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A number of ours that is never near the end of its column.
pub(super) fn int(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

pub(super) const SAVE: &str = "UPDATE message m SET state = s.state, code = s.code, detail = s.detail, charge = s.charge, \
     attempt = s.attempt, incarnation = s.incarnation, possible_duplicate = s.possible_duplicate, \
     backend_id = s.backend_id, wake_at = s.wake_at, expires_at = s.expires_at, sent_at = s.sent_at, \
     final_at = s.final_at, revision = s.revision \
     FROM unnest($1::bytea[], $2::smallint[], $3::smallint[], $4::text[], $5::smallint[], $6::integer[], $7::bigint[], \
                 $8::boolean[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::integer[]) \
       AS s (id, state, code, detail, charge, attempt, incarnation, possible_duplicate, backend_id, wake_at, \
             expires_at, sent_at, final_at, revision) \
     WHERE m.id = s.id";

/// Writes all of these rows that can change, and their reports if they have new ones.
pub(super) async fn save(connection: &mut PgConnection, rows: &[Row]) -> Result<(), PgError> {
    if rows.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&Row) -> Option<Timestamp>| -> Vec<Option<i64>> {
        rows.iter().map(|row| of(row).map(Timestamp::as_millis)).collect()
    };
    let text = |of: fn(&Row) -> Option<&str>| -> Vec<Option<String>> {
        rows.iter().map(|row| of(row).map(without_nul)).collect()
    };
    let saved = sqlx::query(SAVE)
        .bind(rows.iter().map(|row| row.at.id.as_bytes().as_slice()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| i16::from(row.state.as_u8())).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.code.map(|code| i16::from(Code::as_u8(code)))).collect::<Vec<_>>())
        .bind(text(|row| row.detail.as_deref()))
        .bind(rows.iter().map(|row| i16::from(row.charge.as_u8())).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| int(row.attempt)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.incarnation).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.possible_duplicate).collect::<Vec<_>>())
        .bind(text(|row| row.backend_id.as_deref()))
        .bind(rows.iter().map(|row| row.wake_at).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.expires_at.as_millis()).collect::<Vec<_>>())
        .bind(column(|row| row.sent_at))
        .bind(column(|row| row.final_at))
        .bind(rows.iter().map(|row| int(row.revision)).collect::<Vec<_>>())
        .execute(&mut *connection)
        .await?;
    // They were locked: one that is not there any more is a mistake of ours, and nothing of it may stay.
    if saved.rows_affected() != rows.len() as u64 {
        return Err(PgError::Moved);
    }
    let reported: Vec<Unread<'_>> = rows.iter().filter_map(Unread::of).collect();
    report(connection, &reported).await
}

/// A report that is to be handed out.
pub(super) struct Unread<'a> {
    pub(super) id: MessageId,
    pub(super) customer: &'a str,
    pub(super) sandbox: bool,
    pub(super) revision: u32,
    pub(super) free_at: Timestamp,
}

impl<'a> Unread<'a> {
    pub(super) fn of(row: &'a Row) -> Option<Self> {
        Some(Self {
            id: row.at.id,
            customer: row.account.customer.as_str(),
            sandbox: sandbox(row.account.environment),
            revision: row.revision,
            free_at: row.report_at?,
        })
    }
}

pub(super) async fn report(connection: &mut PgConnection, reports: &[Unread<'_>]) -> Result<(), PgError> {
    if reports.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO unread (id, customer, sandbox, revision, free_at) \
         SELECT * FROM unnest($1::bytea[], $2::text[], $3::boolean[], $4::integer[], $5::bigint[]) \
         ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, free_at = excluded.free_at",
    )
    .bind(reports.iter().map(|report| report.id.as_bytes().as_slice()).collect::<Vec<_>>())
    .bind(reports.iter().map(|report| report.customer).collect::<Vec<_>>())
    .bind(reports.iter().map(|report| report.sandbox).collect::<Vec<_>>())
    .bind(reports.iter().map(|report| int(report.revision)).collect::<Vec<_>>())
    .bind(reports.iter().map(|report| report.free_at.as_millis()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes what a page gathered beside the rows; usage last. Gives what is to be told once it is durable.
pub(super) async fn page(connection: &mut PgConnection, page: Page) -> Result<News, PgError> {
    let Page { usage, news, notes, kept, earlier, halts, events, clock, .. } = page;
    stops::write(connection, &halts).await?;
    notices::remember(connection, &earlier, clock).await?;
    if !notes.is_empty() {
        sqlx::query(
            "INSERT INTO attempt_note (message, attempt, late, outcome, at, detail, began_at, doubtful, backend_id) \
             SELECT * FROM unnest($1::bigint[], $2::integer[], $3::boolean[], $4::text[], $5::bigint[], $6::text[], \
                                  $7::bigint[], $8::boolean[], $9::text[]) \
             ON CONFLICT DO NOTHING",
        )
        .bind(notes.iter().map(|note| note.at.row).collect::<Vec<_>>())
        .bind(notes.iter().map(|note| int(note.attempt)).collect::<Vec<_>>())
        .bind(notes.iter().map(|note| note.late).collect::<Vec<_>>())
        .bind(notes.iter().map(|note| &*note.outcome).collect::<Vec<_>>())
        .bind(notes.iter().map(|note| note.when.as_millis()).collect::<Vec<_>>())
        .bind(notes.iter().map(|note| without_nul(&note.detail)).collect::<Vec<_>>())
        .bind(notes.iter().map(|note| note.began.map(Timestamp::as_millis)).collect::<Vec<_>>())
        .bind(notes.iter().map(|note| note.doubtful).collect::<Vec<_>>())
        .bind(notes.iter().map(|note| note.backend_id.as_deref().map(without_nul)).collect::<Vec<_>>())
        .execute(&mut *connection)
        .await?;
    }
    if !kept.is_empty() {
        sqlx::query(
            "INSERT INTO report_history (message, at, revision, report) \
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::text[])",
        )
        .bind(kept.iter().map(|(at, _)| at.row).collect::<Vec<_>>())
        .bind(vec![clock.as_millis(); kept.len()])
        .bind(kept.iter().map(|(_, report)| int(report.revision)).collect::<Vec<_>>())
        .bind(kept.iter().map(|(_, report)| json(report)).collect::<Result<Vec<_>, _>>()?)
        .execute(&mut *connection)
        .await?;
    }
    if !events.is_empty() {
        sqlx::query("INSERT INTO outbox (free_at, event) SELECT * FROM unnest($1::bigint[], $2::text[])")
            .bind(events.iter().map(|(free_at, _)| free_at.as_millis()).collect::<Vec<_>>())
            .bind(events.iter().map(|(_, event)| json(event)).collect::<Result<Vec<_>, _>>()?)
            .execute(&mut *connection)
            .await?;
    }
    backlog(connection, &news).await?;
    charge(connection, usage).await?;
    Ok(news)
}

async fn backlog(connection: &mut PgConnection, news: &News) -> Result<(), PgError> {
    let places: Vec<_> = news.waiting.iter().filter(|(_, messages)| **messages != 0).collect();
    if places.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO backlog (route, lane, customer, sandbox, messages) \
         SELECT * FROM unnest($1::text[], $2::smallint[], $3::text[], $4::boolean[], $5::bigint[])",
    )
    .bind(places.iter().map(|((route, ..), _)| route.as_str()).collect::<Vec<_>>())
    .bind(places.iter().map(|((_, lane, _), _)| i16::from(lane_number(*lane))).collect::<Vec<_>>())
    .bind(places.iter().map(|((.., account), _)| account.customer.as_str()).collect::<Vec<_>>())
    .bind(places.iter().map(|((.., account), _)| sandbox(account.environment)).collect::<Vec<_>>())
    .bind(places.iter().map(|(_, messages)| **messages).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

async fn charge(connection: &mut PgConnection, usage: UsageChanges) -> Result<(), PgError> {
    let changes = usage.into_sorted();
    if changes.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO usage AS u (customer, day, channel, used, credited) \
         SELECT * FROM unnest($1::text[], $2::integer[], $3::text[], $4::bigint[], $5::bigint[]) \
         ON CONFLICT (customer, day, channel) DO UPDATE \
         SET used = u.used + excluded.used, credited = u.credited + excluded.credited",
    )
    .bind(changes.iter().map(|((customer, ..), _)| customer.as_str()).collect::<Vec<_>>())
    .bind(changes.iter().map(|((_, day, _), _)| day.as_i32()).collect::<Vec<_>>())
    .bind(changes.iter().map(|((.., channel), _)| channel.as_str()).collect::<Vec<_>>())
    .bind(changes.iter().map(|(_, (used, _))| *used).collect::<Vec<_>>())
    .bind(changes.iter().map(|(_, (_, credited))| *credited).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> Result<String, PgError> {
    serde_json::to_string(value).map_err(|error| PgError::unreadable("JSON", error))
}

/// Ids of rows, sorted, each once: the order in which rows are locked.
pub(super) fn sorted(rows: impl Iterator<Item = RowRef>) -> Vec<MessageId> {
    let mut ids: Vec<MessageId> = rows.map(|row| row.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
