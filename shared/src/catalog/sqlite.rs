//! The catalog in one SQLite file that the server and the operator's commands open at the same time.

mod presence;

use std::{collections::HashSet, path::Path, time::Duration};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row};
use tokio::time::timeout;

use super::{Actor, Acts, Catalog, CatalogError, Entry, Kind, act};
use crate::{
    audit::{self, Chain, Scribe, SqliteAudit},
    domain::{Clock, Event, SystemClock, Timestamp},
    outbox::OutboxRow,
    sqlite::{Db, DbError},
};

/// Nothing is ever removed, so the greatest version is the counter.
pub(crate) const SCHEMA: &[&str] = &[
    "
    CREATE TABLE entry (
        kind TEXT NOT NULL, key TEXT NOT NULL,
        version INTEGER NOT NULL UNIQUE,
        document TEXT NOT NULL,
        PRIMARY KEY (kind, key)
    ) STRICT, WITHOUT ROWID;
",
    // Acts to publish, written with the change that they tell of.
    "
    CREATE TABLE act (
        row INTEGER PRIMARY KEY AUTOINCREMENT,
        free_at INTEGER NOT NULL,
        event TEXT NOT NULL
    ) STRICT;
    CREATE INDEX act_free ON act (free_at);
",
    crate::audit::sqlite::TABLE,
    // Fronts that live and what each has of the catalog; when credentials were last used.
    "
    CREATE TABLE front (
        name TEXT PRIMARY KEY, version INTEGER NOT NULL, seen_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE credential_use (
        credential TEXT PRIMARY KEY, used_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
",
];

/// How long a call may take; longer than the wait for another process's write lock.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// A catalog in one file.
pub struct SqliteCatalog {
    db: Db,
    scribe: Option<Scribe>,
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
        Ok(Self { db: Db::open(path, SCHEMA, Duration::ZERO)?, scribe: None })
    }

    /// The same, with every change recorded.
    #[must_use]
    pub fn recorded_by(self, scribe: Scribe) -> Self {
        Self { scribe: Some(scribe), ..self }
    }

    /// The record of its changes.
    #[must_use]
    pub fn audit(&self, scribe: Scribe) -> SqliteAudit {
        SqliteAudit::new(self.db.clone(), Chain::Catalog, scribe)
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
    actor: &Actor,
    scribe: Option<&Scribe>,
) -> rusqlite::Result<Result<u64, CatalogError>> {
    if let Some((kind, key)) = first_conflict(connection, &entries)? {
        return Ok(Err(CatalogError::Conflict { kind: kind.as_str(), key }));
    }
    let mut version = last_version(connection)?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO entry (kind, key, version, document) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (kind, key) DO UPDATE SET version = excluded.version, document = excluded.document",
    )?;
    let (now, mut acts, mut records) = (SystemClock.now(), Vec::with_capacity(entries.len()), Vec::new());
    for entry in entries {
        version += 1;
        let before = entry.version();
        let entry = entry.at_version(version);
        statement.execute((entry.kind().as_str(), entry.key(), version, text(&entry)?))?;
        acts.extend(act::event(&entry, before, actor, now));
        records.extend(scribe.map(|scribe| act::record(&entry, before, &scribe.key)));
    }
    write_acts(connection, &acts, now)?;
    if let Some(scribe) = scribe {
        audit::sqlite::append(connection, Chain::Catalog, scribe, actor, records)?;
    }
    Ok(Ok(version))
}

fn text<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// Nobody publishes what nobody listens to, so that nothing is kept of it.
fn write_acts(connection: &Connection, acts: &[Event], now: Timestamp) -> rusqlite::Result<()> {
    let listened: bool = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM entry WHERE kind = 'subscription'
             AND json_extract(document, '$.document.ended') = 0)",
        )?
        .query_row([], |row| row.get(0))?;
    if !listened {
        return Ok(());
    }
    let mut insert = connection.prepare_cached("INSERT INTO act (free_at, event) VALUES (?1, ?2)")?;
    for act in acts {
        insert.execute((now.as_millis(), text(act)?))?;
    }
    Ok(())
}

fn has_acts(connection: &Connection) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM act)")?.query_row([], |row| row.get(0))
}

fn claim_acts(connection: &Connection, max: i64, lease: Duration) -> rusqlite::Result<Acts> {
    let now = SystemClock.now();
    let rows = connection
        .prepare_cached("SELECT row, event FROM act WHERE free_at <= ?1 ORDER BY free_at, row LIMIT ?2")?
        .query_map((now.as_millis(), max), |row| {
            let event = serde_json::from_str(row.get_ref(1)?.as_str()?).map_err(|error| {
                rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, Box::new(error))
            })?;
            Ok(OutboxRow { row: row.get(0)?, event })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut lend = connection.prepare_cached("UPDATE act SET free_at = ?2 WHERE row = ?1")?;
    for row in &rows {
        lend.execute((row.row, now.plus(lease).as_millis()))?;
    }
    let all: u64 = connection.prepare_cached("SELECT count(*) FROM act")?.query_row([], |row| row.get(0))?;
    Ok(Acts { left: all.saturating_sub(rows.len() as u64), rows })
}

fn forget_acts(connection: &Connection, rows: &[i64]) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached("DELETE FROM act WHERE row = ?1")?;
    for row in rows {
        delete.execute([row])?;
    }
    Ok(())
}

#[async_trait]
impl Catalog for SqliteCatalog {
    async fn put_as(&self, actor: &Actor, entries: Vec<Entry>) -> Result<u64, CatalogError> {
        let (actor, scribe) = (actor.clone(), self.scribe.clone());
        in_time(self.db.write(move |c| compare_and_set(c, entries, &actor, scribe.as_ref()))).await?
    }

    async fn claim_acts(&self, max: usize, lease: Duration) -> Result<Acts, CatalogError> {
        // Looked at on the reader's connection first: nothing to claim costs no commit.
        if !self.read(has_acts).await? {
            return Ok(Acts::default());
        }
        in_time(self.db.write(move |c| claim_acts(c, limit(max), lease))).await
    }

    async fn published_acts(&self, rows: Vec<i64>) -> Result<(), CatalogError> {
        in_time(self.db.write(move |c| forget_acts(c, &rows))).await
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
