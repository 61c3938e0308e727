//! The operator's questions and decisions.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use async_trait::async_trait;
use sqlx::{PgConnection, Row as _};

use super::{
    PostgresLedger,
    dossier::{dossier, tombstone},
    find::{LOOKED, find},
    opt_outs,
    rows::{bytes, lane, parsed, read_all, state},
    settle::LOCK,
    stops,
    tally::{forgotten_before, tally},
    write::{self, sorted},
};
use crate::{
    domain::{Account, CustomerId, MessageId, State, Timestamp},
    ledger::{
        Dossier, Found, LaneStatus, LedgerDesk, LedgerError, Resolution, RowRef, Search, TallyCursor,
        TallyPage, TallyRange, acts,
        book::{How, News, Page},
    },
    postgres::PgError,
};

#[async_trait]
impl LedgerDesk for PostgresLedger {
    async fn dossier(&self, id: MessageId) -> Result<Option<Dossier>, LedgerError> {
        Ok(self.database.read("dossier", &id, |c, id| Box::pin(dossier(c, *id))).await?)
    }

    async fn tombstone(&self, id: MessageId) -> Result<Option<(Account, Timestamp)>, LedgerError> {
        Ok(self.database.read("tombstone", &id, |c, id| Box::pin(tombstone(c, *id))).await?)
    }

    async fn tally(&self, range: TallyRange, from: Option<TallyCursor>) -> Result<TallyPage, LedgerError> {
        let call = (range, from, self.now());
        let page = self
            .database
            .read("tally", &call, |c, (range, from, now)| Box::pin(tally(c, range, *from, *now)));
        Ok(page.await?)
    }

    async fn forgotten_before(&self) -> Result<Option<Timestamp>, LedgerError> {
        Ok(self.database.read("forgotten", &(), |c, ()| Box::pin(forgotten_before(c))).await?)
    }

    async fn find(&self, search: Search) -> Result<Found, LedgerError> {
        Ok(self.database.read("find", &search, |c, search| Box::pin(find(c, search, LOOKED))).await?)
    }

    async fn resolve(
        &self,
        ids: Vec<MessageId>,
        resolution: Resolution,
        now: Timestamp,
        emit: bool,
    ) -> Result<Vec<MessageId>, LedgerError> {
        let call = (ids, resolution, now, emit, self.clock.now());
        let resolved = self.act(
            "resolve",
            &call,
            |c, (ids, resolution, now, emit, clock)| {
                Box::pin(resolve(c, ids, *resolution, *now, *emit, *clock))
            },
            |(_, resolution, ..), (decided, _news)| acts::resolved(*resolution, decided),
        );
        let (decided, news) = resolved.await?;
        self.memory.tell(&news);
        Ok(decided)
    }

    async fn lanes(&self, apart: Arc<BTreeSet<CustomerId>>) -> Result<Vec<LaneStatus>, LedgerError> {
        Ok(self.database.read("lanes", &apart, |c, apart| Box::pin(lanes(c, apart))).await?)
    }

    async fn audit_usage(&self) -> Result<Vec<CustomerId>, LedgerError> {
        Ok(self.database.read("audit", &(), |c, ()| Box::pin(audit_usage(c))).await?)
    }
}

async fn resolve(
    connection: &mut PgConnection,
    ids: &[MessageId],
    resolution: Resolution,
    now: Timestamp,
    emit: bool,
    clock: Timestamp,
) -> Result<(Vec<MessageId>, News), PgError> {
    let order = sorted(ids.iter().map(|id| RowRef { row: 0, id: *id }));
    let locked = sqlx::query(LOCK).bind(bytes(&order)).fetch_all(&mut *connection).await?;
    let mut rows = read_all(&locked)?;
    rows.retain(|row| row.state == State::Held);
    let mut page = Page::new(clock);
    let out = match resolution {
        Resolution::Retry => opt_outs::of_rows(connection, &rows).await?,
        _ => HashSet::new(),
    };
    for row in &mut rows {
        if out.contains(&row.at.id) {
            page.opted_out(row, now, emit);
            continue;
        }
        page.resolve(row, resolution, now, emit);
        if row.state.is_waiting() {
            page.joins(row);
        }
    }
    stops::stop_some(connection, &mut page, &mut rows, How::CameBack, now).await?;
    write::save(connection, &rows).await?;
    let news = write::page(connection, page).await?;
    Ok((rows.into_iter().map(|row| row.at.id).collect(), news))
}

/// One question for each state that has an index of its own, so that what has ended is never read.
const LANES: &str = "\
    SELECT route, lane, state, CASE WHEN customer = ANY($1) THEN customer END, count(*), min(accepted_at) FROM message \
      WHERE state = 1 GROUP BY 1, 2, 3, 4 \
    UNION ALL SELECT route, lane, state, NULL, count(*), min(accepted_at) FROM message \
      WHERE state IN (1, 2, 4) AND state <> 1 GROUP BY 1, 2, 3 \
    UNION ALL SELECT route, lane, state, NULL, count(*), min(accepted_at) FROM message WHERE state = 3 GROUP BY 1, 2, 3 \
    UNION ALL SELECT route, lane, state, NULL, count(*), min(accepted_at) FROM message \
      WHERE state IN (5, 6) GROUP BY 1, 2, 3 \
    UNION ALL SELECT route, lane, state, NULL, count(*), min(accepted_at) FROM message WHERE state = 7 GROUP BY 1, 2, 3 \
    ORDER BY 1, 2, 3, 4 NULLS FIRST";

async fn lanes(
    connection: &mut PgConnection,
    apart: &BTreeSet<CustomerId>,
) -> Result<Vec<LaneStatus>, PgError> {
    let apart: Vec<&str> = apart.iter().map(CustomerId::as_str).collect();
    let rows = sqlx::query(LANES).bind(apart).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let customer: Option<&str> = row.try_get(3)?;
            Ok(LaneStatus {
                route: parsed(row, 0)?,
                lane: lane(row, 1)?,
                state: state(row, 2)?,
                customer: customer.map(|_name| parsed(row, 3)).transpose()?,
                messages: u64::try_from(row.try_get::<i64, _>(4)?).unwrap_or(0),
                oldest: row.try_get::<Option<i64>, _>(5)?.map(Timestamp::from_millis),
            })
        })
        .collect()
}

/// Days of which messages have been forgotten cannot be audited any more.
const AUDIT: &str = "WITH since AS (SELECT coalesce(max(value), 0)::integer AS day FROM meta WHERE name = 'audited_after'), \
     charged AS (SELECT customer, day, channel, units FROM message WHERE charge IN (1, 2) \
       UNION ALL SELECT customer, day, channel, units FROM archive WHERE charge IN (1, 2)), \
     fact AS (SELECT customer, day, channel, sum(units) AS units FROM charged \
       WHERE day > (SELECT day FROM since) GROUP BY 1, 2, 3), \
     book AS (SELECT customer, day, channel, used - credited AS units FROM usage WHERE day > (SELECT day FROM since)) \
     SELECT DISTINCT customer FROM fact FULL JOIN book USING (customer, day, channel) \
     WHERE coalesce(fact.units, 0) <> coalesce(book.units, 0) ORDER BY customer";

async fn audit_usage(connection: &mut PgConnection) -> Result<Vec<CustomerId>, PgError> {
    let rows = sqlx::query(AUDIT).fetch_all(connection).await?;
    rows.iter().map(|row| parsed(row, 0)).collect()
}
