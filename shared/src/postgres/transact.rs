//! Calls: whole transactions, tried again while that is safe and while there is time.

use std::{pin::Pin, sync::Arc, time::Duration};

use sqlx::PgConnection;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{PgError, Pool, PostgresSettings, pool::Lease};
use crate::metrics::{POSTGRES_ERRORS, POSTGRES_RETRIES, POSTGRES_SECONDS};

/// A future of a call's work.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, PgError>> + Send + 'a>>;

/// Tries of one call, at the most.
const TRIES: u32 = 6;

/// Before the second try; it doubles with each, shortened at random by up to a half.
const PAUSE: Duration = Duration::from_millis(10);

/// How long undoing may take before the connection is given up.
const ROLLBACK: Duration = Duration::from_secs(1);

/// How a call's statements stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Between `BEGIN` and `COMMIT`.
    Transaction,
    /// One statement that changes something: it commits by itself.
    Statement,
    /// Nothing changes: it can be asked again however it failed.
    Read,
}

/// Why a try failed, and whether its effect is in doubt.
struct Failure {
    error: PgError,
    in_doubt: bool,
}

/// A pool, and how long its calls may take.
#[derive(Clone)]
pub(crate) struct Database {
    pool: Arc<Pool>,
    call: Duration,
}

impl Database {
    pub(crate) fn new(pool: Arc<Pool>, settings: &PostgresSettings) -> Self {
        Self { pool, call: settings.call() }
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Work inside one transaction (`READ COMMITTED`), tried again as a whole. If the answer to `COMMIT` is lost the call is
    /// not tried again: whether it took effect is not known.
    pub(crate) async fn transact<D, T, F>(&self, what: &'static str, data: &D, work: F) -> Result<T, PgError>
    where
        D: Sync + ?Sized,
        F: for<'c> Fn(&'c mut PgConnection, &'c D) -> BoxFuture<'c, T> + Sync,
    {
        self.tried(what, Kind::Transaction, data, work).await
    }

    /// Work of one statement that changes something. In doubt if its answer is lost.
    pub(crate) async fn statement<D, T, F>(&self, what: &'static str, data: &D, work: F) -> Result<T, PgError>
    where
        D: Sync + ?Sized,
        F: for<'c> Fn(&'c mut PgConnection, &'c D) -> BoxFuture<'c, T> + Sync,
    {
        self.tried(what, Kind::Statement, data, work).await
    }

    /// Work that changes nothing.
    pub(crate) async fn read<D, T, F>(&self, what: &'static str, data: &D, work: F) -> Result<T, PgError>
    where
        D: Sync + ?Sized,
        F: for<'c> Fn(&'c mut PgConnection, &'c D) -> BoxFuture<'c, T> + Sync,
    {
        self.tried(what, Kind::Read, data, work).await
    }

    async fn tried<D, T, F>(&self, what: &'static str, kind: Kind, data: &D, work: F) -> Result<T, PgError>
    where
        D: Sync + ?Sized,
        F: for<'c> Fn(&'c mut PgConnection, &'c D) -> BoxFuture<'c, T> + Sync,
    {
        let begun = Instant::now();
        let deadline = begun + self.call;
        let mut tries = 1;
        let result = loop {
            let Failure { error, in_doubt } = match self.once(kind, deadline, data, &work).await {
                Ok(value) => break Ok(value),
                Err(failure) => failure,
            };
            let pause = PAUSE.saturating_mul(1 << tries).mul_f64(fastrand::f64().mul_add(0.5, 0.5));
            let again = Instant::now() + pause;
            if in_doubt || !error.is_passing() || tries >= TRIES || again >= deadline {
                break Err(error);
            }
            POSTGRES_RETRIES.of(&[("call", what), ("reason", error.word())]).increment(1);
            tries += 1;
            sleep_until(again).await;
        };
        POSTGRES_SECONDS.of(&[("call", what)]).record(begun.elapsed());
        if let Err(error) = &result {
            POSTGRES_ERRORS.of(&[("call", what), ("reason", error.word())]).increment(1);
        }
        result
    }

    async fn once<D, T, F>(&self, kind: Kind, deadline: Instant, data: &D, work: &F) -> Result<T, Failure>
    where
        D: Sync + ?Sized,
        F: for<'c> Fn(&'c mut PgConnection, &'c D) -> BoxFuture<'c, T> + Sync,
    {
        let certain = |error| Failure { error, in_doubt: false };
        let mut lease = self.pool.acquire().await.map_err(certain)?;
        let connection = lease.connection().map_err(certain)?;
        let working = async {
            if kind == Kind::Transaction {
                simple(connection, "BEGIN").await.map_err(certain)?;
            }
            let value = work(connection, data).await.map_err(|error| Failure {
                in_doubt: kind == Kind::Statement && !error.is_rolled_back() && is_unanswered(&error),
                error,
            })?;
            if kind == Kind::Transaction {
                simple(connection, "COMMIT")
                    .await
                    .map_err(|error| Failure { in_doubt: !error.is_rolled_back(), error })?;
            }
            Ok(value)
        };
        let result = timeout_at(deadline, working).await.unwrap_or_else(|_elapsed| {
            Err(Failure { error: PgError::TimedOut(self.call), in_doubt: kind != Kind::Read })
        });
        match &result {
            Ok(_) => lease.give_back(),
            Err(failure) => self.release(lease, kind, &failure.error).await,
        }
        result
    }

    /// Undoes what a failed call had begun, or closes its connection.
    async fn release(&self, mut lease: Lease, kind: Kind, error: &PgError) {
        if error.is_of_connection() {
            self.pool.forget_idle();
            return;
        }
        if kind != Kind::Transaction {
            return lease.give_back();
        }
        if let Ok(connection) = lease.connection()
            && matches!(tokio::time::timeout(ROLLBACK, simple(connection, "ROLLBACK")).await, Ok(Ok(())))
        {
            lease.give_back();
        }
    }
}

/// Whether nothing was heard of the statement itself: the server may have done it.
fn is_unanswered(error: &PgError) -> bool {
    error.is_of_connection()
}

async fn simple(connection: &mut PgConnection, command: &'static str) -> Result<(), PgError> {
    sqlx::raw_sql(command).execute(connection).await?;
    Ok(())
}
