//! The watch in the ledger's file.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params, types::Type};

use super::{AlarmChange, FLOW_KEPT, Flow, FlowStep, GAP, LastCame, Oldest, Raised, Watch, step};
use crate::{
    domain::{CustomerId, Event, Lane, RouteName, Timestamp},
    ledger::{LedgerError, SqliteLedger},
};

#[async_trait]
impl Watch for SqliteLedger {
    async fn note_flow(&self) -> Result<bool, LedgerError> {
        let (mut counted, rows) = self.take_flow();
        if counted.is_empty() && rows.is_empty() {
            return Ok(false);
        }
        let kept = (counted.clone(), rows.clone());
        let now = self.now();
        let written = async {
            // On the reader's connection: whose they are is nothing that a commit waits for.
            for (place, delivered) in self.db().read(move |c| whose(c, &rows)).await? {
                counted.entry(place).or_default().delivered += delivered;
            }
            self.db().write(move |c| note(c, &counted, now)).await
        };
        match written.await {
            Ok(()) => Ok(true),
            Err(error) => {
                self.put_flow_back(&kept.0, &kept.1);
                Err(error.into())
            }
        }
    }

    async fn flow(&self, since: Timestamp) -> Result<Vec<FlowStep>, LedgerError> {
        Ok(self.db().read(move |c| flow(c, since)).await?)
    }

    async fn last_came(&self) -> Result<Vec<LastCame>, LedgerError> {
        Ok(self.db().read(last_came).await?)
    }

    async fn oldest(&self) -> Result<Vec<Oldest>, LedgerError> {
        Ok(self.db().read(oldest).await?)
    }

    async fn take_turn(&self, period: Duration) -> Result<Option<Timestamp>, LedgerError> {
        let now = self.now();
        // Looked at first: whose turn it is not writes nothing.
        let taken = self.db().read(move |c| {
            let until = c.prepare_cached("SELECT until FROM alarm_turn")?.query_row([], |row| row.get(0));
            Ok(until.optional()?.is_some_and(|until: i64| until > now.as_millis()))
        });
        if taken.await? {
            return Ok(None);
        }
        Ok(self.db().write(move |c| take_turn(c, now, period)).await?)
    }

    async fn raised(&self) -> Result<Vec<Raised>, LedgerError> {
        Ok(self.db().read(raised).await?)
    }

    async fn change(&self, changes: Vec<AlarmChange>, emit: bool) -> Result<Vec<AlarmChange>, LedgerError> {
        if changes.is_empty() {
            return Ok(changes);
        }
        let (now, ledger) = (self.now(), self.clone());
        let ring = move |done: Vec<AlarmChange>| {
            ledger.event_bell().notify_waiters();
            done
        };
        Ok(self.db().write_then(move |c| change(c, changes, emit, now), ring).await?)
    }
}

type Counts = HashMap<(RouteName, CustomerId), u64>;

fn whose(c: &Connection, rows: &[i64]) -> rusqlite::Result<Counts> {
    let mut select =
        c.prepare_cached("SELECT route, customer FROM message WHERE row = ?1 AND sandbox = 0")?;
    let mut counts = Counts::new();
    for row in rows {
        let place = select.query_row([row], |row| Ok((parsed(row, 0)?, parsed(row, 1)?))).optional()?;
        if let Some(place) = place {
            *counts.entry(place).or_default() += 1;
        }
    }
    Ok(counts)
}

const NOTE: &str = "INSERT INTO flow (at, route, customer, taken_in, delivered, failed, other) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET taken_in = taken_in + excluded.taken_in, \
     delivered = delivered + excluded.delivered, failed = failed + excluded.failed, other = other + excluded.other";

fn note(
    c: &Connection,
    counted: &HashMap<(RouteName, CustomerId), Flow>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let mut insert = c.prepare_cached(NOTE)?;
    let mut last = c.prepare_cached(
        "INSERT INTO flow_last (route, customer, at) VALUES (?1, ?2, ?3) \
         ON CONFLICT DO UPDATE SET at = max(at, excluded.at)",
    )?;
    for ((route, customer), flow) in counted {
        let (route, customer) = (route.as_str(), customer.as_str());
        let counts = (flow.taken_in, flow.delivered, flow.failed, flow.other);
        insert.execute((step(now), route, customer, counts.0, counts.1, counts.2, counts.3))?;
        if flow.taken_in > 0 {
            last.execute((route, customer, now.as_millis()))?;
        }
    }
    Ok(())
}

fn flow(c: &Connection, since: Timestamp) -> rusqlite::Result<Vec<FlowStep>> {
    c.prepare_cached(
        "SELECT at, route, customer, taken_in, delivered, failed, other FROM flow WHERE at >= ?1 \
         ORDER BY at, route, customer",
    )?
    .query_map([step(since)], |row| {
        Ok(FlowStep {
            at: Timestamp::from_millis(row.get(0)?),
            route: parsed(row, 1)?,
            customer: parsed(row, 2)?,
            flow: Flow {
                taken_in: row.get(3)?,
                delivered: row.get(4)?,
                failed: row.get(5)?,
                other: row.get(6)?,
            },
        })
    })?
    .collect()
}

fn last_came(c: &Connection) -> rusqlite::Result<Vec<LastCame>> {
    c.prepare_cached("SELECT route, customer, at FROM flow_last ORDER BY route, customer")?
        .query_map([], |row| {
            let at = Timestamp::from_millis(row.get(2)?);
            Ok(LastCame { route: parsed(row, 0)?, customer: parsed(row, 1)?, at })
        })?
        .collect()
}

/// One look at the index for each place.
const OLDEST_READY: &str = "WITH RECURSIVE place (route, lane, customer) AS ( \
       SELECT * FROM (SELECT route, lane, customer FROM message INDEXED BY message_ready WHERE state = 1 \
         ORDER BY route, lane, customer LIMIT 1) \
       UNION ALL \
       SELECT m.route, m.lane, m.customer FROM place JOIN message m ON m.row = ( \
         SELECT row FROM message INDEXED BY message_ready \
         WHERE state = 1 AND (route, lane, customer) > (place.route, place.lane, place.customer) \
         ORDER BY route, lane, customer LIMIT 1)) \
     SELECT place.route, place.lane, place.customer, ( \
       SELECT max(accepted_at, coalesce(send_at, 0)) FROM message INDEXED BY message_ready WHERE state = 1 \
         AND route = place.route AND lane = place.lane AND customer = place.customer ORDER BY row LIMIT 1) FROM place";

const OLDEST_RETRYING: &str = "SELECT route, lane, customer, min(since) FROM ( \
       SELECT route, lane, customer, state, max(accepted_at, coalesce(send_at, 0)) AS since \
         FROM message INDEXED BY message_wake WHERE state IN (1, 2, 4) ORDER BY wake_at LIMIT 10000) \
     WHERE state = 4 GROUP BY route, lane, customer";

fn oldest(c: &Connection) -> rusqlite::Result<Vec<Oldest>> {
    let mut all = Vec::new();
    for query in [OLDEST_READY, OLDEST_RETRYING] {
        let found = c
            .prepare_cached(query)?
            .query_map([], |row| {
                let lane = if row.get::<_, u8>(1)? == 0 { Lane::Express } else { Lane::Bulk };
                let since = row.get::<_, Option<i64>>(3)?.map(Timestamp::from_millis);
                Ok((parsed(row, 0)?, lane, parsed(row, 2)?, since))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        all.extend(found.into_iter().filter_map(|(route, lane, customer, since)| {
            Some(Oldest { route, lane, customer, since: since? })
        }));
    }
    Ok(all)
}

fn take_turn(c: &Connection, now: Timestamp, period: Duration) -> rusqlite::Result<Option<Timestamp>> {
    let since = c
        .prepare_cached(
            "INSERT INTO alarm_turn (one, until, since) VALUES (1, ?2, ?1) ON CONFLICT DO UPDATE SET until = ?2, \
             since = iif(until < ?1 - ?3, ?1, since) WHERE until <= ?1 RETURNING since",
        )?
        .query_row((now.as_millis(), now.plus(period).as_millis(), millis(GAP)), |row| row.get(0))
        .optional()?;
    if since.is_some() {
        c.prepare_cached("DELETE FROM flow WHERE at < ?1")?.execute([step(now.minus(FLOW_KEPT * 2))])?;
    }
    Ok(since.map(Timestamp::from_millis))
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn raised(c: &Connection) -> rusqlite::Result<Vec<Raised>> {
    c.prepare_cached("SELECT alarm, subject, raised_at, calm_since, data FROM alarm ORDER BY alarm, subject")?
        .query_map([], |row| {
            Ok(Raised {
                alarm: row.get(0)?,
                subject: row.get(1)?,
                raised_at: Timestamp::from_millis(row.get(2)?),
                calm_since: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_millis),
                data: serde_json::from_str(row.get_ref(4)?.as_str()?).map_err(wrong)?,
            })
        })?
        .collect()
}

fn change(
    c: &Connection,
    changes: Vec<AlarmChange>,
    emit: bool,
    now: Timestamp,
) -> rusqlite::Result<Vec<AlarmChange>> {
    let mut done = Vec::new();
    for change in changes {
        let (changed, event) = match &change {
            AlarmChange::Raise(raised, event) => {
                let mut insert = c.prepare_cached(
                    "INSERT INTO alarm (alarm, subject, raised_at, data) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                )?;
                let data = raised.data.to_string();
                let row = (&raised.alarm, &raised.subject, raised.raised_at.as_millis(), data);
                (insert.execute(row)?, Some(event))
            }
            AlarmChange::Calm(raised, since) => {
                let mut update = c.prepare_cached(
                    "UPDATE alarm SET calm_since = ?4 WHERE alarm = ?1 AND subject = ?2 AND raised_at = ?3",
                )?;
                let since = since.map(Timestamp::as_millis);
                let of = params![raised.alarm, raised.subject, raised.raised_at.as_millis(), since];
                (update.execute(of)?, None)
            }
            AlarmChange::Clear(raised, event) => {
                let mut delete = c.prepare_cached(
                    "DELETE FROM alarm WHERE alarm = ?1 AND subject = ?2 AND raised_at = ?3",
                )?;
                let of = (&raised.alarm, &raised.subject, raised.raised_at.as_millis());
                (delete.execute(of)?, Some(event))
            }
        };
        if changed == 0 {
            continue;
        }
        if let Some(event) = event.filter(|_| emit) {
            put(c, event, now)?;
        }
        done.push(change);
    }
    Ok(done)
}

fn put(c: &Connection, event: &Event, now: Timestamp) -> rusqlite::Result<()> {
    let text = serde_json::to_string(event)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    c.prepare_cached(
        "INSERT INTO outbox (free_at, event, event_id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    )?
    .execute((now.as_millis(), text, &event.id))?;
    Ok(())
}

fn wrong(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
}

fn parsed<T>(row: &Row<'_>, index: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.get_ref(index)?.as_str()?.parse().map_err(wrong)
}
