//! Take: ready rows into the hands of a courier, customers by weighted turns.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension};

use super::{
    change::Change,
    memory::Memory,
    rows::{content, row_columns},
    stops,
};
use crate::{
    domain::{Code, CustomerId, Lane, State},
    ledger::{
        Reroute, StopPhase, TakeRequest, Taken, Work,
        book::{End, How, LaneTurns, RouteTurns, Row, Rules, Tally, lane_number},
    },
};

/// Rows that one take may end because they were found expired, so that no take holds the file for long.
const EXPIRED: usize = 512;

/// Rows of one turn for each unit of weight: fewer would look for the next customer with nearly every row.
const QUANTUM: u32 = 4;

/// One take under way.
struct Take<'t, 'c> {
    change: &'t mut Change<'c>,
    request: &'t TakeRequest,
    tally: Tally,
    /// Nobody who holds less than its share has anything left.
    beyond: bool,
    expired: usize,
    put_off: usize,
    /// Rules that are being carried out: what they have not come to yet must not begin.
    rules: Rules,
}

pub(super) fn take(
    change: &mut Change<'_>,
    request: &TakeRequest,
    memory: &Memory,
) -> rusqlite::Result<Taken> {
    // Turns change here and not after the commit: two takes of one group must not give the same turn twice, and a
    // turn lost with a failed commit harms nobody.
    let mut turns = memory.turns.lock().entry(request.route.clone()).or_default().clone();
    let rules = stops::rules(change.connection, StopPhase::Sweeping)?;
    let tally = Tally::new(&request.shares);
    let mut take = Take { change, request, tally, beyond: false, expired: 0, put_off: 0, rules };
    let mut work = take.round(&mut turns, request.max)?;
    let room = request.max.saturating_sub(work.len()).min(request.shares.beyond);
    if room > 0 && request.shares.each != usize::MAX {
        take.beyond = true;
        work.extend(take.round(&mut turns, room)?);
    }
    let expired = take.expired;
    memory.turns.lock().insert(request.route.clone(), turns);
    let more = is_ready(change.connection, request.route.as_str(), &request.passed_over)?;
    Ok(Taken { work, expired, more })
}

/// Whether a route has anything ready, of customers who are not passed over.
pub(super) fn is_ready(
    connection: &Connection,
    route: &str,
    passed_over: &BTreeSet<CustomerId>,
) -> rusqlite::Result<bool> {
    if passed_over.is_empty() {
        return connection.prepare_cached(READY)?.query_row([route], |row| row.get::<_, bool>(0));
    }
    for lane in Lane::ALL {
        if next_customer(connection, route, lane, "", |name| passed_over.contains(name))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The first customer after that name who has something ready and is not passed over. One look at the index for each who
/// is, however much waits.
fn next_customer(
    connection: &Connection,
    route: &str,
    lane: Lane,
    after: &str,
    is_passed_over: impl Fn(&str) -> bool,
) -> rusqlite::Result<Option<String>> {
    let mut next = connection.prepare_cached(NEXT_CUSTOMER)?;
    let mut look = |after: &str| {
        next.query_row((route, lane_number(lane), after), |row| row.get::<_, String>(0)).optional()
    };
    let mut found = look(after)?;
    while let Some(name) = found.as_deref().filter(|name| is_passed_over(name)) {
        found = look(name)?;
    }
    Ok(found)
}

pub(super) const READY: &str = "SELECT EXISTS (SELECT 1 FROM message WHERE state = 1 AND route = ?1)";

pub(super) const NEXT_CUSTOMER: &str = "SELECT customer FROM message \
     WHERE state = 1 AND route = ?1 AND lane = ?2 AND customer > ?3 ORDER BY customer LIMIT 1";

/// Read as far as is wanted: a bound `LIMIT` would be compiled anew whenever its value changes.
pub(super) const READY_ROWS: &str = concat!(
    "SELECT ",
    row_columns!(),
    " FROM message WHERE state = 1 AND route = ?1 AND lane = ?2 AND customer = ?3 ORDER BY row"
);

impl Take<'_, '_> {
    /// Up to `max` rows of both lanes, in the order in which to start them.
    fn round(&mut self, turns: &mut RouteTurns, max: usize) -> rusqlite::Result<Vec<Work>> {
        let bulk_share = turns.bulk_of(max);
        let mut express = self.lane(Lane::Express, turns.lane(Lane::Express), max - bulk_share)?;
        let bulk = self.lane(Lane::Bulk, turns.lane(Lane::Bulk), max - express.len())?;
        let room = max - express.len() - bulk.len();
        express.extend(self.lane(Lane::Express, turns.lane(Lane::Express), room)?);
        Ok(turns.merge(express, bulk))
    }

    fn is_passed_over(&self, customer: &str) -> bool {
        self.request.passed_over.contains(customer) || self.left(customer) == 0
    }

    /// How much more a customer may be given.
    fn left(&self, customer: &str) -> usize {
        if self.beyond { usize::MAX } else { self.tally.left(customer) }
    }

    /// Up to `max` rows of a lane.
    fn lane(&mut self, lane: Lane, turns: &mut LaneTurns, max: usize) -> rusqlite::Result<Vec<Work>> {
        let mut work = Vec::new();
        while work.len() < max && self.expired + self.put_off < EXPIRED {
            let room = max - work.len();
            let over = turns.left == 0 || self.is_passed_over(&turns.customer);
            if over && !self.next_turn(lane, turns, room)? {
                break;
            }
            let wanted = room.min(turns.left as usize).min(self.left(&turns.customer));
            let of = (self.request.route.as_str(), lane_number(lane), turns.customer.as_str());
            let rows = self.change.first_rows(READY_ROWS, of, wanted)?;
            let (found, before) = (rows.len(), work.len());
            for row in rows {
                work.extend(self.hand_out(row)?);
            }
            self.tally.give(&turns.customer, work.len() - before);
            turns.left =
                if found < wanted { 0 } else { turns.left - u32::try_from(found).unwrap_or(turns.left) };
        }
        Ok(work)
    }

    /// Moves the turn to the next customer who has something ready; `false` if nobody has.
    /// A customer who waits alone is given all of the `room` there is.
    fn next_turn(&self, lane: Lane, turns: &mut LaneTurns, room: usize) -> rusqlite::Result<bool> {
        let next = |after: &str| {
            let route = self.request.route.as_str();
            next_customer(self.change.connection, route, lane, after, |name| self.is_passed_over(name))
        };
        let mut found = next(&turns.customer)?;
        if found.is_none() && !turns.customer.is_empty() {
            found = next("")?;
        }
        let Some(customer) = found else { return Ok(false) };
        let left = if customer == turns.customer {
            u32::try_from(room).unwrap_or(u32::MAX)
        } else {
            let weight = customer.parse().map_or(1, |customer| (self.request.weights)(&customer));
            weight.clamp(1, 100) * QUANTUM
        };
        *turns = LaneTurns { customer, left };
        Ok(true)
    }

    /// A ready row begins its next attempt, unless its time is over or it cannot be read.
    fn hand_out(&mut self, mut row: Row) -> rusqlite::Result<Option<Work>> {
        let (now, emit) = (self.request.now, self.request.emit);
        if self.change.page.stop_if(&mut row, &self.rules, How::Swept, now) {
            self.change.save(&row)?;
            return Ok(None);
        }
        if now > row.expires_at {
            let end = End::out_of_time(row.possible_duplicate);
            self.change.page.end(&mut row, &end, now, emit);
            self.change.save(&row)?;
            self.expired += 1;
            return Ok(None);
        }
        let message = content(self.change.connection, row.at.row)?;
        if self.change.page.hush(&mut row, message.as_ref(), &self.request.quiet, now) {
            self.change.save(&row)?;
            self.put_off += 1;
            return Ok(None);
        }
        let Some(message) = message else {
            self.change.page.end(&mut row, &End::plain(State::Failed, Code::Indigestible), now, emit);
            self.change.save(&row)?;
            return Ok(None);
        };
        self.change.page.begin_attempt(&mut row, self.request.incarnation, now);
        self.change
            .connection
            .prepare_cached(
                "UPDATE message SET state = 3, attempt = ?2, incarnation = ?3, sent_at = ?4, wake_at = NULL \
                 WHERE row = ?1",
            )?
            .execute((row.at.row, row.attempt, row.incarnation, now.as_millis()))?;
        Ok(Some(row.into_work(message)))
    }
}

/// Only what certainly was not taken by a backend.
pub(super) const REROUTED: &str = concat!(
    "SELECT ",
    row_columns!(),
    " FROM message WHERE state = 1 AND route = ?1 AND lane = ?2 AND customer = ?3 AND NOT possible_duplicate \
     AND accepted_at <= ?4 ORDER BY row"
);

/// Rows of each customer in turn go on to another route.
pub(super) fn reroute(
    change: &mut Change<'_>,
    order: &Reroute,
    now: crate::domain::Timestamp,
) -> rusqlite::Result<usize> {
    let mut moved = 0;
    if !stops::rules(change.connection, StopPhase::Sweeping)?.0.is_empty() {
        // What a rule of this route has not come to yet must not slip away from it.
        return Ok(0);
    }
    for lane in Lane::ALL {
        let mut names = Vec::new();
        let next =
            |after: &str| next_customer(change.connection, order.from.as_str(), lane, after, |_| false);
        let mut found = next("")?;
        while let Some(name) = found.filter(|_| names.len() < order.max) {
            found = next(&name)?;
            names.push(name);
        }
        for (index, name) in names.iter().enumerate() {
            let part = (order.max - moved).div_ceil(names.len() - index);
            let of = (order.from.as_str(), lane_number(lane), name.as_str(), order.accepted_by.as_millis());
            for mut row in change.first_rows(REROUTED, of, part)? {
                change.page.reroute(&mut row, &order.to, now);
                change
                    .connection
                    .prepare_cached("UPDATE message SET route = ?2 WHERE row = ?1")?
                    .execute((row.at.row, row.route.as_str()))?;
                moved += 1;
            }
        }
    }
    Ok(moved)
}

/// How much each account has ready, counted among the first rows.
pub(super) fn ready(
    connection: &Connection,
    route: &str,
    lane: Lane,
    max: usize,
) -> rusqlite::Result<Vec<(crate::domain::Account, u64)>> {
    connection
        .prepare_cached(
            "SELECT customer, sandbox, count(*) FROM (SELECT customer, sandbox FROM message \
             WHERE state = 1 AND route = ?1 AND lane = ?2 LIMIT ?3) GROUP BY customer, sandbox",
        )?
        .query_map((route, lane_number(lane), max), |row| Ok((super::rows::account(row, 0)?, row.get(2)?)))?
        .collect()
}
