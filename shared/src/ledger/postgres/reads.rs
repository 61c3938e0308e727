//! What a customer asks of its own: how a message stands, its reports, a cancellation, its usage.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use sqlx::{PgConnection, Row as _};

use super::{
    PostgresLedger,
    memory::poll_for_reports,
    rows::{find_all, id, known, read_all},
    settle::LOCK,
    usage, write,
};
use crate::{
    domain::{Account, Day, MessageId, MessageView, Quota, Report, Timestamp},
    ledger::{
        Cancelled, LedgerError, LedgerReads,
        book::{Known, News, Page, Row, rung, sandbox},
    },
    postgres::PgError,
};

#[async_trait]
impl LedgerReads for PostgresLedger {
    async fn view(&self, account: &Account, id: MessageId) -> Result<Option<MessageView>, LedgerError> {
        let found = self.database.read("view", &id, |c, id| Box::pin(find_all(c, std::slice::from_ref(id))));
        Ok(found.await?.remove(&id).filter(|row| row.account == *account).map(Row::view))
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
        if !wait.is_zero() {
            poll_for_reports(&self.memory, &self.database, &self.clock);
        }
        loop {
            let mut notified = std::pin::pin!(bell.notified());
            notified.as_mut().enable();
            let handed = self.hand_out(account, limit, lease).await?;
            if !handed.0.is_empty() {
                return Ok(handed);
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
        let asked = (account, reports, self.now());
        let read = self.database.statement("acknowledge", &asked, |c, (account, reports, now)| {
            Box::pin(acknowledge(c, account, reports, *now))
        });
        Ok(read.await?)
    }

    async fn cancel(
        &self,
        account: &Account,
        id: MessageId,
        now: Timestamp,
        emit: bool,
    ) -> Result<Cancelled, LedgerError> {
        let call = Cancel { account, id, now, emit, clock: self.clock.now() };
        let (cancelled, news) =
            self.database.transact("cancel", &call, |c, call| Box::pin(cancel(c, call))).await?;
        self.memory.tell(&news);
        Ok(cancelled)
    }

    async fn answers(&self) -> Result<(), LedgerError> {
        let asked = self.database.read("answers", &(), |c, ()| {
            Box::pin(async move { Ok(sqlx::query("SELECT 1").execute(c).await.map(drop)?) })
        });
        Ok(asked.await?)
    }

    async fn used(&self, quota: &Quota, day: Day) -> Result<u64, LedgerError> {
        let asked = (quota, day);
        let used = self.database.read("used", &asked, |c, (quota, day)| {
            Box::pin(async move { usage::used(c, &[(quota, *day)]).await })
        });
        Ok(used.await?.first().copied().unwrap_or(0))
    }
}

/// Lends what is free, oldest first, and looks one further. Nothing free costs no write.
pub(super) const LEND: &str = "WITH due AS MATERIALIZED (SELECT id, free_at FROM unread \
       WHERE customer = $1 AND sandbox = $2 AND free_at <= $3 ORDER BY free_at LIMIT $4 + 1 FOR UPDATE SKIP LOCKED), \
     first AS (SELECT id, free_at FROM due ORDER BY free_at LIMIT $4), \
     lent AS (UPDATE unread u SET free_at = $5 FROM first WHERE u.id = first.id RETURNING u.id, first.free_at) \
     SELECT id, free_at, (SELECT count(*) FROM due) FROM lent ORDER BY free_at, id";

impl PostgresLedger {
    async fn hand_out(
        &self,
        account: &Account,
        limit: usize,
        lease: Duration,
    ) -> Result<(Vec<Report>, bool), LedgerError> {
        let now = self.clock.now();
        let call = (account, limit, now, now.plus(lease));
        let lent = self.database.statement("reports", &call, |c, (account, limit, now, until)| {
            Box::pin(lend(c, account, *limit, *now, *until))
        });
        let (ids, more) = lent.await?;
        if ids.is_empty() {
            return Ok((Vec::new(), false));
        }
        let mut rows = self.database.read("reports-rows", &ids, |c, ids| Box::pin(find_all(c, ids))).await?;
        let gone: Vec<MessageId> = ids.iter().filter(|id| !rows.contains_key(*id)).copied().collect();
        if !gone.is_empty() {
            // Their month was dropped meanwhile: there is nothing left to hand out.
            let forget = self.database.statement("forget", &gone, |c, gone| Box::pin(forget(c, gone)));
            forget.await?;
        }
        let reports = ids.iter().filter_map(|id| rows.remove(id)?.view().into_report()).collect();
        Ok((reports, more))
    }
}

async fn lend(
    connection: &mut PgConnection,
    account: &Account,
    limit: usize,
    now: Timestamp,
    until: Timestamp,
) -> Result<(Vec<MessageId>, bool), PgError> {
    let rows = sqlx::query(LEND)
        .bind(account.customer.as_str())
        .bind(sandbox(account.environment))
        .bind(now.as_millis())
        .bind(super::recovery::limit(limit))
        .bind(until.as_millis())
        .fetch_all(connection)
        .await?;
    let found: i64 = rows.first().map(|row| row.try_get(2)).transpose()?.unwrap_or(0);
    let ids = rows.iter().map(|row| id(row, 0)).collect::<Result<Vec<_>, _>>()?;
    Ok((ids, found > super::recovery::limit(limit)))
}

async fn forget(connection: &mut PgConnection, ids: &[MessageId]) -> Result<(), PgError> {
    sqlx::query("DELETE FROM unread WHERE id = ANY($1)")
        .bind(super::rows::bytes(ids))
        .execute(connection)
        .await?;
    Ok(())
}

/// When it was read is noted on the messages, locked in the order of their ids before anything else is; one that somebody else
/// changes or moves just then is passed over, and only the moment of its reading is not kept.
pub(super) const ACKNOWLEDGE: &str = "WITH read AS (SELECT * FROM unnest($1::bytea[], $2::integer[]) AS read (id, revision)), \
     free AS MATERIALIZED (SELECT id FROM message WHERE id = ANY($1) ORDER BY id FOR UPDATE SKIP LOCKED), \
     gone AS (DELETE FROM unread u USING read WHERE u.id = read.id AND u.revision = read.revision \
       AND u.customer = $3 AND u.sandbox = $4 AND (SELECT count(*) FROM free) >= 0 RETURNING u.id), \
     hot AS (UPDATE message SET read_at = $5, read_revision = revision \
       WHERE id = ANY(ARRAY(SELECT gone.id FROM gone JOIN free USING (id)))), \
     cold AS (UPDATE archive SET read_at = $5, read_revision = revision \
       WHERE id = ANY(ARRAY(SELECT id FROM gone EXCEPT SELECT id FROM free))) \
     SELECT count(*) FROM gone";

async fn acknowledge(
    connection: &mut PgConnection,
    account: &Account,
    reports: &[(MessageId, u32)],
    now: Timestamp,
) -> Result<usize, PgError> {
    // In the order of the ids, so that two who acknowledge the same do not wait crosswise.
    let sorted: std::collections::BTreeSet<_> = reports.iter().copied().collect();
    let read = sqlx::query(ACKNOWLEDGE)
        .bind(sorted.iter().map(|(id, _)| id.as_bytes().as_slice()).collect::<Vec<_>>())
        .bind(sorted.iter().map(|(_, revision)| write::int(*revision)).collect::<Vec<_>>())
        .bind(account.customer.as_str())
        .bind(sandbox(account.environment))
        .bind(now.as_millis())
        .fetch_one(connection)
        .await?;
    Ok(usize::try_from(read.try_get::<i64, _>(0)?).unwrap_or(usize::MAX))
}

struct Cancel<'a> {
    account: &'a Account,
    id: MessageId,
    now: Timestamp,
    emit: bool,
    clock: Timestamp,
}

async fn cancel(connection: &mut PgConnection, call: &Cancel<'_>) -> Result<(Cancelled, News), PgError> {
    let mut page = Page::new(call.clock);
    let locked =
        sqlx::query(LOCK).bind([call.id.as_bytes().as_slice()].as_slice()).fetch_all(&mut *connection);
    if let Some(row) = read_all(&locked.await?)?.pop() {
        if row.account != *call.account {
            // What is another's is answered as what nobody has seen.
            return Ok((Cancelled::Tombstone, page.news));
        }
        let (cancelled, changed) = page.cancel(row, call.now, call.emit);
        write::save(connection, changed.as_slice()).await?;
        return Ok((cancelled, write::page(connection, page).await?));
    }
    let ids = [call.id];
    let known: HashMap<MessageId, Row> = find_all(connection, &ids).await?;
    if let Some(row) = known.into_values().next() {
        if row.account != *call.account {
            return Ok((Cancelled::Tombstone, page.news));
        }
        // It lies in the archive: it has ended, and nothing of it changes.
        return Ok((page.cancel(row, call.now, false).0, News::default()));
    }
    put_up_tombstone(connection, call).await?;
    Ok((Cancelled::Tombstone, page.news))
}

/// What stands there of an id.
const STANDS: &str =
    "SELECT row, id, customer, sandbox, state, token, fingerprint FROM message WHERE id = $1";

/// A row that only says: when this id comes, it is cancelled.
async fn put_up_tombstone(connection: &mut PgConnection, call: &Cancel<'_>) -> Result<(), PgError> {
    let put = sqlx::query(
        "INSERT INTO message (id, customer, sandbox, token, channel, recipient, route, lane, state, units, charge, day, \
         attempt, possible_duplicate, expires_at, accepted_at, final_at, revision) \
         VALUES ($1, $2, $3, 0, '', '', '', 0, 14, 0, 0, 0, 0, false, 0, $4, $4, 0) ON CONFLICT (id) DO NOTHING",
    )
    .bind(call.id.as_bytes().as_slice())
    .bind(call.account.customer.as_str())
    .bind(sandbox(call.account.environment))
    .bind(call.now.as_millis())
    .execute(&mut *connection)
    .await?;
    if put.rows_affected() == 1 {
        return Ok(());
    }
    let found = sqlx::query(STANDS).bind(call.id.as_bytes().as_slice()).fetch_optional(connection).await?;
    let there = found.as_ref().map(|row| known(row, 0)).transpose()?;
    // One that stands already is as good; a message that came meanwhile is looked at anew.
    if there.as_ref().is_some_and(Known::is_tombstone) { Ok(()) } else { Err(PgError::Moved) }
}
