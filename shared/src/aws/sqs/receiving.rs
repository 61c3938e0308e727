//! The requests that bring messages, and what they leave behind for whoever waits.

use std::{sync::Arc, time::Duration};

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::{
    address::Address,
    flow::{ANSWER, Flow},
    hand::{Hand, Item},
    over,
    rhythm::{Wanted, Watch},
    trouble::SqsTrouble,
};
use crate::{
    domain::Timestamp,
    doorbell::{Doorbell, Heard},
};

/// What an answer may take beyond the wait that was asked for.
const MARGIN: Duration = Duration::from_secs(4);

/// How long a request beside the one that waits long waits: without any, SQS asks only some of its machines.
const SHORT: Duration = Duration::from_secs(1);

/// What the requests of one queue share with whoever waits.
pub(super) struct Shared {
    pub(super) address: Address,
    pub(super) visibility: Duration,
    pub(super) state: Mutex<State>,
    pub(super) arrived: Arc<Notify>,
    pub(super) bell: Arc<dyn Doorbell>,
}

pub(super) struct State {
    pub(super) hand: Hand,
    pub(super) flow: Flow,
    pub(super) watch: Watch,
    pub(super) failures: u64,
    pub(super) trouble: Option<SqsTrouble>,
    /// Nobody receives any more: what still comes goes back.
    pub(super) left: bool,
    counting: bool,
}

/// A request that is on its way.
#[derive(Debug, Clone, Copy)]
pub(super) enum Job {
    /// Asks for messages, and waits long.
    Lead,
    /// Asks for messages beside it.
    Extra,
    /// Asks how much lies there.
    Count,
}

impl State {
    pub(super) const fn new(hand: Hand, flow: Flow, watch: Watch) -> Self {
        Self { hand, flow, watch, failures: 0, trouble: None, left: false, counting: false }
    }

    /// What is to be asked for somebody who takes up to `max` at once, and when to look again if it is nothing.
    pub(super) fn plan(&mut self, max: usize, heard: Heard, now: Instant) -> (Vec<Job>, Option<Instant>) {
        self.watch.hear(heard, now);
        match self.watch.wanted(now) {
            Wanted::Rest(next) => (Vec::new(), Some(next)),
            Wanted::Count => {
                let counts = !std::mem::replace(&mut self.counting, true);
                (if counts { vec![Job::Count] } else { Vec::new() }, None)
            }
            Wanted::Poll if !self.hand.has_room() => (Vec::new(), Some(now + SHORT)),
            Wanted::Poll => {
                let (ahead, bytes) = self.hand.ahead();
                let launch = self.flow.launch(max, ahead, bytes);
                let lead = launch.lead.then_some(Job::Lead);
                (lead.into_iter().chain((0..launch.extra).map(|_| Job::Extra)).collect(), None)
            }
        }
    }

    fn failed(&mut self, trouble: SqsTrouble, now: Instant) {
        self.failures += 1;
        self.trouble = Some(trouble);
        self.watch.failed(now);
    }
}

/// Says that a request is over, whatever ended it.
struct Out<'a>(&'a Shared, Job);

impl Drop for Out<'_> {
    fn drop(&mut self) {
        {
            let mut state = self.0.state.lock();
            match self.1 {
                Job::Lead => state.flow.ended(true),
                Job::Extra => state.flow.ended(false),
                Job::Count => state.counting = false,
            }
        }
        self.0.arrived.notify_waiters();
    }
}

impl Shared {
    /// Does what was planned.
    pub(super) async fn run(self: Arc<Self>, job: Job) {
        let out = Out(&self, job);
        match job {
            Job::Count => self.count().await,
            Job::Lead => {
                let wait = self.state.lock().watch.poll();
                self.poll(wait).await;
            }
            Job::Extra => self.poll(SHORT).await,
        }
        drop(out);
    }

    async fn count(&self) {
        let asked = Instant::now();
        let counted = self.address.count().await;
        let (mut state, now) = (self.state.lock(), Instant::now());
        match counted {
            Ok(count) => state.watch.counted(asked, count, now),
            Err(trouble) => state.failed(trouble, now),
        }
    }

    async fn poll(&self, wait: Duration) {
        let began = Instant::now();
        let result = self.fetch(wait).await;
        let now = Instant::now();
        let back = {
            let mut state = self.state.lock();
            match result {
                Ok(items) => {
                    let bytes = items.iter().map(|item| item.body.len()).sum();
                    state.flow.brought(items.len(), bytes);
                    if state.watch.polled(began, items.len(), now) {
                        // Nobody rang for these: should this process die with them, others look too.
                        self.bell.ring(self.address.name());
                    }
                    state.hand.put(items);
                }
                Err(trouble) => state.failed(trouble, now),
            }
            if state.left { state.hand.empty() } else { Vec::new() }
        };
        self.give_back(back).await;
    }

    /// Gives these back at once. What cannot be given back comes back by itself.
    pub(super) async fn give_back(&self, items: Vec<Item>) {
        let back = items.into_iter().map(|item| (item.handle, Duration::ZERO)).collect::<Vec<_>>();
        if back.is_empty() {
            return;
        }
        for trouble in over::release(&self.address, back).await.into_iter().filter_map(Result::err) {
            tracing::debug!(queue = self.address.name(), %trouble, "a message was not given back; it comes back by itself");
        }
    }

    async fn fetch(&self, wait: Duration) -> Result<Vec<Item>, SqsTrouble> {
        fetch(&self.address, ANSWER, wait, self.visibility).await
    }
}

/// Asks once for up to ten messages, which are in hand for the visibility time then.
pub(super) async fn fetch(
    at: &Address,
    most: usize,
    wait: Duration,
    visibility: Duration,
) -> Result<Vec<Item>, SqsTrouble> {
    let (url, asked) = (at.url().await?, at.asked("ReceiveMessage", 0));
    let request = at
        .sqs
        .client()
        .await
        .receive_message()
        .queue_url(&*url)
        .max_number_of_messages(i32::try_from(most.clamp(1, ANSWER)).unwrap_or(1))
        .wait_time_seconds(over::seconds(wait))
        .visibility_timeout(over::seconds(visibility))
        .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
        .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
        .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
        .message_attribute_names("All");
    let said = at.learn(at.sqs.once(asked, wait + MARGIN, request.send()).await)?;
    let came = Instant::now();
    let items: Vec<Item> =
        said.messages.unwrap_or_default().into_iter().filter_map(|m| item(m, came)).collect();
    asked.brought(items.iter().map(|item| item.body.len()).sum());
    Ok(items)
}

/// A message; one without a receipt cannot be held, and comes again.
fn item(message: Message, came: Instant) -> Option<Item> {
    let system = |name| message.attributes.as_ref().and_then(|all| all.get(&name));
    let count = system(MessageSystemAttributeName::ApproximateReceiveCount);
    let deliveries = count.and_then(|count| count.parse().ok()).unwrap_or(1);
    let group = system(MessageSystemAttributeName::MessageGroupId).cloned();
    let sent = system(MessageSystemAttributeName::SentTimestamp).and_then(|millis| millis.parse().ok());
    let attributes = message.message_attributes.unwrap_or_default().into_iter();
    let attributes = attributes.filter_map(|(name, value)| Some((name, value.string_value?))).collect();
    let sent = sent.map(Timestamp::from_millis);
    let body = Bytes::from(message.body.unwrap_or_default());
    Some(Item { handle: message.receipt_handle?.into(), body, deliveries, group, attributes, sent, came })
}
