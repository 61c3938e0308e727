//! The queue in one SQLite file, owned by one process.
//!
//! The file holds the packs; memory holds their row numbers, by queue and customer, and what is in hand. A publish is
//! `Ok` once its commit is durable; concurrent publishes share commits. After a restart everything that was not
//! acknowledged waits again.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, named_params};
use tokio::time::timeout;

use super::{Capabilities, Delivery, Depth, Outgoing, PublishError, Queue, QueueError, QueueName, Receipt};
use crate::{
    domain::{Clock, CustomerId, Envelope, Lane, SystemClock, Timestamp},
    sqlite::{
        Db, DbError,
        in_hand::{Loan, Shelf},
    },
};

pub(crate) const SCHEMA: &[&str] = &[
    "
    CREATE TABLE pack (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        route TEXT NOT NULL, lane INTEGER NOT NULL, grp TEXT NOT NULL,
        published_at INTEGER NOT NULL,
        envelope BLOB NOT NULL
    ) STRICT;
    CREATE TABLE quarantine (
        seq INTEGER PRIMARY KEY,
        route TEXT NOT NULL, lane INTEGER NOT NULL, grp TEXT NOT NULL,
        published_at INTEGER NOT NULL, set_aside_at INTEGER NOT NULL, reason TEXT NOT NULL,
        envelope BLOB NOT NULL
    ) STRICT;
    CREATE INDEX quarantine_queue ON quarantine (route, lane);
",
    "
    CREATE TABLE readmitted (seq INTEGER PRIMARY KEY) STRICT;
",
];

/// Between commits under load. An accept waits for its commit, so it is short: about what a commit itself takes.
const PACE: Duration = Duration::from_micros(500);

/// How long a publish may take before it counts as not known.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);

/// How long any other call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the owner looks for packs that an operator has put back.
const LOOK: Duration = Duration::from_secs(2);

/// A queue in one file.
pub struct SqliteQueue {
    db: Db,
    shelf: Arc<Shelf<QueueName, CustomerId>>,
    /// When to look again for packs that were put back.
    look: Mutex<Instant>,
    clock: Arc<dyn Clock>,
}

impl SqliteQueue {
    pub(crate) const fn db(&self) -> &Db {
        &self.db
    }

    /// Opens or makes the file. What is received and not acknowledged within `visibility` comes back.
    ///
    /// # Errors
    /// If the file cannot be opened, is not ours, or holds a queue with an impossible name.
    pub fn open(path: &Path, visibility: Duration) -> Result<Self, DbError> {
        let db = Db::open(path, SCHEMA, PACE)?;
        let shelf = Arc::new(Shelf::new(visibility));
        load(&crate::sqlite::connect(path)?, &shelf)?;
        Ok(Self { db, shelf, look: Mutex::new(Instant::now() + LOOK), clock: Arc::new(SystemClock) })
    }

    /// What an operator has put back waits from now on. One caller looks, now and then.
    async fn welcome(&self) -> Result<(), QueueError> {
        let now = Instant::now();
        {
            let mut look = self.look.lock();
            if *look > now {
                return Ok(());
            }
            *look = now + LOOK;
        }
        let any = self.db.read(|c| {
            c.prepare_cached("SELECT EXISTS (SELECT 1 FROM readmitted)")?.query_row([], |row| row.get(0))
        });
        if !in_time::<bool>(any).await? {
            return Ok(());
        }
        let shelf = Arc::clone(&self.shelf);
        let take = |c: &Connection| {
            let mut statement = c.prepare_cached(
                "SELECT seq, route, lane, grp FROM pack WHERE seq IN (SELECT seq FROM readmitted) ORDER BY seq",
            )?;
            let rows = statement.query_map([], |row| {
                let queue = queue_name(row.get_ref(1)?.as_str()?, row.get(2)?)?;
                let group: CustomerId = row.get_ref(3)?.as_str()?.parse().map_err(conversion)?;
                Ok((row.get::<_, i64>(0)?, queue, group))
            })?;
            let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            c.prepare_cached("DELETE FROM readmitted")?.execute([])?;
            Ok(rows)
        };
        let appear = move |rows: Vec<(i64, QueueName, CustomerId)>| {
            for (seq, queue, group) in &rows {
                shelf.put(queue, group, *seq);
            }
            rows.len()
        };
        let packs = in_time(self.db.write_then(take, appear)).await?;
        tracing::info!(packs, "packs that had been set aside were put back");
        Ok(())
    }

    async fn put(&self, packs: Vec<Outgoing>) -> Result<(), PublishError> {
        let shelf = Arc::clone(&self.shelf);
        let now = self.clock.now().as_millis();
        let insert = move |c: &Connection| {
            let mut statement = c.prepare_cached(
                "INSERT INTO pack (route, lane, grp, published_at, envelope) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            let mut written = Vec::with_capacity(packs.len());
            for pack in packs {
                let Outgoing { queue, group, envelope } = pack;
                let (route, lane) = (queue.route.as_str(), lane_number(queue.lane));
                let seq = statement.insert((route, lane, group.as_str(), now, envelope.0.as_ref()))?;
                written.push((queue, group, seq));
            }
            Ok(written)
        };
        let appear = move |written: Vec<(QueueName, CustomerId, i64)>| {
            for (queue, group, seq) in written {
                shelf.put(&queue, &group, seq);
            }
        };
        match timeout(PUBLISH_TIMEOUT, self.db.write_then(insert, appear)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.is_without_effect() => Err(PublishError::Refused(Box::new(error))),
            Ok(Err(error)) => Err(PublishError::Unknown(Box::new(error))),
            Err(late) => Err(PublishError::Unknown(Box::new(late))),
        }
    }
}

/// Everything in the file waits, what was put back too: together, so that nothing is put on the shelf twice.
fn load(connection: &Connection, shelf: &Shelf<QueueName, CustomerId>) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE; DELETE FROM readmitted")?;
    load_packs(connection, shelf)?;
    connection.execute_batch("COMMIT")
}

fn load_packs(connection: &Connection, shelf: &Shelf<QueueName, CustomerId>) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT seq, route, lane, grp FROM pack ORDER BY seq")?;
    let mut rows = statement.query([])?;
    // Names are shared: one copy of each, however many packs there are.
    let mut names = std::collections::HashMap::<String, CustomerId>::new();
    while let Some(row) = rows.next()? {
        let queue = queue_name(row.get_ref(1)?.as_str()?, row.get(2)?)?;
        let group = row.get_ref(3)?.as_str()?;
        let group = if let Some(known) = names.get(group) {
            known.clone()
        } else {
            let name: CustomerId = group.parse().map_err(conversion)?;
            names.insert(group.to_owned(), name.clone());
            name
        };
        shelf.put(&queue, &group, row.get(0)?);
    }
    Ok(())
}

fn conversion(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
}

pub(super) fn queue_name(route: &str, lane: i64) -> rusqlite::Result<QueueName> {
    let lane = if lane == lane_number(Lane::Express) { Lane::Express } else { Lane::Bulk };
    Ok(QueueName { route: route.parse().map_err(conversion)?, lane })
}

pub(super) const fn lane_number(lane: Lane) -> i64 {
    match lane {
        Lane::Express => 0,
        Lane::Bulk => 1,
    }
}

fn receipt(loan: Loan) -> Receipt {
    Receipt(format!("{}.{}", loan.seq, loan.time).into())
}

/// A receipt of another engine, or none at all.
#[derive(Debug, thiserror::Error)]
#[error("not a receipt of this queue")]
pub(super) struct ForeignReceipt;

fn loan(receipt: &Receipt) -> Result<Loan, QueueError> {
    let parse = || {
        let (seq, time) = receipt.0.split_once('.')?;
        Some(Loan { seq: seq.parse().ok()?, time: time.parse().ok()? })
    };
    parse().ok_or_else(|| QueueError(Box::new(ForeignReceipt)))
}

pub(super) async fn in_time<T>(call: impl Future<Output = Result<T, DbError>>) -> Result<T, QueueError> {
    match timeout(CALL_TIMEOUT, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(QueueError(Box::new(error))),
        Err(late) => Err(QueueError(Box::new(late))),
    }
}

#[async_trait]
impl Queue for SqliteQueue {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            exclusive: true,
            fair_groups: true,
            visibility: true,
            pace: Duration::ZERO,
            max_bytes: None,
            look: Duration::ZERO,
        }
    }

    /// One commit holds all of them: they are confirmed, refused or unknown together.
    async fn publish(&self, packs: Vec<Outgoing>) -> Vec<Result<(), PublishError>> {
        let count = packs.len();
        let mut results = Vec::with_capacity(count);
        match self.put(packs).await {
            Ok(()) => results.extend((0..count).map(|_| Ok(()))),
            Err(error) => {
                let error = Arc::new(error);
                results.extend((0..count).map(|_| Err(shared(&error))));
            }
        }
        results
    }

    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let until = Instant::now() + wait;
        let loans = loop {
            self.welcome().await?;
            let left = until.saturating_duration_since(Instant::now());
            let loans = self.shelf.take(queue, max, left.min(LOOK)).await;
            if !loans.as_slice().is_empty() {
                break loans;
            }
            if left <= LOOK || max == 0 {
                return Ok(Vec::new());
            }
        };
        let wanted = loans.as_slice().to_vec();
        let read = self.db.read(move |c| {
            let mut statement = c.prepare_cached("SELECT envelope FROM pack WHERE seq = ?1")?;
            let row = |loan: Loan| {
                let bytes = statement.query_row([loan.seq], |row| row.get::<_, Vec<u8>>(0)).optional()?;
                Ok((loan, bytes))
            };
            wanted.into_iter().map(row).collect::<rusqlite::Result<Vec<_>>>()
        });
        let rows = in_time(read).await?;
        let mut deliveries = Vec::with_capacity(rows.len());
        for (loan, bytes) in rows {
            if let Some(bytes) = bytes {
                let envelope = Envelope(bytes.into());
                deliveries.push(Delivery { receipt: receipt(loan), envelope, deliveries: loan.time });
            } else {
                // Its former receiver acknowledged it after all.
                self.shelf.with(queue, |line| line.forget(loan.seq));
            }
        }
        loans.keep();
        Ok(deliveries)
    }

    /// Whoever acknowledges has recorded the pack: even a receipt whose time was over removes it.
    async fn ack(&self, queue: &QueueName, receipts: Vec<Receipt>) -> Vec<Result<(), QueueError>> {
        let parsed: Vec<_> = receipts.iter().map(loan).collect();
        let seqs: Vec<i64> = parsed.iter().flatten().map(|loan| loan.seq).collect();
        let (shelf, queue) = (Arc::clone(&self.shelf), queue.clone());
        let delete = move |c: &Connection| {
            let mut statement = c.prepare_cached("DELETE FROM pack WHERE seq = ?1")?;
            for seq in &seqs {
                statement.execute([seq])?;
            }
            Ok(seqs)
        };
        let forget = move |seqs: Vec<i64>| {
            shelf.with(&queue, |line| {
                for seq in seqs {
                    line.forget(seq);
                }
            });
        };
        let done = in_time(self.db.write_then(delete, forget)).await.map_err(Arc::new);
        let result = |parsed: Result<Loan, QueueError>| {
            parsed.and_then(|_| done.clone().map_err(|error| QueueError(Box::new(error))))
        };
        parsed.into_iter().map(result).collect()
    }

    async fn release(&self, queue: &QueueName, receipt: Receipt, after: Duration) -> Result<(), QueueError> {
        let loan = loan(&receipt)?;
        self.shelf.with(queue, |line| line.give_back(Instant::now(), loan, after));
        Ok(())
    }

    async fn quarantine(&self, queue: &QueueName, receipt: Receipt, reason: &str) -> Result<(), QueueError> {
        let loan = loan(&receipt)?;
        if !self.shelf.look(queue, |line| line.holds(loan)) {
            // Its time was over: it is kept where it is, and its next receiver will see what is wrong with it.
            return Ok(());
        }
        let (shelf, queue) = (Arc::clone(&self.shelf), queue.clone());
        let (reason, now) = (reason.to_owned(), self.clock.now().as_millis());
        let set_aside = move |c: &Connection| {
            c.prepare_cached(
                "INSERT INTO quarantine (seq, route, lane, grp, published_at, set_aside_at, reason, envelope)
                 SELECT seq, route, lane, grp, published_at, :now, :reason, envelope FROM pack WHERE seq = :seq",
            )?
            .execute(named_params! { ":now": now, ":reason": reason, ":seq": loan.seq })?;
            c.prepare_cached("DELETE FROM pack WHERE seq = ?1")?.execute([loan.seq])
        };
        let forget = move |_| {
            shelf.with(&queue, |line| line.forget(loan.seq));
        };
        in_time(self.db.write_then(set_aside, forget)).await
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth, QueueError> {
        let (packs, oldest) = self.shelf.look(queue, |line| (line.len(), line.oldest()));
        let (route, lane) = (queue.route.clone(), lane_number(queue.lane));
        let read = self.db.read(move |c| {
            let quarantined = c
                .prepare_cached("SELECT count(*) FROM quarantine WHERE route = ?1 AND lane = ?2")?
                .query_row((route.as_str(), lane), |row| row.get(0))?;
            let oldest = c
                .prepare_cached("SELECT published_at FROM pack WHERE seq = ?1")?
                .query_row([oldest], |row| row.get(0))
                .optional()?;
            Ok((quarantined, oldest.map(Timestamp::from_millis)))
        });
        let (quarantined, oldest) = in_time(read).await?;
        Ok(Depth { packs: packs as u64, quarantined, oldest })
    }

    /// Nothing is received ahead.
    async fn leave(&self, _queue: &QueueName) {}
}

/// The same error for another pack of the commit.
fn shared(error: &Arc<PublishError>) -> PublishError {
    match error.as_ref() {
        PublishError::Refused(_) => PublishError::Refused(Box::new(Arc::clone(error))),
        PublishError::Unknown(_) => PublishError::Unknown(Box::new(Arc::clone(error))),
    }
}
