//! Counting messages after the fact: the archive in the order of its rows, a bounded number in each step; then, in one
//! statement, what has not ended or ended only lately.
//!
//! Nothing moves to the archive unnoticed between the steps: what is moved after the count began ended no earlier than the
//! earliest end that lay before the archive then, and from that end on everything is left to the last step.

use std::time::Duration;

use sqlx::{PgConnection, Row as _, postgres::PgRow};

use super::{
    archive::{self, Month},
    rows::{account, parsed},
};
use crate::{
    domain::{Day, TimeZone, Timestamp},
    ledger::{TALLY_STEP_MS, Tally, TallyCell, TallyCursor, TallyPage, TallyRange},
    postgres::PgError,
};

/// Numbers of rows that one step looks at.
const ROWS: i64 = 20_000;

/// Clocks of processes differ by less.
const SKEW: Duration = Duration::from_secs(60);

macro_rules! counts {
    () => {
        "m.customer, m.sandbox, m.channel, m.route, m.accepted_at / $3, m.class, count(*), \
         count(*) FILTER (WHERE m.state <> 13), count(*) FILTER (WHERE m.state >= 10), \
         count(*) FILTER (WHERE m.state >= 10 AND NOT EXISTS (SELECT FROM unread u WHERE u.id = m.id)), \
         coalesce(sum(m.units) FILTER (WHERE m.charge = 1), 0)::bigint, \
         coalesce(sum(m.units) FILTER (WHERE m.charge = 2), 0)::bigint, \
         coalesce(sum(m.units) FILTER (WHERE m.charge = 3), 0)::bigint, \
         coalesce(sum(m.units) FILTER (WHERE m.charge = 4), 0)::bigint"
    };
}

/// Rows of the archive between two numbers that ended before the last step's.
pub(super) const TALLY: &str = concat!(
    "SELECT ",
    counts!(),
    " FROM archive m WHERE m.row > $4 AND m.row <= $5 AND m.final_at >= $6 AND m.final_at < $7 \
     AND m.accepted_at >= $1 AND m.accepted_at < $2 GROUP BY 1, 2, 3, 4, 5, 6"
);

/// Everything else.
pub(super) const TALLY_LATE: &str = concat!(
    "SELECT ",
    counts!(),
    " FROM ( \
       SELECT customer, sandbox, channel, route, accepted_at, class, state, units, charge, id FROM message \
         WHERE fingerprint IS NOT NULL AND accepted_at >= $1 AND accepted_at < $2 \
       UNION ALL \
       SELECT customer, sandbox, channel, route, accepted_at, class, state, units, charge, id FROM archive \
         WHERE final_at >= $4 AND accepted_at >= $1 AND accepted_at < $2) AS m GROUP BY 1, 2, 3, 4, 5, 6"
);

/// Stands in place of a row: what is left is the last step.
const LAST: i64 = i64::MAX;

/// Where a count begins: before the first row of the months that can hold what is counted, and the end that divides.
async fn begin(
    connection: &mut PgConnection,
    range: &TallyRange,
    now: Timestamp,
) -> Result<TallyCursor, PgError> {
    let now = now.minus(SKEW);
    let divide = archive::oldest_end(connection).await?.map_or(now, |oldest| oldest.min(now));
    let first = sqlx::query("SELECT min(row) FROM archive WHERE final_at >= $1")
        .bind(month_of(range).as_millis())
        .fetch_one(connection)
        .await?;
    let row = first.try_get::<Option<i64>, _>(0)?.map_or(LAST, |row| row - 1);
    Ok(TallyCursor { row, divide: divide.as_millis() })
}

/// Nothing ends before it is accepted: earlier months need not be looked at.
fn month_of(range: &TallyRange) -> Timestamp {
    Month::of(range.from.minus(SKEW)).begins()
}

pub(super) async fn tally(
    connection: &mut PgConnection,
    range: &TallyRange,
    from: Option<TallyCursor>,
    now: Timestamp,
) -> Result<TallyPage, PgError> {
    let at = match from {
        Some(at) => at,
        None => begin(connection, range, now).await?,
    };
    if at.row == LAST {
        let rows = sqlx::query(TALLY_LATE)
            .bind(range.from.as_millis())
            .bind(range.until.as_millis())
            .bind(TALLY_STEP_MS)
            .bind(at.divide)
            .fetch_all(connection)
            .await?;
        return Ok(TallyPage { cells: rows.iter().map(cell).collect::<Result<_, _>>()?, next: None });
    }
    let last = at.row.saturating_add(ROWS);
    let rows = sqlx::query(TALLY)
        .bind(range.from.as_millis())
        .bind(range.until.as_millis())
        .bind(TALLY_STEP_MS)
        .bind(at.row)
        .bind(last)
        .bind(month_of(range).as_millis())
        .bind(at.divide)
        .fetch_all(&mut *connection)
        .await?;
    let next = sqlx::query("SELECT min(row) FROM archive WHERE row > $1 AND final_at >= $2")
        .bind(last)
        .bind(month_of(range).as_millis())
        .fetch_one(connection)
        .await?;
    let row = next.try_get::<Option<i64>, _>(0)?.map_or(LAST, |row| row - 1);
    let cells = rows.iter().map(cell).collect::<Result<_, _>>()?;
    Ok(TallyPage { cells, next: Some(TallyCursor { row, ..at }) })
}

fn cell(row: &PgRow) -> Result<TallyCell, PgError> {
    let count = |index: usize| -> Result<u64, PgError> {
        Ok(u64::try_from(row.try_get::<i64, _>(index)?).unwrap_or(0))
    };
    let step: i64 = row.try_get(4)?;
    Ok(TallyCell {
        account: account(row, 0)?,
        channel: parsed(row, 2)?,
        route: parsed(row, 3)?,
        class: row.try_get(5)?,
        at: Timestamp::from_millis(step * TALLY_STEP_MS),
        tally: Tally {
            submitted: count(6)?,
            accepted: count(7)?,
            reported: count(8)?,
            acknowledged: count(9)?,
            units_reserved: count(10)?,
            units_captured: count(11)?,
            units_released: count(12)?,
            units_credited: count(13)?,
        },
    })
}

/// A month is dropped with all that ended in it.
pub(super) async fn forgotten_before(connection: &mut PgConnection) -> Result<Option<Timestamp>, PgError> {
    let found = sqlx::query("SELECT value FROM meta WHERE name = 'audited_after'").fetch_optional(connection);
    let Some(row) = found.await? else { return Ok(None) };
    let day = i32::try_from(row.try_get::<i64, _>(0)?).unwrap_or(i32::MAX);
    Ok(Some(Day::from_i32(day).begins(&TimeZone::UTC)))
}
