//! One SQLite file driven by one writer thread: cached statements, a whole group of jobs per commit, and the next
//! commit starts when the last ends. Readers have a thread and a connection of their own.
//!
//! Every commit is durable (`journal_mode=WAL`, `synchronous=FULL`): the write-ahead log is synced before `COMMIT`
//! returns (<https://www.sqlite.org/pragma.html#pragma_synchronous>).

pub mod backup;
mod checkpoint;
mod error;
mod health;
pub(crate) mod in_hand;
mod inspect;
mod job;

use std::{
    collections::BTreeSet,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use checkpoint::Checkpoints;
pub use error::DbError;
use health::Health;
pub(crate) use inspect::holds_rows;
pub use inspect::{Depth, Unsound, inspect};
use job::{Job, Task};
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{mpsc, oneshot};

/// Jobs that may wait for the writer; beyond that, callers wait to hand theirs in.
const WAITING_JOBS: usize = 1_024;

/// Jobs in one commit.
const GROUP: usize = 256;

/// How long a statement waits for another process (an operator's command) that holds the file's write lock.
const BUSY: Duration = Duration::from_secs(10);

/// In every file's header: "naru".
const APPLICATION_ID: i32 = 0x6e61_7275;

/// A file and its two threads. Clones share them; they end when the last clone is dropped.
#[derive(Clone)]
pub struct Db {
    health: Arc<Health>,
    writer: mpsc::Sender<Box<dyn Job>>,
    reader: mpsc::Sender<Box<dyn Job>>,
}

impl Db {
    /// Opens or makes the file and brings its schema up to date. `migrations` are applied in order, each once
    /// (`PRAGMA user_version` counts them); a file of a newer program is refused.
    ///
    /// Commits begin at least `pace` apart: what comes meanwhile shares the next one. A commit costs the same for one
    /// job as for a hundred, so under load a short pace saves most of them; a file at rest commits at once.
    ///
    /// # Errors
    /// If the file cannot be opened or is not ours.
    pub fn open(path: &Path, migrations: &[&str], pace: Duration) -> Result<Self, DbError> {
        Self::start(path, migrations, pace).map_err(|error| error.in_file(path))
    }

    fn start(path: &Path, migrations: &[&str], pace: Duration) -> Result<Self, DbError> {
        let writing = connect(path)?;
        migrate(&writing, migrations)?;
        let reading = connect(path)?;
        reading.pragma_update(None, "query_only", true)?;
        let health = Arc::new(Health::of(path));
        let (writer, jobs) = mpsc::channel(WAITING_JOBS);
        let (reader, asks) = mpsc::channel(WAITING_JOBS);
        let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let checkpoints = Checkpoints::start(path, &name, Arc::clone(&health))?;
        let seen = Arc::clone(&health);
        spawn(format!("{name}-write"), move || write_loop(&writing, jobs, pace, checkpoints, &seen))?;
        let seen = Arc::clone(&health);
        spawn(format!("{name}-read"), move || read_loop(&reading, asks, &seen))?;
        Ok(Self { health, writer, reader })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.health.path()
    }

    /// Runs a job inside the next commit. `Ok` means that it is durable.
    ///
    /// # Errors
    /// [`DbError::Data`] if the job's own statements were refused, and nothing of it changed; [`DbError::Undone`] if
    /// the file did not take it, and nothing changed; [`DbError::Engine`] if it is not known whether it took effect.
    pub async fn write<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.write_then(work, |value| value).await
    }

    /// As [`Db::write`]; `after` runs on the writer's thread once the commit is durable, even if the caller has gone:
    /// the place to change what is kept in memory beside the file.
    ///
    /// # Errors
    /// As [`Db::write`].
    pub async fn write_then<T, U, F, G>(&self, work: F, after: G) -> Result<U, DbError>
    where
        T: Send + 'static,
        U: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        G: FnOnce(T) -> U + Send + 'static,
    {
        submit(&self.writer, work, after).await
    }

    /// Runs a job on the reader's connection: what was committed before it began is seen.
    ///
    /// # Errors
    /// As [`Db::write`].
    pub async fn read<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        submit(&self.reader, work, |value| value).await
    }
}

async fn submit<T, U, F, G>(thread: &mpsc::Sender<Box<dyn Job>>, work: F, after: G) -> Result<U, DbError>
where
    T: Send + 'static,
    U: Send + 'static,
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    G: FnOnce(T) -> U + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    thread.send(Box::new(Task::new(work, after, reply))).await.map_err(|_| DbError::Closed)?;
    answer.await.map_err(|_| DbError::Closed)?
}

/// Opens a connection with the pragmas that durability rests on.
///
/// # Errors
/// If the file cannot be opened or does not take them.
pub fn connect(path: &Path) -> Result<Connection, DbError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -8_192)?;
    connection.pragma_update(None, "wal_autocheckpoint", checkpoint::LOG_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", 67_108_864)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

pub(crate) fn migrate(connection: &Connection, migrations: &[&str]) -> Result<(), DbError> {
    let version = |c: &Connection| c.pragma_query_value(None, "user_version", |row| row.get::<_, usize>(0));
    if version(connection)? == migrations.len() {
        return Ok(());
    }
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let done = version(connection)?;
    if done > migrations.len() {
        connection.execute_batch("ROLLBACK")?;
        return Err(DbError::Newer { found: done, known: migrations.len() });
    }
    for step in &migrations[done..] {
        connection.execute_batch(step)?;
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", migrations.len())?;
    connection.execute_batch("COMMIT")?;
    Ok(())
}

/// The names of what the schema made: tables, indexes, in no order.
fn layout(connection: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    let mut names =
        connection.prepare("SELECT type || ' ' || name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")?;
    names.query_map([], |row| row.get(0))?.collect()
}

/// The layout of a new file after these migrations.
fn layout_of(migrations: &[&str]) -> rusqlite::Result<BTreeSet<String>> {
    let connection = Connection::open_in_memory()?;
    for step in migrations {
        connection.execute_batch(step)?;
    }
    layout(&connection)
}

fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> Result<(), DbError> {
    thread::Builder::new().name(name).spawn(body).map(drop).map_err(DbError::from)
}

fn write_loop(
    connection: &Connection,
    mut jobs: mpsc::Receiver<Box<dyn Job>>,
    pace: Duration,
    mut checkpoints: Checkpoints,
    health: &Health,
) {
    let mut group: Vec<Box<dyn Job>> = Vec::with_capacity(GROUP);
    let mut earliest = Instant::now();
    while let Some(first) = jobs.blocking_recv() {
        group.push(first);
        thread::sleep(earliest.saturating_duration_since(Instant::now()));
        earliest = Instant::now() + pace;
        while group.len() < GROUP
            && let Ok(job) = jobs.try_recv()
        {
            group.push(job);
        }
        let committed = job::commit_group(connection, &mut group, health);
        for job in group.drain(..) {
            job.finish(&committed);
        }
        checkpoints.committed();
    }
}

fn read_loop(connection: &Connection, mut jobs: mpsc::Receiver<Box<dyn Job>>, health: &Health) {
    while let Some(mut job) = jobs.blocking_recv() {
        if let Err(error) = job.run(connection) {
            health.note(&error);
        }
        job.finish(&Ok(()));
    }
}

#[cfg(test)]
mod tests;
