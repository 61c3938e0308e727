//! The catalog in PostgreSQL: documents beside one counter.

mod presence;

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use tokio::runtime::Handle;

use super::{Actor, Acts, Catalog, CatalogError, Entry, Kind, act};
use crate::{
    audit::{self, Chain, PostgresAudit, Scribe},
    domain::{Clock, Event, SystemClock, Timestamp},
    outbox::OutboxRow,
    ports::Probe,
    postgres::{Database, Fitness, InvalidUrl, PgError, Pool, PostgresSettings},
};

/// A catalog in one database.
pub struct PostgresCatalog {
    database: Database,
    scribe: Option<Scribe>,
}

impl PostgresCatalog {
    /// Opens it, without waiting for the server: calls connect.
    ///
    /// # Errors
    /// If the URL is not valid.
    pub fn open(name: &str, settings: &PostgresSettings, runtime: &Handle) -> Result<Self, InvalidUrl> {
        let pool: Arc<Pool> = Pool::new(name, settings, runtime)?;
        Ok(Self { database: Database::new(pool, settings), scribe: None })
    }

    /// The same, with every change recorded.
    #[must_use]
    pub fn recorded_by(self, scribe: Scribe) -> Self {
        Self { scribe: Some(scribe), ..self }
    }

    /// The record of its changes.
    #[must_use]
    pub fn audit(&self, scribe: Scribe) -> PostgresAudit {
        PostgresAudit::new(self.database.clone(), Chain::Catalog, scribe)
    }

    /// Whether its server may be used, as readiness asks.
    pub(crate) fn fitness(&self, name: &'static str) -> Arc<dyn Probe> {
        Arc::new(Fitness::new(name, self.database.pool()))
    }
}

fn entry(row: &PgRow) -> Result<Entry, PgError> {
    let (version, text): (i64, &str) = (row.try_get(0)?, row.try_get(1)?);
    let parsed: Entry = serde_json::from_str(text).map_err(|error| PgError::unreadable("document", error))?;
    Ok(parsed.at_version(number(version)))
}

fn entries(rows: &[PgRow]) -> Result<Vec<Entry>, PgError> {
    rows.iter().map(entry).collect()
}

fn number(version: i64) -> u64 {
    u64::try_from(version).unwrap_or(0)
}

fn limit(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// Checks all, then writes all: an `Err` of the inner result has changed nothing. Changes wait for one another, so that versions
/// become visible in their order.
async fn compare_and_set(
    connection: &mut PgConnection,
    entries: &[Entry],
    actor: &Actor,
    scribe: Option<&Scribe>,
) -> Result<Result<u64, CatalogError>, PgError> {
    let counter =
        sqlx::query("SELECT version FROM catalog_version FOR UPDATE").fetch_one(&mut *connection).await?;
    let first: i64 = counter.try_get(0)?;
    if let Some((kind, key)) = first_conflict(connection, entries).await? {
        return Ok(Err(CatalogError::Conflict { kind: kind.as_str(), key }));
    }
    let mut version = number(first);
    let (now, mut written) = (SystemClock.now(), Vec::with_capacity(entries.len()));
    let (mut acts, mut records) = (Vec::new(), Vec::new());
    for entry in entries {
        version += 1;
        let new = entry.clone().at_version(version);
        acts.extend(act::event(&new, entry.version(), actor, now));
        records.extend(scribe.map(|scribe| act::record(&new, entry.version(), &scribe.key)));
        written.push(new);
    }
    let (beside, usual): (Vec<_>, Vec<_>) = written.into_iter().partition(|entry| lies_beside(entry.kind()));
    write(connection, INSERT, &usual).await?;
    write(connection, INSERT_BESIDE, &beside).await?;
    sqlx::query("UPDATE catalog_version SET version = $1")
        .bind(limit(version))
        .execute(&mut *connection)
        .await?;
    write_acts(&mut *connection, &acts, now).await?;
    if let Some(scribe) = scribe {
        audit::postgres::append(connection, Chain::Catalog, scribe, actor, records).await?;
    }
    Ok(Ok(version))
}

/// Kinds that the release before does not know have a table of their own: see the migration.
const fn lies_beside(kind: Kind) -> bool {
    matches!(kind, Kind::Webhook | Kind::Alarm | Kind::Keys)
}

const INSERT: &str = "INSERT INTO entry (kind, key, version, document) \
     SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) \
     ON CONFLICT (kind, key) DO UPDATE SET version = excluded.version, document = excluded.document";

const INSERT_BESIDE: &str = "INSERT INTO entry_beside (kind, key, version, document) \
     SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) \
     ON CONFLICT (kind, key) DO UPDATE SET version = excluded.version, document = excluded.document";

/// Writes documents at the versions that they carry.
async fn write(
    connection: &mut PgConnection,
    statement: &'static str,
    entries: &[Entry],
) -> Result<(), PgError> {
    if entries.is_empty() {
        return Ok(());
    }
    let texts = entries.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>();
    sqlx::query(statement)
        .bind(entries.iter().map(|entry| entry.kind().as_str()).collect::<Vec<_>>())
        .bind(entries.iter().map(Entry::key).collect::<Vec<_>>())
        .bind(entries.iter().map(|entry| limit(entry.version())).collect::<Vec<_>>())
        .bind(texts.map_err(|error| PgError::unreadable("document", error))?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Nobody publishes what nobody listens to, so that nothing is kept of it.
async fn write_acts(connection: &mut PgConnection, acts: &[Event], now: Timestamp) -> Result<(), PgError> {
    if acts.is_empty() {
        return Ok(());
    }
    let texts: Result<Vec<String>, _> = acts.iter().map(serde_json::to_string).collect();
    sqlx::query(
        "INSERT INTO act (free_at, event) SELECT $1, a.event FROM unnest($2::text[]) WITH ORDINALITY AS a (event, number) \
         WHERE EXISTS (SELECT 1 FROM entry WHERE kind = 'subscription' \
           AND document::jsonb #>> '{document,ended}' = 'false') ORDER BY a.number",
    )
    .bind(now.as_millis())
    .bind(texts.map_err(|error| PgError::unreadable("event", error))?)
    .execute(connection)
    .await?;
    Ok(())
}

async fn claim_acts(connection: &mut PgConnection, max: i64, lease: Duration) -> Result<Acts, PgError> {
    let now = SystemClock.now();
    let rows = sqlx::query(
        "WITH free AS (SELECT row FROM act WHERE free_at <= $1 ORDER BY free_at, row LIMIT $2 \
           FOR UPDATE SKIP LOCKED) \
         UPDATE act a SET free_at = $3 FROM free WHERE a.row = free.row RETURNING a.row, a.event",
    )
    .bind(now.as_millis())
    .bind(max)
    .bind(now.plus(lease).as_millis())
    .fetch_all(&mut *connection)
    .await?;
    let mut claimed = Vec::with_capacity(rows.len());
    for row in &rows {
        let text: &str = row.try_get(1)?;
        let event = serde_json::from_str(text).map_err(|error| PgError::unreadable("event", error))?;
        claimed.push(OutboxRow { row: row.try_get(0)?, event });
    }
    claimed.sort_unstable_by_key(|act| act.row);
    let all: i64 = sqlx::query("SELECT count(*) FROM act").fetch_one(connection).await?.try_get(0)?;
    Ok(Acts { left: number(all).saturating_sub(claimed.len() as u64), rows: claimed })
}

/// The first document whose stored version is not the one it carries.
async fn first_conflict(
    connection: &mut PgConnection,
    entries: &[Entry],
) -> Result<Option<(Kind, String)>, PgError> {
    let rows = sqlx::query(
        "SELECT coalesce(e.version, 0) FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS a (kind, key, number) \
         LEFT JOIN every_entry e ON e.kind = a.kind AND e.key = a.key ORDER BY a.number",
    )
    .bind(entries.iter().map(|entry| entry.kind().as_str()).collect::<Vec<_>>())
    .bind(entries.iter().map(Entry::key).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    let mut seen = HashSet::with_capacity(entries.len());
    for (entry, row) in entries.iter().zip(&rows) {
        let (kind, key) = (entry.kind(), entry.key());
        if number(row.try_get(0)?) != entry.version() || !seen.insert((kind, key.clone())) {
            return Ok(Some((kind, key)));
        }
    }
    Ok(None)
}

#[async_trait]
impl Catalog for PostgresCatalog {
    async fn put_as(&self, actor: &Actor, entries: Vec<Entry>) -> Result<u64, CatalogError> {
        let call = (entries, actor.clone(), self.scribe.as_ref());
        let put = self.database.transact("catalog-put", &call, |c, (entries, actor, scribe)| {
            Box::pin(compare_and_set(c, entries, actor, *scribe))
        });
        put.await?
    }

    async fn claim_acts(&self, max: usize, lease: Duration) -> Result<Acts, CatalogError> {
        let call = (limit(max), lease);
        let claimed = self
            .database
            .transact("claim-acts", &call, |c, (max, lease)| Box::pin(claim_acts(c, *max, *lease)));
        Ok(claimed.await?)
    }

    async fn published_acts(&self, rows: Vec<i64>) -> Result<(), CatalogError> {
        let deleted = self.database.statement("published-acts", &rows, |c, rows| {
            Box::pin(async move {
                sqlx::query("DELETE FROM act WHERE row = ANY($1)").bind(rows).execute(c).await?;
                Ok(())
            })
        });
        Ok(deleted.await?)
    }

    async fn get(&self, kind: Kind, key: &str) -> Result<Option<Entry>, CatalogError> {
        let asked = (kind, key);
        let found = self.database.read("catalog-get", &asked, |c, (kind, key)| {
            Box::pin(async move {
                let row =
                    sqlx::query("SELECT version, document FROM every_entry WHERE kind = $1 AND key = $2")
                        .bind(kind.as_str())
                        .bind(*key)
                        .fetch_optional(c)
                        .await?;
                row.as_ref().map(entry).transpose()
            })
        });
        Ok(found.await?)
    }

    async fn list(
        &self,
        kind: Kind,
        prefix: &str,
        after: &str,
        max: usize,
    ) -> Result<Vec<Entry>, CatalogError> {
        // Keys are ASCII: the last code point is behind every one that begins so.
        let end = format!("{prefix}{}", char::MAX);
        let asked = (kind, prefix, end.as_str(), after, limit(max));
        let found = self.database.read("catalog-list", &asked, |c, (kind, prefix, end, after, max)| {
            Box::pin(async move {
                let rows = sqlx::query(
                    "SELECT version, document FROM every_entry \
                     WHERE kind = $1 AND key >= $2 AND key < $3 AND key > $4 ORDER BY key LIMIT $5",
                )
                .bind(kind.as_str())
                .bind(*prefix)
                .bind(*end)
                .bind(*after)
                .bind(*max)
                .fetch_all(c)
                .await?;
                entries(&rows)
            })
        });
        Ok(found.await?)
    }

    async fn changes(&self, since: u64, max: usize) -> Result<Vec<Entry>, CatalogError> {
        let asked = (limit(since), limit(max));
        let found = self.database.read("catalog-changes", &asked, |c, (since, max)| {
            Box::pin(async move {
                let rows = sqlx::query(
                    "SELECT version, document FROM every_entry WHERE version > $1 ORDER BY version LIMIT $2",
                )
                .bind(*since)
                .bind(*max)
                .fetch_all(c)
                .await?;
                entries(&rows)
            })
        });
        Ok(found.await?)
    }

    async fn version(&self) -> Result<u64, CatalogError> {
        let version = self.database.read("catalog-version", &(), |c, ()| {
            Box::pin(async move {
                let row = sqlx::query("SELECT version FROM catalog_version").fetch_one(c).await?;
                Ok(number(row.try_get(0)?))
            })
        });
        Ok(version.await?)
    }
}
