//! The watch in the ledger's database.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{PgConnection, Row as _, postgres::PgRow};

use super::{AlarmChange, FLOW_KEPT, Flow, FlowStep, GAP, LastCame, Oldest, Raised, Watch, step};
use crate::{
    domain::{CustomerId, Event, Lane, RouteName, Timestamp},
    ledger::{LedgerError, PostgresLedger},
    postgres::PgError,
};

type Counted = Vec<((RouteName, CustomerId), Flow)>;

#[async_trait]
impl Watch for PostgresLedger {
    async fn note_flow(&self) -> Result<bool, LedgerError> {
        let counted = self.take_flow();
        if counted.is_empty() {
            return Ok(false);
        }
        let call = (counted, self.now());
        let noted = self
            .database()
            .transact("note-flow", &call, |c, (counted, now)| Box::pin(note(c, counted, *now)))
            .await;
        if let Err(error) = noted {
            self.put_flow_back(&call.0);
            return Err(error.into());
        }
        Ok(true)
    }

    async fn flow(&self, since: Timestamp) -> Result<Vec<FlowStep>, LedgerError> {
        Ok(self.database().read("flow", &since, |c, since| Box::pin(flow(c, *since))).await?)
    }

    async fn last_came(&self) -> Result<Vec<LastCame>, LedgerError> {
        Ok(self.database().read("last-came", &(), |c, ()| Box::pin(last_came(c))).await?)
    }

    async fn oldest(&self) -> Result<Vec<Oldest>, LedgerError> {
        Ok(self.database().read("oldest", &(), |c, ()| Box::pin(oldest(c))).await?)
    }

    async fn take_turn(&self, period: Duration) -> Result<Option<Timestamp>, LedgerError> {
        let call = (self.now(), period);
        let taken = self
            .database()
            .statement("alarm-turn", &call, |c, (now, period)| Box::pin(take_turn(c, *now, *period)));
        Ok(taken.await?)
    }

    async fn raised(&self) -> Result<Vec<Raised>, LedgerError> {
        Ok(self.database().read("alarms", &(), |c, ()| Box::pin(raised(c))).await?)
    }

    async fn change(&self, changes: Vec<AlarmChange>, emit: bool) -> Result<Vec<AlarmChange>, LedgerError> {
        if changes.is_empty() {
            return Ok(changes);
        }
        let call = (changes, emit, self.now());
        let done = self.database().transact("change-alarms", &call, |c, (changes, emit, now)| {
            Box::pin(change(c, changes, *emit, *now))
        });
        let done = done.await?;
        self.event_bell().notify_waiters();
        Ok(done)
    }
}

pub(crate) const NOTE: &str = "INSERT INTO flow AS f (at, route, customer, taken_in, delivered, failed, other) \
     SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[]) \
     ON CONFLICT (at, route, customer) DO UPDATE SET taken_in = f.taken_in + excluded.taken_in, \
     delivered = f.delivered + excluded.delivered, failed = f.failed + excluded.failed, other = f.other + excluded.other";

pub(crate) const NOTE_LAST: &str = "INSERT INTO flow_last AS f (at, route, customer) \
     SELECT $1, * FROM unnest($2::text[], $3::text[]) \
     ON CONFLICT (route, customer) DO UPDATE SET at = greatest(f.at, excluded.at)";

async fn note(connection: &mut PgConnection, counted: &Counted, now: Timestamp) -> Result<(), PgError> {
    let column = |of: fn(&Flow) -> u64| -> Vec<i64> {
        counted.iter().map(|(_, flow)| i64::try_from(of(flow)).unwrap_or(i64::MAX)).collect()
    };
    sqlx::query(NOTE)
        .bind(step(now))
        .bind(counted.iter().map(|((route, _), _)| route.as_str()).collect::<Vec<_>>())
        .bind(counted.iter().map(|((_, customer), _)| customer.as_str()).collect::<Vec<_>>())
        .bind(column(|flow| flow.taken_in))
        .bind(column(|flow| flow.delivered))
        .bind(column(|flow| flow.failed))
        .bind(column(|flow| flow.other))
        .execute(&mut *connection)
        .await?;
    let came = || counted.iter().filter(|(_, flow)| flow.taken_in > 0);
    if came().next().is_some() {
        sqlx::query(NOTE_LAST)
            .bind(now.as_millis())
            .bind(came().map(|((route, _), _)| route.as_str()).collect::<Vec<_>>())
            .bind(came().map(|((_, customer), _)| customer.as_str()).collect::<Vec<_>>())
            .execute(connection)
            .await?;
    }
    Ok(())
}

pub(crate) const FLOW: &str = "SELECT at, route, customer, taken_in, delivered, failed, other FROM flow \
     WHERE at >= $1 ORDER BY at, route, customer";

async fn flow(connection: &mut PgConnection, since: Timestamp) -> Result<Vec<FlowStep>, PgError> {
    let rows = sqlx::query(FLOW).bind(step(since)).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(FlowStep {
                at: moment(row, 0)?,
                route: parsed(row, 1)?,
                customer: parsed(row, 2)?,
                flow: Flow {
                    taken_in: count(row, 3)?,
                    delivered: count(row, 4)?,
                    failed: count(row, 5)?,
                    other: count(row, 6)?,
                },
            })
        })
        .collect()
}

const FLOW_LAST: &str = "SELECT route, customer, at FROM flow_last ORDER BY route, customer";

async fn last_came(connection: &mut PgConnection) -> Result<Vec<LastCame>, PgError> {
    let rows = sqlx::query(FLOW_LAST).fetch_all(connection).await?;
    rows.iter()
        .map(|row| Ok(LastCame { route: parsed(row, 0)?, customer: parsed(row, 1)?, at: moment(row, 2)? }))
        .collect()
}

/// One look at the index for each place.
pub(crate) const OLDEST_READY: &str = "WITH RECURSIVE place (route, lane, customer, since) AS ( \
       (SELECT route, lane, customer, greatest(accepted_at, send_at) FROM message WHERE state = 1 AND route >= '' \
         ORDER BY route, lane, customer, row LIMIT 1) \
       UNION ALL \
       SELECT next.route, next.lane, next.customer, next.since FROM place CROSS JOIN LATERAL ( \
         SELECT m.route, m.lane, m.customer, greatest(m.accepted_at, m.send_at) AS since FROM message m \
         WHERE m.state = 1 AND (m.route, m.lane, m.customer) > (place.route, place.lane, place.customer) \
         ORDER BY m.route, m.lane, m.customer, m.row LIMIT 1) AS next) \
     SELECT route, lane, customer, since FROM place";

pub(crate) const OLDEST_RETRYING: &str = "SELECT route, lane, customer, min(since) FROM ( \
       SELECT route, lane, customer, state, greatest(accepted_at, send_at) AS since FROM message \
       WHERE state IN (1, 2, 4) AND wake_at >= 0 ORDER BY wake_at LIMIT 10000) AS first WHERE state = 4 GROUP BY 1, 2, 3";

async fn oldest(connection: &mut PgConnection) -> Result<Vec<Oldest>, PgError> {
    let mut rows = sqlx::query(OLDEST_READY).fetch_all(&mut *connection).await?;
    rows.extend(sqlx::query(OLDEST_RETRYING).fetch_all(connection).await?);
    rows.iter()
        .map(|row| {
            let lane = if row.try_get::<i16, _>(1)? == 0 { Lane::Express } else { Lane::Bulk };
            let (route, customer, since) = (parsed(row, 0)?, parsed(row, 2)?, moment(row, 3)?);
            Ok(Oldest { route, lane, customer, since })
        })
        .collect()
}

const TURN: &str = "INSERT INTO alarm_turn AS t (until, since) VALUES ($2, $1) ON CONFLICT (one) DO UPDATE \
     SET until = $2, since = CASE WHEN t.until < $1 - $3 THEN $1 ELSE t.since END WHERE t.until <= $1 RETURNING since";

pub(crate) const FORGET_FLOW: &str = "DELETE FROM flow WHERE at < $1";

async fn take_turn(
    connection: &mut PgConnection,
    now: Timestamp,
    period: Duration,
) -> Result<Option<Timestamp>, PgError> {
    let taken = sqlx::query(TURN)
        .bind(now.as_millis())
        .bind(now.plus(period).as_millis())
        .bind(i64::try_from(GAP.as_millis()).unwrap_or(i64::MAX))
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = taken else { return Ok(None) };
    sqlx::query(FORGET_FLOW).bind(step(now.minus(FLOW_KEPT * 2))).execute(connection).await?;
    Ok(Some(moment(&row, 0)?))
}

async fn raised(connection: &mut PgConnection) -> Result<Vec<Raised>, PgError> {
    let rows =
        sqlx::query("SELECT alarm, subject, raised_at, calm_since, data FROM alarm ORDER BY alarm, subject")
            .fetch_all(connection)
            .await?;
    rows.iter()
        .map(|row| {
            let data: &str = row.try_get(4)?;
            Ok(Raised {
                alarm: row.try_get(0)?,
                subject: row.try_get(1)?,
                raised_at: moment(row, 2)?,
                calm_since: row.try_get::<Option<i64>, _>(3)?.map(Timestamp::from_millis),
                data: serde_json::from_str(data).map_err(|error| PgError::unreadable("alarm", error))?,
            })
        })
        .collect()
}

async fn change(
    connection: &mut PgConnection,
    changes: &[AlarmChange],
    emit: bool,
    now: Timestamp,
) -> Result<Vec<AlarmChange>, PgError> {
    let mut done = Vec::new();
    for change in changes {
        let (raised, event) = match change {
            AlarmChange::Raise(raised, event) | AlarmChange::Clear(raised, event) => (raised, Some(event)),
            AlarmChange::Calm(raised, _) => (raised, None),
        };
        let query = match change {
            AlarmChange::Raise(..) => sqlx::query(
                "INSERT INTO alarm (alarm, subject, raised_at, data) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            ),
            AlarmChange::Calm(..) => sqlx::query(
                "UPDATE alarm SET calm_since = $4 WHERE alarm = $1 AND subject = $2 AND raised_at = $3",
            ),
            AlarmChange::Clear(..) => {
                sqlx::query("DELETE FROM alarm WHERE alarm = $1 AND subject = $2 AND raised_at = $3")
            }
        };
        let query = query.bind(&raised.alarm).bind(&raised.subject).bind(raised.raised_at.as_millis());
        let query = match change {
            AlarmChange::Raise(..) => query.bind(raised.data.to_string()),
            AlarmChange::Calm(_, since) => query.bind(since.map(Timestamp::as_millis)),
            AlarmChange::Clear(..) => query,
        };
        if query.execute(&mut *connection).await?.rows_affected() == 0 {
            continue;
        }
        if let Some(event) = event.filter(|_| emit) {
            put(connection, event, now).await?;
        }
        done.push(change.clone());
    }
    Ok(done)
}

async fn put(connection: &mut PgConnection, event: &Event, now: Timestamp) -> Result<(), PgError> {
    let text = serde_json::to_string(event).map_err(|error| PgError::unreadable("event", error))?;
    sqlx::query(crate::outbox::PUT)
        .bind(now.as_millis())
        .bind(vec![text])
        .bind(vec![event.id.clone()])
        .execute(connection)
        .await?;
    Ok(())
}

fn moment(row: &PgRow, index: usize) -> Result<Timestamp, PgError> {
    Ok(Timestamp::from_millis(row.try_get(index)?))
}

fn count(row: &PgRow, index: usize) -> Result<u64, PgError> {
    Ok(u64::try_from(row.try_get::<i64, _>(index)?).unwrap_or(0))
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(row: &PgRow, index: usize) -> Result<T, PgError> {
    row.try_get::<&str, _>(index)?.parse().map_err(|error: T::Err| PgError::unreadable("name", error))
}
