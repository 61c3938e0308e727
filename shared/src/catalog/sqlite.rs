//! The catalog in one SQLite file that the server and the operator's commands open at the same time.

use std::{collections::HashSet, path::Path, time::Duration};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row};
use tokio::time::timeout;

use super::{Catalog, CatalogError, Entry, Kind};
use crate::sqlite::{Db, DbError};

/// Nothing is ever removed, so the greatest version is the counter.
pub(crate) const SCHEMA: &[&str] = &["
    CREATE TABLE entry (
        kind TEXT NOT NULL, key TEXT NOT NULL,
        version INTEGER NOT NULL UNIQUE,
        document TEXT NOT NULL,
        PRIMARY KEY (kind, key)
    ) STRICT, WITHOUT ROWID;
"];

/// How long a call may take; longer than the wait for another process's write lock.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// A catalog in one file.
pub struct SqliteCatalog {
    db: Db,
}

impl SqliteCatalog {
    pub(crate) const fn db(&self) -> &Db {
        &self.db
    }

    /// Opens or makes the file.
    ///
    /// # Errors
    /// If the file cannot be opened or is not ours.
    pub fn open(path: &Path) -> Result<Self, DbError> {
        Ok(Self { db: Db::open(path, SCHEMA, Duration::ZERO)? })
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, CatalogError> {
        in_time(self.db.read(read)).await
    }
}

async fn in_time<T>(call: impl Future<Output = Result<T, DbError>>) -> Result<T, CatalogError> {
    timeout(CALL_TIMEOUT, call).await.map_err(unavailable)?.map_err(unavailable)
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> CatalogError {
    CatalogError::Unavailable(Box::new(error))
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let version = row.get(0)?;
    let parsed: Result<Entry, _> = serde_json::from_str(row.get_ref(1)?.as_str()?);
    let wrong =
        |error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, Box::new(error));
    Ok(parsed.map_err(wrong)?.at_version(version))
}

fn last_version(connection: &Connection) -> rusqlite::Result<u64> {
    connection.prepare_cached("SELECT coalesce(max(version), 0) FROM entry")?.query_row([], |row| row.get(0))
}

/// The first document whose stored version is not the one it carries.
fn first_conflict(connection: &Connection, entries: &[Entry]) -> rusqlite::Result<Option<(Kind, String)>> {
    let mut statement =
        connection.prepare_cached("SELECT version FROM entry WHERE kind = ?1 AND key = ?2")?;
    let mut seen = HashSet::with_capacity(entries.len());
    for entry in entries {
        let (kind, key) = (entry.kind(), entry.key());
        let stored: Option<u64> = statement.query_row((kind.as_str(), &key), |row| row.get(0)).optional()?;
        if stored.unwrap_or(0) != entry.version() || !seen.insert((kind, key.clone())) {
            return Ok(Some((kind, key)));
        }
    }
    Ok(None)
}

/// Checks all, then writes all: an `Err` of the inner result has changed nothing.
fn compare_and_set(
    connection: &Connection,
    entries: Vec<Entry>,
) -> rusqlite::Result<Result<u64, CatalogError>> {
    if let Some((kind, key)) = first_conflict(connection, &entries)? {
        return Ok(Err(CatalogError::Conflict { kind: kind.as_str(), key }));
    }
    let mut version = last_version(connection)?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO entry (kind, key, version, document) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (kind, key) DO UPDATE SET version = excluded.version, document = excluded.document",
    )?;
    for entry in entries {
        version += 1;
        let entry = entry.at_version(version);
        let document = serde_json::to_string(&entry)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        statement.execute((entry.kind().as_str(), entry.key(), version, document))?;
    }
    Ok(Ok(version))
}

#[async_trait]
impl Catalog for SqliteCatalog {
    async fn put(&self, entries: Vec<Entry>) -> Result<u64, CatalogError> {
        in_time(self.db.write(move |c| compare_and_set(c, entries))).await?
    }

    async fn get(&self, kind: Kind, key: &str) -> Result<Option<Entry>, CatalogError> {
        let key = key.to_owned();
        self.read(move |c| {
            c.prepare_cached("SELECT version, document FROM entry WHERE kind = ?1 AND key = ?2")?
                .query_row((kind.as_str(), key), entry)
                .optional()
        })
        .await
    }

    async fn list(
        &self,
        kind: Kind,
        prefix: &str,
        after: &str,
        max: usize,
    ) -> Result<Vec<Entry>, CatalogError> {
        let (after, prefix, max) = (after.to_owned(), prefix.to_owned(), limit(max));
        // Keys are ASCII: the last code point is behind every one that begins so.
        let end = format!("{prefix}{}", char::MAX);
        self.read(move |c| {
            c.prepare_cached(
                "SELECT version, document FROM entry
                 WHERE kind = ?1 AND key >= ?2 AND key < ?3 AND key > ?4 ORDER BY key LIMIT ?5",
            )?
            .query_map((kind.as_str(), prefix, end, after, max), entry)?
            .collect()
        })
        .await
    }

    async fn changes(&self, since: u64, max: usize) -> Result<Vec<Entry>, CatalogError> {
        self.read(move |c| {
            c.prepare_cached(
                "SELECT version, document FROM entry WHERE version > ?1 ORDER BY version LIMIT ?2",
            )?
            .query_map((since, limit(max)), entry)?
            .collect()
        })
        .await
    }

    async fn version(&self) -> Result<u64, CatalogError> {
        self.read(last_version).await
    }
}

fn limit(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}
