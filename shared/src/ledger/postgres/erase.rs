//! What is known of a recipient goes: first from the messages through which everything goes, then from the archive, then from
//! what waits to be told.

use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::{
    rows::{bytes, read_all, row_columns},
    write::{self, json},
};
use crate::{
    domain::{CustomerId, MessageId, Report, State, Timestamp},
    ledger::{
        Erased, Erasure,
        book::{News, Page, Row, erased, in_json, whose_in_json},
    },
    postgres::PgError,
};

/// Row numbers of the archive that one step looks at.
const LOOKED: i64 = 100_000;

/// Messages that one step changes.
const STEP: usize = 500;

/// Where the walk goes on once it has looked at every message: at what waits to be told.
const TOLD: i64 = -1;

/// What has not ended, or ended only minutes ago, in the order in which rows are locked. There is no index of recipients: it is
/// looked at whole, which is little.
const HOT: &str = concat!(
    "SELECT ",
    row_columns!(),
    " FROM message m WHERE m.fingerprint IS NOT NULL AND m.recipient = $1 AND ($2::text IS NULL OR m.customer = $2) \
     AND (m.state >= 10 OR ($3 AND m.state IN (1, 2, 4, 6) AND NOT m.possible_duplicate)) ORDER BY m.id LIMIT $4 FOR UPDATE"
);

const COUNT: &str = "SELECT count(*) FILTER (WHERE state >= 10), \
       count(*) FILTER (WHERE state IN (1, 2, 4, 6) AND NOT possible_duplicate), count(*) \
     FROM message WHERE fingerprint IS NOT NULL AND recipient = $1 AND ($2::text IS NULL OR customer = $2)";

const ARCHIVED: &str = concat!(
    "SELECT ",
    row_columns!(),
    " FROM archive m WHERE m.row > $3 AND m.row <= $4 AND m.recipient = $1 AND ($2::text IS NULL OR m.customer = $2) \
     ORDER BY m.id FOR UPDATE"
);

pub(super) async fn erase(
    connection: &mut PgConnection,
    erasure: &Erasure,
    from: Option<i64>,
    clock: Timestamp,
) -> Result<(Erased, News), PgError> {
    let mut page = Page::new(clock);
    let done = match from {
        None | Some(0) if erasure.dry_run => count(connection, erasure).await?,
        None | Some(0) => hot(connection, erasure, &mut page).await?,
        Some(TOLD) => told(connection, erasure).await?,
        Some(from) => archived(connection, erasure, from).await?,
    };
    let news = write::page(connection, page).await?;
    Ok((done, news))
}

fn customer(erasure: &Erasure) -> Option<&str> {
    erasure.customer.as_ref().map(CustomerId::as_str)
}

/// What stands in the first table: ended, could be cancelled, all.
async fn standing(connection: &mut PgConnection, erasure: &Erasure) -> Result<[u64; 3], PgError> {
    let row =
        sqlx::query(COUNT).bind(&erasure.recipient).bind(customer(erasure)).fetch_one(connection).await?;
    let number = |index: usize| -> Result<u64, PgError> {
        Ok(u64::try_from(row.try_get::<i64, _>(index)?).unwrap_or(0))
    };
    Ok([number(0)?, number(1)?, number(2)?])
}

async fn count(connection: &mut PgConnection, erasure: &Erasure) -> Result<Erased, PgError> {
    let [ended, certain, all] = standing(connection, erasure).await?;
    let cancelled = if erasure.cancel { certain } else { 0 };
    let erased = ended + cancelled;
    Ok(Erased { erased, cancelled, under_way: all - erased, told: 0, next: Some(1) })
}

async fn hot(connection: &mut PgConnection, erasure: &Erasure, page: &mut Page) -> Result<Erased, PgError> {
    let found = sqlx::query(HOT)
        .bind(&erasure.recipient)
        .bind(customer(erasure))
        .bind(erasure.cancel)
        .bind(super::recovery::limit(STEP))
        .fetch_all(&mut *connection)
        .await?;
    let mut rows = read_all(&found)?;
    let mut cancelled = Vec::new();
    for row in &mut rows {
        if page.recall_certain(row, erasure.now, erasure.emit) {
            cancelled.push(row.clone());
        }
    }
    write::save(connection, &cancelled).await?;
    let ids: Vec<MessageId> = rows.iter().map(|row| row.at.id).collect();
    sqlx::query(
        "WITH gone AS (DELETE FROM content WHERE row = ANY($2)) \
         UPDATE message SET recipient = $3, detail = NULL WHERE id = ANY($1)",
    )
    .bind(bytes(&ids))
    .bind(rows.iter().map(|row| row.at.row).collect::<Vec<_>>())
    .bind(&erasure.pseudonym)
    .execute(&mut *connection)
    .await?;
    beside(connection, &rows, &erasure.pseudonym).await?;
    let mut done = Erased {
        erased: rows.len() as u64,
        cancelled: cancelled.len() as u64,
        next: Some(0),
        ..Erased::default()
    };
    if rows.len() < STEP {
        done.under_way = standing(connection, erasure).await?[2];
        done.next = Some(1);
    }
    Ok(done)
}

async fn archived(connection: &mut PgConnection, erasure: &Erasure, from: i64) -> Result<Erased, PgError> {
    let newest: i64 = sqlx::query("SELECT coalesce(max(row), 0) FROM archive")
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
    let until = from.saturating_add(LOOKED).min(newest);
    // A place says from which row on; the first is row 1.
    let found = sqlx::query(ARCHIVED)
        .bind(&erasure.recipient)
        .bind(customer(erasure))
        .bind(from - 1)
        .bind(until)
        .fetch_all(&mut *connection)
        .await?;
    let rows = read_all(&found)?;
    let next = Some(if until < newest { until + 1 } else { TOLD });
    let done = Erased { erased: rows.len() as u64, next, ..Erased::default() };
    if erasure.dry_run || rows.is_empty() {
        return Ok(done);
    }
    let ids: Vec<MessageId> = rows.iter().map(|row| row.at.id).collect();
    sqlx::query("UPDATE archive SET recipient = $2, detail = NULL, message = NULL WHERE id = ANY($1)")
        .bind(bytes(&ids))
        .bind(&erasure.pseudonym)
        .execute(&mut *connection)
        .await?;
    beside(connection, &rows, &erasure.pseudonym).await?;
    Ok(done)
}

/// What lies beside rows: words about attempts, and earlier reports.
async fn beside(connection: &mut PgConnection, rows: &[Row], pseudonym: &str) -> Result<(), PgError> {
    let numbers: Vec<i64> =
        rows.iter().filter(|row| row.state >= State::Delivered).map(|row| row.at.row).collect();
    sqlx::query("UPDATE attempt_note SET detail = '' WHERE message = ANY($1)")
        .bind(&numbers)
        .execute(&mut *connection)
        .await?;
    let kept = sqlx::query("SELECT message, revision, report FROM report_history WHERE message = ANY($1)")
        .bind(&numbers)
        .fetch_all(&mut *connection)
        .await?;
    for row in &kept {
        let text: &str = row.try_get(2)?;
        let report: Report =
            serde_json::from_str(text).map_err(|error| PgError::unreadable("report", error))?;
        sqlx::query("UPDATE report_history SET report = $3 WHERE message = $1 AND revision = $2")
            .bind(row.try_get::<i64, _>(0)?)
            .bind(row.try_get::<i32, _>(1)?)
            .bind(json(&erased(report, pseudonym))?)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Events and callbacks that wait say the recipient too.
async fn told(connection: &mut PgConnection, erasure: &Erasure) -> Result<Erased, PgError> {
    let (from, to) = (in_json(&erasure.recipient), in_json(&erasure.pseudonym));
    let whose = customer(erasure).map(whose_in_json);
    let mut done = Erased::default();
    for (table, column) in [("outbox", "event"), ("callback", "body")] {
        let such = format!("strpos({column}, $1) > 0 AND ($2::text IS NULL OR strpos({column}, $2) > 0)");
        done.told += if erasure.dry_run {
            let count = AssertSqlSafe(format!("SELECT count(*) FROM {table} WHERE {such}"));
            let row = sqlx::query(count).bind(&from).bind(&whose).fetch_one(&mut *connection).await?;
            u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or(0)
        } else {
            let change = AssertSqlSafe(format!(
                "UPDATE {table} SET {column} = replace({column}, $1, $3) WHERE {such}"
            ));
            let changed = sqlx::query(change).bind(&from).bind(&whose).bind(&to).execute(&mut *connection);
            changed.await?.rows_affected()
        };
    }
    Ok(done)
}
