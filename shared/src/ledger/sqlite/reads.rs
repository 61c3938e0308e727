//! What a customer asks of its own: how a message stands, its reports, a cancellation, its usage.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::{
    SqliteLedger,
    change::{Change, by_id, select},
    rows::{known_of, load, row_columns},
    usage,
};
use crate::{
    domain::{Account, Day, MessageId, MessageView, Quota, Report, Timestamp},
    ledger::{
        Cancelled, LedgerError, LedgerReads,
        book::{Row, rung, sandbox},
    },
};

#[async_trait]
impl LedgerReads for SqliteLedger {
    async fn view(&self, account: &Account, id: MessageId) -> Result<Option<MessageView>, LedgerError> {
        let account = account.clone();
        let row = self.db.read(move |c| Ok(by_id(c, id)?.filter(|row| row.account == account))).await?;
        Ok(row.map(Row::view))
    }

    async fn reports(
        &self,
        account: &Account,
        limit: usize,
        wait: Duration,
        lease: Duration,
    ) -> Result<(Vec<Report>, bool), LedgerError> {
        let until = tokio::time::Instant::now() + wait;
        let bell = self.memory.reports.listen(account);
        loop {
            let mut notified = std::pin::pin!(bell.notified());
            notified.as_mut().enable();
            let (asked, now) = (account.clone(), self.clock.now());
            // Looked at on the reader's connection first: a poll that finds nothing costs no commit.
            if self.db.read(move |c| has_unread(c, &asked, now)).await? {
                let asked = account.clone();
                let handed = self.change(move |change| lease_reports(change, &asked, limit, lease)).await?;
                if !handed.0.is_empty() {
                    return Ok(handed);
                }
            }
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            if left.is_zero() || !rung(notified, left).await {
                return Ok((Vec::new(), false));
            }
        }
    }

    async fn acknowledge(
        &self,
        account: &Account,
        reports: Vec<(MessageId, u32)>,
    ) -> Result<usize, LedgerError> {
        let account = account.clone();
        let now = self.now();
        self.change(move |change| acknowledge(change.connection, &account, &reports, now)).await
    }

    async fn cancel(
        &self,
        account: &Account,
        id: MessageId,
        now: Timestamp,
        emit: bool,
    ) -> Result<Cancelled, LedgerError> {
        let account = account.clone();
        self.change(move |change| cancel(change, &account, id, now, emit)).await
    }

    async fn answers(&self) -> Result<(), LedgerError> {
        Ok(self.db.read(|c| c.query_row("SELECT 1", [], |_| Ok(()))).await?)
    }

    async fn used(&self, quota: &Quota, day: Day) -> Result<u64, LedgerError> {
        let quota = quota.clone();
        Ok(self.db.read(move |c| usage::used(c, &quota, day)).await?)
    }
}

pub(super) const HAS_UNREAD: &str = "SELECT EXISTS (SELECT 1 FROM message \
             WHERE customer = ?1 AND sandbox = ?2 AND report_at IS NOT NULL AND report_at <= ?3)";

fn has_unread(connection: &Connection, account: &Account, now: Timestamp) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(HAS_UNREAD)?
        .query_row((account.customer.as_str(), sandbox(account.environment), now.as_millis()), |row| {
            row.get(0)
        })
}

pub(super) const UNREAD: &str = concat!(
    "SELECT ",
    row_columns!(),
    " FROM message WHERE customer = ?1 AND sandbox = ?2 AND report_at IS NOT NULL AND report_at <= ?3 \
     ORDER BY report_at LIMIT ?4"
);

fn lease_reports(
    change: &Change<'_>,
    account: &Account,
    limit: usize,
    lease: Duration,
) -> rusqlite::Result<(Vec<Report>, bool)> {
    let now = change.page.clock;
    let (customer, sandbox) = (account.customer.as_str(), sandbox(account.environment));
    let mut rows = select(
        change.connection,
        UNREAD,
        params![customer, sandbox, now.as_millis(), limit.saturating_add(1)],
    )?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let mut extend = change.connection.prepare_cached("UPDATE message SET report_at = ?2 WHERE row = ?1")?;
    for row in &rows {
        extend.execute((row.at.row, now.plus(lease).as_millis()))?;
    }
    Ok((rows.into_iter().filter_map(|row| row.view().into_report()).collect(), more))
}

fn acknowledge(
    connection: &Connection,
    account: &Account,
    reports: &[(MessageId, u32)],
    now: Timestamp,
) -> rusqlite::Result<usize> {
    let mut read = connection.prepare_cached(
        "UPDATE message SET report_at = NULL, read_at = ?5, read_revision = revision \
         WHERE id = ?1 AND customer = ?2 AND sandbox = ?3 AND revision = ?4 AND report_at IS NOT NULL",
    )?;
    let (customer, sandbox) = (account.customer.as_str(), sandbox(account.environment));
    let mut unread = 0;
    for (id, revision) in reports {
        unread += read.execute((id.as_bytes(), customer, sandbox, revision, now.as_millis()))?;
    }
    Ok(unread)
}

fn cancel(
    change: &mut Change<'_>,
    account: &Account,
    id: MessageId,
    now: Timestamp,
    emit: bool,
) -> rusqlite::Result<Cancelled> {
    let Some(known) = known_of(change.connection, id)? else {
        bury_unborn(change.connection, account, id, now)?;
        return Ok(Cancelled::Tombstone);
    };
    // What is another's is answered as what nobody has seen.
    if known.is_tombstone() || known.account != *account {
        return Ok(Cancelled::Tombstone);
    }
    let Some(row) = load(change.connection, known.at)? else { return Ok(Cancelled::Tombstone) };
    let (cancelled, changed) = change.page.cancel(row, now, emit);
    if let Some(row) = changed {
        change.save(&row)?;
    }
    Ok(cancelled)
}

/// A row that only says: when this id comes, it is cancelled.
fn bury_unborn(
    connection: &Connection,
    account: &Account,
    id: MessageId,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO message (id, customer, sandbox, token, channel, recipient, route, lane, state, units, \
             charge, day, attempt, possible_duplicate, expires_at, accepted_at, final_at, revision) \
             VALUES (?1, ?2, ?3, 0, '', '', '', 0, 14, 0, 0, 0, 0, 0, 0, ?4, ?4, 0)",
        )?
        .execute((id.as_bytes(), account.customer.as_str(), sandbox(account.environment), now.as_millis()))?;
    Ok(())
}
