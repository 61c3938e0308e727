//! A few connections, each made when it is needed and kept while it works.
//!
//! sqlx's own pool is not used: it asks the server a question each time a connection comes back, without a time-out, and tries a
//! server that refuses connections again and again for as long as a caller is willing to wait.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use metrics::Gauge;
use parking_lot::Mutex;
use sqlx::{
    Connection, PgConnection, Row,
    postgres::{PgConnectOptions, PgRow},
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{InvalidUrl, PgError, PostgresSettings};
use crate::metrics::{POSTGRES_CONNECTIONS, POSTGRES_UP};

/// A connection that nobody used for so long is closed.
const IDLE: Duration = Duration::from_secs(120);

/// A connection is made anew after so long, so that a server behind a changed name is found.
const OLD: Duration = Duration::from_secs(1_800);

/// How long closing a connection in good order may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Between attempts to connect to a server that was away.
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

struct Idle {
    connection: PgConnection,
    made: Instant,
    since: Instant,
}

/// Whether the server can be reached, as far as is known.
#[derive(Debug, Default)]
struct Health {
    failures: u32,
    not_before: Option<Instant>,
    why: Option<String>,
}

/// At most so many connections.
pub(crate) struct Pool {
    name: String,
    options: PgConnectOptions,
    acquire: Duration,
    /// Where connections live: their sockets must not end with a caller's own small runtime.
    runtime: Handle,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    health: Mutex<Health>,
    open: Gauge,
    up: Gauge,
    /// The version that the tables must have at the least.
    tables: i32,
}

/// A connection in use. Unless it is said to be clean it is closed when dropped, which ends whatever it had begun.
pub(super) struct Lease {
    connection: Option<PgConnection>,
    made: Instant,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    /// A pool that connects when it is asked to, and only to tables that are not older than its release.
    ///
    /// # Errors
    /// If the URL is not valid.
    pub(crate) fn new(
        name: &str,
        settings: &PostgresSettings,
        runtime: &Handle,
    ) -> Result<Arc<Self>, InvalidUrl> {
        let labels = [("pool", name)];
        Ok(Arc::new(Self {
            name: name.to_owned(),
            options: settings.options(name)?,
            acquire: settings.acquire(),
            runtime: runtime.clone(),
            permits: Arc::new(Semaphore::new(settings.connections.max(1) as usize)),
            idle: Mutex::new(Vec::new()),
            health: Mutex::new(Health::default()),
            open: POSTGRES_CONNECTIONS.of(&labels),
            up: POSTGRES_UP.of(&labels),
            tables: settings.tables,
        }))
    }

    pub(crate) const fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(super) async fn acquire(self: &Arc<Self>) -> Result<Lease, PgError> {
        let permit = timeout(self.acquire, Arc::clone(&self.permits).acquire_owned())
            .await
            .map_err(|_elapsed| PgError::Busy(self.acquire))?
            .map_err(|_closed| PgError::Away)?;
        if let Some(idle) = self.take_idle() {
            return Ok(Lease {
                connection: Some(idle.connection),
                made: idle.made,
                pool: Arc::clone(self),
                _permit: permit,
            });
        }
        self.refuse_too_soon()?;
        let connected = timeout(self.acquire, self.connect()).await;
        let connected = connected.unwrap_or(Err(PgError::TimedOut(self.acquire)));
        self.learn(connected.as_ref().err());
        let connection = connected?;
        self.open.increment(1.0);
        let made = Instant::now();
        Ok(Lease { connection: Some(connection), made, pool: Arc::clone(self), _permit: permit })
    }

    fn take_idle(&self) -> Option<Idle> {
        let mut idle = self.idle.lock();
        while let Some(last) = idle.pop() {
            if last.since.elapsed() < IDLE && last.made.elapsed() < OLD {
                return Some(last);
            }
            self.part(last.connection);
        }
        None
    }

    /// Closes a connection in good order, beside whatever else happens.
    fn part(&self, connection: PgConnection) {
        self.open.decrement(1.0);
        self.runtime.spawn(async move {
            // What does not hear the farewell is closed all the same.
            drop(timeout(FAREWELL, connection.close()).await);
        });
    }

    fn refuse_too_soon(&self) -> Result<(), PgError> {
        let health = self.health.lock();
        match (health.not_before, &health.why) {
            (Some(moment), why) if Instant::now() < moment => {
                Err(why.as_ref().map_or(PgError::Away, |why| PgError::Refused(why.clone())))
            }
            _ => Ok(()),
        }
    }

    async fn connect(&self) -> Result<PgConnection, PgError> {
        let (options, tables) = (self.options.clone(), self.tables);
        let connecting = self.runtime.spawn(async move {
            let mut connection = PgConnection::connect_with(&options).await?;
            refuse_unsafe(&mut connection).await?;
            refuse_older_tables(&mut connection, tables).await?;
            Ok::<_, PgError>(connection)
        });
        connecting.await.map_err(|_ended| PgError::Away)?
    }

    /// What an attempt to connect taught: after a failure the next one waits.
    fn learn(&self, error: Option<&PgError>) {
        let mut health = self.health.lock();
        let Some(error) = error else {
            if health.failures > 0 {
                tracing::info!(pool = %self.name, "PostgreSQL answers again");
            }
            *health = Health::default();
            self.up.set(1.0);
            return;
        };
        // Once, with the cause; whoever asks meanwhile is told that it is away.
        if health.failures == 0 {
            tracing::warn!(pool = %self.name, %error, "PostgreSQL cannot be used: it is tried again until it can");
        }
        let longest = SHORTEST.saturating_mul(1 << health.failures.min(5)).min(LONGEST);
        let pause = longest.mul_f64(fastrand::f64().mul_add(0.5, 0.5));
        health.failures = health.failures.saturating_add(1);
        health.not_before = Some(Instant::now() + pause);
        health.why = if let PgError::Refused(why) = error { Some(why.clone()) } else { None };
        self.up.set(0.0);
    }

    /// A connection was found dead: those beside it are most likely dead too.
    pub(super) fn forget_idle(&self) {
        let idle = std::mem::take(&mut *self.idle.lock());
        self.open.decrement(f64::from(u32::try_from(idle.len()).unwrap_or(u32::MAX)));
    }
}

impl Lease {
    /// The connection.
    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, PgError> {
        self.connection.as_mut().ok_or(PgError::Away)
    }

    /// Gives a connection back on which nothing is under way.
    pub(super) fn give_back(mut self) {
        if let Some(connection) = self.connection.take() {
            let idle = Idle { connection, made: self.made, since: Instant::now() };
            self.pool.idle.lock().push(idle);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.connection.take().is_some() {
            self.pool.open.decrement(1.0);
        }
    }
}

/// Refuses a server on which a commit that was answered may be lost, or that is too old.
async fn refuse_unsafe(connection: &mut PgConnection) -> Result<(), PgError> {
    let row: PgRow = sqlx::query(
        "SELECT current_setting('server_version_num')::int, current_setting('synchronous_commit'), \
         current_setting('fsync')",
    )
    .fetch_one(connection)
    .await?;
    let (version, commit, fsync): (i32, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if version < 150_000 {
        return Err(PgError::Refused(format!("PostgreSQL {} is too old: 15 is needed", version / 10_000)));
    }
    if commit == "off" || fsync == "off" {
        return Err(PgError::Refused(format!(
            "PostgreSQL may lose what it has committed (synchronous_commit = {commit}, fsync = {fsync}): set both on"
        )));
    }
    Ok(())
}

async fn refuse_older_tables(connection: &mut PgConnection, needed: i32) -> Result<(), PgError> {
    let version = super::migrate::version(connection).await?;
    if version < needed {
        return Err(PgError::Refused(format!(
            "the tables in PostgreSQL have version {version}, this program needs {needed}: run its `naru migrate`"
        )));
    }
    Ok(())
}
