//! Messages that ended without being delivered, and how they are sent again.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::{
    backlog,
    change::{Change, by_id, json},
    opt_outs,
    rows::{content, read, row_columns},
    stops,
    usage::used,
};
use crate::{
    domain::{Code, CustomerId, Day, Message, MessageId, RouteName, Timestamp},
    ledger::{
        DeadFilter, DeadPage, Redrive, Redriven, StopPhase,
        book::{Row, Tallies, as_entry, in_doubt, is_charged_again, is_dead, told_dead},
    },
};

/// Rows that one page looks at.
const LOOKED: i64 = 200_000;

const DEAD: &str = concat!(
    "SELECT ",
    row_columns!(),
    ", EXISTS (SELECT 1 FROM content c WHERE c.row = message.row) FROM message NOT INDEXED \
     WHERE row > ?1 AND row <= ?2 AND state IN (11, 12) AND fingerprint IS NOT NULL \
     AND (?3 IS NULL OR customer = ?3) AND (?4 IS NULL OR route = ?4) AND (?5 IS NULL OR code = ?5) \
     AND (?6 IS NULL OR final_at >= ?6) AND (?7 IS NULL OR final_at < ?7) ORDER BY row LIMIT ?8"
);

pub(super) fn dead(
    connection: &Connection,
    filter: &DeadFilter,
    from: Option<i64>,
    max: usize,
) -> rusqlite::Result<DeadPage> {
    let newest: i64 =
        connection.query_row("SELECT coalesce(max(row), 0) FROM message", [], |row| row.get(0))?;
    let from = from.unwrap_or(0);
    let until = from.saturating_add(LOOKED).min(newest);
    let values = params![
        from,
        until,
        filter.customer.as_ref().map(CustomerId::as_str),
        filter.route.as_ref().map(RouteName::as_str),
        filter.code.map(Code::as_u8),
        filter.since.map(Timestamp::as_millis),
        filter.until.map(Timestamp::as_millis),
        max,
    ];
    let rows: Vec<(Row, bool)> = connection
        .prepare_cached(DEAD)?
        .query_map(values, |row| Ok((read(row)?, row.get(27)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let next = match rows.last() {
        Some((last, _)) if rows.len() >= max => Some(last.at.row),
        _ => Some(until).filter(|until| *until < newest),
    };
    Ok(DeadPage { dead: rows.into_iter().map(|(row, text)| told_dead(row, text)).collect(), next })
}

/// A dead message, ready to begin anew.
struct Candidate {
    row: Row,
    message: Message,
}

pub(super) fn redrive(change: &mut Change<'_>, redrive: &Redrive) -> rusqlite::Result<Vec<Redriven>> {
    let rules = stops::rules(change.connection, StopPhase::Standing)?;
    let day = Day::of(redrive.now, &redrive.time_zone);
    let mut answers = Vec::with_capacity(redrive.ids.len());
    let mut candidates: HashMap<MessageId, Candidate> = HashMap::new();
    let mut entries = Vec::new();
    for id in &redrive.ids {
        let found = by_id(change.connection, *id)?.filter(is_dead);
        let Some(row) = found.filter(|_| !candidates.contains_key(id)) else {
            answers.push(Redriven::NotDead);
            continue;
        };
        if in_doubt(&row) && !redrive.uncertain {
            answers.push(Redriven::InDoubt);
            continue;
        }
        let Some(message) = content(change.connection, row.at.row)? else {
            answers.push(Redriven::NoText);
            continue;
        };
        if opt_outs::is_out(change.connection, &row)? {
            answers.push(Redriven::OptedOut);
            continue;
        }
        entries.push(as_entry(&row, message.clone(), day));
        candidates.insert(*id, Candidate { row, message });
        answers.push(Redriven::Ready);
    }
    let mut tallies = Tallies::of(&redrive.quotas, &entries);
    for tally in tallies.list() {
        tally.used = used(change.connection, &tally.quota, tally.day)?;
    }
    let mut entries = entries.into_iter();
    for (id, answer) in redrive.ids.iter().zip(&mut answers).filter(|(_, answer)| **answer == Redriven::Ready)
    {
        let (Some(entry), Some(Candidate { mut row, mut message })) = (entries.next(), candidates.remove(id))
        else {
            continue;
        };
        if is_charged_again(&row) {
            if !tallies.see(&entry) {
                *answer = Redriven::OverQuota;
                continue;
            }
            tallies.reserve(&entry);
        }
        *answer = change.page.redrive(&mut row, &mut message, &rules, day, redrive.now);
        change.save(&row)?;
        begun_anew(change.connection, &row, &message)?;
    }
    backlog::drift(change)?;
    Ok(answers)
}

/// What a row begins anew with besides what every change writes.
fn begun_anew(connection: &Connection, row: &Row, message: &Message) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE message SET day = ?2 WHERE row = ?1")?
        .execute((row.at.row, row.day.as_i32()))?;
    connection
        .prepare_cached("UPDATE content SET message = ?2 WHERE row = ?1")?
        .execute((row.at.row, json(message)?))?;
    Ok(())
}
