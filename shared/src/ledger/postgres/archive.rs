//! The archive: messages that ended, by the month of their end. Some minutes after its end a message moves here, read or not,
//! so that the table through which every message goes stays small; and forgetting a month is dropping a table.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::rows::{bytes, row_columns};
use crate::{
    domain::{Day, MessageId, TimeZone, Timestamp},
    postgres::PgError,
};

/// The lock under which partitions are made and dropped.
const LOCK_OF_PARTITIONS: i64 = 0x6e61_7275_0002;

/// Rows of the archive by id, locked in the order of the ids.
pub(super) const LOCK: &str =
    concat!("SELECT ", row_columns!(), " FROM archive m WHERE m.id = ANY($1) ORDER BY m.id FOR UPDATE");

/// The columns that a message has wherever it is.
macro_rules! columns {
    () => {
        "row, token, incarnation, wake_at, expires_at, accepted_at, send_at, sent_at, final_at, day, units, attempt, \
         revision, state, code, charge, lane, sandbox, possible_duplicate, id, fingerprint, customer, route, channel, \
         recipient, key, reference, backend_id, detail, intake_at, taken_at, read_at, read_revision, class"
    };
}

/// Moves what ended before a moment; the oldest first.
pub(super) const MOVE: &str = concat!(
    "WITH old AS (SELECT id FROM message WHERE state >= 10 AND fingerprint IS NOT NULL AND final_at < $1 \
       ORDER BY final_at LIMIT $2 FOR UPDATE SKIP LOCKED), \
     gone AS (DELETE FROM message m USING old WHERE m.id = old.id RETURNING m.*), \
     text AS (DELETE FROM content c USING gone WHERE c.row = gone.row RETURNING c.row, c.message) \
     INSERT INTO archive (",
    columns!(),
    ", message) \
     SELECT ",
    columns!(),
    ", text.message FROM gone LEFT JOIN text USING (row)"
);

pub(super) const OLDEST: &str =
    "SELECT min(final_at) FROM message WHERE state >= 10 AND fingerprint IS NOT NULL";

/// Brings messages back that a late word changes. They are moved again in their time.
pub(super) const BRING_BACK: &str = concat!(
    "WITH gone AS (DELETE FROM archive WHERE id = ANY($1) RETURNING *), \
     text AS (INSERT INTO content (row, message) SELECT row, message FROM gone WHERE message IS NOT NULL) \
     INSERT INTO message (",
    columns!(),
    ") OVERRIDING SYSTEM VALUE SELECT ",
    columns!(),
    " FROM gone"
);

pub(super) async fn bring_back(connection: &mut PgConnection, ids: &[MessageId]) -> Result<(), PgError> {
    if ids.is_empty() {
        return Ok(());
    }
    let back = sqlx::query(BRING_BACK).bind(bytes(ids)).execute(connection).await?;
    if back.rows_affected() == ids.len() as u64 { Ok(()) } else { Err(PgError::Moved) }
}

/// Moves up to `max` messages that ended before a moment; how many.
pub(super) async fn move_old(
    connection: &mut PgConnection,
    before: Timestamp,
    max: usize,
) -> Result<usize, PgError> {
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let moved = sqlx::query(MOVE).bind(before.as_millis()).bind(max).execute(connection).await?;
    Ok(usize::try_from(moved.rows_affected()).unwrap_or(usize::MAX))
}

/// When the oldest end lies that is not in the archive yet.
pub(super) async fn oldest_end(connection: &mut PgConnection) -> Result<Option<Timestamp>, PgError> {
    let row = sqlx::query(OLDEST).fetch_one(connection).await?;
    Ok(row.try_get::<Option<i64>, _>(0)?.map(Timestamp::from_millis))
}

/// A month of the archive (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Month(i32);

impl Month {
    pub(super) fn of(at: Timestamp) -> Self {
        Self(Day::of(at, &TimeZone::UTC).month())
    }

    pub(super) const fn next(self) -> Self {
        if self.0 % 100 == 12 { Self(self.0 + 89) } else { Self(self.0 + 1) }
    }

    /// The first moment of it.
    pub(super) fn begins(self) -> Timestamp {
        let text = format!("{:04}-{:02}-01T00:00:00Z", self.0 / 100, self.0 % 100);
        text.parse().unwrap_or_default()
    }

    fn table(self) -> String {
        format!("archive_{:04}_{:02}", self.0 / 100, self.0 % 100)
    }

    fn parse(table: &str) -> Option<Self> {
        let (year, month) = table.strip_prefix("archive_")?.split_once('_')?;
        Some(Self(year.parse::<i32>().ok()? * 100 + month.parse::<i32>().ok()?))
    }

    /// The last day on which a message can have been accepted that ended in it, in whatever time zone.
    pub(super) fn last_day(self) -> Day {
        Day::of(self.next().begins().plus(Duration::from_secs(86_400)), &TimeZone::UTC)
    }
}

/// The months that have a partition, oldest first.
pub(super) async fn months(connection: &mut PgConnection) -> Result<Vec<Month>, PgError> {
    let rows = sqlx::query(
        "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
         WHERE i.inhparent = 'archive'::regclass ORDER BY 1",
    )
    .fetch_all(connection)
    .await?;
    let names = rows.iter().map(|row| row.try_get::<String, _>(0)).collect::<Result<Vec<_>, _>>()?;
    Ok(names.iter().filter_map(|name| Month::parse(name)).collect())
}

async fn lock(connection: &mut PgConnection) -> Result<(), PgError> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK_OF_PARTITIONS).execute(connection).await?;
    Ok(())
}

/// Makes the partitions of these months that are not there. Attaching one waits for no reader and lets none wait.
pub(super) async fn make(connection: &mut PgConnection, wanted: &[Month]) -> Result<(), PgError> {
    lock(connection).await?;
    let there = months(connection).await?;
    for month in wanted.iter().filter(|month| !there.contains(month)) {
        let (table, from, to) =
            (month.table(), month.begins().as_millis(), month.next().begins().as_millis());
        // Nothing here is anybody's text: a name made of numbers, and two numbers.
        let statements = format!(
            "CREATE TABLE {table} (LIKE archive INCLUDING ALL) WITH (fillfactor = 95); \
             ALTER TABLE archive ATTACH PARTITION {table} FOR VALUES FROM ({from}) TO ({to})"
        );
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Months that are larger are not counted when they are dropped: what the server estimates is told.
const COUNTED: f32 = 100_000.0;

/// Drops the oldest partition if its every message ended before a moment: the month, and how many messages it held.
pub(super) async fn drop_oldest(
    connection: &mut PgConnection,
    before: Timestamp,
) -> Result<Option<(Month, usize)>, PgError> {
    lock(connection).await?;
    let oldest = months(connection).await?.into_iter().next();
    let Some(month) = oldest.filter(|month| month.next().begins() <= before) else { return Ok(None) };
    let table = month.table();
    let estimate = sqlx::query("SELECT reltuples FROM pg_class WHERE oid = $1::regclass").bind(&table);
    let estimate: f32 = estimate.fetch_one(&mut *connection).await?.try_get(0)?;
    #[expect(clippy::cast_possible_truncation, reason = "a count of rows")]
    let mut messages = estimate as i64;
    if estimate < COUNTED {
        let count = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        messages = sqlx::query(count).persistent(false).fetch_one(&mut *connection).await?.try_get(0)?;
    }
    sqlx::raw_sql(AssertSqlSafe(format!("DROP TABLE {table}"))).execute(connection).await?;
    Ok(Some((month, usize::try_from(messages).unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_follow_one_another() {
        let december = Month::of("2026-12-31T23:59:59.999Z".parse().unwrap());
        assert_eq!(december.table(), "archive_2026_12");
        assert_eq!(december.next().table(), "archive_2027_01");
        assert_eq!(december.next().begins().to_string(), "2027-01-01T00:00:00.000Z");
        assert_eq!(Month::parse("archive_2026_12"), Some(december));
        assert_eq!(Month::parse("archive_old"), None);
        assert_eq!(december.last_day().to_string(), "2027-01-02");
    }
}
