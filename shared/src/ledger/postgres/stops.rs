//! Rules that stop messages. Every change that could let a message wait or start looks at them once it holds its rows, or has
//! made them: whoever saw none of a rule is older than it, and is waited for before the rule is carried out.

use sqlx::{PgConnection, Row as _, postgres::PgRow};

use super::{
    recovery::limit,
    rows::{bytes, id, lock_all, state},
    write::{self, json},
};
use crate::{
    domain::{ChannelName, CustomerId, IncarnationId, RouteName, State, Timestamp},
    ledger::{
        StopCounts, StopEnd, StopFilter, StopOrder, StopPhase, StopRule, Swept,
        book::{Fate, Halt, How, News, Page, Row, Rules, lane_number},
    },
    postgres::PgError,
};

const IN_FORCE: &str = "SELECT number, document FROM stop_rule WHERE phase <= $1 ORDER BY number";

/// The rules in force up to a phase.
pub(super) async fn rules(connection: &mut PgConnection, last: StopPhase) -> Result<Rules, PgError> {
    let rows = sqlx::query(IN_FORCE).bind(i16::from(last.as_u8())).fetch_all(connection).await?;
    let rule = |row: &PgRow| Ok((row.try_get(0)?, order(row, 1)?.filter));
    Ok(Rules(rows.iter().map(rule).collect::<Result<_, PgError>>()?))
}

fn order(row: &PgRow, index: usize) -> Result<StopOrder, PgError> {
    let text: &str = row.try_get(index)?;
    serde_json::from_str(text).map_err(|error| PgError::unreadable("rule", error))
}

fn phase(row: &PgRow, index: usize) -> Result<StopPhase, PgError> {
    let number: i16 = row.try_get(index)?;
    let known = u8::try_from(number).ok().and_then(StopPhase::from_u8);
    known.ok_or_else(|| PgError::unreadable("phase", number))
}

/// Stops those of these rows that wait and match a rule in force.
pub(super) async fn stop_some(
    connection: &mut PgConnection,
    page: &mut Page,
    rows: &mut [Row],
    how: How,
    now: Timestamp,
) -> Result<(), PgError> {
    if !rows.iter().any(|row| row.state.is_waiting()) {
        return Ok(());
    }
    let rules = rules(connection, StopPhase::Standing).await?;
    for row in rows {
        page.stop_if(row, &rules, how, now);
    }
    Ok(())
}

/// Remembers messages that are stopped.
pub(super) async fn write(connection: &mut PgConnection, halts: &[Halt]) -> Result<(), PgError> {
    if halts.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO stop_row (rule, id, how, was, wake_at, at) \
         SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::smallint[], $4::smallint[], $5::bigint[], $6::bigint[]) \
         ON CONFLICT (rule, id) DO UPDATE SET was = excluded.was, fate = 0, wake_at = excluded.wake_at, at = excluded.at",
    )
    .bind(halts.iter().map(|halt| halt.rule).collect::<Vec<_>>())
    .bind(halts.iter().map(|halt| halt.id.as_bytes().as_slice()).collect::<Vec<_>>())
    .bind(halts.iter().map(|halt| halt.how as i16).collect::<Vec<_>>())
    .bind(halts.iter().map(|halt| i16::from(halt.was.as_u8())).collect::<Vec<_>>())
    .bind(halts.iter().map(|halt| halt.wake_at).collect::<Vec<_>>())
    .bind(halts.iter().map(|halt| halt.at.as_millis()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn stop(connection: &mut PgConnection, order: &StopOrder) -> Result<StopRule, PgError> {
    let phase = StopPhase::Sweeping;
    let made = sqlx::query("INSERT INTO stop_rule (phase, document) VALUES ($1, $2) RETURNING number")
        .bind(i16::from(phase.as_u8()))
        .bind(json(order)?)
        .fetch_one(connection)
        .await?;
    Ok(StopRule { number: made.try_get(0)?, phase, order: order.clone() })
}

pub(super) async fn stops(
    connection: &mut PgConnection,
    number: Option<i64>,
) -> Result<Vec<StopRule>, PgError> {
    let rows = sqlx::query(
        "SELECT number, phase, document FROM stop_rule WHERE $1::bigint IS NULL OR number = $1 ORDER BY number",
    )
    .bind(number)
    .fetch_all(connection)
    .await?;
    let rule =
        |row: &PgRow| Ok(StopRule { number: row.try_get(0)?, phase: phase(row, 1)?, order: order(row, 2)? });
    rows.iter().map(rule).collect()
}

/// The rule, held until the end of the transaction, so that its phase does not change meanwhile.
async fn hold(connection: &mut PgConnection, number: i64) -> Result<Option<StopRule>, PgError> {
    sqlx::query("SELECT 1 FROM stop_rule WHERE number = $1 FOR UPDATE")
        .bind(number)
        .execute(&mut *connection)
        .await?;
    Ok(stops(connection, Some(number)).await?.pop())
}

/// The first transaction that has not begun.
pub(super) async fn mark(connection: &mut PgConnection) -> Result<i64, PgError> {
    const MARK: &str = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
    Ok(sqlx::query(MARK).fetch_one(connection).await?.try_get(0)?)
}

/// The oldest transaction that is under way.
pub(super) async fn oldest(connection: &mut PgConnection) -> Result<i64, PgError> {
    const OLDEST: &str = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint";
    Ok(sqlx::query(OLDEST).fetch_one(connection).await?.try_get(0)?)
}

/// What must hold of a message, in the table called `m`, with the parameters from the third on.
macro_rules! matching {
    () => {
        "($3::text IS NULL OR m.customer = $3) AND ($4::text IS NULL OR m.route = $4) \
         AND ($5::text IS NULL OR m.channel = $5) AND ($6::smallint IS NULL OR m.lane = $6) \
         AND ($7::text IS NULL OR m.reference = $7) AND ($8::bigint IS NULL OR m.accepted_at >= $8)"
    };
}

/// What waits and matches, from a place on; not locked, since locks are taken in the order of the ids.
pub(super) const SWEEP: &str = concat!(
    "SELECT m.id, m.wake_at FROM message m WHERE m.state IN (1, 2, 4) AND m.wake_at >= $1 AND ",
    matching!(),
    " ORDER BY m.wake_at LIMIT $2"
);

const NOTE_FLIGHTS: &str = concat!(
    "INSERT INTO stop_flight (rule, id, attempt) SELECT $1::bigint, m.id, m.attempt FROM message m \
     WHERE m.state = 3 AND $2::bigint IS NULL AND ",
    matching!(),
    " ON CONFLICT DO NOTHING"
);

/// A query with the words of a filter; the first two parameters are its own.
fn filtered(
    query: &'static str,
    first: i64,
    second: Option<i64>,
    filter: &StopFilter,
) -> sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments> {
    sqlx::query(query)
        .bind(first)
        .bind(second)
        .bind(filter.customer.as_ref().map(|name| CustomerId::as_str(name).to_owned()))
        .bind(filter.route.as_ref().map(|name| RouteName::as_str(name).to_owned()))
        .bind(filter.channel.as_ref().map(|name| ChannelName::as_str(name).to_owned()))
        .bind(filter.lane.map(|lane| i16::from(lane_number(lane))))
        .bind(filter.reference.clone())
        .bind(filter.since.map(Timestamp::as_millis))
}

pub(super) async fn sweep(
    connection: &mut PgConnection,
    number: i64,
    from: Option<i64>,
    max: usize,
    now: Timestamp,
    clock: Timestamp,
) -> Result<(Swept, News), PgError> {
    let mut page = Page::new(clock);
    let nothing = Swept { stopped: 0, found: 0, next: None };
    let rule = stops(connection, Some(number)).await?.pop().filter(|rule| rule.phase.is_in_force());
    let Some(rule) = rule else { return Ok((nothing, page.news)) };
    let waiting = filtered(SWEEP, from.unwrap_or(i64::MIN), Some(limit(max)), &rule.order.filter)
        .fetch_all(&mut *connection)
        .await?;
    let mut ids = waiting.iter().map(|row| id(row, 0)).collect::<Result<Vec<_>, _>>()?;
    let last: Option<i64> = waiting.last().map(|row| row.try_get(1)).transpose()?;
    ids.sort_unstable();
    let mut rows = lock_all(connection, &ids).await?;
    rows.retain(|row| row.state.is_waiting());
    for row in &mut rows {
        page.stop(row, number, How::Swept, now);
    }
    write::save(connection, &rows).await?;
    let news = write::page(connection, page).await?;
    let next = last.filter(|_| waiting.len() >= max);
    Ok((Swept { stopped: rows.len(), found: waiting.len(), next }, news))
}

pub(super) async fn note_flights(connection: &mut PgConnection, number: i64) -> Result<(), PgError> {
    let Some(rule) = stops(connection, Some(number)).await?.pop() else { return Ok(()) };
    filtered(NOTE_FLIGHTS, number, None, &rule.order.filter).execute(connection).await?;
    Ok(())
}

pub(super) async fn flights(
    connection: &mut PgConnection,
    number: i64,
) -> Result<Vec<(IncarnationId, u64)>, PgError> {
    let rows = sqlx::query(
        "SELECT coalesce(m.incarnation, 0), count(*) FROM stop_flight f JOIN message m ON m.id = f.id \
         WHERE f.rule = $1 AND m.state = 3 AND m.attempt = f.attempt GROUP BY 1",
    )
    .bind(number)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((IncarnationId::from_i64(row.try_get(0)?), count(row, 1)?))).collect()
}

fn count(row: &PgRow, index: usize) -> Result<u64, PgError> {
    Ok(u64::try_from(row.try_get::<i64, _>(index)?).unwrap_or(0))
}

pub(super) async fn move_on(
    connection: &mut PgConnection,
    number: i64,
    from: &[StopPhase],
    to: StopPhase,
) -> Result<(), PgError> {
    sqlx::query("UPDATE stop_rule SET phase = $3 WHERE number = $1 AND phase = ANY($2)")
        .bind(number)
        .bind(from.iter().map(|phase| i16::from(phase.as_u8())).collect::<Vec<_>>())
        .bind(i16::from(to.as_u8()))
        .execute(connection)
        .await?;
    Ok(())
}

const COUNT: &str = "SELECT s.how, s.fate, s.fate = 0 AND coalesce(m.state = 6, false), count(*) \
     FROM stop_row s LEFT JOIN message m ON s.fate = 0 AND m.id = s.id WHERE s.rule = $1 GROUP BY 1, 2, 3";

const COUNT_FLIGHTS: &str = "SELECT coalesce(m.state, (SELECT a.state FROM archive a WHERE a.id = f.id LIMIT 1)), count(*) \
     FROM stop_flight f LEFT JOIN message m ON m.id = f.id WHERE f.rule = $1 GROUP BY 1";

pub(super) async fn counts(connection: &mut PgConnection, number: i64) -> Result<StopCounts, PgError> {
    let rule = stops(connection, Some(number)).await?.pop();
    if let Some(counts) = rule.and_then(|rule| rule.order.counts) {
        return Ok(counts);
    }
    let mut counts = StopCounts::default();
    for row in &sqlx::query(COUNT).bind(number).fetch_all(&mut *connection).await? {
        let small = |index: usize| -> Result<u8, PgError> {
            Ok(u8::try_from(row.try_get::<i16, _>(index)?).unwrap_or(u8::MAX))
        };
        counts.add(small(0)?, small(1)?, row.try_get(2)?, count(row, 3)?);
    }
    for row in &sqlx::query(COUNT_FLIGHTS).bind(number).fetch_all(connection).await? {
        let known = row.try_get::<Option<i16>, _>(0)?.is_some();
        counts.add_flight(if known { Some(state(row, 0)?) } else { None }, count(row, 1)?);
    }
    Ok(counts)
}

pub(super) async fn ends(
    connection: &mut PgConnection,
    number: i64,
    end: StopEnd,
) -> Result<Option<StopPhase>, PgError> {
    move_on(connection, number, &[StopPhase::Sweeping, StopPhase::Standing], end.phase()).await?;
    Ok(stops(connection, Some(number)).await?.pop().map(|rule| rule.phase))
}

const LEFT: &str =
    "SELECT id, was, wake_at, at FROM stop_row WHERE rule = $1 AND fate = 0 ORDER BY id LIMIT $2";

async fn left(connection: &mut PgConnection, number: i64, max: usize) -> Result<Vec<Halt>, PgError> {
    let rows = sqlx::query(LEFT).bind(number).bind(limit(max)).fetch_all(connection).await?;
    let halt = |row: &PgRow| {
        Ok(Halt {
            rule: number,
            id: id(row, 0)?,
            how: How::TakenOver,
            was: state(row, 1)?,
            wake_at: row.try_get(2)?,
            at: Timestamp::from_millis(row.try_get(3)?),
        })
    };
    rows.iter().map(halt).collect()
}

/// How far a release goes.
pub(super) struct Release {
    pub(super) number: i64,
    pub(super) max: usize,
    pub(super) now: Timestamp,
    pub(super) emit: bool,
    pub(super) clock: Timestamp,
}

pub(super) async fn release(
    connection: &mut PgConnection,
    release: &Release,
) -> Result<(usize, News), PgError> {
    let mut page = Page::new(release.clock);
    // Two commands that end the same rule take turns, so that each row is decided about once.
    let Some(rule) = hold(connection, release.number).await? else { return Ok((0, page.news)) };
    if !matches!(rule.phase, StopPhase::Undoing | StopPhase::Committing) {
        return Ok((0, page.news));
    }
    let halts = left(connection, release.number, release.max).await?;
    let ids: Vec<_> = halts.iter().map(|halt| halt.id).collect();
    let mut rows = lock_all(connection, &ids).await?;
    rows.retain(|row| row.state == State::Stopped);
    let rules = rules(connection, StopPhase::Standing).await?;
    let mut fates = vec![Fate::Otherwise; halts.len()];
    for (halt, fate) in halts.iter().zip(&mut fates) {
        let Ok(index) = rows.binary_search_by_key(&halt.id, |row| row.at.id) else { continue };
        *fate = if rule.phase == StopPhase::Undoing {
            page.unstop(&mut rows[index], halt, &rules, release.now)
        } else {
            page.recall(&mut rows[index], release.now, release.emit)
        };
    }
    write::save(connection, &rows).await?;
    sqlx::query(
        "UPDATE stop_row r SET fate = s.fate FROM unnest($2::bytea[], $3::smallint[]) AS s (id, fate) \
         WHERE r.rule = $1 AND r.id = s.id",
    )
    .bind(release.number)
    .bind(bytes(&ids))
    .bind(fates.iter().map(|fate| *fate as i16).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    let news = write::page(connection, page).await?;
    Ok((halts.len(), news))
}

pub(super) async fn over(connection: &mut PgConnection, number: i64, now: Timestamp) -> Result<(), PgError> {
    let Some(rule) = hold(connection, number).await? else { return Ok(()) };
    let ending = matches!(rule.phase, StopPhase::Undoing | StopPhase::Committing);
    if !ending || !left(connection, number, 1).await?.is_empty() {
        return Ok(());
    }
    let counts = Some(counts(connection, number).await?);
    let order = StopOrder { counts, ended_at: Some(now), ..rule.order };
    sqlx::query("UPDATE stop_rule SET phase = $2, document = $3 WHERE number = $1")
        .bind(number)
        .bind(i16::from(StopPhase::Ended.as_u8()))
        .bind(json(&order)?)
        .execute(&mut *connection)
        .await?;
    for gone in ["DELETE FROM stop_row WHERE rule = $1", "DELETE FROM stop_flight WHERE rule = $1"] {
        sqlx::query(gone).bind(number).execute(&mut *connection).await?;
    }
    Ok(())
}
