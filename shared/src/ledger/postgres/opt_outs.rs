//! Those who want no messages.
//!
//! An intake holds [`INTAKE`] shared from its insert to its end, and looks recipients up after it. Whoever records an entry first commits
//! it, then takes that lock alone for a moment: once it has it, every intake that may not have seen the entry has ended.

use std::collections::HashSet;

use async_trait::async_trait;
use sqlx::{PgConnection, Row as _, postgres::PgRow};

use super::{
    PostgresLedger,
    recovery::limit,
    rows::{bytes, id, parsed, read_all, state},
    settle::LOCK,
    write,
};
use crate::{
    domain::{MessageId, Party, State, Timestamp},
    ledger::{
        EndedOptOuts, LedgerError, OptOut, OptOutSearch, OptOuts, acts,
        book::{News, Page, Row},
        opt_outs::scope,
    },
    postgres::PgError,
};

/// The lock that intakes share; as a literal in [`INSERT`](super::intake::INSERT).
const INTAKE: i64 = 0x6e61_7275_0007;

/// Rows that are looked at, or ended, at once.
const LOOKED: i64 = 2_000;
const TOGETHER: usize = 200;

/// Which of these are messages to somebody who opted out, by their number.
pub(super) const MATCHES: &str = "SELECT e.n FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[]) \
       AS e (n, recipient, customer, channel) \
     WHERE EXISTS (SELECT 1 FROM opt_out o WHERE o.recipient = e.recipient \
       AND o.customer IN (e.customer, '*') AND o.channel IN (e.channel, '*'))";

/// A recipient as the lists know it; what nobody can be called is in none of them.
pub(super) fn listed(recipient: &str) -> String {
    recipient.parse::<Party>().map_or_else(|_| String::new(), String::from)
}

/// Somebody to whom a message goes: recipient, customer, channel.
type Way<'a> = (&'a str, &'a str, &'a str);

/// Which of these ways are closed, by their index.
async fn closed(connection: &mut PgConnection, ways: &[Way<'_>]) -> Result<HashSet<usize>, PgError> {
    if ways.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = sqlx::query(MATCHES)
        .bind((0_i32..).take(ways.len()).collect::<Vec<_>>())
        .bind(ways.iter().map(|way| listed(way.0)).collect::<Vec<_>>())
        .bind(ways.iter().map(|way| way.1).collect::<Vec<_>>())
        .bind(ways.iter().map(|way| way.2).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok(usize::try_from(row.try_get::<i32, _>(0)?).unwrap_or(usize::MAX))).collect()
}

/// Which of these rows are for recipients who opted out.
pub(super) async fn of_rows(
    connection: &mut PgConnection,
    rows: &[Row],
) -> Result<HashSet<MessageId>, PgError> {
    let ways: Vec<Way<'_>> = rows
        .iter()
        .map(|row| (row.recipient.as_str(), row.account.customer.as_str(), row.channel.as_str()))
        .collect();
    let closed = closed(connection, &ways).await?;
    Ok(rows.iter().enumerate().filter(|(n, _)| closed.contains(n)).map(|(_, row)| row.at.id).collect())
}

/// The same of rows that begin to wait by this transaction: whoever opts out from now on waits for its end, and then ends them.
pub(super) async fn of_rows_held(
    connection: &mut PgConnection,
    rows: &[Row],
) -> Result<HashSet<MessageId>, PgError> {
    sqlx::query("SELECT pg_advisory_xact_lock_shared($1)").bind(INTAKE).execute(&mut *connection).await?;
    of_rows(connection, rows).await
}

/// What has not ended, by id; those alone whose recipient ends so, if anything is given.
pub(super) const LOOK: &str = "SELECT id, recipient, customer, channel, state FROM message \
     WHERE id > $1 AND state IN (1, 2, 3, 4, 6) AND fingerprint IS NOT NULL \
       AND ($2 = '' OR right(translate(recipient, ' -.()', ''), 7) = $2) ORDER BY id LIMIT $3";

/// Of a page of messages: those that wait for somebody who opted out, those under way, and the last that was looked at.
struct Looked {
    waiting: Vec<MessageId>,
    sending: usize,
    last: Option<MessageId>,
}

async fn look(connection: &mut PgConnection, after: &[u8], only: Option<&Party>) -> Result<Looked, PgError> {
    let rows = sqlx::query(LOOK)
        .bind(after)
        .bind(only.map(Party::tail).unwrap_or_default())
        .bind(LOOKED)
        .fetch_all(&mut *connection)
        .await?;
    let (mut ways, mut seen) = (Vec::new(), Vec::new());
    for row in &rows {
        let recipient: &str = row.try_get(1)?;
        if only.is_none_or(|only| recipient.parse::<Party>().as_ref() == Ok(only)) {
            ways.push((recipient, row.try_get(2)?, row.try_get(3)?));
            seen.push((id(row, 0)?, state(row, 4)?));
        }
    }
    let closed = closed(connection, &ways).await?;
    let last = if rows.len() < usize::try_from(LOOKED).unwrap_or(0) { None } else { rows.last() };
    let mut looked =
        Looked { waiting: Vec::new(), sending: 0, last: last.map(|row| id(row, 0)).transpose()? };
    for (_, (id, state)) in seen.into_iter().enumerate().filter(|(n, _)| closed.contains(n)) {
        if state == State::Sending { looked.sending += 1 } else { looked.waiting.push(id) }
    }
    Ok(looked)
}

/// Ends those of these messages that still wait, unless their recipient has opted in again.
async fn end(
    connection: &mut PgConnection,
    ids: &[MessageId],
    now: Timestamp,
    emit: bool,
    clock: Timestamp,
) -> Result<(EndedOptOuts, News), PgError> {
    let locked = sqlx::query(LOCK).bind(bytes(ids)).fetch_all(&mut *connection).await?;
    let mut rows = read_all(&locked)?;
    rows.retain(|row| row.state.is_waiting() || row.state == State::Stopped);
    let out = of_rows(connection, &rows).await?;
    rows.retain(|row| out.contains(&row.at.id));
    let (mut ended, mut page) = (EndedOptOuts::default(), Page::new(clock));
    for row in &mut rows {
        if page.opted_out(row, now, emit) {
            ended.uncertain += 1;
        } else {
            ended.rejected += 1;
        }
    }
    write::save(connection, &rows).await?;
    let news = write::page(connection, page).await?;
    Ok((ended, news))
}

fn entry(row: &PgRow) -> Result<OptOut, PgError> {
    let is_named = |index: usize| Ok::<_, PgError>(row.try_get::<&str, _>(index)? != "*");
    Ok(OptOut {
        recipient: parsed(row, 0)?,
        customer: if is_named(1)? { Some(parsed(row, 1)?) } else { None },
        channel: if is_named(2)? { Some(parsed(row, 2)?) } else { None },
        since: Timestamp::from_millis(row.try_get(3)?),
    })
}

pub(super) const LIST: &str = "SELECT recipient, customer, channel, since FROM opt_out \
     WHERE customer = $1 AND (recipient, channel) > ($2, $3) ORDER BY recipient, channel LIMIT $4";

pub(super) const OF_RECIPIENT: &str = "SELECT recipient, customer, channel, since FROM opt_out WHERE recipient = $1 \
     ORDER BY customer, channel LIMIT $2";

async fn search(
    connection: &mut PgConnection,
    wanted: &OptOutSearch,
    max: usize,
) -> Result<Vec<OptOut>, PgError> {
    let rows = match wanted {
        OptOutSearch::Recipient(recipient) => {
            let asked = sqlx::query(OF_RECIPIENT).bind(recipient.as_str()).bind(limit(max));
            asked.fetch_all(connection).await?
        }
        OptOutSearch::List(customer, after) => {
            let (recipient, channel) =
                after.as_ref().map_or(("", ""), |after| (after.recipient.as_str(), after.scope().1));
            sqlx::query(LIST)
                .bind(scope(customer.as_ref(), None).0)
                .bind(recipient)
                .bind(channel)
                .bind(limit(max))
                .fetch_all(connection)
                .await?
        }
    };
    rows.iter().map(entry).collect()
}

/// Entries as columns, each once, in the order in which rows are locked.
struct Columns<'a> {
    recipients: Vec<&'a str>,
    customers: Vec<&'a str>,
    channels: Vec<&'a str>,
    since: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn of(entries: &'a [OptOut]) -> Self {
        let mut keys: Vec<_> = entries
            .iter()
            .map(|entry| (entry.recipient.as_str(), entry.scope(), entry.since.as_millis()))
            .collect();
        keys.sort_unstable();
        keys.dedup_by_key(|(recipient, scope, _)| (*recipient, *scope));
        Self {
            recipients: keys.iter().map(|key| key.0).collect(),
            customers: keys.iter().map(|key| key.1.0).collect(),
            channels: keys.iter().map(|key| key.1.1).collect(),
            since: keys.iter().map(|key| key.2).collect(),
        }
    }
}

async fn insert(connection: &mut PgConnection, entries: &[OptOut]) -> Result<usize, PgError> {
    let columns = Columns::of(entries);
    let done = sqlx::query(
        "INSERT INTO opt_out (recipient, customer, channel, since) \
         SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) ON CONFLICT DO NOTHING",
    )
    .bind(columns.recipients)
    .bind(columns.customers)
    .bind(columns.channels)
    .bind(columns.since)
    .execute(connection)
    .await?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

async fn delete(connection: &mut PgConnection, entries: &[OptOut]) -> Result<usize, PgError> {
    let columns = Columns::of(entries);
    let done = sqlx::query(
        "DELETE FROM opt_out o USING unnest($1::text[], $2::text[], $3::text[]) AS e (recipient, customer, channel) \
         WHERE o.recipient = e.recipient AND o.customer = e.customer AND o.channel = e.channel",
    )
    .bind(columns.recipients)
    .bind(columns.customers)
    .bind(columns.channels)
    .execute(connection)
    .await?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

#[async_trait]
impl OptOuts for PostgresLedger {
    async fn opt_out(&self, entries: Vec<OptOut>) -> Result<usize, LedgerError> {
        let new = self.act(
            "opt-out",
            &entries,
            |c, entries| Box::pin(insert(c, entries)),
            |entries, new| acts::listed(entries, true, *new),
        );
        let new = new.await?;
        let waited = self.database.transact("opt-out-wait", &(), |c, ()| {
            Box::pin(async move {
                sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(INTAKE).execute(c).await?;
                Ok(())
            })
        });
        waited.await?;
        Ok(new)
    }

    async fn opt_in(&self, entries: Vec<OptOut>) -> Result<usize, LedgerError> {
        let gone = self.act(
            "opt-in",
            &entries,
            |c, entries| Box::pin(delete(c, entries)),
            |entries, gone| acts::listed(entries, false, *gone),
        );
        Ok(gone.await?)
    }

    async fn opted_out(&self, wanted: OptOutSearch, max: usize) -> Result<Vec<OptOut>, LedgerError> {
        let call = (wanted, max);
        let found =
            self.database.read("opt-outs", &call, |c, (wanted, max)| Box::pin(search(c, wanted, *max)));
        Ok(found.await?)
    }

    async fn end_opted_out(
        &self,
        recipient: Option<Party>,
        now: Timestamp,
        emit: bool,
    ) -> Result<EndedOptOuts, LedgerError> {
        let (mut ended, mut after) = (EndedOptOuts::default(), Vec::new());
        loop {
            let call = (after, recipient.clone());
            let looked = self
                .database
                .read("opted-out", &call, |c, (after, only)| Box::pin(look(c, after, only.as_ref())));
            let looked = looked.await?;
            ended.in_flight += looked.sending;
            for ids in looked.waiting.chunks(TOGETHER) {
                let call = (ids, now, emit, self.clock.now());
                let done = self.database.transact("end-opted-out", &call, |c, (ids, now, emit, clock)| {
                    Box::pin(end(c, ids, *now, *emit, *clock))
                });
                let (done, news) = done.await?;
                self.memory.tell(&news);
                ended.rejected += done.rejected;
                ended.uncertain += done.uncertain;
                // What waited and does not any more has begun meanwhile, or has ended.
                ended.in_flight += ids.len().saturating_sub(done.rejected + done.uncertain);
            }
            match looked.last {
                Some(last) => after = last.as_bytes().to_vec(),
                None => return Ok(ended),
            }
        }
    }
}
