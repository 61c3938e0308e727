//! The tables, made and changed once, whoever comes first.
//!
//! A migration must leave the tables such that the program before it goes on working: during a roll-out both run.

use sqlx::{Connection, PgConnection, Row};

use super::{InvalidUrl, PgError, PostgresSettings};

/// Applied in order, each once, each in a transaction of its own.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001_tables.sql")];

/// The version that this program needs; a greater one is a newer program's, and compatible.
pub(super) const SCHEMA_VERSION: i32 = MIGRATIONS.len() as i32;

/// The advisory lock under which tables change.
const LOCK: i64 = 0x6e61_7275_0001;

/// Tables could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The address is not valid.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// The server did not do it; what was begun is undone.
    #[error("the tables could not be brought up to date")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Only plain names can be given rights.
    #[error("`{0}` cannot be a role's name: lower-case letters, digits and `_`")]
    Role(String),
}

impl From<PgError> for MigrateError {
    fn from(error: PgError) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl From<sqlx::Error> for MigrateError {
    fn from(error: sqlx::Error) -> Self {
        PgError::from(error).into()
    }
}

/// What a migration did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The version that was found.
    pub from: i32,
    /// The version that the tables have now.
    pub to: i32,
}

/// Brings the tables up to date, under a lock that only one program holds, and gives the role `reader` what ingress needs and
/// nothing else. A role that does not exist is made without a password: who may log in by it, and how, is the operator's.
///
/// # Errors
/// If the server cannot be reached or refuses; nothing of a migration that failed stays.
pub async fn migrate(settings: &PostgresSettings, reader: Option<&str>) -> Result<Migrated, MigrateError> {
    if let Some(role) = reader
        && (role.is_empty()
            || role.len() > 63
            || !role.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'))
    {
        return Err(MigrateError::Role(role.to_owned()));
    }
    let patient = PostgresSettings { statement_ms: 600_000, lock_ms: 30_000, ..settings.clone() };
    let options = patient.options("migrate")?;
    let connecting = tokio::time::timeout(settings.acquire(), PgConnection::connect_with(&options)).await;
    let mut connection = connecting.map_err(|_elapsed| PgError::TimedOut(settings.acquire()))??;
    // Held by the session: it ends with it, however that is.
    sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK).execute(&mut connection).await?;
    let from = version(&mut connection).await?;
    for (index, step) in MIGRATIONS.iter().enumerate().skip(usize::try_from(from).unwrap_or(0)) {
        apply(&mut connection, index, step).await?;
    }
    if let Some(role) = reader {
        grant(&mut connection, role).await?;
    }
    let to = version(&mut connection).await?;
    connection.close().await?;
    Ok(Migrated { from, to })
}

async fn apply(connection: &mut PgConnection, index: usize, step: &'static str) -> Result<(), MigrateError> {
    let mut change = connection.begin().await?;
    sqlx::raw_sql(step).execute(&mut *change).await?;
    sqlx::query("INSERT INTO naru.migration (version, applied_at) VALUES ($1, now())")
        .bind(i32::try_from(index + 1).unwrap_or(i32::MAX))
        .execute(&mut *change)
        .await?;
    change.commit().await?;
    Ok(())
}

/// The version of the tables; 0 where there are none.
pub(super) async fn version(connection: &mut PgConnection) -> Result<i32, PgError> {
    let there =
        sqlx::query("SELECT to_regclass('naru.migration') IS NOT NULL").fetch_one(&mut *connection).await?;
    if !there.try_get::<bool, _>(0)? {
        return Ok(0);
    }
    let row =
        sqlx::query("SELECT coalesce(max(version), 0) FROM naru.migration").fetch_one(connection).await?;
    Ok(row.try_get(0)?)
}

/// What ingress's role may do: read how messages stand, hand out and take back reports, cancel.
const GRANTS: &str = include_str!("migrations/reader.sql");

async fn grant(connection: &mut PgConnection, role: &str) -> Result<(), MigrateError> {
    // The name was checked: it is a plain word.
    let statements = GRANTS.replace("naru_ingress", role);
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(connection).await?;
    Ok(())
}
