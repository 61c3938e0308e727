//! Take, as it nearly always goes, in two round trips: who has something ready, in one question; then rows of each in turn, their
//! attempts begun and what waits counted down, in one statement that commits by itself.
//!
//! What a statement cannot do well is left to a transaction ([`super::take`]): rows whose time is over, or that cannot be read.

use sqlx::{PgConnection, Row as _};

use super::{
    PostgresLedger, recovery,
    rows::{COLUMNS, message, read, row_columns},
    take::{PLANNED, Plan},
};
use crate::{
    domain::Lane,
    ledger::{
        RowRef, TakeRequest, Taken, Work,
        book::{RouteTurns, Tally, lane_number},
    },
    postgres::PgError,
};

/// Rounds of one take, at the most: each begins something or ends a lane, unless others hold what is there.
const ROUNDS: usize = 16;

/// As [`super::take::CUSTOMERS`], for several places at once: of each lane, from a name on.
pub(super) const RINGS: &str = "WITH RECURSIVE turn (number, lane, customer, step) AS ( \
       SELECT place.number, place.lane, \
              (SELECT m.customer FROM message m \
               WHERE m.state = 1 AND m.route = $1 AND m.lane = place.lane AND m.customer > place.after \
               ORDER BY m.customer LIMIT 1), 1 \
         FROM unnest($2::smallint[], $3::text[]) WITH ORDINALITY AS place (lane, after, number) \
       UNION ALL \
       SELECT turn.number, turn.lane, \
              (SELECT m.customer FROM message m \
               WHERE m.state = 1 AND m.route = $1 AND m.lane = turn.lane AND m.customer > turn.customer \
               ORDER BY m.customer LIMIT 1), turn.step + 1 \
         FROM turn WHERE turn.customer IS NOT NULL AND turn.step < $4) \
     SELECT number, customer FROM turn WHERE customer IS NOT NULL ORDER BY number, step";

/// So many of each customer, oldest first; what another holds is passed over. Rows are found again by where they lie, since they
/// are locked. One that was changed in between, or is over, is counted and not begun; none is while a rule is being carried out
/// that may have to stop it.
pub(super) const BEGIN: &str = concat!(
    "WITH picked AS MATERIALIZED (SELECT r.ctid AS place, r.row, turn.number \
       FROM unnest($2::smallint[], $3::text[], $4::bigint[]) WITH ORDINALITY AS turn (lane, customer, wanted, number) \
       CROSS JOIN LATERAL (SELECT m.ctid, m.row FROM message m \
         WHERE m.state = 1 AND m.route = $1 AND m.lane = turn.lane AND m.customer = turn.customer \
         ORDER BY m.row LIMIT turn.wanted FOR UPDATE SKIP LOCKED) AS r), \
     m AS (UPDATE message SET state = 3, attempt = message.attempt + 1, incarnation = $5, sent_at = $6, wake_at = NULL \
       FROM picked JOIN content c ON c.row = picked.row \
       WHERE message.ctid = picked.place AND message.expires_at >= $6 \
         AND NOT (SELECT EXISTS (SELECT FROM stop_rule WHERE phase = 1)) \
       RETURNING message.*, c.message AS text, picked.number), \
     fewer AS (INSERT INTO backlog (route, lane, customer, sandbox, messages) \
       SELECT route, lane, customer, sandbox, -count(*) FROM m GROUP BY route, lane, customer, sandbox) \
     SELECT ",
    row_columns!(),
    ", m.text, number, picked.count FROM (SELECT count(*) FROM picked) AS picked LEFT JOIN m ON true ORDER BY number, m.row"
);

/// What a round came to.
enum Round {
    /// There may be more.
    More,
    /// Nothing is left that is not in other hands.
    Nothing,
    /// There are rows that could not be begun.
    Odd,
    /// What is left is of customers who have more than their share.
    Left,
}

/// A take under way, and what it has so far; the first of each pair is of `express`.
struct Quick<'t> {
    ledger: &'t PostgresLedger,
    request: &'t TakeRequest,
    turns: &'t mut RouteTurns,
    bulk_share: usize,
    work: [Vec<Work>; 2],
    /// Lanes that have nothing more.
    done: [bool; 2],
    tally: Tally,
    /// Somebody has something ready in its quiet hours.
    hushed: bool,
}

/// Customers of a lane who have something ready, beginning with who follows the one with the turn.
#[derive(Default)]
struct Ring {
    names: Vec<String>,
    /// These are all.
    is_whole: bool,
}

impl PostgresLedger {
    /// Takes by turns until there is as much as was asked for, or no more.
    pub(super) async fn take_quickly(
        &self,
        request: &TakeRequest,
        turns: &mut RouteTurns,
    ) -> Result<Taken, PgError> {
        let bulk_share = turns.bulk_of(request.max);
        let (work, done) = (<[Vec<Work>; 2]>::default(), [false; 2]);
        let tally = Tally::new(&request.shares);
        let mut quick = Quick { ledger: self, request, turns, bulk_share, work, done, tally, hushed: false };
        let ended = quick.run().await;
        let (room, [express, bulk], shares) = (quick.room(), quick.work, quick.tally.shares());
        let mut taken = Taken { work: turns.merge(express, bulk), ..Taken::default() };
        match ended {
            Ok(Round::Nothing) => {}
            Ok(Round::Left) => taken.more = true,
            Ok(Round::More) => {
                let ready = self.is_ready(&request.route, &request.passed_over);
                taken.more = ready.await.unwrap_or(true);
            }
            Ok(Round::Odd) => {
                let rest =
                    self.take_slowly(&TakeRequest { max: room, shares, ..request.clone() }, turns).await;
                let rest = rest.unwrap_or_else(|_| Taken { more: true, ..Taken::default() });
                taken = Taken { work: taken.work.into_iter().chain(rest.work).collect(), ..rest };
            }
            Err(error) if taken.work.is_empty() => return Err(error),
            // What was taken so far is in nobody else's hands.
            Err(_) => taken.more = true,
        }
        Ok(taken)
    }
}

impl Quick<'_> {
    fn room(&self) -> usize {
        self.request.max.saturating_sub(self.work.iter().map(Vec::len).sum())
    }

    async fn run(&mut self) -> Result<Round, PgError> {
        for _ in 0..ROUNDS {
            if self.room() == 0 {
                break;
            }
            let round = self.round().await?;
            if self.hushed && self.room() > 0 && !matches!(round, Round::More) {
                // The transaction puts them off.
                return Ok(Round::Odd);
            }
            if !matches!(round, Round::More) {
                return Ok(round);
            }
        }
        Ok(Round::More)
    }

    async fn round(&mut self) -> Result<Round, PgError> {
        let rings = self.rings().await?;
        if rings.iter().any(|ring| ring.names.is_empty() && !ring.is_whole) {
            // So many are passed over that more pages must be read.
            return Ok(Round::Odd);
        }
        let under = |name: &String| self.tally.left(name) > 0;
        let beyond = !rings.iter().any(|ring| ring.names.iter().any(under));
        if beyond && self.tally.beyond() == 0 && rings.iter().any(|ring| !ring.names.is_empty()) {
            return Ok(Round::Left);
        }
        let plans = self.plans(rings, beyond);
        let found = if plans.iter().all(|plan| plan.customers.is_empty()) {
            Begun::default()
        } else {
            let call = (self.request, &plans);
            let begun = self
                .ledger
                .database()
                .statement("take", &call, |c, (request, plans)| Box::pin(begin(c, request, plans)));
            begun.await?
        };
        let odd = found.found > i64::try_from(found.work.len()).unwrap_or(i64::MAX);
        self.note(plans, found.work, beyond);
        if !found.unreadable.is_empty() {
            // The transaction finds them ready, and ends them.
            self.ledger.give_rows_back(found.unreadable).await?;
        }
        Ok(if odd {
            Round::Odd
        } else if self.done == [true; 2] {
            Round::Nothing
        } else {
            Round::More
        })
    }

    /// Asks who has something ready in the lanes that may have more.
    async fn rings(&mut self) -> Result<[Ring; 2], PgError> {
        let mut places: Vec<(usize, i16, String)> = Vec::new();
        for lane in Lane::ALL {
            let number = usize::from(lane_number(lane));
            let turn = self.turns.lane(lane).customer.clone();
            if !self.done[number] {
                let column = i16::from(lane_number(lane));
                if !turn.is_empty() {
                    places.push((number, column, turn));
                }
                places.push((number, column, String::new()));
            }
        }
        let call = (&self.request.route, &places);
        let asked = self.ledger.database().read("turns", &call, |c, (route, places)| {
            Box::pin(async move {
                let rows = sqlx::query(RINGS)
                    .bind(route.as_str())
                    .bind(places.iter().map(|(_, lane, _)| *lane).collect::<Vec<_>>())
                    .bind(places.iter().map(|(.., after)| after.as_str()).collect::<Vec<_>>())
                    .bind(recovery::limit(PLANNED))
                    .fetch_all(c)
                    .await?;
                rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
            })
        });
        let found: Vec<(i64, String)> = asked.await?;
        let mut rings = Lane::ALL.map(|_| Ring { names: Vec::new(), is_whole: true });
        for (index, (lane, _, after)) in (1_i64..).zip(&places) {
            let mut names: Vec<String> =
                found.iter().filter(|(number, _)| *number == index).map(|(_, name)| name.clone()).collect();
            let ring = &mut rings[*lane];
            let mut is_whole = names.len() < PLANNED;
            // From the beginning again, up to the one with the turn.
            let turn = places.iter().find(|(other, ..)| other == lane).map(|(.., turn)| turn.as_str());
            if let Some(turn) = turn.filter(|turn| after.is_empty() && !turn.is_empty()) {
                let before = names.len();
                names.retain(|name| name.as_str() <= turn);
                is_whole |= names.len() < before;
            }
            ring.is_whole &= is_whole;
            let quiet = |name: &String| {
                let rules = self.request.quiet.get(name.as_str());
                rules.is_some_and(|rules| rules.any_at(self.request.now))
            };
            names.retain(|name| !self.request.passed_over.contains(name.as_str()));
            let all = names.len();
            names.retain(|name| !quiet(name));
            self.hushed |= names.len() < all;
            ring.names.append(&mut names);
        }
        Ok(rings)
    }

    /// How much each may give: bulk its share, express the rest, and one lane all if the other has nothing.
    fn plans(&mut self, rings: [Ring; 2], beyond: bool) -> [Plan; 2] {
        let most = if beyond { self.tally.beyond() } else { usize::MAX };
        let room = self.room().min(most);
        for (done, ring) in self.done.iter_mut().zip(&rings) {
            *done |= ring.names.is_empty() && ring.is_whole;
        }
        // Beside lanes that have nothing, those in which everybody has its share.
        let mut tally = self.tally.clone();
        let mut idle = self.done;
        for (idle, ring) in idle.iter_mut().zip(&rings) {
            *idle |= !beyond && ring.names.iter().all(|name| tally.left(name) == 0);
        }
        let bulk = match idle {
            [true, false] => room,
            [_, true] => 0,
            [false, false] => self.bulk_share.saturating_sub(self.work[1].len()).min(room),
        };
        let mut rings = rings.into_iter();
        Lane::ALL.map(|lane| {
            let ring = rings.next().unwrap_or_default();
            let room = if lane == Lane::Bulk { bulk } else { room - bulk };
            if room == 0 || idle[usize::from(lane_number(lane))] {
                return Plan::default();
            }
            let turn = self.turns.lane(lane);
            if !ring.names.contains(&turn.customer) {
                // It has nothing ready, or its hours are quiet.
                turn.left = 0;
            }
            let mut plan = Plan::of_turn(self.request, turn, room, &mut tally, beyond);
            plan.fill(self.request, &ring.names, &mut tally, beyond);
            // Whoever the room was too small for may still have something.
            plan.is_whole &= ring.is_whole && ring.names.iter().all(|name| plan.position(name).is_some());
            plan
        })
    }

    /// Moves the turns on, and notes which lanes have given all they have.
    fn note(&mut self, plans: [Plan; 2], work: Vec<Work>, beyond: bool) {
        for one in &work {
            self.tally.give(one.account.customer.as_str(), 1);
        }
        if beyond {
            self.tally.spend(work.len());
        }
        for (lane, plan) in Lane::ALL.into_iter().zip(plans) {
            if plan.customers.is_empty() {
                continue;
            }
            let mut given = vec![0_i64; plan.customers.len()];
            for one in work.iter().filter(|one| one.lane == lane) {
                if let Some(index) = plan.position(one.account.customer.as_str()) {
                    given[index] += 1;
                }
            }
            let spent = given.iter().zip(&plan.wanted).all(|(given, wanted)| given < wanted);
            self.done[usize::from(lane_number(lane))] |= plan.is_whole && spent;
            plan.move_on(self.turns.lane(lane), &given);
        }
        for one in work {
            self.work[usize::from(lane_number(one.lane))].push(one);
        }
    }
}

/// Rows that were begun, how many were found, and which of them nobody can read.
#[derive(Default)]
struct Begun {
    work: Vec<Work>,
    found: i64,
    unreadable: Vec<(RowRef, u32)>,
}

async fn begin(
    connection: &mut PgConnection,
    request: &TakeRequest,
    plans: &[Plan; 2],
) -> Result<Begun, PgError> {
    let turns = || {
        Lane::ALL.into_iter().zip(plans).flat_map(|(lane, plan)| plan.turns().map(move |turn| (lane, turn)))
    };
    let rows = sqlx::query(BEGIN)
        .bind(request.route.as_str())
        .bind(turns().map(|(lane, _)| i16::from(lane_number(lane))).collect::<Vec<_>>())
        .bind(turns().map(|(_, (customer, _))| customer).collect::<Vec<_>>())
        .bind(turns().map(|(_, (_, wanted))| wanted).collect::<Vec<_>>())
        .bind(request.incarnation.as_i64())
        .bind(request.now.as_millis())
        .fetch_all(connection)
        .await?;
    let mut begun = Begun::default();
    for row in &rows {
        begun.found = row.try_get(COLUMNS + 2)?;
        if row.try_get::<Option<i64>, _>(0)?.is_none() {
            continue;
        }
        let (row, message) = (read(row)?, message(row, COLUMNS)?);
        match message {
            Some(message) => begun.work.push(row.into_work(message)),
            None => begun.unreadable.push((row.at, row.attempt)),
        }
    }
    Ok(begun)
}
