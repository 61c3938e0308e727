//! Mixes messages up: of each pair that is recorded together, one gets the other's recipient.

use std::sync::Arc;

use async_trait::async_trait;
use naru_shared::{
    domain::Message,
    ledger::{IntakeBatch, IntakeDone, Ledger, LedgerError},
};

use super::Twist;

/// See the module.
pub(in crate::faults) struct Mixing;

#[async_trait]
impl Twist for Mixing {
    async fn intake(
        &self,
        inner: &Arc<dyn Ledger>,
        mut batch: IntakeBatch,
    ) -> Result<IntakeDone, LedgerError> {
        for pair in batch.entries.chunks_exact_mut(2) {
            let recipient = pair[1].message.content.recipient.clone();
            let mut mixed = Message::clone(&pair[0].message);
            mixed.content.recipient = recipient;
            pair[0].message = Arc::new(mixed);
        }
        inner.intake(batch).await
    }
}
