//! The operator's hand where a mistake concerns many messages.

use async_trait::async_trait;

use super::{PostgresLedger, dead, erase, stops};
use crate::{
    domain::{IncarnationId, Timestamp},
    ledger::{
        DeadFilter, DeadPage, Erased, Erasure, LedgerError, LedgerMends, Redrive, Redriven, StopCounts,
        StopEnd, StopOrder, StopPhase, StopRule, Swept, acts,
    },
};

#[async_trait]
impl LedgerMends for PostgresLedger {
    async fn stop(&self, order: StopOrder) -> Result<StopRule, LedgerError> {
        let made = self.act(
            "stop",
            &order,
            |c, order| Box::pin(stops::stop(c, order)),
            |_order, rule| Some(acts::ordered(rule)),
        );
        Ok(made.await?)
    }

    async fn stops(&self, number: Option<i64>) -> Result<Vec<StopRule>, LedgerError> {
        Ok(self.database.read("stops", &number, |c, number| Box::pin(stops::stops(c, *number))).await?)
    }

    async fn mark(&self) -> Result<i64, LedgerError> {
        Ok(self.database.read("mark", &(), |c, ()| Box::pin(stops::mark(c))).await?)
    }

    async fn is_past(&self, mark: i64) -> Result<bool, LedgerError> {
        Ok(self.database.read("oldest", &(), |c, ()| Box::pin(stops::oldest(c))).await? >= mark)
    }

    async fn sweep(
        &self,
        number: i64,
        from: Option<i64>,
        max: usize,
        now: Timestamp,
    ) -> Result<Swept, LedgerError> {
        let call = (number, from, max, now, self.now());
        let swept = self.database.transact("sweep", &call, |c, (number, from, max, now, clock)| {
            Box::pin(stops::sweep(c, *number, *from, *max, *now, *clock))
        });
        Ok(self.told(swept.await?))
    }

    async fn note_flights(&self, number: i64) -> Result<(), LedgerError> {
        let noted = self
            .database
            .transact("note-flights", &number, |c, number| Box::pin(stops::note_flights(c, *number)));
        Ok(noted.await?)
    }

    async fn flights(&self, number: i64) -> Result<Vec<(IncarnationId, u64)>, LedgerError> {
        Ok(self.database.read("flights", &number, |c, number| Box::pin(stops::flights(c, *number))).await?)
    }

    async fn stand(&self, number: i64) -> Result<(), LedgerError> {
        let stands = self.database.statement("stand", &number, |c, number| {
            Box::pin(stops::move_on(c, *number, &[StopPhase::Sweeping], StopPhase::Standing))
        });
        Ok(stands.await?)
    }

    async fn stop_counts(&self, number: i64) -> Result<StopCounts, LedgerError> {
        Ok(self
            .database
            .read("stop-counts", &number, |c, number| Box::pin(stops::counts(c, *number)))
            .await?)
    }

    async fn stop_ends(&self, number: i64, end: StopEnd) -> Result<Option<StopPhase>, LedgerError> {
        let call = (number, end);
        let ends = self.act(
            "stop-ends",
            &call,
            |c, (number, end)| Box::pin(stops::ends(c, *number, *end)),
            |(number, end), phase| acts::ended(*number, *end, *phase),
        );
        Ok(ends.await?)
    }

    async fn release(
        &self,
        number: i64,
        max: usize,
        now: Timestamp,
        emit: bool,
    ) -> Result<usize, LedgerError> {
        let release = stops::Release { number, max, now, emit, clock: self.now() };
        let released =
            self.database.transact("release", &release, |c, release| Box::pin(stops::release(c, release)));
        Ok(self.told(released.await?))
    }

    async fn stop_over(&self, number: i64, now: Timestamp) -> Result<(), LedgerError> {
        let call = (number, now);
        let over = self
            .database
            .transact("stop-over", &call, |c, (number, now)| Box::pin(stops::over(c, *number, *now)));
        Ok(over.await?)
    }

    async fn dead(
        &self,
        filter: &DeadFilter,
        from: Option<i64>,
        max: usize,
    ) -> Result<DeadPage, LedgerError> {
        let call = (filter, from, max);
        let page = self
            .database
            .read("dead", &call, |c, (filter, from, max)| Box::pin(dead::dead(c, filter, *from, *max)));
        Ok(page.await?)
    }

    async fn redrive(&self, redrive: Redrive) -> Result<Vec<Redriven>, LedgerError> {
        let call = (redrive, self.now());
        let done = self.act(
            "redrive",
            &call,
            |c, (redrive, clock)| Box::pin(dead::redrive(c, redrive, *clock)),
            |(redrive, _), (done, _news)| acts::redriven(redrive, done),
        );
        Ok(self.told(done.await?))
    }

    async fn erase(&self, erasure: &Erasure, from: Option<i64>) -> Result<Erased, LedgerError> {
        let call = (erasure, from, self.now());
        let done = self.act(
            "erase",
            &call,
            |c, (erasure, from, clock)| Box::pin(erase::erase(c, erasure, *from, *clock)),
            |(erasure, ..), (done, _news)| acts::erased(erasure, done),
        );
        Ok(self.told(done.await?))
    }
}
