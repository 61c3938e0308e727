//! The topic in one SQLite file, owned by one process: a row for each subscription and event.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::RwLock;
use rusqlite::{Connection, OptionalExtension};
use tokio::time::timeout;

use super::{EventDelivery, Topic, TopicError};
use crate::{
    domain::{Event, SubscriptionName},
    queue::Receipt,
    sqlite::{
        Db, DbError,
        in_hand::{Loan, Shelf},
    },
};

pub(crate) const SCHEMA: &[&str] = &["
    CREATE TABLE subscription (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
    CREATE TABLE event (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        subscription TEXT NOT NULL REFERENCES subscription (name),
        json TEXT NOT NULL
    ) STRICT;
    CREATE INDEX event_subscription ON event (subscription);
"];

/// Between commits under load: nobody waits for one.
const PACE: Duration = Duration::from_millis(5);

/// How long a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

type Names = Arc<RwLock<BTreeSet<SubscriptionName>>>;

/// A topic in one file.
pub struct SqliteTopic {
    db: Db,
    names: Names,
    shelf: Arc<Shelf<SubscriptionName, ()>>,
}

impl SqliteTopic {
    pub(crate) const fn db(&self) -> &Db {
        &self.db
    }

    /// Opens or makes the file. What is received and not acknowledged within `visibility` comes back.
    ///
    /// # Errors
    /// If the file cannot be opened, is not ours, or holds a subscription with an impossible name.
    pub fn open(path: &Path, visibility: Duration) -> Result<Self, DbError> {
        let db = Db::open(path, SCHEMA, PACE)?;
        let shelf = Arc::new(Shelf::new(visibility));
        let names = load(&crate::sqlite::connect(path)?, &shelf)?;
        Ok(Self { db, names: Arc::new(RwLock::new(names)), shelf })
    }

    fn known(&self, name: &SubscriptionName) -> Result<(), TopicError> {
        if self.names.read().contains(name) { Ok(()) } else { Err(TopicError::Unknown(name.clone())) }
    }

    async fn put(&self, events: Vec<Event>) -> Result<(), TopicError> {
        if events.is_empty() || self.names.read().is_empty() {
            return Ok(());
        }
        let json =
            events.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>().map_err(unavailable)?;
        let shelf = Arc::clone(&self.shelf);
        let insert = move |c: &Connection| {
            // Read where it is written: a subscription made before this commit receives, one that ended does not.
            let names = subscriptions(c)?;
            let mut statement = c.prepare_cached("INSERT INTO event (subscription, json) VALUES (?1, ?2)")?;
            let mut written = Vec::with_capacity(names.len() * json.len());
            for text in &json {
                for name in &names {
                    written.push((name.clone(), statement.insert((name.as_str(), text))?));
                }
            }
            Ok(written)
        };
        let appear = move |written: Vec<(SubscriptionName, i64)>| {
            for (name, seq) in written {
                shelf.put(&name, &(), seq);
            }
        };
        in_time(self.db.write_then(insert, appear)).await
    }
}

fn load(
    connection: &Connection,
    shelf: &Shelf<SubscriptionName, ()>,
) -> rusqlite::Result<BTreeSet<SubscriptionName>> {
    let names = subscriptions(connection)?;
    let mut statement = connection.prepare("SELECT seq FROM event WHERE subscription = ?1 ORDER BY seq")?;
    for name in &names {
        for seq in statement.query_map([name.as_str()], |row| row.get(0))? {
            shelf.put(name, &(), seq?);
        }
    }
    Ok(names)
}

fn subscriptions(connection: &Connection) -> rusqlite::Result<BTreeSet<SubscriptionName>> {
    let mut statement = connection.prepare_cached("SELECT name FROM subscription")?;
    let parse = |text: String| {
        text.parse().map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
        })
    };
    statement.query_map([], |row| row.get(0))?.map(|name| name.and_then(parse)).collect()
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> TopicError {
    TopicError::Unavailable(Box::new(error))
}

async fn in_time<T>(call: impl Future<Output = Result<T, DbError>>) -> Result<T, TopicError> {
    timeout(CALL_TIMEOUT, call).await.map_err(unavailable)?.map_err(unavailable)
}

/// A receipt of another engine, or none at all.
#[derive(Debug, thiserror::Error)]
#[error("not a receipt of this topic")]
struct ForeignReceipt;

#[async_trait]
impl Topic for SqliteTopic {
    async fn subscribe(&self, name: &SubscriptionName) -> Result<(), TopicError> {
        let (name, names) = (name.clone(), Arc::clone(&self.names));
        let insert = move |c: &Connection| {
            c.prepare_cached("INSERT INTO subscription (name) VALUES (?1) ON CONFLICT DO NOTHING")?
                .execute([name.as_str()])?;
            Ok(name)
        };
        let appear = move |name| {
            names.write().insert(name);
        };
        in_time(self.db.write_then(insert, appear)).await
    }

    async fn unsubscribe(&self, name: &SubscriptionName) -> Result<(), TopicError> {
        let (name, names, shelf) = (name.clone(), Arc::clone(&self.names), Arc::clone(&self.shelf));
        let delete = move |c: &Connection| {
            c.prepare_cached("DELETE FROM event WHERE subscription = ?1")?.execute([name.as_str()])?;
            c.prepare_cached("DELETE FROM subscription WHERE name = ?1")?.execute([name.as_str()])?;
            Ok(name)
        };
        let forget = move |name: SubscriptionName| {
            names.write().remove(&name);
            shelf.drop_line(&name);
        };
        in_time(self.db.write_then(delete, forget)).await
    }

    /// One commit holds all of them: they succeed or fail together.
    async fn publish(&self, events: Vec<Event>) -> Vec<Result<(), TopicError>> {
        let count = events.len();
        let done = self.put(events).await.map_err(Arc::new);
        (0..count).map(|_| done.clone().map_err(unavailable)).collect()
    }

    async fn receive(
        &self,
        name: &SubscriptionName,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<EventDelivery>, TopicError> {
        self.known(name)?;
        let loans = self.shelf.take(name, max, wait).await;
        let wanted = loans.as_slice().to_vec();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let read = self.db.read(move |c| {
            let mut statement = c.prepare_cached("SELECT json FROM event WHERE seq = ?1")?;
            let row = |loan: Loan| {
                let json = statement.query_row([loan.seq], |row| row.get::<_, String>(0)).optional()?;
                Ok((loan, json))
            };
            wanted.into_iter().map(row).collect::<rusqlite::Result<Vec<_>>>()
        });
        let rows = in_time(read).await?;
        let mut deliveries = Vec::with_capacity(rows.len());
        for (loan, json) in rows {
            if let Some(json) = json {
                let event = serde_json::from_str(&json).map_err(unavailable)?;
                deliveries.push(EventDelivery { receipt: Receipt(loan.seq.to_string().into()), event });
            } else {
                self.shelf.with(name, |line| line.forget(loan.seq));
            }
        }
        loans.keep();
        Ok(deliveries)
    }

    async fn ack(&self, name: &SubscriptionName, receipts: Vec<Receipt>) -> Vec<Result<(), TopicError>> {
        let parsed: Vec<Option<i64>> = receipts.iter().map(|receipt| receipt.0.parse().ok()).collect();
        let seqs: Vec<i64> = parsed.iter().flatten().copied().collect();
        let (shelf, line_name, name) = (Arc::clone(&self.shelf), name.clone(), name.clone());
        let delete = move |c: &Connection| {
            let mut statement = c.prepare_cached("DELETE FROM event WHERE seq = ?1 AND subscription = ?2")?;
            for seq in &seqs {
                statement.execute((seq, name.as_str()))?;
            }
            Ok(seqs)
        };
        let forget = move |seqs: Vec<i64>| {
            shelf.with(&line_name, |line| {
                for seq in seqs {
                    line.forget(seq);
                }
            });
        };
        let done = in_time(self.db.write_then(delete, forget)).await.map_err(Arc::new);
        let result = |parsed: Option<i64>| match parsed {
            None => Err(unavailable(ForeignReceipt)),
            Some(_) => done.clone().map_err(unavailable),
        };
        parsed.into_iter().map(result).collect()
    }

    async fn depth(&self, name: &SubscriptionName) -> Result<u64, TopicError> {
        self.known(name)?;
        Ok(self.shelf.look(name, |line| line.len() as u64))
    }
}
