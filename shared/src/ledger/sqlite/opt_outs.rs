//! Those who want no messages, in the file.

use async_trait::async_trait;
use rusqlite::{Connection, Row as SqlRow, types::Type};

use super::{
    SqliteLedger, backlog,
    change::Change,
    rows::{account, load, state},
};
use crate::{
    domain::{Account, ChannelName, MessageId, Party, State, Timestamp},
    ledger::{
        EndedOptOuts, LedgerError, OptOut, OptOutSearch, OptOuts, RowRef, acts, book::Row, opt_outs::scope,
    },
};

/// Rows that are ended in one transaction.
const TOGETHER: usize = 200;

const MATCHES: &str = "SELECT EXISTS (SELECT 1 FROM opt_out WHERE recipient = ?1 AND customer IN (?2, '*') \
     AND channel IN (?3, '*'))";

/// Whether anybody opted out of anything: mostly nobody did.
pub(super) fn any(connection: &Connection) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM opt_out)")?.query_row([], |row| row.get(0))
}

/// Whether a recipient wants nothing of this customer by this channel.
pub(super) fn matches(
    connection: &Connection,
    account: &Account,
    channel: &ChannelName,
    recipient: &str,
) -> rusqlite::Result<bool> {
    let Ok(party) = recipient.parse::<Party>() else { return Ok(false) };
    connection
        .prepare_cached(MATCHES)?
        .query_row((party.as_str(), account.customer.as_str(), channel.as_str()), |row| row.get(0))
}

/// As [`matches`], of a row.
pub(super) fn is_out(connection: &Connection, row: &Row) -> rusqlite::Result<bool> {
    matches(connection, &row.account, &row.channel, &row.recipient)
}

fn read(row: &SqlRow<'_>) -> rusqlite::Result<OptOut> {
    let named = |index: usize| row.get::<_, String>(index).map(|name| (name != "*").then_some(name));
    let wrong = |index, error: Box<dyn std::error::Error + Send + Sync>| {
        rusqlite::Error::FromSqlConversionFailure(index, Type::Text, error)
    };
    Ok(OptOut {
        recipient: row.get::<_, String>(0)?.parse().map_err(|error| wrong(0, Box::new(error)))?,
        customer: named(1)?
            .map(|name| name.parse())
            .transpose()
            .map_err(|error| wrong(1, Box::new(error)))?,
        channel: named(2)?.map(|name| name.parse()).transpose().map_err(|error| wrong(2, Box::new(error)))?,
        since: Timestamp::from_millis(row.get(3)?),
    })
}

fn search(connection: &Connection, search: &OptOutSearch, max: usize) -> rusqlite::Result<Vec<OptOut>> {
    match search {
        OptOutSearch::Recipient(recipient) => connection
            .prepare_cached(
                "SELECT recipient, customer, channel, since FROM opt_out WHERE recipient = ?1 \
                 ORDER BY customer, channel LIMIT ?2",
            )?
            .query_map((recipient.as_str(), max), read)?
            .collect(),
        OptOutSearch::List(customer, after) => {
            let (customer, _) = scope(customer.as_ref(), None);
            let (recipient, channel) =
                after.as_ref().map_or(("", ""), |after| (after.recipient.as_str(), after.scope().1));
            connection
                .prepare_cached(
                    "SELECT recipient, customer, channel, since FROM opt_out \
                     WHERE customer = ?1 AND (recipient, channel) > (?2, ?3) ORDER BY recipient, channel LIMIT ?4",
                )?
                .query_map((customer, recipient, channel, max), read)?
                .collect()
        }
    }
}

/// What has not ended; each arm goes through an index of its states.
const UNDER_WAY: &str = "\
    SELECT row, id, customer, sandbox, channel, recipient, state FROM message INDEXED BY message_wake \
      WHERE state IN (1, 2, 4) \
    UNION ALL SELECT row, id, customer, sandbox, channel, recipient, state FROM message INDEXED BY message_sending \
      WHERE state = 3 \
    UNION ALL SELECT row, id, customer, sandbox, channel, recipient, state FROM message INDEXED BY message_stopped \
      WHERE state = 6";

/// Rows to end, and how many are under way.
fn look(connection: &Connection, only: Option<&Party>) -> rusqlite::Result<(Vec<RowRef>, usize)> {
    let (mut waiting, mut sending) = (Vec::new(), 0);
    if !any(connection)? {
        return Ok((waiting, sending));
    }
    let mut select = connection.prepare_cached(UNDER_WAY)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let recipient = row.get_ref(5)?.as_str()?;
        if only.is_some_and(|only| recipient.parse::<Party>().as_ref() != Ok(only)) {
            continue;
        }
        let channel: ChannelName = super::rows::parsed(row, 4)?;
        if !matches(connection, &account(row, 2)?, &channel, recipient)? {
            continue;
        }
        if state(row, 6)? == State::Sending {
            sending += 1;
        } else {
            waiting.push(RowRef { row: row.get(0)?, id: MessageId::from_bytes(row.get(1)?) });
        }
    }
    Ok((waiting, sending))
}

/// Ends those of these rows that still wait, unless their recipient has opted in again.
fn end(
    change: &mut Change<'_>,
    rows: &[RowRef],
    now: Timestamp,
    emit: bool,
) -> rusqlite::Result<EndedOptOuts> {
    let mut ended = EndedOptOuts::default();
    for at in rows {
        let Some(mut row) = load(change.connection, *at)? else { continue };
        if !(row.state.is_waiting() || row.state == State::Stopped) || !is_out(change.connection, &row)? {
            continue;
        }
        if change.page.opted_out(&mut row, now, emit) {
            ended.uncertain += 1;
        } else {
            ended.rejected += 1;
        }
        change.save(&row)?;
    }
    // Whoever counts what waits may be another process.
    backlog::drift(change)?;
    Ok(ended)
}

fn put_on(connection: &Connection, entries: &[OptOut]) -> rusqlite::Result<usize> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO opt_out (recipient, customer, channel, since) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
    )?;
    let mut new = 0;
    for entry in entries {
        let (customer, channel) = entry.scope();
        new += insert.execute((entry.recipient.as_str(), customer, channel, entry.since.as_millis()))?;
    }
    Ok(new)
}

fn take_off(connection: &Connection, entries: &[OptOut]) -> rusqlite::Result<usize> {
    let mut delete = connection
        .prepare_cached("DELETE FROM opt_out WHERE recipient = ?1 AND customer = ?2 AND channel = ?3")?;
    let mut gone = 0;
    for entry in entries {
        let (customer, channel) = entry.scope();
        gone += delete.execute((entry.recipient.as_str(), customer, channel))?;
    }
    Ok(gone)
}

#[async_trait]
impl OptOuts for SqliteLedger {
    async fn opt_out(&self, entries: Vec<OptOut>) -> Result<usize, LedgerError> {
        let told = entries.clone();
        let act = move |new: &usize| acts::listed(&told, true, *new);
        self.act(move |change| put_on(change.connection, &entries), act).await
    }

    async fn opt_in(&self, entries: Vec<OptOut>) -> Result<usize, LedgerError> {
        let told = entries.clone();
        let act = move |gone: &usize| acts::listed(&told, false, *gone);
        self.act(move |change| take_off(change.connection, &entries), act).await
    }

    async fn opted_out(&self, wanted: OptOutSearch, max: usize) -> Result<Vec<OptOut>, LedgerError> {
        Ok(self.db().read(move |connection| search(connection, &wanted, max)).await?)
    }

    async fn end_opted_out(
        &self,
        recipient: Option<Party>,
        now: Timestamp,
        emit: bool,
    ) -> Result<EndedOptOuts, LedgerError> {
        // Looked for without holding anybody up; each group is looked at again when it is ended.
        let (waiting, _) = {
            let only = recipient.clone();
            self.db().read(move |connection| look(connection, only.as_ref())).await?
        };
        let mut ended = EndedOptOuts::default();
        for some in waiting.chunks(TOGETHER) {
            let some = some.to_vec();
            let done = self.change(move |change| end(change, &some, now, emit)).await?;
            ended.rejected += done.rejected;
            ended.uncertain += done.uncertain;
        }
        // After the last of them: what began meanwhile is seen.
        let (left, sending) = self.db().read(move |connection| look(connection, recipient.as_ref())).await?;
        ended.in_flight = sending + left.len();
        Ok(ended)
    }
}
