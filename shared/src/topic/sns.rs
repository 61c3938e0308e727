//! The topic on SNS: subscriptions of ours are queues of SQS that it feeds.
//!
//! SNS answers once it keeps an event for everybody who is subscribed. Before anything is published, this process has seen
//! that the topic feeds every subscription that it was told of ([`listeners`]): what nobody would keep stays in the outbox. Whoever
//! else subscribes by means of their own gets the same events.

mod copies;
mod count;
mod listeners;
mod settings;
mod wire;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use aws_sdk_sns::{operation::publish_batch::PublishBatchOutput, types::PublishBatchRequestEntry};
use copies::Copies;
use futures_util::{StreamExt, stream};
use listeners::{Deaf, Listeners};
use parking_lot::Mutex;
pub use settings::{InvalidSnsSettings, SnsSettings};
use tokio::time::Instant;
use wire::{Entry, Unfit, batches};

use super::{EventDelivery, Topic, TopicError};
use crate::{
    aws::{
        Aws, AwsTrouble, call,
        sqs::{Receiving, Rhythm, Sqs},
    },
    domain::{Event, SubscriptionName},
    doorbell::Doorbell,
    queue::Receipt,
};

/// Calls under way at once.
const AT_ONCE: usize = 8;

/// A publish that takes longer rings again: the look that the first ring caused may be over.
const RING_AGAIN: Duration = Duration::from_secs(5);

/// A topic on SNS.
pub struct SnsTopic {
    aws: Arc<Aws>,
    sqs: Arc<Sqs>,
    listeners: Listeners,
    how: Receiving,
    ends: Mutex<HashMap<SubscriptionName, Arc<Copies>>>,
}

/// SNS did not take an event.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error("{code}: {why}")]
    Refused { code: String, why: String },
    #[error("the answer does not tell what became of it")]
    Untold,
    #[error(transparent)]
    Failed(AwsTrouble),
}

impl SnsTopic {
    /// A topic on SNS; nothing is asked yet.
    #[must_use]
    pub fn new(aws: Arc<Aws>, settings: &SnsSettings, bell: Arc<dyn Doorbell>) -> Self {
        let listeners = Listeners::new(Arc::clone(&aws), settings.clone());
        // A subscription's queue is made by subscribing, never by receiving.
        let sqs = Sqs::new(Arc::clone(&aws), false);
        let how = Receiving {
            visibility: settings.visibility(),
            receivers: usize::try_from(settings.receivers).unwrap_or(1),
            rhythm: Rhythm::default(),
            apart: false,
            bell,
        };
        Self { aws, sqs, listeners, how, ends: Mutex::default() }
    }

    /// The same in another rhythm.
    #[must_use]
    pub const fn with_rhythm(mut self, rhythm: Rhythm) -> Self {
        self.how.rhythm = rhythm;
        self
    }

    fn end(&self, name: &SubscriptionName) -> Arc<Copies> {
        let mut ends = self.ends.lock();
        let made = ends.entry(name.clone()).or_insert_with(|| {
            let queue = self.listeners.names().subscription(name);
            Arc::new(Copies::new(&self.sqs, queue, &self.how))
        });
        Arc::clone(made)
    }

    /// Says that events are being published. Whoever is woken waits for longer than that takes.
    fn ring(&self, all: &BTreeSet<SubscriptionName>) {
        for name in all {
            self.how.bell.ring(&self.listeners.names().subscription(name));
        }
    }

    /// One call; one result for each entry, in order.
    async fn publish_batch(
        &self,
        topic: &str,
        entries: &[(usize, Entry)],
    ) -> Vec<(usize, Result<(), TopicError>)> {
        let entry = |(place, entry): &(usize, Entry)| {
            PublishBatchRequestEntry::builder()
                .id(place.to_string())
                .message(&entry.body)
                .set_message_attributes(Some(entry.values()))
                .build()
                .ok()
        };
        let client = aws_sdk_sns::Client::new(self.aws.config().await);
        let asked = client
            .publish_batch()
            .topic_arn(topic)
            .set_publish_batch_request_entries(Some(entries.iter().filter_map(entry).collect()));
        let began = Instant::now();
        let answer = call("PublishBatch", self.aws.settings().call_timeout(), asked.send()).await;
        count::asked(entries, began.elapsed(), answer.is_ok());
        let result = |place: usize| {
            let result = match &answer {
                Err(trouble) => Err(NotTaken::Failed(trouble.clone())),
                Ok(answer) => of_entry(answer, &place.to_string()),
            };
            count::told(&result);
            result.map_err(unavailable)
        };
        entries.iter().map(|(place, _)| (*place, result(*place))).collect()
    }
}

/// What an answer says of one entry. What it does not name may or may not be kept.
fn of_entry(answer: &PublishBatchOutput, id: &str) -> Result<(), NotTaken> {
    if let Some(failed) = answer.failed().iter().find(|failed| failed.id() == id) {
        let (code, why) = (failed.code().to_owned(), failed.message().unwrap_or_default().to_owned());
        return Err(NotTaken::Refused { code, why });
    }
    let taken = answer.successful().iter().any(|taken| taken.id() == Some(id));
    if taken { Ok(()) } else { Err(NotTaken::Untold) }
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> TopicError {
    TopicError::Unavailable(Box::new(error))
}

/// An error as often as it is needed.
fn to_all<E>(count: usize, error: E) -> Vec<Result<(), TopicError>>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let error = Arc::new(error);
    (0..count).map(|_| Err(unavailable(Arc::clone(&error)))).collect()
}

#[async_trait]
impl Topic for SnsTopic {
    /// It must be there, unless this process may make it.
    async fn subscribe(&self, name: &SubscriptionName) -> Result<(), TopicError> {
        self.listeners.add(name).await.map_err(unavailable)
    }

    async fn may_subscribe(&self, name: &SubscriptionName) -> Result<(), TopicError> {
        self.listeners.may_add(name).await.map_err(unavailable)
    }

    /// A process that makes nothing deletes nothing either.
    async fn unsubscribe(&self, name: &SubscriptionName) -> Result<(), TopicError> {
        self.ends.lock().remove(name);
        self.listeners.end(name).await.map_err(unavailable)
    }

    /// Ten at a time, and several times at once.
    async fn publish(&self, events: Vec<Event>) -> Vec<Result<(), TopicError>> {
        let count = events.len();
        let ready = async {
            let all = self.listeners.all().await?;
            Ok::<_, Deaf>((all, self.listeners.topic().await?))
        };
        let (all, topic) = match ready.await {
            Ok(ready) => ready,
            Err(deaf) => return to_all(count, deaf),
        };
        self.ring(&all);
        let began = Instant::now();
        let mut results: Vec<Option<Result<(), TopicError>>> = (0..count).map(|_| None).collect();
        let mut entries = Vec::with_capacity(count);
        for (place, event) in events.iter().enumerate() {
            match Entry::of(event) {
                Ok(entry) => entries.push((place, entry)),
                Err(unfit) => results[place] = Some(Err(unavailable(told(event, unfit)))),
            }
        }
        let weights: Vec<usize> = entries.iter().map(|(_, entry)| entry.weight()).collect();
        let calls = batches(&weights).into_iter().map(|range| self.publish_batch(&topic, &entries[range]));
        let answers: Vec<_> = stream::iter(calls).buffered(AT_ONCE).collect().await;
        if began.elapsed() > RING_AGAIN {
            self.ring(&all);
        }
        for (place, result) in answers.into_iter().flatten() {
            results[place] = Some(result);
        }
        results
            .into_iter()
            .map(|result| result.unwrap_or_else(|| Err(unavailable(NotTaken::Untold))))
            .collect()
    }

    async fn receive(
        &self,
        name: &SubscriptionName,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<EventDelivery>, TopicError> {
        if self.listeners.has_ended(name).await {
            return Err(TopicError::Unknown(name.clone()));
        }
        self.end(name).receive(max, wait).await.map_err(unavailable)
    }

    async fn ack(&self, name: &SubscriptionName, receipts: Vec<Receipt>) -> Vec<Result<(), TopicError>> {
        self.end(name).ack(receipts).await
    }

    /// About as many as SQS knows of.
    async fn depth(&self, name: &SubscriptionName) -> Result<u64, TopicError> {
        if self.listeners.has_ended(name).await {
            return Err(TopicError::Unknown(name.clone()));
        }
        self.end(name).depth().await.map_err(unavailable)
    }
}

/// Says once for each try that an event stays where it is until a person looks.
fn told(event: &Event, unfit: Unfit) -> Unfit {
    tracing::error!(event = event.id, error = %unfit, "an event cannot be published and stays in the outbox");
    unfit
}
