//! The port `topic`: fan-out. Every subscription is a queue with its own copy of each event.

mod rabbitmq;
mod sns;
mod sqlite;

use std::time::Duration;

use async_trait::async_trait;
pub use rabbitmq::RabbitMqTopic;
pub use sns::{InvalidSnsSettings, SnsSettings, SnsTopic};
pub(crate) use sqlite::SCHEMA;
pub use sqlite::SqliteTopic;

use crate::{
    domain::{Event, SubscriptionName},
    queue::Receipt,
};

/// An event in the hands of a subscriber.
#[derive(Debug, Clone)]
pub struct EventDelivery {
    /// To acknowledge it with.
    pub receipt: Receipt,
    /// What happened.
    pub event: Event,
}

/// The topic did not answer, or not as it should. Try again with back-off; an event published twice has one id.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// The engine is away.
    #[error("the topic is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is no subscription of that name.
    #[error("there is no subscription `{0}`")]
    Unknown(SubscriptionName),
}

/// Copies every event to every subscription, each of which receives it at least once.
#[async_trait]
pub trait Topic: Send + Sync + 'static {
    /// Makes a subscription; it receives what is published from now on. Idempotent.
    async fn subscribe(&self, name: &SubscriptionName) -> Result<(), TopicError>;

    /// Whether [`Topic::subscribe`] would succeed, as far as can be told without making anything or listening to it: where somebody
    /// must have made its queue before, that is looked at.
    async fn may_subscribe(&self, _name: &SubscriptionName) -> Result<(), TopicError> {
        Ok(())
    }

    /// Ends a subscription and drops what it has not acknowledged. Idempotent.
    async fn unsubscribe(&self, name: &SubscriptionName) -> Result<(), TopicError>;

    /// Publishes events; one result for each, in order. `Ok` promises a durable copy for every subscription.
    async fn publish(&self, events: Vec<Event>) -> Vec<Result<(), TopicError>>;

    /// Receives up to `max` events, waiting up to `wait` for the first.
    async fn receive(
        &self,
        name: &SubscriptionName,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<EventDelivery>, TopicError>;

    /// Forgets events of this subscription; one result for each, in order. Idempotent.
    async fn ack(&self, name: &SubscriptionName, receipts: Vec<Receipt>) -> Vec<Result<(), TopicError>>;

    /// Events that a subscription has not acknowledged.
    async fn depth(&self, name: &SubscriptionName) -> Result<u64, TopicError>;
}
