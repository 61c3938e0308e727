//! Around the queue.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use naru_shared::queue::{
    Capabilities, Delivery, Depth, Outgoing, PublishError, Queue, QueueError, QueueName, Receipt,
};

use super::{Fuse, Window};

/// Passes the window between the confirm and the answer.
pub(super) struct Fused {
    pub inner: Arc<dyn Queue>,
    pub fuse: Arc<Fuse>,
}

/// Acknowledges what it hands out.
pub(super) struct EarlyAck {
    pub inner: Arc<dyn Queue>,
}

#[async_trait]
impl Queue for Fused {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn publish(&self, packs: Vec<Outgoing>) -> Vec<Result<(), PublishError>> {
        let results = self.inner.publish(packs).await;
        self.fuse.pass(Window::ConfirmToAnswer);
        results
    }

    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        self.inner.receive(queue, max, wait).await
    }

    async fn ack(&self, queue: &QueueName, receipts: Vec<Receipt>) -> Vec<Result<(), QueueError>> {
        self.fuse.pass(Window::CommitToAck);
        self.inner.ack(queue, receipts).await
    }

    async fn release(&self, queue: &QueueName, receipt: Receipt, after: Duration) -> Result<(), QueueError> {
        self.inner.release(queue, receipt, after).await
    }

    async fn quarantine(&self, queue: &QueueName, receipt: Receipt, reason: &str) -> Result<(), QueueError> {
        self.inner.quarantine(queue, receipt, reason).await
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth, QueueError> {
        self.inner.depth(queue).await
    }

    async fn leave(&self, queue: &QueueName) {
        self.inner.leave(queue).await;
    }
}

#[async_trait]
impl Queue for EarlyAck {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn publish(&self, packs: Vec<Outgoing>) -> Vec<Result<(), PublishError>> {
        self.inner.publish(packs).await
    }

    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let deliveries = self.inner.receive(queue, max, wait).await?;
        let receipts = deliveries.iter().map(|delivery| delivery.receipt.clone()).collect();
        for result in self.inner.ack(queue, receipts).await {
            result?;
        }
        // Time enough for a kill to come between.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(deliveries)
    }

    /// Done already; a broker ends the channel of whoever says so twice.
    async fn ack(&self, _queue: &QueueName, receipts: Vec<Receipt>) -> Vec<Result<(), QueueError>> {
        receipts.iter().map(|_| Ok(())).collect()
    }

    /// It cannot be given back any more.
    async fn release(
        &self,
        _queue: &QueueName,
        _receipt: Receipt,
        _after: Duration,
    ) -> Result<(), QueueError> {
        Ok(())
    }

    async fn quarantine(&self, queue: &QueueName, receipt: Receipt, reason: &str) -> Result<(), QueueError> {
        self.inner.quarantine(queue, receipt, reason).await
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth, QueueError> {
        self.inner.depth(queue).await
    }

    async fn leave(&self, queue: &QueueName) {
        self.inner.leave(queue).await;
    }
}
