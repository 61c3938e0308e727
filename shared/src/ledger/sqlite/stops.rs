//! Rules that stop messages. They come from an operator's command, in another process; every change that could let a message
//! wait or start looks at them in its own transaction.

use rusqlite::{Connection, Row as SqlRow, params};

use super::{
    backlog,
    change::{Change, by_id, json, unreadable},
    rows::{read, row_columns, state},
};
use crate::{
    domain::{ChannelName, CustomerId, IncarnationId, MessageId, RouteName, State, Timestamp},
    ledger::{
        StopCounts, StopEnd, StopFilter, StopOrder, StopPhase, StopRule, Swept,
        book::{Fate, Halt, How, Rules, lane_number},
    },
};

const IN_FORCE: &str = "SELECT number, document FROM stop_rule WHERE phase <= ?1 ORDER BY number";

/// The rules in force up to a phase.
pub(super) fn rules(connection: &Connection, last: StopPhase) -> rusqlite::Result<Rules> {
    let mut select = connection.prepare_cached(IN_FORCE)?;
    let mut rows = select.query([last.as_u8()])?;
    let mut rules = Rules::default();
    while let Some(row) = rows.next()? {
        let order: StopOrder = document(row, 1)?;
        rules.0.push((row.get(0)?, order.filter));
    }
    Ok(rules)
}

fn document<T: serde::de::DeserializeOwned>(row: &SqlRow<'_>, index: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(index)?.as_str()?).map_err(unreadable)
}

/// Remembers messages that are stopped.
pub(super) fn write(halts: Vec<Halt>, connection: &Connection) -> rusqlite::Result<()> {
    for halt in halts {
        connection
            .prepare_cached(
                "INSERT INTO stop_row (rule, id, how, was, wake_at, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                 ON CONFLICT (rule, id) DO UPDATE SET was = excluded.was, fate = 0, wake_at = excluded.wake_at, \
                 at = excluded.at",
            )?
            .execute(params![
                halt.rule,
                halt.id.as_bytes(),
                halt.how as u8,
                halt.was.as_u8(),
                halt.wake_at,
                halt.at.as_millis(),
            ])?;
    }
    Ok(())
}

pub(super) fn stop(change: &Change<'_>, order: StopOrder) -> rusqlite::Result<StopRule> {
    let phase = StopPhase::Sweeping;
    change
        .connection
        .execute("INSERT INTO stop_rule (phase, document) VALUES (?1, ?2)", (phase.as_u8(), json(&order)?))?;
    Ok(StopRule { number: change.connection.last_insert_rowid(), phase, order })
}

pub(super) fn stops(connection: &Connection, number: Option<i64>) -> rusqlite::Result<Vec<StopRule>> {
    let mut select = connection.prepare_cached(
        "SELECT number, phase, document FROM stop_rule WHERE ?1 IS NULL OR number = ?1 ORDER BY number",
    )?;
    let rows = select.query_map([number], |row| {
        let phase = StopPhase::from_u8(row.get(1)?).unwrap_or(StopPhase::Ended);
        Ok(StopRule { number: row.get(0)?, phase, order: document(row, 2)? })
    })?;
    rows.collect()
}

fn one(connection: &Connection, number: i64) -> rusqlite::Result<StopRule> {
    stops(connection, Some(number))?.pop().ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// What must hold of a message, with the parameters from the third on.
macro_rules! matching {
    () => {
        "(?3 IS NULL OR customer = ?3) AND (?4 IS NULL OR route = ?4) AND (?5 IS NULL OR channel = ?5) \
         AND (?6 IS NULL OR lane = ?6) AND (?7 IS NULL OR reference = ?7) AND (?8 IS NULL OR accepted_at >= ?8)"
    };
}

pub(super) const SWEEP: &str = concat!(
    "SELECT ",
    row_columns!(),
    " FROM message INDEXED BY message_wake WHERE state IN (1, 2, 4) AND wake_at >= ?1 AND ",
    matching!(),
    " ORDER BY wake_at LIMIT ?2"
);

/// Rows of a query with the words of a filter; the first two parameters are its own.
fn filtered<T>(
    connection: &Connection,
    query: &str,
    (first, second): (i64, i64),
    filter: &StopFilter,
    read: impl Fn(&SqlRow<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let values = params![
        first,
        second,
        filter.customer.as_ref().map(CustomerId::as_str),
        filter.route.as_ref().map(RouteName::as_str),
        filter.channel.as_ref().map(ChannelName::as_str),
        filter.lane.map(lane_number),
        filter.reference,
        filter.since.map(Timestamp::as_millis),
    ];
    connection.prepare_cached(query)?.query_map(values, |row| read(row))?.collect()
}

pub(super) fn sweep(
    change: &mut Change<'_>,
    number: i64,
    from: Option<i64>,
    max: usize,
    now: Timestamp,
) -> rusqlite::Result<Swept> {
    let rule = one(change.connection, number)?;
    if !rule.phase.is_in_force() {
        return Ok(Swept { stopped: 0, found: 0, next: None });
    }
    let most = i64::try_from(max).unwrap_or(i64::MAX);
    let place = (from.unwrap_or(i64::MIN), most);
    let rows = filtered(change.connection, SWEEP, place, &rule.order.filter, read)?;
    let (found, last) = (rows.len(), rows.last().and_then(|row| row.wake_at));
    for mut row in rows {
        change.page.stop(&mut row, number, How::Swept, now);
        change.save(&row)?;
    }
    backlog::drift(change)?;
    Ok(Swept { stopped: found, found, next: last.filter(|_| found >= max) })
}

const FLIGHTS: &str = concat!(
    "SELECT ",
    row_columns!(),
    " FROM message INDEXED BY message_sending WHERE state = 3 AND row >= ?1 AND ",
    matching!(),
    " LIMIT ?2"
);

pub(super) fn note_flights(change: &Change<'_>, number: i64) -> rusqlite::Result<()> {
    let rule = one(change.connection, number)?;
    let flying = filtered(change.connection, FLIGHTS, (i64::MIN, -1), &rule.order.filter, read)?;
    for row in flying {
        change
            .connection
            .prepare_cached(
                "INSERT INTO stop_flight (rule, id, attempt) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute(params![number, row.at.id.as_bytes(), row.attempt])?;
    }
    Ok(())
}

pub(super) fn flights(connection: &Connection, number: i64) -> rusqlite::Result<Vec<(IncarnationId, u64)>> {
    connection
        .prepare_cached(
            "SELECT m.incarnation, count(*) FROM stop_flight f CROSS JOIN message m ON m.id = f.id \
             WHERE f.rule = ?1 AND m.state = 3 AND m.attempt = f.attempt GROUP BY m.incarnation",
        )?
        .query_map([number], |row| {
            Ok((IncarnationId::from_i64(row.get::<_, Option<i64>>(0)?.unwrap_or(0)), row.get(1)?))
        })?
        .collect()
}

pub(super) fn stand(change: &Change<'_>, number: i64) -> rusqlite::Result<()> {
    move_on(change.connection, number, StopPhase::Sweeping, StopPhase::Standing)
}

fn move_on(connection: &Connection, number: i64, from: StopPhase, to: StopPhase) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE stop_rule SET phase = ?3 WHERE number = ?1 AND phase = ?2")?
        .execute((number, from.as_u8(), to.as_u8()))?;
    Ok(())
}

pub(super) fn counts(connection: &Connection, number: i64) -> rusqlite::Result<StopCounts> {
    if let Some(counts) = one(connection, number)?.order.counts {
        return Ok(counts);
    }
    let mut counts = StopCounts::default();
    let mut select = connection.prepare_cached(
        "SELECT s.how, s.fate, s.fate = 0 AND coalesce(m.state = 6, FALSE), count(*) \
         FROM stop_row s LEFT JOIN message m ON s.fate = 0 AND m.id = s.id WHERE s.rule = ?1 GROUP BY 1, 2, 3",
    )?;
    let mut rows = select.query([number])?;
    while let Some(row) = rows.next()? {
        counts.add(row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
    }
    let mut select = connection.prepare_cached(
        "SELECT m.state, count(*) FROM stop_flight f LEFT JOIN message m ON m.id = f.id WHERE f.rule = ?1 GROUP BY 1",
    )?;
    let mut rows = select.query([number])?;
    while let Some(row) = rows.next()? {
        let known = row.get::<_, Option<u8>>(0)?.is_some();
        counts.add_flight(if known { Some(state(row, 0)?) } else { None }, row.get(1)?);
    }
    Ok(counts)
}

pub(super) fn ends(change: &Change<'_>, number: i64, end: StopEnd) -> rusqlite::Result<Option<StopPhase>> {
    let to = end.phase();
    for from in [StopPhase::Sweeping, StopPhase::Standing] {
        move_on(change.connection, number, from, to)?;
    }
    Ok(stops(change.connection, Some(number))?.pop().map(|rule| rule.phase))
}

pub(super) fn release(
    change: &mut Change<'_>,
    number: i64,
    max: usize,
    now: Timestamp,
    emit: bool,
) -> rusqlite::Result<usize> {
    let phase = one(change.connection, number)?.phase;
    if !matches!(phase, StopPhase::Undoing | StopPhase::Committing) {
        return Ok(0);
    }
    let rules = rules(change.connection, StopPhase::Standing)?;
    let halts = left(change.connection, number, max)?;
    for halt in &halts {
        let mut fate = Fate::Otherwise;
        if let Some(mut row) = by_id(change.connection, halt.id)?.filter(|row| row.state == State::Stopped) {
            fate = if phase == StopPhase::Undoing {
                change.page.unstop(&mut row, halt, &rules, now)
            } else {
                change.page.recall(&mut row, now, emit)
            };
            change.save(&row)?;
        }
        change
            .connection
            .prepare_cached("UPDATE stop_row SET fate = ?3 WHERE rule = ?1 AND id = ?2")?
            .execute(params![number, halt.id.as_bytes(), fate as u8])?;
    }
    backlog::drift(change)?;
    Ok(halts.len())
}

/// Messages of a rule of which nothing is decided yet.
fn left(connection: &Connection, number: i64, max: usize) -> rusqlite::Result<Vec<Halt>> {
    connection
        .prepare_cached(
            "SELECT id, was, wake_at, at FROM stop_row WHERE rule = ?1 AND fate = 0 ORDER BY id LIMIT ?2",
        )?
        .query_map((number, max), |row| {
            Ok(Halt {
                rule: number,
                id: MessageId::from_bytes(row.get(0)?),
                how: How::TakenOver,
                was: state(row, 1)?,
                wake_at: row.get(2)?,
                at: Timestamp::from_millis(row.get(3)?),
            })
        })?
        .collect()
}

pub(super) fn over(change: &Change<'_>, number: i64, now: Timestamp) -> rusqlite::Result<()> {
    let connection = change.connection;
    let rule = one(connection, number)?;
    if !matches!(rule.phase, StopPhase::Undoing | StopPhase::Committing)
        || !left(connection, number, 1)?.is_empty()
    {
        return Ok(());
    }
    let counts = Some(counts(connection, number)?);
    let order = StopOrder { counts, ended_at: Some(now), ..rule.order };
    connection.execute(
        "UPDATE stop_rule SET phase = ?2, document = ?3 WHERE number = ?1",
        (number, StopPhase::Ended.as_u8(), json(&order)?),
    )?;
    connection.execute("DELETE FROM stop_row WHERE rule = ?1", [number])?;
    connection.execute("DELETE FROM stop_flight WHERE rule = ?1", [number])?;
    Ok(())
}
