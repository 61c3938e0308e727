//! The queue on RabbitMQ: a quorum queue for each lane of each route, publisher confirms, consumers with a bound.
//!
//! There is no visibility time: what was received stays with its receiver until it is acknowledged, released or set aside,
//! or its channel ends; then the broker delivers it again. An acknowledgement after that is an error, and the pack comes
//! again as duplicates, which the ledger knows. What the broker throws out (an operator's policy may make it) lies on a
//! queue beside, and is received like any other, as one that came often.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::join_all;
use lapin::types::{AMQPValue, FieldTable};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{Capabilities, Delivery, Depth, Outgoing, PublishError, Queue, QueueError, QueueName, Receipt};
use crate::{
    domain::Envelope,
    metrics,
    rabbitmq::{
        Broker, ENVELOPE, Inbox, Item, Mark, Message, Plan, Standing, Trouble, Unconfirmed, dead, later,
        properties,
    },
};

/// What is said about the deliveries of a pack that the broker threw out: it came often, nobody knows how often.
const THROWN_OUT: u32 = 100;

/// A pack that is released for longer waits on the broker: in hand it would take a place from those behind it.
const IN_HAND: Duration = Duration::from_secs(1);

/// A queue on RabbitMQ.
pub struct RabbitMqQueue {
    broker: Arc<Broker>,
    /// Makes ids of messages: a start that nobody else has, and a count.
    ids: (u64, AtomicU64),
    inboxes: Mutex<HashMap<QueueName, Arc<Inboxes>>>,
}

/// Both ends of a lane: its packs, and those that the broker threw out.
struct Inboxes {
    arrived: Arc<Notify>,
    packs: Inbox,
    dead: Inbox,
    /// Whether this process has put any off.
    put_off: AtomicBool,
}

/// A receipt of another engine, or none at all.
#[derive(Debug, thiserror::Error)]
#[error("not a receipt of this queue")]
pub(super) struct ForeignReceipt;

/// A pack costs the broker a raft entry, a sync, a confirm, a delivery and an acknowledgement, however many messages it holds.
const PACE: Duration = Duration::from_millis(4);

impl RabbitMqQueue {
    /// A queue on this broker.
    #[must_use]
    pub fn new(broker: Arc<Broker>) -> Self {
        Self { broker, ids: (fastrand::u64(..), 0.into()), inboxes: Mutex::default() }
    }

    async fn put(&self, pack: Outgoing) -> Result<(), Unconfirmed> {
        let Outgoing { queue, group, envelope } = pack;
        let number = self.ids.1.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:016x}-{number:x}", self.ids.0);
        let mut headers = FieldTable::default();
        headers.insert("naru-customer".into(), AMQPValue::LongString(group.as_str().into()));
        let plan = Plan::WithDead(self.broker.names().packs(&queue));
        let message = Message {
            exchange: String::new(),
            key: plan.queue().to_owned(),
            mandatory: true,
            body: envelope.0,
            properties: properties(&id, ENVELOPE).with_headers(headers),
            id,
        };
        self.broker.publish_to(&plan, message, self.broker.deadline()).await
    }

    /// Publishes what an operator puts back; `Ok` once it is confirmed.
    pub(super) async fn put_back(&self, pack: Outgoing) -> Result<(), Trouble> {
        metered("publish", self.put(pack)).await.map_err(Unconfirmed::trouble)
    }

    fn inboxes(&self, queue: &QueueName) -> Arc<Inboxes> {
        let mut inboxes = self.inboxes.lock();
        if let Some(known) = inboxes.get(queue) {
            return Arc::clone(known);
        }
        let name = self.broker.names().packs(queue);
        let arrived = Arc::new(Notify::new());
        let made = Arc::new(Inboxes {
            packs: self.broker.inbox(Plan::WithDead(name.clone()), 1, Arc::clone(&arrived)),
            dead: self.broker.inbox(Plan::Plain(dead(&name)), THROWN_OUT, Arc::clone(&arrived)),
            arrived,
            put_off: AtomicBool::new(false),
        });
        inboxes.insert(queue.clone(), Arc::clone(&made));
        made
    }

    /// What lies on a queue and is in this process's hands.
    async fn count(&self, name: &str, inbox: Option<&Inbox>) -> Result<u64, Trouble> {
        if let Some(inbox) = inbox
            && let Some(count) = inbox.depth().await?
        {
            return Ok(count);
        }
        Ok(self.broker.waiting(name).await? + inbox.map_or(0, Inbox::in_hand))
    }

    /// Moves what is held to where it waits for its time.
    async fn put_off(
        &self,
        inboxes: &Inboxes,
        mark: Mark,
        item: Item,
        after: Duration,
    ) -> Result<(), Trouble> {
        self.broker.put_off(inboxes.packs.queue(), item, after).await?;
        inboxes.put_off.store(true, Ordering::Release);
        Self::holder(inboxes, mark).ack(vec![mark]).await.into_iter().collect()
    }

    /// The end that a receipt belongs to. Marks name the life of one consumer, so only one end can know it.
    fn holder(inboxes: &Inboxes, mark: Mark) -> &Inbox {
        if inboxes.dead.standing(mark) == Standing::GoneBack { &inboxes.packs } else { &inboxes.dead }
    }
}

fn failed(trouble: Trouble) -> QueueError {
    QueueError(Box::new(trouble))
}

fn mark(receipt: &Receipt) -> Result<Mark, QueueError> {
    Mark::of(receipt).ok_or_else(|| QueueError(Box::new(ForeignReceipt)))
}

/// Times a call and counts its failures.
async fn metered<T, E>(call: &'static str, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let began = Instant::now();
    let result = work.await;
    metrics::RABBITMQ_CALL_SECONDS.of(&[("call", call)]).record(began.elapsed().as_secs_f64());
    if result.is_err() {
        metrics::RABBITMQ_ERRORS.of(&[("call", call)]).increment(1);
    }
    result
}

#[async_trait]
impl Queue for RabbitMqQueue {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            exclusive: false,
            fair_groups: false,
            visibility: false,
            pace: PACE,
            max_bytes: None,
            look: Duration::ZERO,
        }
    }

    /// Each pack is confirmed by itself. Nothing is written while there is no connection, or an alarm of the broker.
    async fn publish(&self, packs: Vec<Outgoing>) -> Vec<Result<(), PublishError>> {
        let publishing = packs.into_iter().map(|pack| metered("publish", self.put(pack)));
        let told = |result: Result<(), Unconfirmed>| {
            result.map_err(|error| match error {
                Unconfirmed::NotTaken(trouble) => PublishError::Refused(Box::new(trouble)),
                Unconfirmed::InDoubt(trouble) => PublishError::Unknown(Box::new(trouble)),
            })
        };
        join_all(publishing).await.into_iter().map(told).collect()
    }

    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let until = Instant::now() + wait;
        let inboxes = self.inboxes(queue);
        let ends = [inboxes.packs.receive(), inboxes.dead.receive()];
        loop {
            let mut arrived = std::pin::pin!(inboxes.arrived.notified());
            arrived.as_mut().enable();
            let mut taken = Vec::new();
            for end in &ends {
                taken.extend(end.take(max - taken.len(), None));
            }
            if !taken.is_empty() {
                return Ok(taken.into_iter().map(delivery).collect());
            }
            if let Some(trouble) = ends.iter().find_map(|end| end.trouble()) {
                metrics::RABBITMQ_ERRORS.of(&[("call", "receive")]).increment(1);
                return Err(failed(trouble));
            }
            if timeout_at(until, arrived).await.is_err() {
                return Ok(Vec::new());
            }
        }
    }

    /// `Ok`: the broker has read it. Should the broker itself die within moments, the pack may still come again.
    async fn ack(&self, queue: &QueueName, receipts: Vec<Receipt>) -> Vec<Result<(), QueueError>> {
        let inboxes = self.inboxes(queue);
        let marks: Vec<_> = receipts.iter().map(mark).collect();
        let (mut packs, mut dead) = (Vec::new(), Vec::new());
        for mark in marks.iter().flatten() {
            let thrown_out = std::ptr::eq(Self::holder(&inboxes, *mark), &inboxes.dead);
            if thrown_out { dead.push(*mark) } else { packs.push(*mark) }
        }
        let (of_packs, of_dead) = tokio::join!(acked(&inboxes.packs, packs), acked(&inboxes.dead, dead));
        let told: HashMap<Mark, Result<(), Trouble>> = of_packs.into_iter().chain(of_dead).collect();
        let result = |mark: Result<Mark, QueueError>| {
            mark.and_then(|mark| told.get(&mark).cloned().unwrap_or(Err(Trouble::Ended)).map_err(failed))
        };
        marks.into_iter().map(result).collect()
    }

    async fn release(&self, queue: &QueueName, receipt: Receipt, after: Duration) -> Result<(), QueueError> {
        let mark = mark(&receipt)?;
        let inboxes = self.inboxes(queue);
        let holder = Self::holder(&inboxes, mark);
        let until = Instant::now() + after;
        if after > IN_HAND
            && let Some(item) = holder.held(mark)
        {
            match metered("put-off", self.put_off(&inboxes, mark, item, after)).await {
                Ok(()) => return Ok(()),
                Err(trouble) => tracing::debug!(error = %trouble, "a pack that is put off stays in hand"),
            }
        }
        // It stays in this process's hands until then, so that it comes back at once if the process dies.
        holder.release(mark, until.saturating_duration_since(Instant::now()));
        Ok(())
    }

    async fn quarantine(&self, queue: &QueueName, receipt: Receipt, reason: &str) -> Result<(), QueueError> {
        let mark = mark(&receipt)?;
        let inboxes = self.inboxes(queue);
        let holder = Self::holder(&inboxes, mark);
        let Some(item) = holder.held(mark) else {
            // It has gone back: it is kept where it is, and its next receiver will see what is wrong with it.
            return Ok(());
        };
        metered("quarantine", async {
            self.broker.set_aside(inboxes.packs.queue(), item, reason).await?;
            holder.ack(vec![mark]).await.into_iter().collect::<Result<(), Trouble>>()
        })
        .await
        .map_err(failed)
    }

    /// What is in the hands of other processes is not counted: the broker does not tell it. Nor how old anything is.
    async fn depth(&self, queue: &QueueName) -> Result<Depth, QueueError> {
        let known = self.inboxes.lock().get(queue).cloned();
        let name = self.broker.names().packs(queue);
        let count = async {
            let packs = self.count(&name, known.as_ref().map(|inboxes| &inboxes.packs)).await?;
            let thrown_out = self.count(&dead(&name), known.as_ref().map(|inboxes| &inboxes.dead)).await?;
            let put_off = known.as_ref().is_some_and(|inboxes| inboxes.put_off.load(Ordering::Acquire));
            let put_off = if put_off { self.broker.waiting(&later(&name)).await? } else { 0 };
            let quarantined = self.broker.quarantined(&name).await?;
            Ok(Depth { packs: packs + thrown_out + put_off, quarantined, oldest: None })
        };
        metered("depth", count).await.map_err(failed)
    }

    /// What lies in the inbox goes back when nobody has taken it for a while.
    async fn leave(&self, _queue: &QueueName) {}
}

/// Acknowledges these at their end.
async fn acked(inbox: &Inbox, marks: Vec<Mark>) -> Vec<(Mark, Result<(), Trouble>)> {
    if marks.is_empty() {
        return Vec::new();
    }
    let acknowledging = metered("ack", async {
        let results = inbox.ack(marks.clone()).await;
        if results.iter().all(Result::is_ok) { Ok(results) } else { Err(results) }
    });
    let results = acknowledging.await.unwrap_or_else(|results| results);
    marks.into_iter().zip(results).collect()
}

fn delivery((mark, item): (Mark, Item)) -> Delivery {
    Delivery { receipt: mark.receipt(), envelope: Envelope(item.body), deliveries: item.deliveries }
}
