//! Letting go: what ended moves to the archive, texts are removed, old months are dropped.
//!
//! Each step is bounded and passes over what another process has in hand, so every process may do it.

use std::time::Duration;

use sqlx::{PgConnection, Row as _};

use super::{
    PostgresLedger,
    archive::{self, Month},
    recovery::limit,
    write::json,
};
use crate::{
    domain::{Report, Timestamp, masked},
    ledger::{Forgotten, Keep, LedgerError},
    postgres::PgError,
};

/// A month is dropped when its last message is old enough: its first one waits so much longer.
pub(super) const LATE: Duration = Duration::from_secs(31 * 86_400);

/// Messages moved in one step, for each that the step may look at: moving lets nobody wait, and they are more than all others.
const MOVED: usize = 10;

/// Clocks of processes differ by less.
const SKEW: Duration = Duration::from_secs(86_400);

impl PostgresLedger {
    /// One step, of several transactions.
    pub(super) async fn let_go(
        &self,
        now: Timestamp,
        keep: Keep,
        max: usize,
    ) -> Result<Forgotten, LedgerError> {
        let moved = self.move_old(now, keep, max.saturating_mul(MOVED)).await?;
        let call = (now.minus(keep.texts), max);
        let masked =
            self.database.transact("mask", &call, |c, (before, max)| Box::pin(mask(c, *before, *max)));
        let masked = masked.await?;
        let call = (now.minus(keep.horizon), max);
        let removed =
            self.database.transact("forget", &call, |c, (before, max)| Box::pin(forget(c, *before, *max)));
        let Removed { messages, more } = removed.await?;
        let more = more || moved >= max.saturating_mul(MOVED) || masked >= max;
        Ok(Forgotten { removed: messages, masked, more })
    }

    async fn move_old(&self, now: Timestamp, keep: Keep, max: usize) -> Result<usize, LedgerError> {
        let oldest = self.database.read("oldest-end", &(), |c, ()| Box::pin(archive::oldest_end(c))).await?;
        let this = Month::of(now);
        self.make_months(oldest.map_or(this, |oldest| Month::of(oldest).min(this)), this.next()).await?;
        let before = now.minus(self.archive_after.min(keep.texts));
        if oldest.is_none_or(|oldest| oldest >= before) {
            return Ok(0);
        }
        let call = (before, max);
        let moved = self
            .database
            .statement("archive", &call, |c, (before, max)| Box::pin(archive::move_old(c, *before, *max)));
        Ok(moved.await?)
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

/// Messages that still have their text, the oldest end first.
pub(super) const TEXTS: &str = "SELECT id, row, recipient FROM archive WHERE message IS NOT NULL AND final_at < $1 \
     ORDER BY final_at LIMIT $2 FOR UPDATE SKIP LOCKED";

pub(super) const MASK: &str = "UPDATE archive a SET message = NULL, recipient = s.recipient \
     FROM unnest($1::bytea[], $2::text[]) AS s (id, recipient) WHERE a.id = s.id";

async fn mask(connection: &mut PgConnection, before: Timestamp, max: usize) -> Result<usize, PgError> {
    let old =
        sqlx::query(TEXTS).bind(before.as_millis()).bind(limit(max)).fetch_all(&mut *connection).await?;
    if old.is_empty() {
        return Ok(0);
    }
    let ids = old.iter().map(|row| row.try_get(0)).collect::<Result<Vec<&[u8]>, _>>()?;
    let rows = old.iter().map(|row| row.try_get(1)).collect::<Result<Vec<i64>, _>>()?;
    let recipients = old.iter().map(|row| row.try_get(2).map(masked)).collect::<Result<Vec<_>, _>>()?;
    sqlx::query(MASK).bind(ids).bind(recipients).execute(&mut *connection).await?;
    mask_history(connection, &rows).await?;
    Ok(old.len())
}

/// Masks to whom messages went in their earlier reports.
async fn mask_history(connection: &mut PgConnection, rows: &[i64]) -> Result<(), PgError> {
    let kept = sqlx::query("SELECT message, revision, report FROM report_history WHERE message = ANY($1)")
        .bind(rows)
        .fetch_all(&mut *connection)
        .await?;
    if kept.is_empty() {
        return Ok(());
    }
    let (mut messages, mut revisions, mut reports) = (Vec::new(), Vec::new(), Vec::new());
    for row in &kept {
        let text: &str = row.try_get(2)?;
        let mut report: Report =
            serde_json::from_str(text).map_err(|error| PgError::unreadable("report", error))?;
        report.recipient = masked(&report.recipient);
        messages.push(row.try_get::<i64, _>(0)?);
        revisions.push(row.try_get::<i32, _>(1)?);
        reports.push(json(&report)?);
    }
    sqlx::query(
        "UPDATE report_history h SET report = s.report \
         FROM unnest($1::bigint[], $2::integer[], $3::text[]) AS s (message, revision, report) \
         WHERE h.message = s.message AND h.revision = s.revision",
    )
    .bind(messages)
    .bind(revisions)
    .bind(reports)
    .execute(connection)
    .await?;
    Ok(())
}

/// What a step removed.
struct Removed {
    messages: usize,
    more: bool,
}

pub(super) const FORGET_NOTES: &str = "DELETE FROM attempt_note WHERE ctid = ANY(ARRAY( \
     SELECT ctid FROM attempt_note WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED))";
pub(super) const FORGET_EARLIER: &str = "DELETE FROM earlier_sending WHERE ctid = ANY(ARRAY( \
     SELECT ctid FROM earlier_sending WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED))";
pub(super) const FORGET_HISTORY: &str = "DELETE FROM report_history WHERE ctid = ANY(ARRAY( \
     SELECT ctid FROM report_history WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED))";

/// Reports that nobody read and whose messages are gone, account by account: each is one step in the index.
pub(super) const FORGET_UNREAD: &str = "WITH RECURSIVE account (customer, sandbox) AS ( \
       (SELECT customer, sandbox FROM unread WHERE customer > '' ORDER BY customer, sandbox LIMIT 1) \
       UNION ALL \
       SELECT next.customer, next.sandbox FROM account CROSS JOIN LATERAL ( \
         SELECT u.customer, u.sandbox FROM unread u \
         WHERE (u.customer, u.sandbox) > (account.customer, account.sandbox) \
         ORDER BY u.customer, u.sandbox LIMIT 1) AS next) \
     DELETE FROM unread WHERE id = ANY(ARRAY(SELECT old.id FROM account CROSS JOIN LATERAL ( \
       SELECT u.id FROM unread u WHERE u.customer = account.customer AND u.sandbox = account.sandbox AND u.free_at < $1 \
       ORDER BY u.free_at LIMIT $2) AS old LIMIT $2))";

pub(super) const FORGET_TOMBSTONES: &str = "DELETE FROM message WHERE id = ANY(ARRAY( \
     SELECT id FROM message WHERE fingerprint IS NULL AND final_at < $1 ORDER BY final_at LIMIT $2 \
     FOR UPDATE SKIP LOCKED))";

/// Drops the oldest month if its time has come, and what hangs on those that are gone.
async fn forget(connection: &mut PgConnection, before: Timestamp, max: usize) -> Result<Removed, PgError> {
    let gone = archive::drop_oldest(connection, before).await?;
    if let Some((month, _)) = gone {
        sqlx::query(
            "INSERT INTO meta AS m (name, value) VALUES ('audited_after', $1) \
             ON CONFLICT (name) DO UPDATE SET value = greatest(m.value, excluded.value)",
        )
        .bind(i64::from(month.last_day().as_i32()))
        .execute(&mut *connection)
        .await?;
    }
    // Whatever ended before this month's begin has been dropped, now or before.
    let dropped = Month::of(before).begins();
    let all = [
        (FORGET_TOMBSTONES, before),
        (FORGET_UNREAD, dropped.minus(SKEW)),
        (FORGET_NOTES, dropped.minus(LATE)),
        (FORGET_HISTORY, dropped.minus(LATE)),
        (FORGET_EARLIER, dropped.minus(LATE)),
    ];
    let (mut tombstones, mut more) = (0, gone.is_some());
    for (number, (statement, moment)) in all.into_iter().enumerate() {
        let done = sqlx::query(statement).bind(moment.as_millis()).bind(limit(max)).execute(&mut *connection);
        let rows = usize::try_from(done.await?.rows_affected()).unwrap_or(usize::MAX);
        more |= rows >= max;
        if number == 0 {
            tombstones = rows;
        }
    }
    Ok(Removed { messages: tombstones + gone.map_or(0, |(_, messages)| messages), more })
}
