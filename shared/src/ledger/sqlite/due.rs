//! Waiting until a row is due by time.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OptionalExtension};
use tokio::sync::Notify;

use crate::{domain::Timestamp, sqlite::Db};

/// Rings when a commit made something due earlier than whoever waits would look by himself. Other commits pass in
/// silence, so that under load nobody is woken in vain. One waits at a time; with several, one may sleep its whole wait.
#[derive(Debug)]
pub(super) struct DueBell {
    bell: Notify,
    /// Until when whoever waits will sleep; the latest moment there is while he looks.
    until: AtomicI64,
}

impl DueBell {
    pub(super) const fn new() -> Self {
        Self { bell: Notify::const_new(), until: AtomicI64::new(i64::MAX) }
    }

    /// A commit wrote this moment.
    pub(super) fn ring(&self, due: i64) {
        if due < self.until.load(Ordering::Acquire) {
            self.bell.notify_waiters();
        }
    }
}

/// The earliest moment of each index: one look at its beginning.
pub(super) const EARLIEST: &str =
    "SELECT wake_at FROM message WHERE state IN (1, 2, 4) AND wake_at >= 0 ORDER BY wake_at LIMIT 1";

pub(super) const EARLIEST_REPORT: &str =
    "SELECT wake_at FROM message WHERE state = 7 AND wake_at >= 0 ORDER BY wake_at LIMIT 1";

fn earliest(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let look = |query| connection.prepare_cached(query)?.query_row([], |row| row.get(0)).optional();
    let (waiting, report): (Option<i64>, Option<i64>) = (look(EARLIEST)?, look(EARLIEST_REPORT)?);
    Ok(waiting.into_iter().chain(report).min())
}

/// Returns `true` when a row is due, `false` after `wait`. `now` is the present moment by the caller's clock.
pub(super) async fn wait(db: &Db, bell: &DueBell, now: Timestamp, wait: Duration) -> bool {
    let begun = Instant::now();
    loop {
        let mut rung = std::pin::pin!(bell.bell.notified());
        rung.as_mut().enable();
        bell.until.store(i64::MAX, Ordering::Release);
        // If the file does not answer, the caller's own next call says so.
        let earliest = db.read(earliest).await.ok().flatten();
        let left = wait.saturating_sub(begun.elapsed());
        let until = earliest.map(|due| Timestamp::from_millis(due).since(now.plus(begun.elapsed())));
        if until.is_some_and(|until| until.is_zero()) {
            return true;
        }
        if left.is_zero() {
            return false;
        }
        // A moment is over only after its millisecond.
        let sleep = until.map_or(left, |until| left.min(until + Duration::from_millis(1)));
        bell.until.store(now.plus(begun.elapsed() + sleep).as_millis(), Ordering::Release);
        // Rung or not, the file is looked at again.
        let _rung = super::memory::rung(rung, sleep).await;
    }
}
