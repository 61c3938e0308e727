//! Intake: a group of messages recorded in one transaction.

use rusqlite::{CachedStatement, Connection, ToSql, params};

use super::{
    change::{Change, json},
    quotas::Tallies,
    rows::{Charge, Known, Row, lane_number, sandbox},
};
use crate::{
    domain::{Code, Environment, Event, State, Timestamp},
    ledger::{Disposition, IntakeBatch, IntakeDone, IntakeEntry, IntakeVerdict, RowRef},
};

/// The statements of a group, prepared once.
struct Statements<'c> {
    message: CachedStatement<'c>,
    content: CachedStatement<'c>,
}

impl<'c> Statements<'c> {
    fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            message: connection.prepare_cached(
                "INSERT INTO message (id, customer, sandbox, key, fingerprint, token, channel, recipient, \
                 reference, route, lane, state, code, units, charge, day, attempt, incarnation, \
                 possible_duplicate, wake_at, expires_at, accepted_at, send_at, sent_at, final_at, revision, \
                 report_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, \
                 ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27) ON CONFLICT (id) DO NOTHING",
            )?,
            content: connection.prepare_cached("INSERT INTO content (row, message) VALUES (?1, ?2)")?,
        })
    }
}

/// How an entry begins.
struct Start {
    state: State,
    code: Option<Code>,
    charge: Charge,
}

pub(super) fn intake(change: &mut Change<'_>, batch: &IntakeBatch) -> rusqlite::Result<IntakeDone> {
    let mut tallies = Tallies::load(change.connection, &batch.quotas, &batch.entries)?;
    let mut statements = Statements::prepare(change.connection)?;
    let mut verdicts = Vec::with_capacity(batch.entries.len());
    for (index, entry) in batch.entries.iter().enumerate() {
        let start = start_of(entry, tallies.see(entry));
        let verdict = match insert(change, &mut statements, batch, entry, &start)? {
            Some(at) => {
                if start.charge == Charge::Reserved {
                    tallies.reserve(entry);
                }
                IntakeVerdict::Recorded(at, start.state)
            }
            None => known(change, &mut statements, batch, index)?,
        };
        verdicts.push(verdict);
    }
    Ok(IntakeDone { verdicts, used: tallies.into_used() })
}

fn start_of(entry: &IntakeEntry, fits: bool) -> Start {
    let (state, code) = match &entry.disposition {
        Disposition::Finish(state, code) => {
            return Start { state: *state, code: Some(*code), charge: Charge::None };
        }
        _ if !fits => {
            return Start { state: State::Rejected, code: Some(Code::QuotaExceeded), charge: Charge::None };
        }
        Disposition::Ready => (State::Ready, None),
        Disposition::Start => (State::Sending, None),
        Disposition::Schedule => (State::Scheduled, None),
        Disposition::Hold(code) => (State::Held, Some(*code)),
    };
    let live = entry.account.environment == Environment::Live;
    Start { state, code, charge: if live { Charge::Reserved } else { Charge::None } }
}

/// Records an entry if its id is new, with everything that its state brings with it.
fn insert(
    change: &mut Change<'_>,
    statements: &mut Statements<'_>,
    batch: &IntakeBatch,
    entry: &IntakeEntry,
    start: &Start,
) -> rusqlite::Result<Option<RowRef>> {
    let sending = start.state == State::Sending;
    let ended = start.state.is_final();
    let now = batch.now.as_millis();
    let message = &*entry.message;
    let content = &message.content;
    let expires_at = message.expires_at(entry.lane);
    let report_at = ended.then(|| change.from(batch.now));
    let inserted = statements.message.execute(params![
        message.id.as_bytes(),
        entry.account.customer.as_str(),
        sandbox(entry.account.environment),
        message.key.as_ref().map(crate::domain::Key::as_str),
        message.fingerprint.0,
        batch.token.as_i64(),
        content.channel.as_str(),
        content.recipient,
        content.reference,
        entry.route.as_str(),
        lane_number(entry.lane),
        start.state.as_u8(),
        start.code.map(Code::as_u8),
        message.units.get(),
        start.charge.as_u8(),
        entry.day.as_i32(),
        u8::from(sending),
        sending.then(|| batch.incarnation.as_i64()),
        // What a copy brought back may have been sent already, whatever is decided about it.
        start.state == State::Held,
        wake_at(start.state, content.send_at, expires_at),
        expires_at.as_millis(),
        message.accepted_at.as_millis(),
        content.send_at.map(Timestamp::as_millis),
        sending.then_some(now),
        ended.then_some(now),
        u8::from(ended),
        report_at,
    ])?;
    if inserted == 0 {
        return Ok(None);
    }
    let at = RowRef { row: change.connection.last_insert_rowid(), id: message.id };
    statements.content.execute([&at.row as &dyn ToSql, &json(message)?])?;
    follow(change, batch, entry, start, at)?;
    Ok(Some(at))
}

/// When to look at a new row: when its time comes, or the moment after its time is over.
fn wake_at(state: State, send_at: Option<Timestamp>, expires_at: Timestamp) -> Option<i64> {
    let over = expires_at.as_millis() + 1;
    match state {
        State::Ready => Some(over),
        State::Scheduled => Some(send_at.map_or(0, Timestamp::as_millis).min(over)),
        _ => None,
    }
}

/// What a new row brings with it: a charge, a place among what waits, a report.
fn follow(
    change: &mut Change<'_>,
    batch: &IntakeBatch,
    entry: &IntakeEntry,
    start: &Start,
    at: RowRef,
) -> rusqlite::Result<()> {
    if start.charge == Charge::Reserved {
        let message = &entry.message;
        change.usage.charge(
            &entry.account.customer,
            entry.day,
            &message.content.channel,
            message.units.get(),
        );
    }
    if start.state.is_waiting() {
        change.news.waits(&entry.route, entry.lane, &entry.account, 1);
    }
    if start.state == State::Ready && !change.news.ready.contains(&entry.route) {
        change.news.ready.insert(entry.route.clone());
    }
    if start.state.is_final() {
        if batch.emit
            && let Some(row) = Row::load(change.connection, at)?
        {
            return change.reported(&row, true);
        }
        change.tell_report(entry.account.customer.as_str(), sandbox(entry.account.environment))?;
    }
    Ok(())
}

/// An id that the ledger has already: mine, a duplicate, another content, or cancelled before it came.
fn known(
    change: &mut Change<'_>,
    statements: &mut Statements<'_>,
    batch: &IntakeBatch,
    index: usize,
) -> rusqlite::Result<IntakeVerdict> {
    let entry = &batch.entries[index];
    let Some(known) = Known::load(change.connection, entry.message.id)? else {
        return Err(rusqlite::Error::StatementChangedRows(0));
    };
    if known.is_tombstone() && known.account == entry.account {
        return fill_tombstone(change, statements, batch, entry, known.at);
    }
    let first_here = batch.entries[..index].iter().all(|earlier| earlier.message.id != entry.message.id);
    if known.token == batch.token.as_i64() && first_here {
        return Ok(IntakeVerdict::Recorded(known.at, known.state));
    }
    if known.account == entry.account && known.fingerprint == Some(entry.message.fingerprint) {
        return Ok(IntakeVerdict::Duplicate);
    }
    if batch.emit {
        change.event(&conflict(entry, batch.now), batch.now)?;
    }
    Ok(IntakeVerdict::Conflict)
}

/// Stable for the same id and content, however often it comes.
fn conflict(entry: &IntakeEntry, now: Timestamp) -> Event {
    let message = &entry.message;
    let data = serde_json::json!({
        "customer": entry.account.customer,
        "environment": entry.account.environment,
        "id": message.id,
        "key": message.key,
        "fingerprint": message.fingerprint,
    });
    let kind = "naru.message.idempotency-conflict".to_owned();
    let mut event = Event::about(&message.id.to_string(), 0, kind, now, data);
    event.id = format!("{}.conflict.{}", message.id, data_encoding::HEXLOWER.encode(&message.fingerprint.0));
    event
}

/// The message of a tombstone has come: it takes the tombstone's place as cancelled, with a report, and is not charged.
fn fill_tombstone(
    change: &mut Change<'_>,
    statements: &mut Statements<'_>,
    batch: &IntakeBatch,
    entry: &IntakeEntry,
    at: RowRef,
) -> rusqlite::Result<IntakeVerdict> {
    change.connection.prepare_cached("DELETE FROM message WHERE row = ?1")?.execute([at.row])?;
    let start = Start { state: State::Cancelled, code: Some(Code::Cancelled), charge: Charge::None };
    match insert(change, statements, batch, entry, &start)? {
        Some(_) => Ok(IntakeVerdict::Cancelled),
        None => Err(rusqlite::Error::StatementChangedRows(0)),
    }
}
