//! Counts of denials in the ledger's file.

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::{Counted, DenialSearch, Denials, Denied, DeniedMinute, TOGETHER};
use crate::{
    domain::Timestamp,
    ledger::{LedgerError, SqliteLedger},
};

/// The table, a step of the schema.
pub(crate) const TABLE: &str = "
    CREATE TABLE denial (
        at INTEGER NOT NULL,
        process TEXT NOT NULL, customer TEXT NOT NULL, code TEXT NOT NULL,
        times INTEGER NOT NULL,
        PRIMARY KEY (at, process, customer, code)
    ) STRICT, WITHOUT ROWID;
";

fn add(connection: &Connection, counted: &Counted) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO denial (at, process, customer, code, times) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
    )?;
    for Denied { customer, code, times } in &counted.denied {
        let times = i64::try_from(*times).unwrap_or(i64::MAX);
        insert.execute((counted.at.as_millis(), &counted.process, customer, code, times))?;
    }
    Ok(())
}

fn denied(connection: &Connection, search: &DenialSearch, max: usize) -> rusqlite::Result<Vec<DeniedMinute>> {
    let since = search.since.map(Timestamp::as_millis);
    connection
        .prepare_cached(
            "SELECT at / 60000, customer, code, sum(times) FROM denial \
             WHERE at >= coalesce(?1, at) AND (?2 IS NULL OR customer = ?2) AND (?3 IS NULL OR code = ?3) \
             GROUP BY 1, 2, 3 ORDER BY 1 DESC, 4 DESC, 2, 3 LIMIT ?4",
        )?
        .query_map(params![since, search.customer, search.code, max], |row| {
            let denied = Denied { customer: row.get(1)?, code: row.get(2)?, times: row.get(3)? };
            Ok(DeniedMinute { minute: Timestamp::from_millis(row.get::<_, i64>(0)? * 60_000), denied })
        })?
        .collect()
}

fn forget(connection: &Connection, before: Timestamp, most: u64) -> rusqlite::Result<bool> {
    let old = connection
        .prepare_cached(
            "DELETE FROM denial WHERE (at, process, customer, code) IN \
             (SELECT at, process, customer, code FROM denial WHERE at < ?1 ORDER BY at LIMIT ?2)",
        )?
        .execute(params![before.as_millis(), TOGETHER])?;
    let beyond = connection
        .prepare_cached(
            "DELETE FROM denial WHERE (at, process, customer, code) IN \
             (SELECT at, process, customer, code FROM denial ORDER BY at \
              LIMIT min(?2, max(0, (SELECT count(*) FROM denial) - ?1)))",
        )?
        .execute(params![i64::try_from(most).unwrap_or(i64::MAX), TOGETHER])?;
    Ok(old >= TOGETHER || beyond >= TOGETHER)
}

/// Whether there is anything to forget: mostly there is not, and a look costs no commit.
fn has_old(connection: &Connection, before: Timestamp, most: u64) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM denial WHERE at < ?1) OR (SELECT count(*) FROM denial) > ?2",
        )?
        .query_row(params![before.as_millis(), i64::try_from(most).unwrap_or(i64::MAX)], |row| row.get(0))
}

#[async_trait]
impl Denials for SqliteLedger {
    async fn add(&self, counted: Counted) -> Result<(), LedgerError> {
        Ok(self.db().write(move |c| add(c, &counted)).await?)
    }

    async fn denied(&self, search: DenialSearch, max: usize) -> Result<Vec<DeniedMinute>, LedgerError> {
        Ok(self.db().read(move |c| denied(c, &search, max)).await?)
    }

    async fn forget_denied(&self, before: Timestamp, most: u64) -> Result<bool, LedgerError> {
        if !self.db().read(move |c| has_old(c, before, most)).await? {
            return Ok(false);
        }
        Ok(self.db().write(move |c| forget(c, before, most)).await?)
    }
}
