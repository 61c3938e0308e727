//! The topic on RabbitMQ: a durable fanout exchange, and a quorum queue for each subscription bound to it.
//!
//! The broker confirms an event once every queue that is bound has it. Subscriptions that this process was told of are
//! declared again on each connection before anything is published over it, so that a broker which lost them (replaced,
//! restored from an older copy) does not swallow events unseen.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{EventDelivery, Topic, TopicError};
use crate::{
    domain::{Event, SubscriptionName},
    metrics,
    queue::Receipt,
    rabbitmq::{Broker, Inbox, Item, Mark, Message, Plan, Trouble, Unconfirmed, properties},
};

/// A topic on RabbitMQ.
pub struct RabbitMqTopic {
    broker: Arc<Broker>,
    visibility: Duration,
    /// Subscriptions that this process was told of.
    known: Mutex<BTreeSet<SubscriptionName>>,
    inboxes: Mutex<HashMap<SubscriptionName, Arc<End>>>,
}

/// A subscriber's end.
struct End {
    arrived: Arc<Notify>,
    inbox: Inbox,
}

/// A receipt of another engine, or none at all.
#[derive(Debug, thiserror::Error)]
#[error("not a receipt of this topic")]
struct ForeignReceipt;

impl RabbitMqTopic {
    /// How long a process leaves events in its own subscribers' hands.
    pub const VISIBILITY: Duration = Duration::from_secs(60);

    /// A topic on this broker. What is received and not acknowledged within `visibility` comes back.
    #[must_use]
    pub fn new(broker: Arc<Broker>, visibility: Duration) -> Self {
        Self { broker, visibility, known: Mutex::default(), inboxes: Mutex::default() }
    }

    fn plan(&self, name: &SubscriptionName) -> Plan {
        let names = self.broker.names();
        Plan::Bound { queue: names.subscription(name), exchange: names.events() }
    }

    fn end(&self, name: &SubscriptionName) -> Arc<End> {
        let mut inboxes = self.inboxes.lock();
        let made = inboxes.entry(name.clone()).or_insert_with(|| {
            let arrived = Arc::new(Notify::new());
            // It is made by subscribing, never by receiving.
            let plan = Plan::Existing(self.broker.names().subscription(name));
            Arc::new(End { inbox: self.broker.inbox(plan, 1, Arc::clone(&arrived)), arrived })
        });
        Arc::clone(made)
    }

    /// Everything that must be there before an event is published; whether somebody is known to listen.
    async fn prepare(&self, until: Instant) -> Result<bool, Trouble> {
        self.broker.ensure(&Plan::Exchange(self.broker.names().events()), until).await?;
        let known: Vec<Plan> = self.known.lock().iter().map(|name| self.plan(name)).collect();
        for plan in &known {
            self.broker.ensure(plan, until).await?;
        }
        Ok(!known.is_empty())
    }

    async fn put(&self, event: &Event, listened: bool, until: Instant) -> Result<(), TopicError> {
        let body = serde_json::to_vec(event).map_err(|error| TopicError::Unavailable(Box::new(error)))?;
        let message = Message {
            exchange: self.broker.names().events(),
            // A fanout exchange looks at no key; the kind is for people.
            key: event.kind.clone(),
            mandatory: listened,
            body: body.into(),
            properties: properties(&event.id, "application/cloudevents+json"),
            id: event.id.clone(),
        };
        let published = self.broker.publish(message, until).await;
        if let Err(Unconfirmed::NotTaken(Trouble::Missing)) = &published {
            // What listened has gone: it is declared again before the next event.
            let known: Vec<SubscriptionName> = self.known.lock().iter().cloned().collect();
            known.iter().for_each(|name| self.broker.forget(self.plan(name).queue()));
        }
        published.map_err(|unconfirmed| unavailable(unconfirmed.trouble()))
    }

    /// Puts what is no event where a person finds it. Anybody who may publish to the exchange can bring it here.
    async fn set_aside(&self, end: &End, mark: Mark, item: Item, error: &serde_json::Error) {
        tracing::error!(queue = end.inbox.queue(), %error, "what came is not an event; it is set aside");
        let kept = self.broker.set_aside(end.inbox.queue(), item, &error.to_string()).await;
        let settled: Result<(), Trouble> = match kept {
            Ok(()) => end.inbox.ack(vec![mark]).await.into_iter().collect(),
            Err(trouble) => Err(trouble),
        };
        if let Err(error) = settled {
            tracing::warn!(%error, "it could not be set aside; it comes back");
        }
    }
}

fn unavailable(trouble: Trouble) -> TopicError {
    TopicError::Unavailable(Box::new(trouble))
}

fn of(name: &SubscriptionName) -> impl Fn(Trouble) -> TopicError {
    let name = name.clone();
    move |trouble| match trouble {
        Trouble::Missing => TopicError::Unknown(name.clone()),
        other => unavailable(other),
    }
}

#[async_trait]
impl Topic for RabbitMqTopic {
    async fn subscribe(&self, name: &SubscriptionName) -> Result<(), TopicError> {
        let plan = self.plan(name);
        // It may have been deleted since it was declared over this connection.
        self.broker.forget(plan.queue());
        self.broker.ensure(&plan, self.broker.deadline()).await.map_err(unavailable)?;
        self.known.lock().insert(name.clone());
        Ok(())
    }

    async fn unsubscribe(&self, name: &SubscriptionName) -> Result<(), TopicError> {
        self.known.lock().remove(name);
        self.inboxes.lock().remove(name);
        self.broker.delete(self.plan(name).queue()).await.map_err(unavailable)
    }

    /// Each event is confirmed by itself, once every subscription's queue has it.
    async fn publish(&self, events: Vec<Event>) -> Vec<Result<(), TopicError>> {
        let until = self.broker.deadline();
        let listened = match self.prepare(until).await {
            Ok(listened) => listened,
            Err(trouble) => return events.iter().map(|_| Err(unavailable(trouble.clone()))).collect(),
        };
        join_all(events.iter().map(|event| self.put(event, listened, until))).await
    }

    async fn receive(
        &self,
        name: &SubscriptionName,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<EventDelivery>, TopicError> {
        let until = Instant::now() + wait;
        let end = self.end(name);
        if !end.inbox.is_consuming() {
            self.broker.existing(end.inbox.queue()).await.map_err(of(name))?;
        }
        let receiving = end.inbox.receive();
        loop {
            let mut arrived = std::pin::pin!(end.arrived.notified());
            arrived.as_mut().enable();
            let mut deliveries = Vec::new();
            for (mark, item) in receiving.take(max, Some(Instant::now() + self.visibility)) {
                match serde_json::from_slice(&item.body) {
                    Ok(event) => deliveries.push(EventDelivery { receipt: mark.receipt(), event }),
                    Err(error) => self.set_aside(&end, mark, item, &error).await,
                }
            }
            if !deliveries.is_empty() {
                return Ok(deliveries);
            }
            if let Some(trouble) = receiving.trouble() {
                metrics::RABBITMQ_ERRORS.of(&[("call", "receive")]).increment(1);
                return Err(of(name)(trouble));
            }
            if timeout_at(until, arrived).await.is_err() {
                return Ok(Vec::new());
            }
        }
    }

    /// A receipt whose time was over is an error: the event comes, or came, to another.
    async fn ack(&self, name: &SubscriptionName, receipts: Vec<Receipt>) -> Vec<Result<(), TopicError>> {
        let end = self.end(name);
        let marks: Vec<Option<Mark>> = receipts.iter().map(Mark::of).collect();
        let mut acked = end.inbox.ack(marks.iter().flatten().copied().collect()).await.into_iter();
        let result = |mark: Option<Mark>| match mark {
            None => Err(TopicError::Unavailable(Box::new(ForeignReceipt))),
            Some(_) => acked.next().unwrap_or(Err(Trouble::Ended)).map_err(unavailable),
        };
        marks.into_iter().map(result).collect()
    }

    /// What is in the hands of other processes is not counted: the broker does not tell it.
    async fn depth(&self, name: &SubscriptionName) -> Result<u64, TopicError> {
        let known = self.inboxes.lock().get(name).cloned();
        let counted = match &known {
            Some(end) => end.inbox.depth().await.map_err(of(name))?,
            None => None,
        };
        match counted {
            Some(count) => Ok(count),
            None => {
                let waiting = self.broker.existing(self.plan(name).queue()).await.map_err(of(name))?;
                Ok(waiting + known.map_or(0, |end| end.inbox.in_hand()))
            }
        }
    }
}
