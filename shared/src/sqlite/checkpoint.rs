//! Checkpoints: what was committed is carried from the write-ahead log into the file, by a thread of its own, so that no
//! commit waits for it (<https://www.sqlite.org/wal.html#ckpt>, `PASSIVE`: neither readers nor writers are held up).
//!
//! The log begins anew only when all of it was carried over. A writer that never rests could make it grow for ever, so the
//! writer's own connection still does a checkpoint when the log reaches [`LOG_PAGES`]; little is then left to do.

use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use rusqlite::Connection;

use super::{DbError, connect, health::Health, spawn};

/// Pages of 4 KiB in the log at which the writer itself does a checkpoint.
pub(super) const LOG_PAGES: i64 = 16_000;

/// Commits between two checkpoints.
const COMMITS: u32 = 64;

/// Asks for a checkpoint every so many commits.
pub(super) struct Checkpoints {
    ask: SyncSender<()>,
    commits: u32,
}

impl Checkpoints {
    /// Starts the thread, which ends when this is dropped.
    pub(super) fn start(path: &Path, name: &str, health: Arc<Health>) -> Result<Self, DbError> {
        let connection = connect(path)?;
        let (ask, asked) = sync_channel(1);
        spawn(format!("{name}-check"), move || run(&connection, &asked, &health))?;
        Ok(Self { ask, commits: 0 })
    }

    /// Counts a commit.
    pub(super) fn committed(&mut self) {
        self.commits += 1;
        // While a checkpoint is under way and one more is asked for, the next commit asks again.
        if self.commits >= COMMITS && self.ask.try_send(()).is_ok() {
            self.commits = 0;
        }
    }
}

fn run(connection: &Connection, asked: &Receiver<()>, health: &Health) {
    let mut worked = true;
    while asked.recv().is_ok() {
        let done = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let (Err(error), true) = (&done, worked) {
            tracing::warn!(%error, file = connection.path(), "a checkpoint failed: the log grows until one works");
        }
        worked = done.is_ok();
        if let Err(error) = done {
            health.note(&DbError::from(error).in_file(health.path()));
        }
    }
}
