//! Jobs of a database thread, and the commit that a group of them shares.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{DbError, health::Health};

/// Work for a database thread, in two steps: what is done inside the transaction, and the answer once it is decided.
pub(super) trait Job: Send {
    /// Does the work; on `Err` the caller undoes it.
    fn run(&mut self, connection: &Connection) -> Result<(), DbError>;

    /// Answers, with the outcome of the commit.
    fn finish(self: Box<Self>, committed: &Result<(), DbError>);
}

/// A closure with its answer.
pub(super) struct Task<T, U, F, G> {
    work: Option<F>,
    after: G,
    done: Option<Result<T, DbError>>,
    reply: oneshot::Sender<Result<U, DbError>>,
}

impl<T, U, F, G> Task<T, U, F, G> {
    pub(super) const fn new(work: F, after: G, reply: oneshot::Sender<Result<U, DbError>>) -> Self {
        Self { work: Some(work), after, done: None, reply }
    }
}

impl<T, U, F, G> Job for Task<T, U, F, G>
where
    T: Send,
    U: Send,
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
    G: FnOnce(T) -> U + Send,
{
    fn run(&mut self, connection: &Connection) -> Result<(), DbError> {
        let Some(work) = self.work.take() else { return Err(DbError::Closed) };
        let result = catch_unwind(AssertUnwindSafe(|| work(connection)));
        let result = result
            .map_or(Err(DbError::Panicked), |r| r.map_err(|e| named(connection, e.into()).before_commit()));
        let failed = result.as_ref().err().cloned();
        self.done = Some(result);
        failed.map_or(Ok(()), Err)
    }

    fn finish(self: Box<Self>, committed: &Result<(), DbError>) {
        let result = match (self.done, committed) {
            // Its own failure tells more than the group's.
            (Some(Err(error)), _) => Err(error),
            (_, Err(error)) => Err(error.clone()),
            (Some(Ok(value)), Ok(())) => Ok((self.after)(value)),
            (None, Ok(())) => Err(DbError::Closed),
        };
        // Nobody waits any more: the change stands all the same, and `after` has run.
        drop(self.reply.send(result));
    }
}

/// Runs a group in one transaction. A job that fails is undone alone; an engine that fails undoes them all.
pub(super) fn commit_group(
    connection: &Connection,
    group: &mut [Box<dyn Job>],
    health: &Health,
) -> Result<(), DbError> {
    let result = try_commit(connection, group, health);
    if let Err(error) = &result {
        health.note(error);
    }
    if result.is_err() && !connection.is_autocommit() {
        // The commit failed and left the transaction open; if even this fails, the next BEGIN says so.
        drop(connection.execute_batch("ROLLBACK"));
    }
    result
}

/// The file's name in an error that tells of damage.
fn named(connection: &Connection, error: DbError) -> DbError {
    error.in_file(Path::new(connection.path().unwrap_or_default()))
}

fn try_commit(connection: &Connection, group: &mut [Box<dyn Job>], health: &Health) -> Result<(), DbError> {
    run_jobs(connection, group, health).map_err(DbError::before_commit)?;
    statement(connection, "COMMIT").map_err(DbError::at_commit)
}

fn statement(connection: &Connection, sql: &str) -> Result<(), DbError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut s| s.execute([]))
        .map(drop)
        .map_err(|error| named(connection, error.into()))
}

fn run_jobs(connection: &Connection, group: &mut [Box<dyn Job>], health: &Health) -> Result<(), DbError> {
    let run = |sql: &str| statement(connection, sql);
    run("BEGIN IMMEDIATE")?;
    for job in group {
        run("SAVEPOINT job")?;
        if let Err(error) = job.run(connection) {
            if connection.is_autocommit() {
                // The engine gave up the whole transaction (disk full, I/O error): every job of the group is undone.
                return Err(error);
            }
            health.note(&error);
            run("ROLLBACK TO job")?;
        }
        run("RELEASE job")?;
    }
    Ok(())
}
