//! The tables, made and changed once, whoever comes first.
//!
//! A migration must leave the tables such that the program before it goes on working: during a roll-out both run.

use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection, Row};
use tokio::time::sleep;

use super::{InvalidUrl, PgError, PostgresSettings};

/// Applied in order, each once, each in a transaction of its own.
pub(crate) const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_tables.sql"),
    include_str!("migrations/0002_callbacks.sql"),
    include_str!("migrations/0003_acts.sql"),
    include_str!("migrations/0004_attachment_lost.sql"),
    include_str!("migrations/0005_stop.sql"),
    include_str!("migrations/0006_seeing.sql"),
    include_str!("migrations/0007_trade.sql"),
    include_str!("migrations/0008_reports.sql"),
    include_str!("migrations/0009_earlier.sql"),
    include_str!("migrations/0010_audit.sql"),
    include_str!("migrations/0011_credential_use.sql"),
];

/// The advisory lock under which tables change.
const LOCK: i64 = 0x6e61_7275_0001;

/// How long a step waits for a table. Whoever comes after it waits with it, so it gives up soon, lets them pass, and tries again.
const LOCK_MS: u64 = 1_000;

/// Between two tries, for a table or for the turn.
const PAUSE: Duration = Duration::from_millis(500);

/// How long all of it may wait for others, unless it is told otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tables could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The address is not valid.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// The server did not do it; what was begun is undone.
    #[error("the tables could not be brought up to date")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Somebody else changes the tables.
    #[error(
        "another program has been changing the tables for more than {0:?} ({1}): wait for its end and try again"
    )]
    Busy(Duration, String),
    /// Somebody uses a table that is to be changed, in one long transaction.
    #[error(
        "a table could not be had within {0:?}; nothing is changed. The oldest transaction is {1}: try again after its \
         end, or end it (SELECT pg_terminate_backend(PID))"
    )]
    Blocked(Duration, String),
    /// Only plain names can be given rights.
    #[error("`{0}` cannot be a role's name: lower-case letters, digits and `_`")]
    Role(String),
}

impl MigrateError {
    /// Whether the same may succeed later, with nothing changed by hand: the server is away, or somebody else is in the way.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Busy(..) | Self::Blocked(..) => true,
            Self::Failed(source) => source.downcast_ref::<PgError>().is_some_and(|error| {
                error.is_passing() || matches!(error, PgError::Away | PgError::Busy(_) | PgError::TimedOut(_))
            }),
            Self::Url(_) | Self::Role(_) => false,
        }
    }
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

/// How tables are brought up to date.
#[derive(Debug, Clone, Copy)]
pub struct Migration<'a> {
    /// The steps from nothing, in order.
    pub steps: &'a [&'static str],
    /// The role that is given what ingress needs and nothing else. One that does not exist is made without a password: who
    /// may log in by it, and how, is the operator's.
    pub reader: Option<&'a str>,
    /// How long it may wait for others.
    pub patience: Duration,
}

impl Default for Migration<'_> {
    fn default() -> Self {
        Self { steps: MIGRATIONS, reader: None, patience: PATIENCE }
    }
}

/// Brings the tables up to date for this release.
///
/// # Errors
/// As [`Migration::run`].
pub async fn migrate(settings: &PostgresSettings, reader: Option<&str>) -> Result<Migrated, MigrateError> {
    Migration { reader, ..Migration::default() }.run(settings).await
}

impl Migration<'_> {
    /// Brings the tables up to date, under a lock that only one program holds.
    ///
    /// # Errors
    /// If the server cannot be reached or refuses, or others are in the way for longer than its patience; nothing of a step
    /// that failed stays.
    pub async fn run(&self, settings: &PostgresSettings) -> Result<Migrated, MigrateError> {
        if let Some(role) = self.reader
            && (role.is_empty()
                || role.len() > 63
                || !role.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'))
        {
            return Err(MigrateError::Role(role.to_owned()));
        }
        let patient = PostgresSettings { statement_ms: 600_000, lock_ms: LOCK_MS, ..settings.clone() };
        let options = patient.options("migrate")?;
        let connecting = tokio::time::timeout(settings.acquire(), PgConnection::connect_with(&options)).await;
        let mut connection = connecting.map_err(|_elapsed| PgError::TimedOut(settings.acquire()))??;
        self.turn(&mut connection).await?;
        let from = version(&mut connection).await?;
        for (index, step) in self.steps.iter().enumerate().skip(usize::try_from(from).unwrap_or(0)) {
            let number = i32::try_from(index + 1).unwrap_or(i32::MAX);
            let mark = "INSERT INTO naru.migration (version, applied_at) VALUES ($1, now())";
            self.apply(&mut connection, step, Some((mark, number))).await?;
        }
        if let Some(role) = self.reader {
            // The name was checked: it is a plain word.
            self.apply(&mut connection, &GRANTS.replace("naru_ingress", role), None).await?;
        }
        let to = version(&mut connection).await?;
        connection.close().await?;
        Ok(Migrated { from, to })
    }

    /// Waits for the lock. It is held by the session: it ends with it, however that is.
    async fn turn(&self, connection: &mut PgConnection) -> Result<(), MigrateError> {
        let begun = Instant::now();
        loop {
            let row = sqlx::query("SELECT pg_try_advisory_lock($1)").bind(LOCK).fetch_one(&mut *connection);
            if row.await?.try_get::<bool, _>(0)? {
                return Ok(());
            }
            if begun.elapsed() >= self.patience {
                let holder = sqlx::query_scalar(HOLDER).bind(LOCK).fetch_optional(connection).await?;
                return Err(MigrateError::Busy(
                    self.patience,
                    holder.unwrap_or_else(|| "it just ended".to_owned()),
                ));
            }
            sleep(PAUSE).await;
        }
    }

    /// One step in one transaction, tried again while it is only in the way of others.
    async fn apply(
        &self,
        connection: &mut PgConnection,
        step: &str,
        mark: Option<(&'static str, i32)>,
    ) -> Result<(), MigrateError> {
        let begun = Instant::now();
        loop {
            match attempt(connection, step, mark).await {
                Err(error) if is_in_the_way(&error) => {
                    if begun.elapsed() >= self.patience {
                        let oldest = sqlx::query_scalar(OLDEST).fetch_optional(connection).await?;
                        let oldest = oldest.unwrap_or_else(|| "over by now".to_owned());
                        return Err(MigrateError::Blocked(self.patience, oldest));
                    }
                    tracing::info!("the tables are in use: trying again");
                    sleep(PAUSE).await;
                }
                other => return Ok(other?),
            }
        }
    }
}

async fn attempt(
    connection: &mut PgConnection,
    step: &str,
    mark: Option<(&'static str, i32)>,
) -> Result<(), PgError> {
    let mut change = connection.begin().await?;
    // A step is part of the program.
    sqlx::raw_sql(sqlx::AssertSqlSafe(step.to_owned())).execute(&mut *change).await?;
    if let Some((mark, number)) = mark {
        sqlx::query(mark).bind(number).execute(&mut *change).await?;
    }
    Ok(change.commit().await?)
}

/// Whether it waited too long for a lock, or each for the other: it is undone, and may succeed later.
fn is_in_the_way(error: &PgError) -> bool {
    matches!(error.sqlstate().as_deref(), Some("55P03" | "40P01"))
}

/// Who holds the lock. It is shown as two halves.
const HOLDER: &str = "SELECT format('%s, process %s%s', coalesce(nullif(application_name, ''), 'a session'), a.pid, \
      coalesce(' from ' || host(client_addr), '')) \
    FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
      AND (l.classid::bigint << 32) | l.objid::bigint = $1 LIMIT 1";

/// The transaction in this database that began first.
const OLDEST: &str = "SELECT format('process %s (%s%s), since %s', pid, coalesce(nullif(application_name, ''), 'no name'), \
      coalesce(', from ' || host(client_addr), ''), to_char(xact_start AT TIME ZONE 'UTC', 'HH24:MI:SS UTC')) \
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL \
    ORDER BY xact_start LIMIT 1";

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
