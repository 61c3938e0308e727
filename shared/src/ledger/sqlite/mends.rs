//! The operator's hand where a mistake concerns many messages. It works from another process while the server runs.

use async_trait::async_trait;

use super::{SqliteLedger, dead, erase, stops};
use crate::{
    domain::{IncarnationId, Timestamp},
    ledger::{
        DeadFilter, DeadPage, Erased, Erasure, LedgerError, LedgerMends, Redrive, Redriven, StopCounts,
        StopEnd, StopOrder, StopPhase, StopRule, Swept, acts,
    },
};

#[async_trait]
impl LedgerMends for SqliteLedger {
    async fn stop(&self, order: StopOrder) -> Result<StopRule, LedgerError> {
        self.act(move |change| stops::stop(change, order), |rule| Some(acts::ordered(rule))).await
    }

    async fn stops(&self, number: Option<i64>) -> Result<Vec<StopRule>, LedgerError> {
        Ok(self.db.read(move |c| stops::stops(c, number)).await?)
    }

    /// Changes follow one another: none is older than another and under way.
    async fn mark(&self) -> Result<i64, LedgerError> {
        Ok(0)
    }

    async fn is_past(&self, _mark: i64) -> Result<bool, LedgerError> {
        Ok(true)
    }

    async fn sweep(
        &self,
        number: i64,
        from: Option<i64>,
        max: usize,
        now: Timestamp,
    ) -> Result<Swept, LedgerError> {
        self.change(move |change| stops::sweep(change, number, from, max, now)).await
    }

    async fn note_flights(&self, number: i64) -> Result<(), LedgerError> {
        self.change(move |change| stops::note_flights(change, number)).await
    }

    async fn flights(&self, number: i64) -> Result<Vec<(IncarnationId, u64)>, LedgerError> {
        Ok(self.db.read(move |c| stops::flights(c, number)).await?)
    }

    async fn stand(&self, number: i64) -> Result<(), LedgerError> {
        self.change(move |change| stops::stand(change, number)).await
    }

    async fn stop_counts(&self, number: i64) -> Result<StopCounts, LedgerError> {
        Ok(self.db.read(move |c| stops::counts(c, number)).await?)
    }

    async fn stop_ends(&self, number: i64, end: StopEnd) -> Result<Option<StopPhase>, LedgerError> {
        let act = move |phase: &Option<StopPhase>| acts::ended(number, end, *phase);
        self.act(move |change| stops::ends(change, number, end), act).await
    }

    async fn release(
        &self,
        number: i64,
        max: usize,
        now: Timestamp,
        emit: bool,
    ) -> Result<usize, LedgerError> {
        self.change(move |change| stops::release(change, number, max, now, emit)).await
    }

    async fn stop_over(&self, number: i64, now: Timestamp) -> Result<(), LedgerError> {
        self.change(move |change| stops::over(change, number, now)).await
    }

    async fn dead(
        &self,
        filter: &DeadFilter,
        from: Option<i64>,
        max: usize,
    ) -> Result<DeadPage, LedgerError> {
        let filter = filter.clone();
        Ok(self.db.read(move |c| dead::dead(c, &filter, from, max)).await?)
    }

    async fn redrive(&self, redrive: Redrive) -> Result<Vec<Redriven>, LedgerError> {
        let told = redrive.clone();
        let act = move |done: &Vec<Redriven>| acts::redriven(&told, done);
        self.act(move |change| dead::redrive(change, &redrive), act).await
    }

    async fn erase(&self, erasure: &Erasure, from: Option<i64>) -> Result<Erased, LedgerError> {
        let (erasure, told) = (erasure.clone(), erasure.clone());
        let act = move |done: &Erased| acts::erased(&told, done);
        self.act(move |change| erase::erase(change, &erasure, from), act).await
    }
}
