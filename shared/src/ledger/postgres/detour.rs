//! Detours: ready rows go on to another route; and how much is ready.

use std::collections::BTreeSet;

use sqlx::{PgConnection, Row as _};

use super::{
    recovery::limit,
    rows::{self, read, row_columns},
    stops,
    take::customers,
    write,
};
use crate::{
    domain::{Account, Lane, RouteName, Timestamp},
    ledger::{
        Reroute, StopPhase,
        book::{News, Page, lane_number},
    },
    postgres::PgError,
};

/// So many of each customer that certainly were not taken by a backend, oldest first. What another holds is passed over.
pub(super) const REROUTED: &str = concat!(
    "SELECT ",
    row_columns!(),
    " FROM unnest($3::text[], $4::bigint[]) WITH ORDINALITY AS turn (customer, wanted, number) \
     CROSS JOIN LATERAL (SELECT * FROM message r \
       WHERE r.state = 1 AND r.route = $1 AND r.lane = $2 AND r.customer = turn.customer \
         AND NOT r.possible_duplicate AND r.accepted_at <= $5 \
       ORDER BY r.row LIMIT turn.wanted FOR UPDATE SKIP LOCKED) AS m ORDER BY turn.number, m.row"
);

pub(super) const MOVE: &str = "UPDATE message m SET route = $2 WHERE m.id = ANY($1)";

/// Rows of each customer in turn go on to another route.
pub(super) async fn reroute(
    connection: &mut PgConnection,
    order: &Reroute,
    now: Timestamp,
    clock: Timestamp,
) -> Result<(usize, News), PgError> {
    let (mut page, mut moved) = (Page::new(clock), Vec::new());
    if !stops::rules(connection, StopPhase::Sweeping).await?.0.is_empty() {
        // What a rule of this route has not come to yet must not slip away from it.
        return Ok((0, page.news));
    }
    for lane in Lane::ALL {
        let mut names = customers(connection, &order.from, lane, "", &BTreeSet::new()).await?;
        names.truncate(order.max);
        let room = order.max.saturating_sub(moved.len());
        let wanted: Vec<i64> = (0..names.len()).map(|index| limit((room + index) / names.len())).collect();
        let found = sqlx::query(REROUTED)
            .bind(order.from.as_str())
            .bind(i16::from(lane_number(lane)))
            .bind(&names)
            .bind(&wanted)
            .bind(order.accepted_by.as_millis())
            .fetch_all(&mut *connection)
            .await?;
        for row in &found {
            let mut row = read(row)?;
            page.reroute(&mut row, &order.to, now);
            moved.push(row.at.id);
        }
    }
    moved.sort_unstable();
    if !moved.is_empty() {
        sqlx::query(MOVE).bind(rows::bytes(&moved)).bind(order.to.as_str()).execute(&mut *connection).await?;
    }
    Ok((moved.len(), write::page(connection, page).await?))
}

pub(super) const COUNTED: &str = "SELECT customer, sandbox, count(*) FROM (SELECT customer, sandbox FROM message \
     WHERE state = 1 AND route = $1 AND lane = $2 ORDER BY route, lane, customer LIMIT $3) AS first \
     GROUP BY customer, sandbox";

/// How much each account has ready, counted among the first rows.
pub(super) async fn ready(
    connection: &mut PgConnection,
    route: &RouteName,
    lane: Lane,
    max: usize,
) -> Result<Vec<(Account, u64)>, PgError> {
    let found = sqlx::query(COUNTED)
        .bind(route.as_str())
        .bind(i16::from(lane_number(lane)))
        .bind(limit(max))
        .fetch_all(connection)
        .await?;
    found
        .iter()
        .map(|row| Ok((rows::account(row, 0)?, u64::try_from(row.try_get::<i64, _>(2)?).unwrap_or(0))))
        .collect()
}
