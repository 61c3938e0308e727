//! A chain in the database of the store whose acts it tells of.

use async_trait::async_trait;
use sqlx::{PgConnection, Row as _, postgres::PgRow};

use super::{Act, Audit, AuditError, Chain, Head, Link, Scribe};
use crate::{
    catalog::Actor,
    domain::{Clock, SystemClock, Timestamp},
    postgres::{Database, PgError},
};

/// A chain in one database.
pub struct PostgresAudit {
    database: Database,
    chain: Chain,
    scribe: Scribe,
}

impl PostgresAudit {
    pub(crate) const fn new(database: Database, chain: Chain, scribe: Scribe) -> Self {
        Self { database, chain, scribe }
    }
}

/// The advisory lock of who appends: the last lock that a transaction takes, so that nobody waits for it who holds what its
/// holder wants.
const fn lock(chain: Chain) -> i64 {
    match chain {
        Chain::Catalog => 0x6e61_7275_0a01,
        Chain::Ledger => 0x6e61_7275_0a02,
    }
}

async fn head(connection: &mut PgConnection, chain: Chain) -> Result<Option<Head>, PgError> {
    let row = sqlx::query("SELECT sequence, hash FROM audit WHERE chain = $1 ORDER BY sequence DESC LIMIT 1")
        .bind(chain.as_str())
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok(Head { sequence: row.try_get(0)?, hash: row.try_get(1)? })).transpose()
}

/// Appends within the caller's transaction, as the last that it does.
pub(crate) async fn append(
    connection: &mut PgConnection,
    chain: Chain,
    scribe: &Scribe,
    actor: &Actor,
    acts: Vec<Act>,
) -> Result<(), PgError> {
    if acts.is_empty() {
        return Ok(());
    }
    // Held until the commit: whoever comes next sees these links.
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(lock(chain)).execute(&mut *connection).await?;
    let head = head(&mut *connection, chain).await?;
    let links = scribe
        .key
        .links(chain, head, SystemClock.now(), actor, acts)
        .map_err(|error| PgError::unreadable("record", error))?;
    sqlx::query(
        "INSERT INTO audit (chain, sequence, at, record, hash) \
         SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[])",
    )
    .bind(chain.as_str())
    .bind(links.iter().map(|link| link.sequence).collect::<Vec<_>>())
    .bind(links.iter().map(|link| link.at.as_millis()).collect::<Vec<_>>())
    .bind(links.iter().map(|link| link.record.as_str()).collect::<Vec<_>>())
    .bind(links.iter().map(|link| link.hash.as_str()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    scribe.acts();
    Ok(())
}

async fn links(
    connection: &mut PgConnection,
    chain: Chain,
    after: i64,
    max: i64,
) -> Result<Vec<Link>, PgError> {
    let rows = sqlx::query(
        "SELECT sequence, at, record, hash FROM audit WHERE chain = $1 AND sequence > $2 ORDER BY sequence LIMIT $3",
    )
    .bind(chain.as_str())
    .bind(after)
    .bind(max)
    .fetch_all(connection)
    .await?;
    let link = |row: &PgRow| {
        Ok(Link {
            sequence: row.try_get(0)?,
            at: Timestamp::from_millis(row.try_get(1)?),
            record: row.try_get(2)?,
            hash: row.try_get(3)?,
        })
    };
    rows.iter().map(link).collect()
}

fn unavailable(error: PgError) -> AuditError {
    AuditError::Unavailable(Box::new(error))
}

#[async_trait]
impl Audit for PostgresAudit {
    fn chain(&self) -> Chain {
        self.chain
    }

    async fn append(&self, acts: Vec<Act>) -> Result<(), AuditError> {
        let call = (self.chain, &self.scribe, acts);
        let appended = self.database.transact("audit-append", &call, |c, (chain, scribe, acts)| {
            Box::pin(append(c, *chain, scribe, &scribe.actor, acts.clone()))
        });
        appended.await.map_err(unavailable)
    }

    async fn head(&self) -> Result<Option<Head>, AuditError> {
        let head = self.database.read("audit-head", &self.chain, |c, chain| Box::pin(head(c, *chain)));
        head.await.map_err(unavailable)
    }

    async fn links(&self, after: i64, max: usize) -> Result<Vec<Link>, AuditError> {
        let call = (self.chain, after, i64::try_from(max).unwrap_or(i64::MAX));
        let read = self
            .database
            .read("audit-links", &call, |c, (chain, after, max)| Box::pin(links(c, *chain, *after, *max)));
        read.await.map_err(unavailable)
    }
}
