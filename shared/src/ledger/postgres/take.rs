//! Take: ready rows into the hands of a courier, customers by weighted turns; in one transaction, whatever they are like.

use std::collections::BTreeSet;

use sqlx::{PgConnection, Row as _};

use super::{
    recovery::limit,
    rows::{COLUMNS, message, read, row_columns},
    stops, write,
};
use crate::{
    domain::{Code, CustomerId, Lane, Message, RouteName, State, Timestamp},
    ledger::{
        StopPhase, TakeRequest, Taken, Work,
        book::{End, How, LaneTurns, News, Page, RouteTurns, Row, Rules, Tally, lane_number},
    },
    postgres::PgError,
};

/// Rows that one take may end because they were found expired, so that no take holds locks for long.
const EXPIRED: usize = 512;

/// Rows of one turn for each unit of weight.
const QUANTUM: u32 = 4;

/// Customers that are planned for at once.
pub(super) const PLANNED: usize = 64;

/// Whether a route has anything ready, of customers who are not passed over.
pub(super) async fn is_ready(
    connection: &mut PgConnection,
    route: &RouteName,
    passed_over: &BTreeSet<CustomerId>,
) -> Result<bool, PgError> {
    if passed_over.is_empty() {
        return Ok(sqlx::query(READY).bind(route.as_str()).fetch_one(connection).await?.try_get(0)?);
    }
    for lane in Lane::ALL {
        if !customers(connection, route, lane, "", passed_over).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Customers who have something ready and are not passed over, from a name on: enough to plan with.
pub(super) async fn customers(
    connection: &mut PgConnection,
    route: &RouteName,
    lane: Lane,
    after: &str,
    passed_over: &BTreeSet<CustomerId>,
) -> Result<Vec<String>, PgError> {
    let mut after = after.to_owned();
    loop {
        let rows = sqlx::query(CUSTOMERS)
            .bind(route.as_str())
            .bind(i16::from(lane_number(lane)))
            .bind(&after)
            .bind(limit(PLANNED))
            .fetch_all(&mut *connection)
            .await?;
        let mut names = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
        let whole = names.len() < PLANNED;
        let last = names.last().cloned().unwrap_or_default();
        names.retain(|name| !passed_over.contains(name.as_str()));
        if whole || !names.is_empty() {
            return Ok(names);
        }
        after = last;
    }
}

/// The first one in the order of its index, and not any one, which another index might be walked for.
pub(super) const READY: &str = "SELECT coalesce((SELECT true FROM message WHERE state = 1 AND route = $1 \
     ORDER BY route, lane, customer LIMIT 1), false)";

/// Customers who have something ready, in the order of their names from one on: each is one step in the index, however much it
/// has.
pub(super) const CUSTOMERS: &str = "WITH RECURSIVE turn (customer, number) AS ( \
       (SELECT customer, 1 FROM message WHERE state = 1 AND route = $1 AND lane = $2 AND customer > $3 \
        ORDER BY customer LIMIT 1) \
       UNION ALL \
       SELECT (SELECT m.customer FROM message m \
               WHERE m.state = 1 AND m.route = $1 AND m.lane = $2 AND m.customer > turn.customer \
               ORDER BY m.customer LIMIT 1), turn.number + 1 \
         FROM turn WHERE turn.customer IS NOT NULL AND turn.number < $4) \
     SELECT customer FROM turn WHERE customer IS NOT NULL ORDER BY number";

/// So many of each customer, oldest first. What another holds is passed over.
pub(super) const ROWS: &str = concat!(
    "SELECT ",
    row_columns!(),
    ", c.message FROM unnest($3::text[], $4::bigint[]) WITH ORDINALITY AS turn (customer, wanted, number) \
     CROSS JOIN LATERAL (SELECT * FROM message r \
       WHERE r.state = 1 AND r.route = $1 AND r.lane = $2 AND r.customer = turn.customer \
       ORDER BY r.row LIMIT turn.wanted FOR UPDATE SKIP LOCKED) AS m \
     LEFT JOIN content c ON c.row = m.row ORDER BY turn.number, m.row"
);

/// One take under way.
struct Take<'t> {
    connection: &'t mut PgConnection,
    request: &'t TakeRequest,
    page: Page,
    saved: Vec<Row>,
    tally: Tally,
    /// Nobody who holds less than its share has anything left.
    beyond: bool,
    expired: usize,
    put_off: usize,
    /// Rules that are being carried out: what they have not come to yet must not begin.
    rules: Rules,
}

/// Customers in turn, and how many rows each may give.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) customers: Vec<String>,
    pub(super) wanted: Vec<i64>,
    /// Everybody was thought of, and not only who has the turn.
    pub(super) is_whole: bool,
    /// What may still be given.
    room: i64,
    /// Who is last, and what is left of its turn if it gives all that is wanted.
    last: usize,
    left: i64,
}

pub(super) async fn take(
    connection: &mut PgConnection,
    request: &TakeRequest,
    turns: &mut RouteTurns,
    clock: Timestamp,
) -> Result<(Taken, News), PgError> {
    let (page, tally) = (Page::new(clock), Tally::new(&request.shares));
    let (saved, rules) = (Vec::new(), stops::rules(connection, StopPhase::Sweeping).await?);
    let mut take =
        Take { connection, request, page, saved, tally, beyond: false, expired: 0, put_off: 0, rules };
    let mut work = take.round(turns, request.max).await?;
    let room = request.max.saturating_sub(work.len()).min(request.shares.beyond);
    if room > 0 && request.shares.each != usize::MAX {
        take.beyond = true;
        work.extend(take.round(turns, room).await?);
    }
    let Take { connection, page, expired, put_off, .. } = take;
    // A route that did not give all that was asked for has nothing that is not in other hands.
    let full = work.len() >= request.max.min(request.shares.beyond) || expired + put_off >= EXPIRED;
    let more = full && is_ready(connection, &request.route, &request.passed_over).await?;
    let news = write::page(connection, page).await?;
    Ok((Taken { work, expired, more }, news))
}

impl Take<'_> {
    /// Up to `max` rows of both lanes, in the order in which to start them.
    async fn round(&mut self, turns: &mut RouteTurns, max: usize) -> Result<Vec<Work>, PgError> {
        let bulk_share = turns.bulk_of(max);
        let mut express = self.lane(Lane::Express, turns.lane(Lane::Express), max - bulk_share).await?;
        let bulk = self.lane(Lane::Bulk, turns.lane(Lane::Bulk), max - express.len()).await?;
        let room = max - express.len() - bulk.len();
        if room > 0 && express.len() == max - bulk_share {
            express.extend(self.lane(Lane::Express, turns.lane(Lane::Express), room).await?);
        }
        Ok(turns.merge(express, bulk))
    }

    /// Up to `max` rows of a lane.
    async fn lane(&mut self, lane: Lane, turns: &mut LaneTurns, max: usize) -> Result<Vec<Work>, PgError> {
        let mut work = Vec::new();
        while work.len() < max && self.expired + self.put_off < EXPIRED {
            let plan = self.plan(lane, turns, max - work.len()).await?;
            if plan.customers.is_empty() {
                break;
            }
            let found = self.rows(lane, &plan).await?;
            let nothing = found.is_empty() && plan.is_whole;
            let mut given = vec![0_i64; plan.customers.len()];
            for (row, message) in found {
                if let Some(index) = plan.position(row.account.customer.as_str()) {
                    given[index] += 1;
                }
                let customer = row.account.customer.clone();
                let one = self.hand_out(row, message);
                self.tally.give(customer.as_str(), usize::from(one.is_some()));
                work.extend(one);
            }
            plan.move_on(turns, &given);
            self.save().await?;
            if nothing {
                break;
            }
        }
        Ok(work)
    }

    /// Whose turn it is, and how much of the room each of them may fill, as if each had enough.
    async fn plan(&mut self, lane: Lane, turns: &LaneTurns, room: usize) -> Result<Plan, PgError> {
        let (mut tally, beyond) = (self.tally.clone(), self.beyond);
        let mut plan = Plan::of_turn(self.request, turns, room, &mut tally, beyond);
        if plan.room == 0 {
            return Ok(plan);
        }
        let mut ring = self.customers(lane, &turns.customer).await?;
        if ring.len() < PLANNED && !turns.customer.is_empty() {
            let again = self.customers(lane, "").await?;
            ring.extend(again.into_iter().take_while(|name| *name <= turns.customer));
        }
        plan.fill(self.request, &ring, &mut tally, beyond);
        Ok(plan)
    }

    async fn customers(&mut self, lane: Lane, after: &str) -> Result<Vec<String>, PgError> {
        let request = self.request;
        customers(self.connection, &request.route, lane, after, &request.passed_over).await
    }

    async fn rows(&mut self, lane: Lane, plan: &Plan) -> Result<Vec<(Row, Option<Message>)>, PgError> {
        let rows = sqlx::query(ROWS)
            .bind(self.request.route.as_str())
            .bind(i16::from(lane_number(lane)))
            .bind(&plan.customers)
            .bind(&plan.wanted)
            .fetch_all(&mut *self.connection)
            .await?;
        rows.iter().map(|row| Ok((read(row)?, message(row, COLUMNS)?))).collect()
    }

    /// Writes what was handed out: the next look must not find it again.
    async fn save(&mut self) -> Result<(), PgError> {
        let mut saved = std::mem::take(&mut self.saved);
        saved.sort_unstable_by_key(|row| row.at.id);
        write::save(self.connection, &saved).await
    }

    /// A ready row begins its next attempt, unless its time is over or it cannot be read.
    fn hand_out(&mut self, mut row: Row, message: Option<Message>) -> Option<Work> {
        let (now, emit) = (self.request.now, self.request.emit);
        let work = if self.page.stop_if(&mut row, &self.rules, How::Swept, now) {
            None
        } else if now > row.expires_at {
            let end = End::out_of_time(row.possible_duplicate);
            self.page.end(&mut row, &end, now, emit);
            self.expired += 1;
            None
        } else if self.page.hush(&mut row, message.as_ref(), &self.request.quiet, now) {
            self.put_off += 1;
            None
        } else if let Some(message) = message {
            self.page.begin_attempt(&mut row, self.request.incarnation, now);
            Some(row.clone().into_work(message))
        } else {
            self.page.end(&mut row, &End::plain(State::Failed, Code::Indigestible), now, emit);
            None
        };
        self.saved.push(row);
        work
    }
}

impl Plan {
    /// What is left of the turn that somebody has.
    pub(super) fn of_turn(
        request: &TakeRequest,
        turns: &LaneTurns,
        room: usize,
        tally: &mut Tally,
        beyond: bool,
    ) -> Self {
        let mut plan = Self { room: i64::try_from(room).unwrap_or(i64::MAX), ..Self::default() };
        if turns.left > 0 && !request.passed_over.contains(turns.customer.as_str()) {
            plan.add(&turns.customer, i64::from(turns.left), tally, beyond);
        }
        plan
    }

    /// Fills the room that is left with turns of these, as if each had enough; none gets more than its share, unless it is `beyond`
    /// that.
    pub(super) fn fill(&mut self, request: &TakeRequest, ring: &[String], tally: &mut Tally, beyond: bool) {
        let quantum = |customer: &String| {
            let weight = customer.parse().map_or(1, |customer| (request.weights)(&customer));
            i64::from(weight.clamp(1, 100) * QUANTUM)
        };
        let quanta: Vec<i64> = ring.iter().map(quantum).collect();
        self.is_whole = self.room > 0;
        let mut before = None;
        while self.room > 0 && before != Some(self.room) {
            before = Some(self.room);
            for (customer, quantum) in ring.iter().zip(&quanta) {
                self.add(customer, *quantum, tally, beyond);
                if self.room == 0 {
                    break;
                }
            }
        }
    }

    /// Customers in turn, and how many rows each may give.
    pub(super) fn turns(&self) -> impl Iterator<Item = (&str, i64)> {
        self.customers.iter().map(String::as_str).zip(self.wanted.iter().copied())
    }

    pub(super) fn position(&self, customer: &str) -> Option<usize> {
        self.customers.iter().position(|name| name == customer)
    }

    /// A turn of this customer, or as much of it as there is room for.
    fn add(&mut self, customer: &str, turn: i64, tally: &mut Tally, beyond: bool) {
        let most = if beyond { usize::MAX } else { tally.left(customer) };
        let wanted = turn.min(self.room).min(i64::try_from(most).unwrap_or(i64::MAX));
        if wanted == 0 {
            return;
        }
        tally.give(customer, usize::try_from(wanted).unwrap_or(0));
        self.room -= wanted;
        self.left = turn - wanted;
        if let Some(index) = self.position(customer) {
            self.wanted[index] += wanted;
            self.last = index;
        } else {
            self.last = self.customers.len();
            self.customers.push(customer.to_owned());
            self.wanted.push(wanted);
        }
    }

    /// The turn stays with the last one, unless it had no more to give.
    pub(super) fn move_on(self, turns: &mut LaneTurns, given: &[i64]) {
        let spent = given.get(self.last).copied() < self.wanted.get(self.last).copied();
        turns.left = if spent { 0 } else { u32::try_from(self.left).unwrap_or(0) };
        turns.customer = self.customers.into_iter().nth(self.last).unwrap_or_default();
    }
}
