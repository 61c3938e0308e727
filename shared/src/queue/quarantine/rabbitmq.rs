//! What was set aside on RabbitMQ: a queue beside each lane's, from which messages are taken and held while somebody looks.

use std::sync::Arc;

use async_trait::async_trait;
use lapin::types::AMQPValue;

use super::{
    super::{Outgoing, QueueError, QueueName, RabbitMqQueue, Receipt, rabbitmq::ForeignReceipt},
    Aside, Quarantine, SetAside,
};
use crate::{
    domain::{CustomerId, Envelope, Timestamp},
    rabbitmq::{Broker, Browse, Held, Trouble},
};

/// See the module.
pub struct RabbitMqQuarantine {
    broker: Arc<Broker>,
    queue: Arc<RabbitMqQueue>,
}

impl RabbitMqQuarantine {
    /// On this broker.
    #[must_use]
    pub fn new(broker: Arc<Broker>) -> Self {
        Self { queue: Arc::new(RabbitMqQueue::new(Arc::clone(&broker))), broker }
    }
}

fn failed(trouble: Trouble) -> QueueError {
    QueueError(Box::new(trouble))
}

#[async_trait]
impl Quarantine for RabbitMqQuarantine {
    async fn aside(&self, queue: &QueueName) -> Result<Box<dyn Aside>, QueueError> {
        let name = self.broker.names().packs(queue);
        let browse = self.broker.browse_quarantine(&name).await.map_err(failed)?;
        Ok(Box::new(RabbitMqAside { browse, to: Arc::clone(&self.queue), queue: queue.clone() }))
    }
}

struct RabbitMqAside {
    browse: Browse,
    to: Arc<RabbitMqQueue>,
    queue: QueueName,
}

fn shown(held: Held) -> SetAside {
    let header = |name: &str| {
        let value = held.properties.headers().as_ref()?.inner().get(name)?;
        match value {
            AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
            AMQPValue::ShortString(text) => Some(text.to_string()),
            _ => None,
        }
    };
    let seconds = held.properties.timestamp().and_then(|seconds| i64::try_from(seconds).ok());
    SetAside {
        receipt: Receipt(held.tag.to_string().into()),
        reason: header("naru-reason").unwrap_or_else(|| "it does not say".to_owned()),
        at: seconds.map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1_000))),
        envelope: Envelope(held.body),
    }
}

fn tag(pack: &SetAside) -> Result<u64, QueueError> {
    pack.receipt.0.parse().map_err(|_| QueueError(Box::new(ForeignReceipt)))
}

#[async_trait]
impl Aside for RabbitMqAside {
    async fn next(&mut self, max: usize) -> Result<Vec<SetAside>, QueueError> {
        let mut found = Vec::new();
        while found.len() < max
            && let Some(held) = self.browse.next().await.map_err(failed)?
        {
            found.push(shown(held));
        }
        Ok(found)
    }

    /// Published with a confirm, then acknowledged.
    async fn readmit(&mut self, pack: &SetAside, group: &CustomerId) -> Result<bool, QueueError> {
        let tag = tag(pack)?;
        let (queue, envelope) = (self.queue.clone(), pack.envelope.clone());
        let pack = Outgoing { queue, group: group.clone(), envelope };
        self.to.put_back(pack).await.map_err(failed)?;
        self.browse.ack(tag).await.map_err(failed)?;
        Ok(true)
    }

    async fn discard(&mut self, pack: &SetAside) -> Result<(), QueueError> {
        let tag = tag(pack)?;
        self.browse.ack(tag).await.map_err(failed)
    }

    async fn close(self: Box<Self>) -> Result<bool, QueueError> {
        self.browse.close().await.map_err(failed)?;
        Ok(true)
    }
}
