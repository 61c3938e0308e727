//! The operator's questions and decisions. They may come from another process while the server runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use rusqlite::Connection;

use super::{
    SqliteLedger, backlog,
    change::{Change, by_id},
    dossier::{dossier, tombstone},
    find::{LOOKED, find},
    opt_outs, rows, stops,
    tally::{forgotten_before, tally},
};
use crate::{
    domain::{Account, CustomerId, Lane, MessageId, RouteName, State, Timestamp},
    ledger::{
        Dossier, Found, LaneStatus, LedgerDesk, LedgerError, Resolution, Search, StopPhase, TallyCursor,
        TallyPage, TallyRange, acts,
        book::{Charge, How, lane_number},
    },
};

#[async_trait]
impl LedgerDesk for SqliteLedger {
    async fn dossier(&self, id: MessageId) -> Result<Option<Dossier>, LedgerError> {
        Ok(self.db.read(move |c| dossier(c, id)).await?)
    }

    async fn tombstone(&self, id: MessageId) -> Result<Option<(Account, Timestamp)>, LedgerError> {
        Ok(self.db.read(move |c| tombstone(c, id)).await?)
    }

    async fn tally(&self, range: TallyRange, from: Option<TallyCursor>) -> Result<TallyPage, LedgerError> {
        Ok(self.db.read(move |c| tally(c, &range, from)).await?)
    }

    async fn forgotten_before(&self) -> Result<Option<Timestamp>, LedgerError> {
        Ok(self.db.read(forgotten_before).await?)
    }

    async fn find(&self, search: Search) -> Result<Found, LedgerError> {
        Ok(self.db.read(move |c| find(c, &search, LOOKED)).await?)
    }

    async fn resolve(
        &self,
        ids: Vec<MessageId>,
        resolution: Resolution,
        now: Timestamp,
        emit: bool,
    ) -> Result<Vec<MessageId>, LedgerError> {
        let decide = move |change: &mut Change<'_>| {
            let rules = stops::rules(change.connection, StopPhase::Standing)?;
            let mut decided = Vec::new();
            for id in ids {
                if let Some(mut row) = by_id(change.connection, id)?.filter(|row| row.state == State::Held) {
                    if resolution == Resolution::Retry && opt_outs::is_out(change.connection, &row)? {
                        change.page.opted_out(&mut row, now, emit);
                    } else {
                        change.page.resolve(&mut row, resolution, now, emit);
                    }
                    if row.state.is_waiting() {
                        change.page.joins(&row);
                        change.page.stop_if(&mut row, &rules, How::CameBack, now);
                    }
                    change.save(&row)?;
                    decided.push(id);
                }
            }
            backlog::drift(change)?;
            Ok(decided)
        };
        self.act(decide, move |decided: &Vec<MessageId>| acts::resolved(resolution, decided)).await
    }

    async fn lanes(&self, apart: Arc<BTreeSet<CustomerId>>) -> Result<Vec<LaneStatus>, LedgerError> {
        Ok(self.db.read(move |c| lanes(c, &apart)).await?)
    }

    async fn audit_usage(&self) -> Result<Vec<CustomerId>, LedgerError> {
        Ok(self.db.read(audit_usage).await?)
    }
}

/// One question for each state that has an index of its own, so that what has ended is never read.
const LANES: &str = "\
    SELECT route, lane, 1, customer, count(*), min(accepted_at) FROM message INDEXED BY message_ready \
      WHERE state = 1 GROUP BY route, lane, customer \
    UNION ALL SELECT route, lane, state, '', count(*), min(accepted_at) FROM message INDEXED BY message_wake \
      WHERE state IN (1, 2, 4) AND state <> 1 GROUP BY route, lane, state \
    UNION ALL SELECT route, lane, 3, '', count(*), min(accepted_at) FROM message INDEXED BY message_sending \
      WHERE state = 3 GROUP BY route, lane \
    UNION ALL SELECT route, lane, 5, '', count(*), min(accepted_at) FROM message INDEXED BY message_held \
      WHERE state = 5 GROUP BY route, lane \
    UNION ALL SELECT route, lane, 6, '', count(*), min(accepted_at) FROM message INDEXED BY message_stopped \
      WHERE state = 6 GROUP BY route, lane \
    UNION ALL SELECT route, lane, 7, '', count(*), min(accepted_at) FROM message INDEXED BY message_sent \
      WHERE state = 7 GROUP BY route, lane";

fn lanes(connection: &Connection, apart: &BTreeSet<CustomerId>) -> rusqlite::Result<Vec<LaneStatus>> {
    // Summed here: one row for each customer comes from the index in its order, without a sort of every waiting row.
    let mut sums: BTreeMap<_, (Lane, State, u64, Option<Timestamp>)> = BTreeMap::new();
    let mut select = connection.prepare_cached(LANES)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let customer = apart.get(row.get_ref(3)?.as_str()?).cloned();
        let (lane, state) = (rows::lane(row, 1)?, rows::state(row, 2)?);
        let place = (rows::parsed::<RouteName>(row, 0)?, lane_number(lane), state.as_u8(), customer);
        let oldest = row.get::<_, Option<i64>>(5)?.map(Timestamp::from_millis);
        let sum = sums.entry(place).or_insert((lane, state, 0, None));
        sum.2 += row.get::<_, u64>(4)?;
        sum.3 = sum.3.into_iter().chain(oldest).min();
    }
    let lanes = sums.into_iter().map(|((route, _, _, customer), (lane, state, messages, oldest))| {
        LaneStatus { route, lane, state, customer, messages, oldest }
    });
    Ok(lanes.collect())
}

fn audit_usage(connection: &Connection) -> rusqlite::Result<Vec<CustomerId>> {
    connection
        .prepare_cached(
            "WITH fact AS ( \
               SELECT customer, day, channel, sum(units) AS units FROM message \
               WHERE charge IN (?1, ?2) GROUP BY customer, day, channel), \
             book AS (SELECT customer, day, channel, used - credited - forgotten AS units FROM usage) \
             SELECT DISTINCT customer FROM ( \
               SELECT coalesce(fact.customer, book.customer) AS customer \
               FROM fact FULL JOIN book USING (customer, day, channel) \
               WHERE coalesce(fact.units, 0) <> coalesce(book.units, 0)) ORDER BY customer",
        )?
        .query_map([Charge::Reserved.as_u8(), Charge::Captured.as_u8()], |row| rows::parsed(row, 0))?
        .collect()
}
