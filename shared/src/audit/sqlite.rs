//! A chain in the file of the store whose acts it tells of.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row};

use super::{Act, Audit, AuditError, Chain, Head, Link, Scribe};
use crate::{
    catalog::Actor,
    domain::{Clock, SystemClock, Timestamp},
    sqlite::{Db, DbError},
};

/// The table, a step of each such file's schema.
pub(crate) const TABLE: &str = "
    CREATE TABLE audit (
        chain TEXT NOT NULL, sequence INTEGER NOT NULL,
        at INTEGER NOT NULL,
        record TEXT NOT NULL,
        hash TEXT NOT NULL,
        PRIMARY KEY (chain, sequence)
    ) STRICT, WITHOUT ROWID;
";

/// A chain in one file.
pub struct SqliteAudit {
    db: Db,
    chain: Chain,
    scribe: Scribe,
}

impl SqliteAudit {
    pub(crate) const fn new(db: Db, chain: Chain, scribe: Scribe) -> Self {
        Self { db, chain, scribe }
    }
}

/// The last link.
pub(crate) fn head(connection: &Connection, chain: Chain) -> rusqlite::Result<Option<Head>> {
    connection
        .prepare_cached("SELECT sequence, hash FROM audit WHERE chain = ?1 ORDER BY sequence DESC LIMIT 1")?
        .query_row([chain.as_str()], |row| Ok(Head { sequence: row.get(0)?, hash: row.get(1)? }))
        .optional()
}

/// Appends within the caller's transaction, which is the file's only one that writes.
pub(crate) fn append(
    connection: &Connection,
    chain: Chain,
    scribe: &Scribe,
    actor: &Actor,
    acts: Vec<Act>,
) -> rusqlite::Result<()> {
    if acts.is_empty() {
        return Ok(());
    }
    let head = head(connection, chain)?;
    let links = scribe
        .key
        .links(chain, head, SystemClock.now(), actor, acts)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO audit (chain, sequence, at, record, hash) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for link in links {
        let Link { sequence, at, record, hash } = link;
        insert.execute((chain.as_str(), sequence, at.as_millis(), record, hash))?;
    }
    scribe.acts();
    Ok(())
}

/// Whoever wrote it: text that is none is read with marks in its place, and is found out by its hash.
fn text(row: &Row<'_>, index: usize) -> rusqlite::Result<String> {
    Ok(String::from_utf8_lossy(row.get_ref(index)?.as_bytes()?).into_owned())
}

fn unavailable(error: DbError) -> AuditError {
    AuditError::Unavailable(Box::new(error))
}

#[async_trait]
impl Audit for SqliteAudit {
    fn chain(&self) -> Chain {
        self.chain
    }

    async fn append(&self, acts: Vec<Act>) -> Result<(), AuditError> {
        let (chain, scribe) = (self.chain, self.scribe.clone());
        let write = move |c: &Connection| append(c, chain, &scribe, &scribe.actor, acts);
        self.db.write(write).await.map_err(unavailable)
    }

    async fn head(&self) -> Result<Option<Head>, AuditError> {
        let chain = self.chain;
        self.db.read(move |c| head(c, chain)).await.map_err(unavailable)
    }

    async fn links(&self, after: i64, max: usize) -> Result<Vec<Link>, AuditError> {
        let chain = self.chain;
        let read = move |c: &Connection| {
            c.prepare_cached(
                "SELECT sequence, at, record, hash FROM audit WHERE chain = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3",
            )?
            .query_map((chain.as_str(), after, i64::try_from(max).unwrap_or(i64::MAX)), |row| {
                Ok(Link {
                    sequence: row.get(0)?,
                    at: Timestamp::from_millis(row.get(1)?),
                    record: text(row, 2)?,
                    hash: text(row, 3)?,
                })
            })?
            .collect()
        };
        self.db.read(read).await.map_err(unavailable)
    }
}
