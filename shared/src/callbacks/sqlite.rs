//! Callbacks in the ledger's file.

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, types::Type};

use super::{
    Among, Backlog, Callback, CallbackEnd, CallbackState, Callbacks, Fate, NewCallback, Put, Written,
    book::{self, Tallies, Tally},
};
use crate::{
    domain::{Timestamp, WebhookId},
    ledger::{LedgerError, SqliteLedger},
};

const DUE_OF_ONE: &str = "SELECT row, event, body, attempt, first_at FROM callback \
     WHERE webhook = ?1 AND due <= ?2 ORDER BY due, row LIMIT ?3";

const EARLIEST_OF_ONE: &str = "SELECT due FROM callback WHERE webhook = ?1 ORDER BY due LIMIT 1";

/// Those that have something waiting, the ones behind a name first.
const WAITING: &str = "SELECT webhook FROM callback_state WHERE waiting > 0 ORDER BY webhook <= ?1, webhook";

const SUM: &str = "SELECT coalesce(sum(waiting), 0) FROM callback_state WHERE waiting > 0";

/// Rows are counted up as they are written, and stay what they are.
const OLDEST: &str = "SELECT first_at FROM callback ORDER BY row LIMIT 1";

const KNOWN: &str = "SELECT 1 FROM callback WHERE webhook = ?1 AND event = ?2";

const GIVE_UP: &str =
    "DELETE FROM callback WHERE row IN (SELECT row FROM callback WHERE webhook = ?1 ORDER BY due LIMIT ?2)";

const TALLY: &str = "SELECT waiting, given_up, not_kept, failing_since, full_since, last_at, last_answer \
     FROM callback_state WHERE webhook = ?1";

const SAVE: &str = "INSERT INTO callback_state \
     (webhook, waiting, given_up, not_kept, failing_since, full_since, last_at, last_answer) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (webhook) DO UPDATE SET waiting = excluded.waiting, \
     given_up = excluded.given_up, not_kept = excluded.not_kept, failing_since = excluded.failing_since, \
     full_since = excluded.full_since, last_at = excluded.last_at, last_answer = excluded.last_answer";

#[async_trait]
impl Callbacks for SqliteLedger {
    async fn put(&self, events: Vec<NewCallback>, bound: u64) -> Result<Put, LedgerError> {
        if events.is_empty() {
            return Ok(Put::default());
        }
        let now = self.now();
        let done = self.db().write(move |c| put(c, &events, bound, now)).await?;
        self.callback_bell().notify_waiters();
        Ok(done)
    }

    async fn claim(&self, among: &Among, max: usize, lease: Duration) -> Result<Vec<Callback>, LedgerError> {
        let (now, asked) = (self.now(), [among.clone()]);
        // Looked at on the reader's connection first: nothing to claim costs no commit.
        if self.db().read(move |c| earliest(c, &asked)).await?.is_none_or(|due| due > now.as_millis()) {
            return Ok(Vec::new());
        }
        let among = among.clone();
        Ok(self.db().write(move |c| claim(c, &among, max, now, lease)).await?)
    }

    async fn settle(&self, ends: Vec<CallbackEnd>) -> Result<Vec<Option<Timestamp>>, LedgerError> {
        let now = self.now();
        Ok(self.db().write(move |c| settle(c, &ends, now)).await?)
    }

    async fn give_up(&self, webhook: &WebhookId, max: usize) -> Result<usize, LedgerError> {
        let webhook = webhook.to_string();
        Ok(self.db().write(move |c| give_up(c, &webhook, max)).await?)
    }

    async fn await_due(&self, among: &[Among], wait: Duration) {
        let mut notified = std::pin::pin!(self.callback_bell().notified());
        notified.as_mut().enable();
        let (now, among) = (self.now(), among.to_vec());
        // If the file does not answer, the caller's own next call says so.
        let earliest = self.db().read(move |c| earliest(c, &among)).await.ok().flatten();
        let until = earliest.map_or(wait, |due| Timestamp::from_millis(due).since(now));
        drop(tokio::time::timeout(wait.min(until), notified).await);
    }

    async fn states(&self, webhooks: &[WebhookId]) -> Result<Vec<CallbackState>, LedgerError> {
        let webhooks = webhooks.to_vec();
        let read = move |c: &Connection| {
            let mut found = Vec::new();
            for webhook in webhooks {
                let tally = tally(c, &webhook.to_string())?;
                found.extend(tally.map(|tally| book::state(webhook, tally)));
            }
            Ok(found)
        };
        Ok(self.db().read(read).await?)
    }

    async fn backlog(&self) -> Result<Backlog, LedgerError> {
        let read = |c: &Connection| {
            let waiting: i64 = c.prepare_cached(SUM)?.query_row([], |row| row.get(0))?;
            let oldest = c.prepare_cached(OLDEST)?.query_row([], |row| row.get(0)).optional()?;
            let waiting = u64::try_from(waiting).unwrap_or(0);
            Ok(Backlog { waiting, oldest: oldest.map(Timestamp::from_millis) })
        };
        Ok(self.db().read(read).await?)
    }
}

fn tally(c: &Connection, webhook: &str) -> rusqlite::Result<Option<Tally>> {
    let read = |row: &Row<'_>| {
        Ok(Tally {
            waiting: row.get(0)?,
            given_up: row.get(1)?,
            not_kept: row.get(2)?,
            failing_since: row.get(3)?,
            full_since: row.get(4)?,
            last_at: row.get(5)?,
            last_answer: row.get(6)?,
        })
    };
    c.prepare_cached(TALLY)?.query_row([webhook], read).optional()
}

fn load(c: &Connection, names: Vec<String>) -> rusqlite::Result<Tallies> {
    names.into_iter().map(|name| Ok((name.clone(), tally(c, &name)?.unwrap_or_default()))).collect()
}

fn save(c: &Connection, tallies: &Tallies) -> rusqlite::Result<()> {
    let mut save = c.prepare_cached(SAVE)?;
    for (name, t) in tallies {
        let (counts, times) = ((t.waiting, t.given_up, t.not_kept), (t.failing_since, t.full_since));
        save.execute((name, counts.0, counts.1, counts.2, times.0, times.1, t.last_at, &t.last_answer))?;
    }
    Ok(())
}

fn put(c: &Connection, events: &[NewCallback], bound: u64, now: Timestamp) -> rusqlite::Result<Put> {
    let mut known = HashSet::new();
    let mut there = c.prepare_cached(KNOWN)?;
    for event in events {
        let name = event.webhook.to_string();
        if there.exists((&name, &event.event))? {
            known.insert((name, event.event.clone()));
        }
    }
    let mut tallies = load(c, book::names(events.iter().map(|event| &event.webhook)))?;
    let put = book::admit(events, bound, now, &known, &mut tallies);
    let mut insert = c.prepare_cached(
        "INSERT INTO callback (webhook, event, due, first_at, attempt, body) VALUES (?1, ?2, ?3, ?3, 0, ?4)",
    )?;
    for (event, written) in events.iter().zip(&put.written) {
        if *written == Written::New {
            insert.execute((event.webhook.to_string(), &event.event, now.as_millis(), &event.body))?;
        }
    }
    save(c, &tallies)?;
    Ok(put)
}

/// The webhooks to look at, in turn, and how many of each.
fn turns(c: &Connection, among: &Among) -> rusqlite::Result<Vec<(String, usize)>> {
    match among {
        Among::Only(named) => Ok(named.iter().map(|(webhook, room)| (webhook.to_string(), *room)).collect()),
        Among::Others { except, each, after } => {
            let except: HashSet<String> = except.iter().map(ToString::to_string).collect();
            let after = after.as_ref().map_or_else(String::new, ToString::to_string);
            let names = c
                .prepare_cached(WAITING)?
                .query_map([after], |row| row.get::<_, String>(0))?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(names.into_iter().filter(|name| !except.contains(name)).map(|name| (name, *each)).collect())
        }
    }
}

fn earliest(c: &Connection, among: &[Among]) -> rusqlite::Result<Option<i64>> {
    let mut earliest: Option<i64> = None;
    let mut ask = c.prepare_cached(EARLIEST_OF_ONE)?;
    for some in among {
        for (name, _) in turns(c, some)?.into_iter().filter(|(_, room)| *room > 0) {
            let due = ask.query_row([&name], |row| row.get::<_, i64>(0)).optional()?;
            earliest = earliest.into_iter().chain(due).min();
        }
    }
    Ok(earliest)
}

fn claim(
    c: &Connection,
    among: &Among,
    max: usize,
    now: Timestamp,
    lease: Duration,
) -> rusqlite::Result<Vec<Callback>> {
    let mut claimed: Vec<Callback> = Vec::new();
    let mut find = c.prepare_cached(DUE_OF_ONE)?;
    for (name, room) in turns(c, among)? {
        let room = room.min(max - claimed.len());
        if room == 0 {
            continue;
        }
        let webhook: WebhookId = name
            .parse()
            .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))?;
        let rows = find.query_map((&name, now.as_millis(), room), |row| {
            Ok(Callback {
                row: row.get(0)?,
                webhook: webhook.clone(),
                event: row.get(1)?,
                body: row.get(2)?,
                attempt: row.get::<_, u32>(3)? + 1,
                first_at: Timestamp::from_millis(row.get(4)?),
            })
        })?;
        claimed.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    let mut lend = c.prepare_cached("UPDATE callback SET due = ?2, attempt = ?3 WHERE row = ?1")?;
    for callback in &claimed {
        lend.execute((callback.row, now.plus(lease).as_millis(), callback.attempt))?;
    }
    Ok(claimed)
}

fn settle(c: &Connection, ends: &[CallbackEnd], now: Timestamp) -> rusqlite::Result<Vec<Option<Timestamp>>> {
    let mut tallies = load(c, book::names(ends.iter().map(|end| &end.webhook)))?;
    let mut applied = HashSet::new();
    let mut again = c.prepare_cached("UPDATE callback SET due = ?3 WHERE row = ?1 AND attempt = ?2")?;
    let mut forget = c.prepare_cached("DELETE FROM callback WHERE row = ?1 AND attempt = ?2")?;
    let mut taken = c.prepare_cached("DELETE FROM callback WHERE row = ?1")?;
    for end in ends {
        let changed = match end.fate {
            Fate::Delivered => taken.execute([end.row])?,
            Fate::Again(due) => again.execute((end.row, end.attempt, due.as_millis()))?,
            Fate::GivenUp => forget.execute((end.row, end.attempt))?,
        };
        if changed > 0 {
            applied.insert(end.row);
        }
    }
    let since = book::tell(ends, &applied, now, &mut tallies);
    save(c, &tallies)?;
    Ok(since)
}

fn give_up(c: &Connection, webhook: &str, max: usize) -> rusqlite::Result<usize> {
    let gone = c.prepare_cached(GIVE_UP)?.execute((webhook, max))?;
    c.prepare_cached(
        "UPDATE callback_state SET waiting = max(waiting - ?2, 0), given_up = given_up + ?2 WHERE webhook = ?1",
    )?
    .execute((webhook, gone))?;
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(c: &Connection, query: &str) -> rusqlite::Result<Vec<String>> {
        let mut explain = c.prepare(&format!("EXPLAIN QUERY PLAN {query}"))?;
        let nulls = vec![rusqlite::types::Null; explain.parameter_count()];
        explain.query_map(rusqlite::params_from_iter(nulls), |row| row.get("detail"))?.collect()
    }

    /// Targets that are dead for days leave their rows behind: whoever claims what is due passes them by.
    #[tokio::test]
    async fn no_query_reads_the_rows_that_are_not_due() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = SqliteLedger::open(&dir.path().join("ledger.db")).unwrap();
        let queries = [DUE_OF_ONE, EARLIEST_OF_ONE, KNOWN, TALLY, WAITING, GIVE_UP, SUM];
        let look = move |c: &Connection| {
            queries.iter().map(|query| Ok((*query, plan(c, query)?))).collect::<rusqlite::Result<Vec<_>>>()
        };
        for (query, steps) in ledger.db().read(look).await.unwrap() {
            assert!(!steps.is_empty(), "{query}");
            for step in &steps {
                // Of `callback` only what an index leads to; of its tallies those with something waiting.
                let reads_whole = step == "SCAN callback" || step.starts_with("SCAN callback USING");
                let reads_tallies =
                    step.starts_with("SCAN callback_state") && !step.contains("callback_waiting");
                // Only the webhooks with something waiting are sorted into their turns.
                let sorts = step.contains("TEMP B-TREE") && query != WAITING;
                assert!(!reads_whole && !reads_tallies && !sorts, "{query}: {steps:?}");
            }
        }
        // In the order of rows, of which it needs the first.
        let first = ledger.db().read(|c: &Connection| plan(c, OLDEST)).await.unwrap();
        assert_eq!(first, ["SCAN callback"], "{first:?}");
        assert!(OLDEST.ends_with("ORDER BY row LIMIT 1"));
    }
}
