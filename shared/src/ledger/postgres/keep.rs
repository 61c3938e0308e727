//! Keeping house: what ended moves to the archive, texts are removed, old months are forgotten.

use std::time::Duration;

use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use super::{
    PostgresLedger,
    archive::{self, Month},
    recovery::limit,
};
use crate::{domain::Timestamp, ledger::LedgerError, postgres::PgError};

/// Between two turns that found little to do, and between two that did not.
const PAUSE: Duration = Duration::from_secs(10);
const BUSY: Duration = Duration::from_millis(20);

/// How long what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeping {
    /// From its end until a message moves to the archive.
    pub archive_after: Duration,
    /// From its end until its text is removed and its recipient masked.
    pub text: Duration,
    /// From its end until it may be forgotten, and its id with it. A whole month is forgotten at once.
    pub known: Duration,
    /// Rows in one transaction.
    pub rows: usize,
}

impl Default for Keeping {
    fn default() -> Self {
        const DAY: u64 = 86_400;
        Self {
            archive_after: Duration::from_secs(300),
            text: Duration::from_secs(30 * DAY),
            known: Duration::from_secs(400 * DAY),
            rows: 1_000,
        }
    }
}

/// What was done in one turn. What is not zero may have more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// Messages moved to the archive.
    pub moved: u64,
    /// Messages of which the text was removed.
    pub masked: u64,
    /// Months dropped.
    pub dropped: u64,
    /// Notes, replaced reports and tombstones forgotten.
    pub forgotten: u64,
}

impl Kept {
    /// Whether a step did as much as it may in one turn.
    const fn is_full(&self, keeping: &Keeping) -> bool {
        let most = keeping.rows as u64;
        self.moved >= most || self.masked >= most || self.forgotten >= most
    }
}

/// Whether an error of the ledger says that this role may not do what was asked.
fn is_forbidden(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<PgError>().is_some_and(PgError::is_forbidden)
}

impl PostgresLedger {
    /// One turn of keeping house, each step a transaction of its own and bounded.
    ///
    /// # Errors
    /// If the server does not do it; what a step had begun is undone.
    pub async fn keep(&self, now: Timestamp, keeping: &Keeping) -> Result<Kept, LedgerError> {
        let ended = now.minus(keeping.archive_after);
        let mut kept = Kept::default();
        let oldest = self.database.read("oldest-end", &(), |c, ()| Box::pin(archive::oldest_end(c))).await?;
        let this = Month::of(now);
        self.make_months(oldest.map_or(this, |oldest| Month::of(oldest).min(this)), this.next()).await?;
        if oldest.is_some_and(|oldest| oldest < ended) {
            let call = (ended, keeping.rows);
            let moved = self.database.statement("archive", &call, |c, (before, rows)| {
                Box::pin(archive::move_old(c, *before, *rows))
            });
            kept.moved = moved.await?;
        }
        let call = (now.minus(keeping.text), keeping.rows);
        let masked =
            self.database.statement("mask", &call, |c, (before, rows)| Box::pin(mask(c, *before, *rows)));
        kept.masked = masked.await?;
        let call = (now.minus(keeping.known), keeping.rows);
        let forgotten = self
            .database
            .transact("forget-old", &call, |c, (before, rows)| Box::pin(forget(c, *before, *rows)));
        (kept.dropped, kept.forgotten) = forgotten.await?;
        Ok(kept)
    }

    /// Keeps house beside everything else, until `stop`. Every process may do it: what one has in hand the others pass over. A
    /// role that may not do it ends it.
    pub fn keep_house(&self, keeping: Keeping, stop: CancellationToken) {
        let ledger = self.clone();
        self.database.pool().runtime().spawn(async move {
            loop {
                let pause = match ledger.keep(ledger.now(), &keeping).await {
                    Ok(kept) if kept.is_full(&keeping) => BUSY,
                    Ok(_) => PAUSE,
                    Err(LedgerError::Unavailable(error)) if is_forbidden(&*error) => {
                        tracing::info!("this role of PostgreSQL may not keep house; another process does");
                        return;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the ledger was not tidied; it is tried again");
                        PAUSE
                    }
                };
                // Processes do not keep in step.
                let pause = pause.mul_f64(fastrand::f64().mul_add(0.5, 0.75));
                if tokio::time::timeout(pause, stop.cancelled()).await.is_ok() {
                    return;
                }
            }
        });
    }

    /// Makes every month from one to another that is not there: ahead of the first row that needs it.
    async fn make_months(&self, first: Month, last: Month) -> Result<(), LedgerError> {
        let there = self.database.read("months", &(), |c, ()| Box::pin(archive::months(c))).await?;
        let mut missing = Vec::new();
        let mut month = first;
        while month <= last {
            if !there.contains(&month) {
                missing.push(month);
            }
            month = month.next();
        }
        if !missing.is_empty() {
            let made = self
                .database
                .transact("make-months", &missing, |c, missing| Box::pin(archive::make(c, missing)));
            made.await?;
        }
        Ok(())
    }
}

/// Recipients keep their first three characters and their last two.
pub(super) const MASK: &str = "UPDATE archive a SET message = NULL, recipient = CASE WHEN length(a.recipient) > 5 \
       THEN overlay(a.recipient placing repeat('*', length(a.recipient) - 5) from 4 for length(a.recipient) - 5) \
       ELSE repeat('*', length(a.recipient)) END \
     WHERE a.id = ANY(ARRAY(SELECT id FROM archive WHERE message IS NOT NULL AND final_at < $1 \
       ORDER BY final_at LIMIT $2)) AND a.message IS NOT NULL AND a.final_at < $1";

async fn mask(connection: &mut PgConnection, before: Timestamp, rows: usize) -> Result<u64, PgError> {
    let masked = sqlx::query(MASK).bind(before.as_millis()).bind(limit(rows)).execute(connection).await?;
    Ok(masked.rows_affected())
}

pub(super) const FORGET_NOTES: &str = "DELETE FROM attempt_note WHERE ctid = ANY(ARRAY( \
     SELECT ctid FROM attempt_note WHERE at < $1 ORDER BY at LIMIT $2))";
const FORGET_HISTORY: &str = "DELETE FROM report_history WHERE ctid = ANY(ARRAY( \
     SELECT ctid FROM report_history WHERE at < $1 ORDER BY at LIMIT $2))";
pub(super) const FORGET_TOMBSTONES: &str = "DELETE FROM message WHERE id = ANY(ARRAY( \
     SELECT id FROM message WHERE fingerprint IS NULL AND final_at < $1 ORDER BY final_at LIMIT $2))";

/// Drops months and what hangs on them; how many months, and how many other rows.
async fn forget(
    connection: &mut PgConnection,
    before: Timestamp,
    rows: usize,
) -> Result<(u64, u64), PgError> {
    let gone = archive::drop_before(connection, before).await?;
    if let Some(last) = gone.last() {
        sqlx::query(
            "INSERT INTO meta AS m (name, value) VALUES ('audited_after', $1) \
             ON CONFLICT (name) DO UPDATE SET value = greatest(m.value, excluded.value)",
        )
        .bind(i64::from(last.last_day().as_i32()))
        .execute(&mut *connection)
        .await?;
    }
    let mut forgotten = 0;
    for statement in [FORGET_NOTES, FORGET_HISTORY, FORGET_TOMBSTONES] {
        let done =
            sqlx::query(statement).bind(before.as_millis()).bind(limit(rows)).execute(&mut *connection);
        forgotten += done.await?.rows_affected();
    }
    Ok((gone.len() as u64, forgotten))
}
