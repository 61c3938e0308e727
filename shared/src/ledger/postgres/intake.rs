//! Intake: a group of messages recorded in one transaction, in a handful of statements however many they are.

use std::collections::{HashMap, HashSet};

use sqlx::{PgConnection, Row as _};

use super::{
    opt_outs::listed,
    rows::{bytes, id, known},
    stops, usage,
    write::{self, Unread, int, json},
};
use crate::{
    domain::{Code, Key, MessageId, PriceClass, State, Timestamp},
    ledger::{
        Disposition, IntakeBatch, IntakeDone, IntakeEntry, IntakeVerdict, RowRef, StopPhase,
        book::{
            Charge, Judged, Known, News, Page, Row, Rules, Start, Tallies, conflict, lane_number, sandbox,
        },
    },
    postgres::PgError,
};

/// Records what is new, with its content, in the order of the ids: the order in which rows are locked.
pub(super) const INSERT: &str = "WITH e AS MATERIALIZED (SELECT * FROM unnest( \
         $1::bytea[], $2::text[], $3::boolean[], $4::text[], $5::bytea[], $6::text[], $7::text[], $8::text[], \
         $9::text[], $10::smallint[], $11::smallint[], $12::smallint[], $13::integer[], $14::smallint[], \
         $15::integer[], $16::boolean[], $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[], $21::text[], \
         $25::text[]) \
       AS e (id, customer, sandbox, key, fingerprint, channel, recipient, reference, route, lane, state, code, units, \
             charge, day, sending, wake_at, expires_at, accepted_at, send_at, message, class)), \
     new AS (INSERT INTO message (id, customer, sandbox, key, fingerprint, token, channel, recipient, reference, route, \
               lane, state, code, units, charge, day, attempt, incarnation, possible_duplicate, wake_at, expires_at, \
               accepted_at, send_at, sent_at, final_at, revision, intake_at, class) \
             SELECT id, customer, sandbox, key, fingerprint, $22, channel, recipient, reference, route, lane, state, code, \
               units, charge, day, sending::integer, CASE WHEN sending THEN $23::bigint END, state = 5, wake_at, \
               expires_at, accepted_at, send_at, CASE WHEN sending THEN $24::bigint END, \
               CASE WHEN state >= 10 THEN $24::bigint END, (state >= 10)::integer, $24::bigint, class FROM e \
             ON CONFLICT (id) DO NOTHING RETURNING row, id), \
     text AS (INSERT INTO content (row, message) SELECT new.row, e.message FROM new JOIN e USING (id)) \
     SELECT new.row, new.id FROM (SELECT pg_advisory_xact_lock_shared(121364811153415)) AS held CROSS JOIN new";

/// Asked after the insert, in a snapshot of its own: a row that was moved while the insert waited for it is seen, and so is whoever
/// opted out before the insert had its lock. First column: in the archive; NULL: a recipient who opted out. A row without an id says
/// that there are rules that stop messages: whoever does not see it has a transaction that they wait for.
pub(super) const KNOWN: &str = "SELECT false, row, id, customer, sandbox, state, token, fingerprint FROM message \
     WHERE id = ANY($1) \
     UNION ALL \
     SELECT true, row, id, customer, sandbox, state, token, fingerprint FROM archive WHERE id = ANY($2) \
     UNION ALL \
     SELECT false, 0, '', '', false, 0::smallint, 0, NULL WHERE EXISTS (SELECT FROM stop_rule WHERE phase <= 2) \
     UNION ALL \
     SELECT NULL, 0, e.id, '', false, 0::smallint, 0, NULL \
       FROM unnest($2::bytea[], $3::text[], $4::text[], $5::text[]) AS e (id, recipient, customer, channel) \
       WHERE EXISTS (SELECT 1 FROM opt_out o WHERE o.recipient = e.recipient \
         AND o.customer IN (e.customer, '*') AND o.channel IN (e.channel, '*'))";

/// What the ledger holds of a group's ids.
struct Found {
    /// Rows that this transaction made.
    new: HashMap<MessageId, RowRef>,
    /// Rows that were there before it.
    known: HashMap<MessageId, Known>,
    /// Tombstones whose place was taken.
    filled: HashSet<MessageId>,
    /// Rules in force.
    rules: Rules,
    /// Messages to recipients who opted out.
    out: HashSet<MessageId>,
}

pub(super) async fn intake(
    connection: &mut PgConnection,
    batch: &IntakeBatch,
    clock: Timestamp,
) -> Result<(IntakeDone, News), PgError> {
    let mut page = Page::new(clock);
    let mut found = insert(connection, batch).await?;
    fill_tombstones(connection, batch, &mut found, &mut page).await?;
    let mut tallies = Tallies::of(&batch.quotas, &batch.entries);
    usage::read_alone(connection, tallies.list()).await?;
    let mut verdicts = Vec::with_capacity(batch.entries.len());
    let mut over: Vec<Row> = Vec::new();
    let mut ended: Vec<Row> = Vec::new();
    for (index, entry) in batch.entries.iter().enumerate() {
        let begins = Start::of(entry, tallies.see(entry)).unless(found.out.contains(&entry.message.id));
        let rule = found.rules.of_new(entry, begins);
        let start = if rule.is_some() { begins.stopped() } else { begins };
        if found.filled.remove(&entry.message.id) {
            verdicts.push(IntakeVerdict::Cancelled);
            continue;
        }
        let Some(at) = found.new.remove(&entry.message.id) else {
            verdicts.push(judge(&found, batch, index, &mut page)?);
            continue;
        };
        if start.charge == Charge::Reserved {
            tallies.reserve(entry);
        }
        page.begun(batch, entry, start, at);
        if let Some(due) = start.wake_at(entry.message.content.send_at, entry.expires_at()) {
            page.news.due(due);
        }
        if let Some(rule) = rule {
            page.halts.push(begins.halt(rule, entry, batch.now));
            // It stood as if nothing had stopped it.
            over.push(start.row(batch, entry, at, page.from(batch.now)));
        }
        if start.state.is_final() {
            let row = start.row(batch, entry, at, page.from(batch.now));
            if matches!(entry.disposition, Disposition::Finish(..)) {
                ended.push(row)
            } else {
                over.push(row)
            }
        }
        verdicts.push(IntakeVerdict::Recorded(at, start.state));
        found.known.insert(entry.message.id, recorded(batch, entry, at, start));
    }
    // They stood as if every limit held them.
    over.sort_unstable_by_key(|row| row.at.id);
    write::save(connection, &over).await?;
    ended.sort_unstable_by_key(|row| row.at.id);
    write::report(connection, &ended.iter().filter_map(Unread::of).collect::<Vec<_>>()).await?;
    let news = write::page(connection, page).await?;
    Ok((IntakeDone { verdicts, used: tallies.into_used() }, news))
}

/// What a later entry with the same id finds.
fn recorded(batch: &IntakeBatch, entry: &IntakeEntry, at: RowRef, start: Start) -> Known {
    Known {
        at,
        account: entry.account.clone(),
        state: start.state,
        token: batch.token.as_i64(),
        fingerprint: Some(entry.message.fingerprint),
    }
}

fn judge(
    found: &Found,
    batch: &IntakeBatch,
    index: usize,
    page: &mut Page,
) -> Result<IntakeVerdict, PgError> {
    let entry = &batch.entries[index];
    let known = found.known.get(&entry.message.id).ok_or(PgError::Moved)?;
    match known.judge(batch, index) {
        Judged::Tombstone => Err(PgError::Moved),
        Judged::As(verdict) => {
            if verdict == IntakeVerdict::Conflict && batch.emit {
                page.event(conflict(entry, batch.now), batch.now);
            }
            Ok(verdict)
        }
    }
}

/// Each id once, by its first entry, in the order of the ids.
fn firsts(entries: &[IntakeEntry]) -> Vec<&IntakeEntry> {
    let mut seen = HashSet::with_capacity(entries.len());
    let mut firsts: Vec<&IntakeEntry> =
        entries.iter().filter(|entry| seen.insert(entry.message.id)).collect();
    firsts.sort_unstable_by_key(|entry| entry.message.id);
    firsts
}

/// Inserts what is new as if every limit held it, and looks up what was known.
async fn insert(connection: &mut PgConnection, batch: &IntakeBatch) -> Result<Found, PgError> {
    let firsts = firsts(&batch.entries);
    let starts: Vec<Start> = firsts.iter().map(|entry| Start::of(entry, true)).collect();
    let mut new = insert_rows(connection, batch, &firsts, &starts).await?;
    let all: Vec<MessageId> = firsts.iter().map(|entry| entry.message.id).collect();
    let others: Vec<MessageId> = all.iter().filter(|id| !new.contains_key(id)).copied().collect();
    let rows = sqlx::query(KNOWN)
        .bind(bytes(&others))
        .bind(bytes(&all))
        .bind(firsts.iter().map(|e| listed(&e.message.content.recipient)).collect::<Vec<_>>())
        .bind(firsts.iter().map(|e| e.account.customer.as_str()).collect::<Vec<_>>())
        .bind(firsts.iter().map(|e| e.message.content.channel.as_str()).collect::<Vec<_>>())
        .fetch_all(&mut *connection)
        .await?;
    let mut known_ids = HashMap::with_capacity(rows.len());
    let (mut returned, mut out) = (Vec::new(), HashSet::new());
    let mut rules = Rules::default();
    for row in &rows {
        let Some(archived) = row.try_get::<Option<bool>, _>(0)? else {
            out.insert(id(row, 2)?);
            continue;
        };
        if row.try_get::<&[u8], _>(2)?.is_empty() {
            rules = stops::rules(connection, StopPhase::Standing).await?;
            continue;
        }
        let found = known(row, 1)?;
        if archived && let Some(at) = new.remove(&found.at.id) {
            returned.push(at);
        }
        known_ids.insert(found.at.id, found);
    }
    if !returned.is_empty() {
        undo(connection, &returned).await?;
    }
    Ok(Found { new, known: known_ids, filled: HashSet::new(), rules, out })
}

async fn insert_rows(
    connection: &mut PgConnection,
    batch: &IntakeBatch,
    entries: &[&IntakeEntry],
    starts: &[Start],
) -> Result<HashMap<MessageId, RowRef>, PgError> {
    let expires = |entry: &IntakeEntry| entry.expires_at();
    let both = || entries.iter().zip(starts);
    let texts = entries.iter().map(|entry| json(&*entry.message)).collect::<Result<Vec<_>, _>>()?;
    let sending = |start: &Start| start.state == State::Sending;
    let rows = sqlx::query(INSERT)
        .bind(entries.iter().map(|e| e.message.id.as_bytes().as_slice()).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| e.account.customer.as_str()).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| sandbox(e.account.environment)).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| e.message.key.as_ref().map(Key::as_str)).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| e.message.fingerprint.0.as_slice()).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| e.message.content.channel.as_str()).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| e.message.content.recipient.as_str()).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| e.message.content.reference.as_deref()).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| e.route.as_str()).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| i16::from(lane_number(e.lane))).collect::<Vec<_>>())
        .bind(starts.iter().map(|start| i16::from(start.state.as_u8())).collect::<Vec<_>>())
        .bind(starts.iter().map(|start| start.code.map(|c| i16::from(Code::as_u8(c)))).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| int(e.message.units.get())).collect::<Vec<_>>())
        .bind(starts.iter().map(|start| i16::from(start.charge.as_u8())).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| e.day.as_i32()).collect::<Vec<_>>())
        .bind(starts.iter().map(sending).collect::<Vec<_>>())
        .bind(both().map(|(e, s)| s.wake_at(e.message.content.send_at, expires(e))).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| expires(e).as_millis()).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| e.message.accepted_at.as_millis()).collect::<Vec<_>>())
        .bind(entries.iter().map(|e| e.message.content.send_at.map(Timestamp::as_millis)).collect::<Vec<_>>())
        .bind(texts)
        .bind(batch.token.as_i64())
        .bind(batch.incarnation.as_i64())
        .bind(batch.now.as_millis())
        .bind(entries.iter().map(|e| e.class.as_ref().map(PriceClass::as_str)).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    let mut new = HashMap::with_capacity(rows.len());
    for row in rows {
        let at = RowRef { row: row.try_get(0)?, id: id(&row, 1)? };
        new.insert(at.id, at);
    }
    Ok(new)
}

/// Takes back rows of this transaction whose ids were found in the archive.
async fn undo(connection: &mut PgConnection, rows: &[RowRef]) -> Result<(), PgError> {
    sqlx::query("WITH m AS (DELETE FROM message WHERE id = ANY($1)) DELETE FROM content WHERE row = ANY($2)")
        .bind(rows.iter().map(|at| at.id.as_bytes().as_slice()).collect::<Vec<_>>())
        .bind(rows.iter().map(|at| at.row).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

/// Messages of tombstones have come: each takes its tombstone's place as cancelled, with a report, and is not charged.
async fn fill_tombstones(
    connection: &mut PgConnection,
    batch: &IntakeBatch,
    found: &mut Found,
    page: &mut Page,
) -> Result<(), PgError> {
    let mut filled: Vec<&IntakeEntry> = firsts(&batch.entries);
    filled.retain(|entry| {
        let known = found.known.get(&entry.message.id);
        known.is_some_and(|known| known.is_tombstone() && known.account == entry.account)
    });
    if filled.is_empty() {
        return Ok(());
    }
    let ids: Vec<MessageId> = filled.iter().map(|entry| entry.message.id).collect();
    let gone = sqlx::query("DELETE FROM message WHERE id = ANY($1) AND octet_length(fingerprint) IS NULL")
        .bind(bytes(&ids))
        .execute(&mut *connection)
        .await?;
    let new = insert_rows(connection, batch, &filled, &vec![Start::CANCELLED; filled.len()]).await?;
    if gone.rows_affected() != ids.len() as u64 || new.len() != ids.len() {
        return Err(PgError::Moved);
    }
    let mut reports = Vec::with_capacity(filled.len());
    for entry in filled {
        let at = new.get(&entry.message.id).copied().ok_or(PgError::Moved)?;
        page.begun(batch, entry, Start::CANCELLED, at);
        reports.push(Start::CANCELLED.row(batch, entry, at, page.from(batch.now)));
        let known = Known { state: Start::CANCELLED.state, ..recorded(batch, entry, at, Start::CANCELLED) };
        found.known.insert(entry.message.id, known);
        found.filled.insert(entry.message.id);
    }
    write::report(connection, &reports.iter().filter_map(Unread::of).collect::<Vec<_>>()).await
}
