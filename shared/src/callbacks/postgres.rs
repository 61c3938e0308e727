//! Callbacks in the ledger's database. Locks are taken on the tallies in the order of their names, then on rows; a claim takes
//! only rows that nobody has locked, and no tally.

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;
use sqlx::{PgConnection, Row as _, postgres::PgRow};

use super::{
    Among, Backlog, Callback, CallbackEnd, CallbackState, Callbacks, Fate, NewCallback, Put, Written,
    book::{self, Tallies, Tally},
};
use crate::{
    domain::{Timestamp, WebhookId},
    ledger::{LedgerError, PostgresLedger},
    postgres::PgError,
};

pub(crate) const CLAIM_OF_THESE: &str = "WITH found AS MATERIALIZED ( \
       SELECT c.row FROM unnest($1::text[], $2::bigint[]) AS turn (webhook, room) CROSS JOIN LATERAL ( \
         SELECT row FROM callback WHERE webhook = turn.webhook AND due <= $3 ORDER BY due, row LIMIT turn.room \
         FOR UPDATE SKIP LOCKED) c LIMIT $4) \
     UPDATE callback c SET due = $5, attempt = c.attempt + 1 FROM found WHERE c.row = found.row \
     RETURNING c.row, c.webhook, c.event, c.body, c.attempt, c.first_at";

pub(crate) const CLAIM_OF_OTHERS: &str = "WITH found AS MATERIALIZED ( \
       SELECT c.row FROM (SELECT webhook FROM callback_state WHERE waiting > 0 AND webhook <> ALL($1::text[]) \
         ORDER BY webhook <= $6, webhook) AS turn CROSS JOIN LATERAL ( \
         SELECT row FROM callback WHERE webhook = turn.webhook AND due <= $3 ORDER BY due, row LIMIT $2 \
         FOR UPDATE SKIP LOCKED) c LIMIT $4) \
     UPDATE callback c SET due = $5, attempt = c.attempt + 1 FROM found WHERE c.row = found.row \
     RETURNING c.row, c.webhook, c.event, c.body, c.attempt, c.first_at";

pub(crate) const EARLIEST_OF_THESE: &str = "SELECT min(c.due) FROM unnest($1::text[]) AS turn (webhook) CROSS JOIN LATERAL ( \
     SELECT due FROM callback WHERE webhook = turn.webhook ORDER BY due LIMIT 1) c";

pub(crate) const EARLIEST_OF_OTHERS: &str = "SELECT min(c.due) FROM callback_state turn CROSS JOIN LATERAL ( \
     SELECT due FROM callback WHERE webhook = turn.webhook ORDER BY due LIMIT 1) c \
     WHERE turn.waiting > 0 AND turn.webhook <> ALL($1::text[])";

/// Rows are counted up as they are written, and stay what they are.
const BACKLOG: &str = "SELECT (SELECT coalesce(sum(waiting), 0)::bigint FROM callback_state WHERE waiting > 0), \
     (SELECT first_at FROM callback ORDER BY row LIMIT 1)";

pub(crate) const KNOWN: &str = "SELECT c.webhook, c.event FROM unnest($1::text[], $2::text[]) AS n (webhook, event) \
         JOIN callback c ON c.webhook = n.webhook AND c.event = n.event";

pub(crate) const FORGET: &str = "DELETE FROM callback c USING unnest($1::bigint[], $2::integer[], $3::boolean[]) \
         AS e (row, attempt, taken) WHERE c.row = e.row AND (e.taken OR c.attempt = e.attempt) RETURNING c.row";

pub(crate) const AGAIN: &str = "UPDATE callback c SET due = e.due FROM unnest($1::bigint[], $2::integer[], $3::bigint[]) \
         AS e (row, attempt, due) WHERE c.row = e.row AND c.attempt = e.attempt RETURNING c.row";

pub(crate) const GIVE_UP: &str =
    "DELETE FROM callback WHERE row IN (SELECT row FROM callback WHERE webhook = $1 ORDER BY due LIMIT $2)";

const TALLIES: &str = "SELECT webhook, waiting, given_up, not_kept, failing_since, full_since, last_at, last_answer \
     FROM callback_state WHERE webhook = ANY($1) ORDER BY webhook";

#[async_trait]
impl Callbacks for PostgresLedger {
    async fn put(&self, events: Vec<NewCallback>, bound: u64) -> Result<Put, LedgerError> {
        if events.is_empty() {
            return Ok(Put::default());
        }
        let call = (events, bound, self.now());
        let done = self
            .database()
            .transact("callbacks-put", &call, |c, (events, bound, now)| {
                Box::pin(put(c, events, *bound, *now))
            })
            .await?;
        self.callback_bell().notify_waiters();
        Ok(done)
    }

    async fn claim(&self, among: &Among, max: usize, lease: Duration) -> Result<Vec<Callback>, LedgerError> {
        let now = self.now();
        let call = (among, max, now, now.plus(lease));
        let claimed = self.database().statement("callbacks-claim", &call, |c, (among, max, now, until)| {
            Box::pin(claim(c, among, *max, *now, *until))
        });
        Ok(claimed.await?)
    }

    async fn settle(&self, ends: Vec<CallbackEnd>) -> Result<Vec<Option<Timestamp>>, LedgerError> {
        let call = (ends, self.now());
        let settled = self
            .database()
            .transact("callbacks-settle", &call, |c, (ends, now)| Box::pin(settle(c, ends, *now)));
        Ok(settled.await?)
    }

    async fn give_up(&self, webhook: &WebhookId, max: usize) -> Result<usize, LedgerError> {
        let call = (webhook.to_string(), number(max));
        let gone = self
            .database()
            .transact("callbacks-give-up", &call, |c, (webhook, max)| Box::pin(give_up(c, webhook, *max)));
        Ok(gone.await?)
    }

    async fn await_due(&self, among: &[Among], wait: Duration) {
        let mut notified = std::pin::pin!(self.callback_bell().notified());
        notified.as_mut().enable();
        let now = self.now();
        // If the server does not answer, the caller's own next call says so.
        let look = self.database().read("callbacks-due", among, |c, among| Box::pin(earliest(c, among)));
        let until = look.await.ok().flatten().map_or(wait, |due| Timestamp::from_millis(due).since(now));
        drop(tokio::time::timeout(wait.min(until), notified).await);
    }

    async fn states(&self, webhooks: &[WebhookId]) -> Result<Vec<CallbackState>, LedgerError> {
        let names = book::names(webhooks.iter());
        let tallies = self.database().read("callbacks-states", &names, |c, names| {
            Box::pin(async move { rows_to_tallies(&sqlx::query(TALLIES).bind(names).fetch_all(c).await?) })
        });
        let tallies = tallies.await?;
        let of = |webhook: &WebhookId| {
            tallies.get(&webhook.to_string()).map(|tally| book::state(webhook.clone(), tally.clone()))
        };
        Ok(webhooks.iter().filter_map(of).collect())
    }

    async fn backlog(&self) -> Result<Backlog, LedgerError> {
        let read = self.database().read("callbacks-backlog", &(), |c, ()| {
            Box::pin(async move {
                let row = sqlx::query(BACKLOG).fetch_one(c).await?;
                let oldest: Option<i64> = row.try_get(1)?;
                Ok(Backlog { waiting: count(&row, 0)?, oldest: oldest.map(Timestamp::from_millis) })
            })
        });
        Ok(read.await?)
    }
}

fn number(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn count(row: &PgRow, column: usize) -> Result<u64, PgError> {
    Ok(u64::try_from(row.try_get::<i64, _>(column)?).unwrap_or(0))
}

fn rows_to_tallies(rows: &[PgRow]) -> Result<Tallies, PgError> {
    let read = |row: &PgRow| {
        let tally = Tally {
            waiting: count(row, 1)?,
            given_up: count(row, 2)?,
            not_kept: count(row, 3)?,
            failing_since: row.try_get(4)?,
            full_since: row.try_get(5)?,
            last_at: row.try_get(6)?,
            last_answer: row.try_get(7)?,
        };
        Ok((row.try_get(0)?, tally))
    };
    rows.iter().map(read).collect()
}

/// The tallies of these webhooks, made where there are none, and locked until the end of the transaction.
async fn load(c: &mut PgConnection, names: &[String]) -> Result<Tallies, PgError> {
    const MAKE: &str = "INSERT INTO callback_state (webhook, waiting, given_up, not_kept) \
         SELECT name, 0, 0, 0 FROM unnest($1::text[]) AS name ON CONFLICT (webhook) DO NOTHING";
    const LOCK: &str = "SELECT webhook, waiting, given_up, not_kept, failing_since, full_since, last_at, last_answer \
         FROM callback_state WHERE webhook = ANY($1) ORDER BY webhook FOR UPDATE";
    let tallies = rows_to_tallies(&sqlx::query(LOCK).bind(names).fetch_all(&mut *c).await?)?;
    if tallies.len() == names.len() {
        return Ok(tallies);
    }
    sqlx::query(MAKE).bind(names).execute(&mut *c).await?;
    rows_to_tallies(&sqlx::query(LOCK).bind(names).fetch_all(c).await?)
}

async fn save(c: &mut PgConnection, tallies: &Tallies) -> Result<(), PgError> {
    const SAVE: &str = "UPDATE callback_state s SET waiting = n.waiting, given_up = n.given_up, not_kept = n.not_kept, \
         failing_since = n.failing_since, full_since = n.full_since, last_at = n.last_at, last_answer = n.last_answer \
         FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[]) \
         AS n (webhook, waiting, given_up, not_kept, failing_since, full_since, last_at, last_answer) \
         WHERE s.webhook = n.webhook";
    let counts = |of: fn(&Tally) -> u64| -> Vec<i64> {
        tallies.values().map(|tally| i64::try_from(of(tally)).unwrap_or(i64::MAX)).collect()
    };
    let times = |of: fn(&Tally) -> Option<i64>| -> Vec<Option<i64>> { tallies.values().map(of).collect() };
    sqlx::query(SAVE)
        .bind(tallies.keys().cloned().collect::<Vec<_>>())
        .bind(counts(|tally| tally.waiting))
        .bind(counts(|tally| tally.given_up))
        .bind(counts(|tally| tally.not_kept))
        .bind(times(|tally| tally.failing_since))
        .bind(times(|tally| tally.full_since))
        .bind(times(|tally| tally.last_at))
        .bind(tallies.values().map(|tally| tally.last_answer.clone()).collect::<Vec<_>>())
        .execute(c)
        .await?;
    Ok(())
}

async fn put(
    c: &mut PgConnection,
    events: &[NewCallback],
    bound: u64,
    now: Timestamp,
) -> Result<Put, PgError> {
    const INSERT: &str = "INSERT INTO callback (webhook, event, body, due, first_at, attempt) \
         SELECT n.webhook, n.event, n.body, $4, $4, 0 \
         FROM unnest($1::text[], $2::text[], $3::text[]) AS n (webhook, event, body)";
    let mut tallies = load(c, &book::names(events.iter().map(|event| &event.webhook))).await?;
    let webhooks: Vec<String> = events.iter().map(|event| event.webhook.to_string()).collect();
    let ids: Vec<&str> = events.iter().map(|event| event.event.as_str()).collect();
    let rows = sqlx::query(KNOWN).bind(&webhooks).bind(&ids).fetch_all(&mut *c).await?;
    let known = rows
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<Result<HashSet<(String, String)>, PgError>>()?;
    let put = book::admit(events, bound, now, &known, &mut tallies);
    let new: Vec<usize> = (0..events.len()).filter(|i| put.written[*i] == Written::New).collect();
    if !new.is_empty() {
        sqlx::query(INSERT)
            .bind(new.iter().map(|i| webhooks[*i].as_str()).collect::<Vec<_>>())
            .bind(new.iter().map(|i| ids[*i]).collect::<Vec<_>>())
            .bind(new.iter().map(|i| events[*i].body.as_str()).collect::<Vec<_>>())
            .bind(now.as_millis())
            .execute(&mut *c)
            .await?;
    }
    save(c, &tallies).await?;
    Ok(put)
}

fn texts(webhooks: &[WebhookId]) -> Vec<String> {
    webhooks.iter().map(ToString::to_string).collect()
}

async fn claim(
    c: &mut PgConnection,
    among: &Among,
    max: usize,
    now: Timestamp,
    until: Timestamp,
) -> Result<Vec<Callback>, PgError> {
    let query = match among {
        Among::Only(named) => sqlx::query(CLAIM_OF_THESE)
            .bind(named.iter().map(|(webhook, _)| webhook.to_string()).collect::<Vec<_>>())
            .bind(named.iter().map(|(_, room)| number(*room)).collect::<Vec<_>>()),
        Among::Others { except, each, .. } => {
            sqlx::query(CLAIM_OF_OTHERS).bind(texts(except)).bind(number(*each))
        }
    };
    let mut query = query.bind(now.as_millis()).bind(number(max)).bind(until.as_millis());
    if let Among::Others { after, .. } = among {
        query = query.bind(after.as_ref().map_or_else(String::new, ToString::to_string));
    }
    let rows = query.fetch_all(c).await?;
    let read = |row: &PgRow| {
        let webhook: &str = row.try_get(1)?;
        Ok(Callback {
            row: row.try_get(0)?,
            webhook: webhook.parse().map_err(|error| PgError::unreadable("webhook", error))?,
            event: row.try_get(2)?,
            body: row.try_get(3)?,
            attempt: u32::try_from(row.try_get::<i32, _>(4)?).unwrap_or(u32::MAX),
            first_at: Timestamp::from_millis(row.try_get(5)?),
        })
    };
    rows.iter().map(read).collect()
}

async fn earliest(c: &mut PgConnection, among: &[Among]) -> Result<Option<i64>, PgError> {
    let mut earliest: Option<i64> = None;
    for some in among {
        let query = match some {
            Among::Only(named) => {
                let open = named.iter().filter(|(_, room)| *room > 0);
                sqlx::query(EARLIEST_OF_THESE)
                    .bind(open.map(|(webhook, _)| webhook.to_string()).collect::<Vec<_>>())
            }
            Among::Others { except, .. } => sqlx::query(EARLIEST_OF_OTHERS).bind(texts(except)),
        };
        let due: Option<i64> = query.fetch_one(&mut *c).await?.try_get(0)?;
        earliest = earliest.into_iter().chain(due).min();
    }
    Ok(earliest)
}

async fn settle(
    c: &mut PgConnection,
    ends: &[CallbackEnd],
    now: Timestamp,
) -> Result<Vec<Option<Timestamp>>, PgError> {
    let mut tallies = load(c, &book::names(ends.iter().map(|end| &end.webhook))).await?;
    let attempt = |end: &CallbackEnd| i32::try_from(end.attempt).unwrap_or(i32::MAX);
    let (again, over): (Vec<&CallbackEnd>, Vec<&CallbackEnd>) =
        ends.iter().partition(|end| matches!(end.fate, Fate::Again(_)));
    let mut applied = HashSet::new();
    if !over.is_empty() {
        let rows = sqlx::query(FORGET)
            .bind(over.iter().map(|end| end.row).collect::<Vec<_>>())
            .bind(over.iter().map(|end| attempt(end)).collect::<Vec<_>>())
            .bind(over.iter().map(|end| end.fate == Fate::Delivered).collect::<Vec<_>>())
            .fetch_all(&mut *c)
            .await?;
        for row in rows {
            applied.insert(row.try_get(0)?);
        }
    }
    if !again.is_empty() {
        let due = |end: &&CallbackEnd| match end.fate {
            Fate::Again(due) => due.as_millis(),
            Fate::Delivered | Fate::GivenUp => now.as_millis(),
        };
        let rows = sqlx::query(AGAIN)
            .bind(again.iter().map(|end| end.row).collect::<Vec<_>>())
            .bind(again.iter().map(|end| attempt(end)).collect::<Vec<_>>())
            .bind(again.iter().map(due).collect::<Vec<_>>())
            .fetch_all(&mut *c)
            .await?;
        for row in rows {
            applied.insert(row.try_get(0)?);
        }
    }
    let since = book::tell(ends, &applied, now, &mut tallies);
    save(c, &tallies).await?;
    Ok(since)
}

async fn give_up(c: &mut PgConnection, webhook: &str, max: i64) -> Result<usize, PgError> {
    let names = [webhook.to_owned()];
    let mut tallies = load(c, &names).await?;
    let gone = sqlx::query(GIVE_UP).bind(webhook).bind(max).execute(&mut *c).await?.rows_affected();
    for tally in tallies.values_mut() {
        tally.waiting = tally.waiting.saturating_sub(gone);
        tally.given_up += gone;
    }
    save(c, &tallies).await?;
    Ok(usize::try_from(gone).unwrap_or(usize::MAX))
}
