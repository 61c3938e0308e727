//! Raw PostgreSQL: what the ledger keeps of a message inserted into one table by its id, so many rows a statement, each its own
//! transaction, over so many connections.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use naru_shared::ledger::IntakeEntry;
use sqlx::{Connection, PgConnection};

use super::rows::entries;

/// Every column that intake fills, and no index but that of the id.
const CREATE: &str = "CREATE TABLE raw (id bytea PRIMARY KEY, customer text, sandbox boolean, key text, fingerprint bytea, \
     token bigint, channel text, recipient text, reference text, route text, lane smallint, state smallint, units integer, \
     charge smallint, day integer, attempt integer, possible_duplicate boolean, revision integer, wake_at bigint, \
     expires_at bigint, accepted_at bigint, message text)";

const INSERT: &str = "INSERT INTO raw SELECT id, customer, false, key, fingerprint, 1, channel, recipient, reference, route, \
       lane, 1, units, 1, day, 0, false, 0, wake_at, expires_at, accepted_at, message \
     FROM unnest($1::bytea[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::text[], $8::text[], \
       $9::smallint[], $10::integer[], $11::integer[], $12::bigint[], $13::bigint[], $14::bigint[], $15::text[]) \
     AS e (id, customer, key, fingerprint, channel, recipient, reference, route, lane, units, day, wake_at, expires_at, \
       accepted_at, message)";

/// Rows inserted in a second.
///
/// # Errors
/// If the server cannot be reached or refuses them.
#[expect(clippy::cast_precision_loss, reason = "a figure for people to read")]
pub fn rows_per_second(url: &str, connections: u32, rows: u64, duration: Duration) -> anyhow::Result<f64> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut first = PgConnection::connect(url).await?;
        sqlx::raw_sql("DROP TABLE IF EXISTS raw").execute(&mut first).await?;
        sqlx::raw_sql(CREATE).execute(&mut first).await?;
        let (next, began) = (AtomicU64::new(0), Instant::now());
        let inserting = (0..connections).map(async |_| {
            let mut connection = PgConnection::connect(url).await?;
            while began.elapsed() < duration {
                let from = next.fetch_add(rows, Ordering::Relaxed);
                insert(&mut connection, &entries(from, rows)?).await?;
            }
            anyhow::Ok(())
        });
        try_join_all(inserting).await?;
        let rate = next.into_inner() as f64 / began.elapsed().as_secs_f64();
        sqlx::raw_sql("DROP TABLE raw").execute(&mut first).await?;
        Ok(rate)
    })
}

async fn insert(connection: &mut PgConnection, rows: &[IntakeEntry]) -> anyhow::Result<()> {
    let texts = rows.iter().map(|e| serde_json::to_string(&*e.message)).collect::<Result<Vec<_>, _>>()?;
    sqlx::query(INSERT)
        .bind(rows.iter().map(|e| e.message.id.as_bytes().as_slice()).collect::<Vec<_>>())
        .bind(rows.iter().map(|e| e.account.customer.as_str()).collect::<Vec<_>>())
        .bind(vec![None::<&str>; rows.len()])
        .bind(rows.iter().map(|e| e.message.fingerprint.0.as_slice()).collect::<Vec<_>>())
        .bind(rows.iter().map(|e| e.message.content.channel.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|e| e.message.content.recipient.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|e| e.message.content.reference.as_deref()).collect::<Vec<_>>())
        .bind(rows.iter().map(|e| e.route.as_str()).collect::<Vec<_>>())
        .bind(vec![0_i16; rows.len()])
        .bind(vec![1_i32; rows.len()])
        .bind(rows.iter().map(|e| e.day.as_i32()).collect::<Vec<_>>())
        .bind(rows.iter().map(|e| e.message.expires_at(e.lane).as_millis()).collect::<Vec<_>>())
        .bind(rows.iter().map(|e| e.message.expires_at(e.lane).as_millis()).collect::<Vec<_>>())
        .bind(rows.iter().map(|e| e.message.accepted_at.as_millis()).collect::<Vec<_>>())
        .bind(texts)
        .execute(connection)
        .await?;
    Ok(())
}
