//! What was set aside in the queue's file, beside the process that owns it.
//!
//! The owner holds in memory which packs wait. So whoever puts one back leaves a mark in the same transaction; the owner looks
//! for marks while it receives, and a start needs none, since then everything in the file waits.

use std::path::Path;

use async_trait::async_trait;
use rusqlite::named_params;

use super::{
    super::{
        QueueError, QueueName, Receipt,
        sqlite::{ForeignReceipt, SCHEMA, in_time, lane_number},
    },
    Aside, Quarantine, SetAside,
};
use crate::{
    domain::{CustomerId, Envelope, Timestamp},
    sqlite::{Db, DbError},
};

/// See the module.
pub struct SqliteQuarantine {
    db: Db,
}

impl SqliteQuarantine {
    /// In the queue's file.
    ///
    /// # Errors
    /// If it cannot be opened or is not ours.
    pub fn open(path: &Path) -> Result<Self, DbError> {
        Ok(Self { db: Db::open(path, SCHEMA, std::time::Duration::ZERO)? })
    }
}

#[async_trait]
impl Quarantine for SqliteQuarantine {
    async fn aside(&self, queue: &QueueName) -> Result<Box<dyn Aside>, QueueError> {
        Ok(Box::new(SqliteAside { db: self.db.clone(), queue: queue.clone(), shown: 0 }))
    }
}

/// Nothing is in its hand: others see what it has shown.
struct SqliteAside {
    db: Db,
    queue: QueueName,
    /// The last row that was shown.
    shown: i64,
}

fn row_of(pack: &SetAside) -> Result<i64, QueueError> {
    pack.receipt.0.parse().map_err(|_| QueueError(Box::new(ForeignReceipt)))
}

#[async_trait]
impl Aside for SqliteAside {
    async fn next(&mut self, max: usize) -> Result<Vec<SetAside>, QueueError> {
        let (route, lane) = (self.queue.route.clone(), lane_number(self.queue.lane));
        let (after, max) = (self.shown, i64::try_from(max).unwrap_or(i64::MAX));
        let read = self.db.read(move |c| {
            let mut statement = c.prepare_cached(
                "SELECT seq, set_aside_at, reason, envelope FROM quarantine
                 WHERE route = ?1 AND lane = ?2 AND seq > ?3 ORDER BY seq LIMIT ?4",
            )?;
            let rows = statement.query_map((route.as_str(), lane, after, max), |row| {
                let seq: i64 = row.get(0)?;
                let pack = SetAside {
                    receipt: Receipt(seq.to_string().into()),
                    at: Some(Timestamp::from_millis(row.get(1)?)),
                    reason: row.get(2)?,
                    envelope: Envelope(row.get::<_, Vec<u8>>(3)?.into()),
                };
                Ok((seq, pack))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        });
        let rows = in_time(read).await?;
        self.shown = rows.last().map_or(self.shown, |(seq, _)| *seq);
        Ok(rows.into_iter().map(|(_, pack)| pack).collect())
    }

    async fn readmit(&mut self, pack: &SetAside, group: &CustomerId) -> Result<bool, QueueError> {
        let (seq, group) = (row_of(pack)?, group.clone());
        let put_back = self.db.write(move |c| {
            let put = c
                .prepare_cached(
                    "INSERT INTO pack (route, lane, grp, published_at, envelope)
                     SELECT route, lane, :grp, published_at, envelope FROM quarantine WHERE seq = :seq",
                )?
                .execute(named_params! { ":grp": group.as_str(), ":seq": seq })?;
            if put == 0 {
                return Ok(false);
            }
            c.prepare_cached("INSERT INTO readmitted (seq) VALUES (?1)")?.execute([c.last_insert_rowid()])?;
            c.prepare_cached("DELETE FROM quarantine WHERE seq = ?1")?.execute([seq])?;
            Ok(true)
        });
        in_time(put_back).await
    }

    async fn discard(&mut self, pack: &SetAside) -> Result<(), QueueError> {
        let seq = row_of(pack)?;
        let remove =
            self.db.write(move |c| c.prepare_cached("DELETE FROM quarantine WHERE seq = ?1")?.execute([seq]));
        in_time(remove).await.map(drop)
    }

    async fn close(self: Box<Self>) -> Result<bool, QueueError> {
        Ok(true)
    }
}
