//! Intake: a group of messages recorded in one transaction.

use rusqlite::{CachedStatement, Connection, ToSql, params};

use super::{
    change::{Change, json},
    opt_outs,
    rows::known_of,
    stops,
    usage::used,
};
use crate::{
    domain::{Code, PriceClass, State, Timestamp},
    ledger::{
        IntakeBatch, IntakeDone, IntakeEntry, IntakeVerdict, RowRef, StopPhase,
        book::{Charge, Judged, Start, Tallies, conflict, lane_number, sandbox},
    },
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
                 report_at, intake_at, class) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, \
                 ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29) ON CONFLICT (id) DO NOTHING",
            )?,
            content: connection.prepare_cached("INSERT INTO content (row, message) VALUES (?1, ?2)")?,
        })
    }
}

pub(super) fn intake(change: &mut Change<'_>, batch: &IntakeBatch) -> rusqlite::Result<IntakeDone> {
    let mut tallies = Tallies::of(&batch.quotas, &batch.entries);
    for tally in tallies.list() {
        tally.used = used(change.connection, &tally.quota, tally.day)?;
    }
    let rules = stops::rules(change.connection, StopPhase::Standing)?;
    let mut statements = Statements::prepare(change.connection)?;
    let any_out = opt_outs::any(change.connection)?;
    let mut verdicts = Vec::with_capacity(batch.entries.len());
    for (index, entry) in batch.entries.iter().enumerate() {
        let begins = Start::of(entry, tallies.see(entry)).unless(any_out && is_out(change, entry)?);
        let rule = rules.of_new(entry, begins);
        let start = if rule.is_some() { begins.stopped() } else { begins };
        let verdict = match insert(change, &mut statements, batch, entry, start)? {
            Some(at) => {
                change.page.halts.extend(rule.map(|rule| begins.halt(rule, entry, batch.now)));
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

fn is_out(change: &Change<'_>, entry: &IntakeEntry) -> rusqlite::Result<bool> {
    let content = &entry.message.content;
    opt_outs::matches(change.connection, &entry.account, &content.channel, &content.recipient)
}

/// Records an entry if its id is new, with everything that its state brings with it.
fn insert(
    change: &mut Change<'_>,
    statements: &mut Statements<'_>,
    batch: &IntakeBatch,
    entry: &IntakeEntry,
    start: Start,
) -> rusqlite::Result<Option<RowRef>> {
    let sending = start.state == State::Sending;
    let ended = start.state.is_final();
    let now = batch.now.as_millis();
    let message = &*entry.message;
    let content = &message.content;
    let expires_at = entry.expires_at();
    let report_at = ended.then(|| change.page.from(batch.now).as_millis());
    let wake_at = start.wake_at(content.send_at, expires_at);
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
        start.is_doubtful(),
        wake_at,
        expires_at.as_millis(),
        message.accepted_at.as_millis(),
        content.send_at.map(Timestamp::as_millis),
        sending.then_some(now),
        ended.then_some(now),
        u8::from(ended),
        report_at,
        now,
        entry.class.as_ref().map(PriceClass::as_str),
    ])?;
    if inserted == 0 {
        return Ok(None);
    }
    if let Some(due) = wake_at {
        change.page.news.due(due);
    }
    let at = RowRef { row: change.connection.last_insert_rowid(), id: message.id };
    statements.content.execute([&at.row as &dyn ToSql, &json(message)?])?;
    change.page.begun(batch, entry, start, at);
    Ok(Some(at))
}

/// An id that the ledger has already: mine, a duplicate, another content, or cancelled before it came.
fn known(
    change: &mut Change<'_>,
    statements: &mut Statements<'_>,
    batch: &IntakeBatch,
    index: usize,
) -> rusqlite::Result<IntakeVerdict> {
    let entry = &batch.entries[index];
    let Some(known) = known_of(change.connection, entry.message.id)? else {
        return Err(rusqlite::Error::StatementChangedRows(0));
    };
    match known.judge(batch, index) {
        Judged::Tombstone => fill_tombstone(change, statements, batch, entry, known.at),
        Judged::As(verdict) => {
            if verdict == IntakeVerdict::Conflict && batch.emit {
                change.page.event(conflict(entry, batch.now), batch.now);
            }
            Ok(verdict)
        }
    }
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
    match insert(change, statements, batch, entry, Start::CANCELLED)? {
        Some(_) => Ok(IntakeVerdict::Cancelled),
        None => Err(rusqlite::Error::StatementChangedRows(0)),
    }
}
