//! An operator's search: rows from the newest back, a bounded number of them, and where it ended.
//!
//! The indexes serve the way of a message. In the archive rows are found by their number, and a customer's by theirs; what has
//! not ended, or ended minutes ago, is looked at whole.

use sqlx::{PgConnection, Row as _};

use super::{
    recovery::limit,
    rows::{find_all, read_all, row_columns},
};
use crate::{
    domain::{CustomerId, RouteName, State, Timestamp},
    ledger::{
        Found, Search, Unseen,
        book::{matches, told},
    },
    postgres::PgError,
};

/// The most messages that a search answers with.
const FOUND: usize = 10_000;

/// Rows that a search looks at: numbers if it asks for everybody's, else this customer's rows.
pub(super) const LOOKED: i64 = 1_000_000;

/// What must hold, in the table called `m`, between two numbers.
macro_rules! matching {
    () => {
        " ($1::text IS NULL OR m.customer = $1) AND ($2::text IS NULL OR m.recipient = $2) \
         AND ($3::text IS NULL OR m.reference = $3) AND ($4::text IS NULL OR m.key = $4) \
         AND ($5::text IS NULL OR m.route = $5) AND ($6::smallint IS NULL OR m.state = $6) \
         AND m.row >= $7 AND m.row < $8 ORDER BY m.row DESC LIMIT $9"
    };
}

const FIND: &str = concat!(
    "SELECT * FROM ((SELECT ",
    row_columns!(),
    " FROM message m WHERE m.fingerprint IS NOT NULL AND",
    matching!(),
    ") UNION ALL (SELECT ",
    row_columns!(),
    " FROM archive m WHERE",
    matching!(),
    ")) AS found ORDER BY row DESC LIMIT $9"
);

/// How far back so many of a customer's rows reach.
const REACH: &str =
    "SELECT row FROM archive WHERE customer = $1 AND row < $2 ORDER BY row DESC OFFSET $3 LIMIT 1";

const NEWEST: &str = "SELECT greatest((SELECT max(row) FROM message), (SELECT max(row) FROM archive))";

const BEFORE: &str = "SELECT row, accepted_at FROM ( \
     (SELECT row, accepted_at FROM message WHERE row < $1 ORDER BY row DESC LIMIT 1) UNION ALL \
     (SELECT row, accepted_at FROM archive WHERE row < $1 ORDER BY row DESC LIMIT 1)) AS last ORDER BY row DESC LIMIT 1";

pub(super) async fn find(
    connection: &mut PgConnection,
    search: &Search,
    looked: i64,
) -> Result<Found, PgError> {
    if !search.ids.is_empty() {
        return by_ids(connection, search).await;
    }
    let newest: Option<i64> = sqlx::query(NEWEST).fetch_one(&mut *connection).await?.try_get(0)?;
    let above = search.older_than.unwrap_or(i64::MAX).min(newest.unwrap_or(0).saturating_add(1));
    let floor = floor(connection, search, above, looked).await?;
    let most = search.limit.min(FOUND);
    let rows = sqlx::query(FIND)
        .bind(search.customer.as_ref().map(CustomerId::as_str))
        .bind(search.recipient.as_deref())
        .bind(search.reference.as_deref())
        .bind(search.key.as_deref())
        .bind(search.route.as_ref().map(RouteName::as_str))
        .bind(search.state.map(|state| i16::from(State::as_u8(state))))
        .bind(floor)
        .bind(above)
        .bind(limit(most))
        .fetch_all(&mut *connection)
        .await?;
    let found = read_all(&rows)?;
    let ended = match found.last() {
        Some(last) if found.len() >= most => last.at.row,
        _ => floor,
    };
    let before = sqlx::query(BEFORE).bind(ended).fetch_optional(connection).await?;
    let unseen = before
        .map(|row| -> Result<Unseen, PgError> {
            Ok(Unseen { before: Timestamp::from_millis(row.try_get(1)?), older_than: ended })
        })
        .transpose()?;
    Ok(Found { unseen, messages: found.into_iter().map(told).collect() })
}

async fn floor(
    connection: &mut PgConnection,
    search: &Search,
    above: i64,
    looked: i64,
) -> Result<i64, PgError> {
    // What waits for a person or an answer has not ended, and is not in the archive.
    if matches!(search.state, Some(State::Sending | State::Held | State::Stopped)) {
        return Ok(0);
    }
    let Some(customer) = &search.customer else { return Ok(above.saturating_sub(looked).max(0)) };
    let reach = sqlx::query(REACH).bind(customer.as_str()).bind(above).bind(looked);
    let reach = reach.fetch_optional(connection).await?;
    Ok(reach.map(|row| row.try_get::<i64, _>(0)).transpose()?.unwrap_or(0))
}

async fn by_ids(connection: &mut PgConnection, search: &Search) -> Result<Found, PgError> {
    let ids: Vec<_> = search.ids.iter().take(search.limit.min(FOUND)).copied().collect();
    let mut rows = find_all(connection, &ids).await?;
    let found = ids.iter().filter_map(|id| rows.remove(id)).filter(|row| matches(row, search));
    Ok(Found { messages: found.map(told).collect(), unseen: None })
}
