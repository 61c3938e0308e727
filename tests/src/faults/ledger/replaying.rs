//! Late words about attempts: every settlement is said again after a while.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use naru_shared::{
    domain::{Next, Timestamp},
    ledger::{Ledger, LedgerError, RowRef, Settled, Settlement, TakeRequest, Taken, Work},
};
use parking_lot::Mutex;

use super::Twist;

/// Says again, when the next attempt of a message begins, what the last one came to. Unfenced, it says so in the name of
/// the current attempt, as a ledger without a fence would hear it; fenced, in the name of the attempt it speaks of.
pub(in crate::faults) struct Replaying {
    fenced: bool,
    said: Mutex<HashMap<RowRef, Settlement>>,
}

impl Replaying {
    pub(in crate::faults) fn new(fenced: bool) -> Self {
        Self { fenced, said: Mutex::default() }
    }

    /// What was said of the last attempt of these, as it will be said again.
    fn echoes(&self, work: &[Work]) -> Vec<Settlement> {
        let mut said = self.said.lock();
        let again = work.iter().filter_map(|work| {
            let old = said.remove(&work.row)?;
            let attempt = if self.fenced { old.attempt } else { work.attempt };
            Some(Settlement { attempt, ..old })
        });
        again.collect()
    }
}

#[async_trait]
impl Twist for Replaying {
    async fn take(&self, inner: &Arc<dyn Ledger>, request: TakeRequest) -> Result<Taken, LedgerError> {
        let (now, emit) = (request.now, request.emit);
        let taken = inner.take(request).await?;
        let echoes = self.echoes(&taken.work);
        if !echoes.is_empty() {
            let inner = Arc::clone(inner);
            tokio::spawn(async move {
                // Meanwhile the attempt has begun.
                tokio::time::sleep(Duration::from_millis(2)).await;
                if let Err(error) = inner.settle(echoes, now, emit).await {
                    tracing::error!(%error, "a late word was not heard");
                }
            });
        }
        Ok(taken)
    }

    async fn settle(
        &self,
        inner: &Arc<dyn Ledger>,
        batch: Vec<Settlement>,
        now: Timestamp,
        emit: bool,
    ) -> Result<Vec<Settled>, LedgerError> {
        let again = batch.iter().filter(|settlement| matches!(settlement.next, Next::Retry { .. }));
        self.said.lock().extend(again.map(|settlement| (settlement.row, settlement.clone())));
        inner.settle(batch, now, emit).await
    }
}
