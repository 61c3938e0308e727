//! The outbox in the ledger's file.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, types::Type};

use super::{Outbox, OutboxRow};
use crate::{
    domain::{Event, Timestamp},
    ledger::{LedgerError, SqliteLedger},
};

#[async_trait]
impl Outbox for SqliteLedger {
    async fn claim(&self, max: usize, lease: Duration) -> Result<Vec<OutboxRow>, LedgerError> {
        let now = self.now();
        // Looked at on the reader's connection first: an idle outbox costs no commit.
        if !self.db().read(move |c| has_free(c, now)).await? {
            return Ok(Vec::new());
        }
        Ok(self.db().write(move |c| claim(c, max, now, lease)).await?)
    }

    async fn delete(&self, rows: Vec<i64>) -> Result<(), LedgerError> {
        Ok(self.db().write(move |c| delete(c, &rows)).await?)
    }

    async fn put(&self, events: Vec<Event>) -> Result<(), LedgerError> {
        if events.is_empty() {
            return Ok(());
        }
        let (now, ledger) = (self.now(), self.clone());
        let ring = move |()| ledger.event_bell().notify_waiters();
        Ok(self.db().write_then(move |c| put(c, &events, now), ring).await?)
    }

    async fn await_events(&self, wait: Duration) {
        let mut notified = std::pin::pin!(self.event_bell().notified());
        notified.as_mut().enable();
        let now = self.now();
        // If the file does not answer, the caller's own next call says so.
        if !matches!(self.db().read(move |c| has_free(c, now)).await, Ok(true)) {
            drop(tokio::time::timeout(wait, notified).await);
        }
    }
}

pub(crate) const HAS_FREE: &str = "SELECT EXISTS (SELECT 1 FROM outbox WHERE free_at <= ?1)";

fn has_free(connection: &Connection, now: Timestamp) -> rusqlite::Result<bool> {
    connection.prepare_cached(HAS_FREE)?.query_row([now.as_millis()], |row| row.get(0))
}

pub(crate) const FREE: &str =
    "SELECT row, event FROM outbox WHERE free_at <= ?1 ORDER BY free_at, row LIMIT ?2";

fn claim(
    connection: &Connection,
    max: usize,
    now: Timestamp,
    lease: Duration,
) -> rusqlite::Result<Vec<OutboxRow>> {
    let rows = connection
        .prepare_cached(FREE)?
        .query_map((now.as_millis(), max), |row| {
            let event = serde_json::from_str(row.get_ref(1)?.as_str()?)
                .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, Type::Text, Box::new(error)))?;
            Ok(OutboxRow { row: row.get(0)?, event })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut lend = connection.prepare_cached("UPDATE outbox SET free_at = ?2 WHERE row = ?1")?;
    for row in &rows {
        lend.execute((row.row, now.plus(lease).as_millis()))?;
    }
    Ok(rows)
}

fn put(connection: &Connection, events: &[Event], now: Timestamp) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO outbox (free_at, event, event_id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    )?;
    for event in events {
        let text = serde_json::to_string(event)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        insert.execute((now.as_millis(), text, &event.id))?;
    }
    Ok(())
}

fn delete(connection: &Connection, rows: &[i64]) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached("DELETE FROM outbox WHERE row = ?1")?;
    for row in rows {
        delete.execute([row])?;
    }
    Ok(())
}
