//! Counts of denials in the ledger's database. A front adds to them under its narrow role, which may do nothing else with them.

use async_trait::async_trait;
use sqlx::{PgConnection, Row as _, postgres::PgRow};

use super::{Counted, DenialSearch, Denials, Denied, DeniedMinute, TOGETHER};
use crate::{
    domain::Timestamp,
    ledger::{LedgerError, PostgresLedger},
    postgres::PgError,
};

async fn add(connection: &mut PgConnection, counted: &Counted) -> Result<(), PgError> {
    let of = |pick: fn(&Denied) -> &str| counted.denied.iter().map(pick).collect::<Vec<_>>();
    let times = counted.denied.iter().map(|denied| i64::try_from(denied.times).unwrap_or(i64::MAX));
    // Without naming what may be there already: to name it is to read it.
    sqlx::query(
        "INSERT INTO denial (at, process, customer, code, times) \
         SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::bigint[]) ON CONFLICT DO NOTHING",
    )
    .bind(counted.at.as_millis())
    .bind(&counted.process)
    .bind(of(|denied| &denied.customer))
    .bind(of(|denied| &denied.code))
    .bind(times.collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

async fn denied(
    connection: &mut PgConnection,
    search: &DenialSearch,
    max: i64,
) -> Result<Vec<DeniedMinute>, PgError> {
    let rows = sqlx::query(
        "SELECT at / 60000, customer, code, sum(times)::bigint FROM denial \
         WHERE at >= coalesce($1, at) AND ($2::text IS NULL OR customer = $2) AND ($3::text IS NULL OR code = $3) \
         GROUP BY 1, 2, 3 ORDER BY 1 DESC, 4 DESC, 2, 3 LIMIT $4",
    )
    .bind(search.since.map(Timestamp::as_millis))
    .bind(&search.customer)
    .bind(&search.code)
    .bind(max)
    .fetch_all(connection)
    .await?;
    let minute = |row: &PgRow| {
        let times = u64::try_from(row.try_get::<i64, _>(3)?).unwrap_or(0);
        let denied = Denied { customer: row.try_get(1)?, code: row.try_get(2)?, times };
        Ok(DeniedMinute { minute: Timestamp::from_millis(row.try_get::<i64, _>(0)? * 60_000), denied })
    };
    rows.iter().map(minute).collect()
}

/// What goes: a bounded number of the oldest, those that are too old, or beyond what is kept.
const FORGET: &str = "WITH beyond AS (SELECT greatest(0, count(*) - $2) AS rows FROM denial), \
     oldest AS (SELECT at, process, customer, code, row_number() OVER (ORDER BY at) AS number FROM denial ORDER BY at LIMIT $3) \
     DELETE FROM denial d USING oldest o, beyond b \
     WHERE (d.at, d.process, d.customer, d.code) = (o.at, o.process, o.customer, o.code) AND (o.at < $1 OR o.number <= b.rows)";

async fn forget(connection: &mut PgConnection, before: Timestamp, most: i64) -> Result<bool, PgError> {
    let gone = sqlx::query(FORGET)
        .bind(before.as_millis())
        .bind(most)
        .bind(i64::try_from(TOGETHER).unwrap_or(i64::MAX))
        .execute(connection)
        .await?;
    Ok(gone.rows_affected() >= TOGETHER as u64)
}

#[async_trait]
impl Denials for PostgresLedger {
    async fn add(&self, counted: Counted) -> Result<(), LedgerError> {
        let added = self.database().transact("add-denials", &counted, |c, counted| Box::pin(add(c, counted)));
        Ok(added.await?)
    }

    async fn denied(&self, search: DenialSearch, max: usize) -> Result<Vec<DeniedMinute>, LedgerError> {
        let call = (search, i64::try_from(max).unwrap_or(i64::MAX));
        let found =
            self.database().read("denials", &call, |c, (search, max)| Box::pin(denied(c, search, *max)));
        Ok(found.await?)
    }

    async fn forget_denied(&self, before: Timestamp, most: u64) -> Result<bool, LedgerError> {
        let call = (before, i64::try_from(most).unwrap_or(i64::MAX));
        let gone = self
            .database()
            .statement("forget-denials", &call, |c, (before, most)| Box::pin(forget(c, *before, *most)));
        Ok(gone.await?)
    }
}
