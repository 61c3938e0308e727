//! The outbox in the ledger's database.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{PgConnection, Row as _};

use super::{Outbox, OutboxRow};
use crate::{
    domain::{Event, Timestamp},
    ledger::{LedgerError, PostgresLedger},
    postgres::PgError,
};

/// How long an event that another process wrote and does not publish (a front's cancellation, or it died) may stay unseen.
const UNSEEN: Duration = Duration::from_secs(2);

pub(crate) const HAS_FREE_IN_POSTGRES: &str = "SELECT coalesce(min(free_at) <= $1, false) FROM outbox";

pub(crate) const CLAIM: &str = "WITH free AS (SELECT row FROM outbox WHERE free_at <= $1 ORDER BY free_at, row LIMIT $2 \
       FOR UPDATE SKIP LOCKED) \
     UPDATE outbox o SET free_at = $3 FROM free WHERE o.row = free.row RETURNING o.row, o.event";

#[async_trait]
impl Outbox for PostgresLedger {
    async fn claim(&self, max: usize, lease: Duration) -> Result<Vec<OutboxRow>, LedgerError> {
        let now = self.now();
        let call = (now, max, now.plus(lease));
        let claimed = self
            .database()
            .statement("claim", &call, |c, (now, max, until)| Box::pin(claim(c, *now, *max, *until)));
        Ok(claimed.await?)
    }

    async fn delete(&self, rows: Vec<i64>) -> Result<(), LedgerError> {
        let deleted = self.database().statement("published", &rows, |c, rows| {
            Box::pin(async move {
                sqlx::query("DELETE FROM outbox WHERE row = ANY($1)").bind(rows).execute(c).await?;
                Ok(())
            })
        });
        Ok(deleted.await?)
    }

    async fn put(&self, events: Vec<Event>) -> Result<(), LedgerError> {
        if events.is_empty() {
            return Ok(());
        }
        let texts: Result<Vec<String>, _> = events.iter().map(serde_json::to_string).collect();
        let texts = texts.map_err(|error| PgError::unreadable("event", error))?;
        let ids: Vec<String> = events.into_iter().map(|event| event.id).collect();
        let call = (self.now(), texts, ids);
        let put = self
            .database()
            .transact("put-events", &call, |c, (now, texts, ids)| Box::pin(put(c, *now, texts, ids)));
        put.await?;
        self.event_bell().notify_waiters();
        Ok(())
    }

    async fn await_events(&self, wait: Duration) {
        let until = tokio::time::Instant::now() + wait;
        loop {
            let mut notified = std::pin::pin!(self.event_bell().notified());
            notified.as_mut().enable();
            let now = self.now();
            // If the server does not answer, the caller's own next call says so.
            let free = self.database().read("events", &now, |c, now| Box::pin(has_free(c, *now))).await;
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            // Whoever has only waited in vain claims, which is another look.
            if matches!(free, Ok(true))
                || tokio::time::timeout(left.min(UNSEEN), notified).await.is_ok()
                || left <= UNSEEN
            {
                return;
            }
        }
    }
}

async fn has_free(connection: &mut PgConnection, now: Timestamp) -> Result<bool, PgError> {
    Ok(sqlx::query(HAS_FREE_IN_POSTGRES).bind(now.as_millis()).fetch_one(connection).await?.try_get(0)?)
}

pub(crate) const PUT: &str = "INSERT INTO outbox (free_at, event, event_id) \
     SELECT $1, * FROM unnest($2::text[], $3::text[]) ON CONFLICT DO NOTHING";

async fn put(
    connection: &mut PgConnection,
    now: Timestamp,
    texts: &[String],
    ids: &[String],
) -> Result<(), PgError> {
    sqlx::query(PUT).bind(now.as_millis()).bind(texts).bind(ids).execute(connection).await?;
    Ok(())
}

async fn claim(
    connection: &mut PgConnection,
    now: Timestamp,
    max: usize,
    until: Timestamp,
) -> Result<Vec<OutboxRow>, PgError> {
    let rows = sqlx::query(CLAIM)
        .bind(now.as_millis())
        .bind(i64::try_from(max).unwrap_or(i64::MAX))
        .bind(until.as_millis())
        .fetch_all(connection)
        .await?;
    let mut claimed = Vec::with_capacity(rows.len());
    for row in &rows {
        let text: &str = row.try_get(1)?;
        let event = serde_json::from_str(text).map_err(|error| PgError::unreadable("event", error))?;
        claimed.push(OutboxRow { row: row.try_get(0)?, event });
    }
    claimed.sort_unstable_by_key(|event| event.row);
    Ok(claimed)
}
