//! A queue that fails as it is told, around the real one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use naru_shared::queue::{
    Capabilities, Delivery, Depth, Outgoing, PublishError, Queue, QueueError, QueueName, Receipt,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    None,
    /// Writes nothing and says so.
    Refuse,
    /// Writes, and the answer is lost.
    LoseAnswer,
    /// Writes after a second.
    Slow,
    /// Never answers, never writes.
    Hang,
}

pub struct Faulty {
    inner: Arc<dyn Queue>,
    fault: AtomicU8,
    /// Packs of each publish that reached the engine, in sum, and publishes.
    pub packs: AtomicUsize,
    pub publishes: AtomicUsize,
}

impl Faulty {
    pub fn around(inner: Arc<dyn Queue>) -> Arc<Self> {
        let (packs, publishes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { inner, fault: AtomicU8::new(0), packs, publishes })
    }

    pub fn set(&self, fault: Fault) {
        self.fault.store(fault as u8, Ordering::SeqCst);
    }
}

#[async_trait]
impl Queue for Faulty {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn publish(&self, packs: Vec<Outgoing>) -> Vec<Result<(), PublishError>> {
        let fault = self.fault.load(Ordering::SeqCst);
        if fault == Fault::Refuse as u8 {
            return packs.iter().map(|_| Err(PublishError::Refused("told so".into()))).collect();
        }
        if fault == Fault::Hang as u8 {
            std::future::pending::<()>().await;
        }
        if fault == Fault::Slow as u8 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.packs.fetch_add(packs.len(), Ordering::SeqCst);
        self.publishes.fetch_add(1, Ordering::SeqCst);
        let results = self.inner.publish(packs).await;
        if fault == Fault::LoseAnswer as u8 {
            return results.iter().map(|_| Err(PublishError::Unknown("told so".into()))).collect();
        }
        results
    }

    async fn receive(&self, q: &QueueName, max: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        self.inner.receive(q, max, wait).await
    }

    async fn ack(&self, q: &QueueName, receipts: Vec<Receipt>) -> Vec<Result<(), QueueError>> {
        self.inner.ack(q, receipts).await
    }

    async fn release(&self, q: &QueueName, receipt: Receipt, after: Duration) -> Result<(), QueueError> {
        self.inner.release(q, receipt, after).await
    }

    async fn quarantine(&self, q: &QueueName, receipt: Receipt, reason: &str) -> Result<(), QueueError> {
        self.inner.quarantine(q, receipt, reason).await
    }

    async fn depth(&self, q: &QueueName) -> Result<Depth, QueueError> {
        self.inner.depth(q).await
    }

    async fn leave(&self, q: &QueueName) {
        self.inner.leave(q).await;
    }
}
