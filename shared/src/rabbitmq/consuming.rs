//! The task behind an inbox: a channel with one consumer, for as long as somebody receives or holds something.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::try_join_all};
use lapin::{
    Channel, Consumer,
    message::Delivery,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
        QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, sleep_until},
};

use super::{
    hand::{Item, Mark, Standing},
    inbox::{Order, Shared},
    link::{Link, Up},
    topology::Topology,
    trouble::{Trouble, in_time, is_missing},
};

/// How long deliveries that nobody takes are kept when nobody receives any more; then they go back for others.
const LINGER: Duration = Duration::from_secs(2);

/// The shortest and the longest pause after a failure on a connection that serves.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A consumer that lasted as long was sound: the next pause is short again.
const SOUND: Duration = Duration::from_secs(1);

/// What the task needs.
pub(super) struct Consuming {
    pub(super) shared: Arc<Shared>,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) link: Link,
    pub(super) topology: Topology,
    pub(super) prefetch: u16,
    pub(super) patience: Duration,
}

/// Whether nobody can ask for anything any more.
struct Gone;

impl Consuming {
    pub(super) async fn run(mut self) {
        let mut pause = PAUSES.0;
        loop {
            if self.until_wanted().await.is_err() {
                return;
            }
            let began = Instant::now();
            match self.once().await {
                Ok(Ok(())) => pause = PAUSES.0,
                Ok(Err(trouble)) => {
                    if matches!(trouble, Trouble::Missing) {
                        self.topology.forget(self.shared.plan.queue());
                    }
                    // Whatever was in hand has gone back to the broker with the channel.
                    self.shared.hand.lock().begin(0);
                    *self.shared.trouble.lock() = Some(trouble);
                    self.shared.arrived.notify_waiters();
                    self.link.suspect();
                    if began.elapsed() >= SOUND {
                        pause = PAUSES.0;
                    }
                    let jitter = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
                    pause = (pause * 2).min(PAUSES.1);
                    if self.attending(sleep(jitter)).await.is_err() {
                        return;
                    }
                }
                Err(Gone) => return,
            }
        }
    }

    async fn until_wanted(&mut self) -> Result<(), Gone> {
        let shared = Arc::clone(&self.shared);
        let wanted = async move {
            while !shared.asked.swap(false, Ordering::AcqRel) && shared.receivers.load(Ordering::Acquire) == 0
            {
                shared.changed.notified().await;
            }
        };
        self.attending(wanted).await
    }

    /// Waits for something; orders are answered meanwhile, as by who holds nothing.
    async fn attending<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Gone> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                order = self.orders.recv() => match order.ok_or(Gone)? {
                    Order::Ack(marks, reply) => {
                        let hand = self.shared.hand.lock();
                        let results = marks.into_iter().map(|mark| match hand.standing(mark) {
                            Standing::Settled => Ok(()),
                            Standing::Held | Standing::GoneBack => Err(Trouble::CameBack),
                        });
                        answer(reply, results.collect());
                    }
                    Order::Depth(reply) => answer(reply, None),
                },
            }
        }
    }

    /// One life of the channel.
    async fn once(&mut self) -> Result<Result<(), Trouble>, Gone> {
        let (link, patience) = (self.link.clone(), self.patience);
        let up = match self.attending(async move { link.up(patience).await }).await? {
            Ok(up) => up,
            Err(trouble) => return Ok(Err(trouble)),
        };
        let opening = open(up, self.topology.clone(), Arc::clone(&self.shared), self.prefetch, patience);
        let channel = match self.attending(opening).await? {
            Ok(channel) => channel,
            Err(trouble) => return Ok(Err(trouble)),
        };
        // No number of a life comes twice, and none is 0.
        self.shared.hand.lock().begin(fastrand::u64(1..));
        let mut life = Life {
            shared: Arc::clone(&self.shared),
            channel,
            consumer: None,
            prefetch: self.prefetch,
            patience,
        };
        let ended = life.run(&mut self.orders).await;
        self.shared.consuming.store(false, Ordering::Release);
        Ok(ended)
    }
}

async fn open(
    up: Up,
    topology: Topology,
    shared: Arc<Shared>,
    prefetch: u16,
    patience: Duration,
) -> Result<Channel, Trouble> {
    topology.declare(&up.connection, &shared.plan).await?;
    let channel = in_time(patience, up.connection.create_channel()).await?;
    in_time(patience, channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
    Ok(channel)
}

/// Whoever gave an order may wait no longer; then it needs no answer.
fn answer<T>(reply: oneshot::Sender<T>, value: T) {
    drop(reply.send(value));
}

struct Life {
    shared: Arc<Shared>,
    channel: Channel,
    consumer: Option<Consumer>,
    prefetch: u16,
    patience: Duration,
}

impl Life {
    /// Until nobody receives and nothing is in hand, or the channel fails.
    async fn run(&mut self, orders: &mut mpsc::Receiver<Order>) -> Result<(), Trouble> {
        let mut idle_since = None;
        self.consume().await?;
        loop {
            if self.shared.receivers.load(Ordering::Acquire) > 0 {
                idle_since = None;
                self.consume().await?;
            } else {
                idle_since.get_or_insert_with(Instant::now);
                if self.consumer.is_none() && self.shared.hand.lock().len() == 0 {
                    return Ok(());
                }
            }
            let linger = idle_since.filter(|_| self.consumer.is_some()).map(|since| since + LINGER);
            let due = self.shared.hand.lock().next_due();
            tokio::select! {
                delivery = next(&mut self.consumer) => self.put(delivery)?,
                order = orders.recv() => match order {
                    Some(Order::Ack(marks, reply)) => self.ack(marks, reply).await?,
                    Some(Order::Depth(reply)) => answer(reply, Some(self.depth().await?)),
                    None => return Ok(()),
                },
                () = self.shared.changed.notified() => {}
                () = until(linger.into_iter().chain(due).min()) => {
                    let now = Instant::now();
                    let due = self.shared.hand.lock().due(now);
                    self.give_back(due).await?;
                    if linger.is_some_and(|linger| linger <= now) {
                        self.rest().await?;
                    }
                }
            }
        }
    }

    async fn consume(&mut self) -> Result<(), Trouble> {
        if self.consumer.is_some() {
            return Ok(());
        }
        let (queue, options) = (self.shared.plan.queue().into(), BasicConsumeOptions::default());
        let consuming = self.channel.basic_consume(queue, "".into(), options, FieldTable::default());
        self.consumer = match in_time(self.patience, consuming).await {
            Ok(consumer) => Some(consumer),
            Err(Trouble::Said(error)) if is_missing(&error) => return Err(Trouble::Missing),
            Err(trouble) => return Err(trouble),
        };
        *self.shared.trouble.lock() = None;
        self.shared.consuming.store(true, Ordering::Release);
        Ok(())
    }

    /// Stops the deliveries, and gives back what nobody took.
    async fn rest(&mut self) -> Result<(), Trouble> {
        let Some(consumer) = self.consumer.as_ref() else { return Ok(()) };
        self.shared.consuming.store(false, Ordering::Release);
        let cancelling = self.channel.basic_cancel(consumer.tag(), BasicCancelOptions::default());
        in_time(self.patience, cancelling).await?;
        // What was on its way came before the answer.
        while let Some(Some(delivery)) = next(&mut self.consumer).now_or_never() {
            self.put(Some(delivery))?;
        }
        self.consumer = None;
        let untaken = self.shared.hand.lock().untaken();
        self.give_back(untaken).await
    }

    fn put(&self, delivery: Option<lapin::Result<Delivery>>) -> Result<(), Trouble> {
        let delivery = match delivery {
            Some(delivery) => delivery?,
            // The queue was deleted, or moved to another node.
            None => return Err(Trouble::Away("the broker ended the delivery".into())),
        };
        let deliveries = count_of(&delivery).saturating_add(1).max(self.shared.floor);
        let item = Item { body: delivery.data.into(), deliveries };
        self.shared.hand.lock().put(delivery.delivery_tag, item);
        self.shared.arrived.notify_waiters();
        Ok(())
    }

    async fn give_back(&self, tags: Vec<u64>) -> Result<(), Trouble> {
        let options = BasicNackOptions { multiple: false, requeue: true };
        let nacks = tags.into_iter().map(|tag| self.channel.basic_nack(tag, options));
        in_time(self.patience, try_join_all(nacks)).await.map(drop)
    }

    async fn ack(
        &self,
        marks: Vec<Mark>,
        reply: oneshot::Sender<Vec<Result<(), Trouble>>>,
    ) -> Result<(), Trouble> {
        let (standings, (together, single)) = {
            let mut hand = self.shared.hand.lock();
            let standings: Vec<Standing> = marks.iter().map(|mark| hand.standing(*mark)).collect();
            let held = marks.iter().zip(&standings).filter(|(_, standing)| **standing == Standing::Held);
            let tags: BTreeSet<u64> = held.map(|(mark, _)| mark.tag).collect();
            (standings, hand.settle(&tags))
        };
        let acked = in_time(self.patience, self.send_acks(together, single)).await;
        let results = standings.into_iter().map(|standing| match standing {
            Standing::Held => acked.clone(),
            Standing::Settled => Ok(()),
            Standing::GoneBack => Err(Trouble::CameBack),
        });
        answer(reply, results.collect());
        acked
    }

    /// Acknowledgements have no answer. So a question follows them whose answer shows that they were read: without it
    /// they could be lost between the two sockets when this process ends.
    async fn send_acks(&self, together: Option<u64>, single: Vec<u64>) -> lapin::Result<()> {
        let together = together.map(|tag| (tag, true));
        let frames = together.into_iter().chain(single.into_iter().map(|tag| (tag, false)));
        let frames = frames.map(|(tag, multiple)| self.channel.basic_ack(tag, BasicAckOptions { multiple }));
        if try_join_all(frames).await?.is_empty() {
            return Ok(());
        }
        self.channel.basic_qos(self.prefetch, BasicQosOptions::default()).await
    }

    /// What the queue says waits on it, and what is in this process's hands. What the broker sent before it counted may
    /// come after the count, so it is asked twice, and the second answer comes after that.
    async fn depth(&mut self) -> Result<u64, Trouble> {
        let waiting = self.waiting().await?;
        self.waiting().await?;
        while self.consumer.is_some()
            && let Some(Some(delivery)) = next(&mut self.consumer).now_or_never()
        {
            self.put(Some(delivery))?;
        }
        Ok(waiting + self.shared.hand.lock().len() as u64)
    }

    async fn waiting(&self) -> Result<u64, Trouble> {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let asking =
            self.channel.queue_declare(self.shared.plan.queue().into(), options, FieldTable::default());
        match in_time(self.patience, asking).await {
            Ok(found) => Ok(found.message_count().into()),
            Err(Trouble::Said(error)) if is_missing(&error) => Err(Trouble::Missing),
            Err(trouble) => Err(trouble),
        }
    }
}

/// The next delivery; never, without a consumer.
async fn next(consumer: &mut Option<Consumer>) -> Option<lapin::Result<Delivery>> {
    match consumer {
        Some(consumer) => consumer.next().await,
        None => std::future::pending().await,
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// How often a quorum queue had it delivered before (`x-delivery-count`).
fn count_of(delivery: &Delivery) -> u32 {
    let headers = delivery.properties.headers().as_ref();
    let count = headers.and_then(|headers| headers.inner().get("x-delivery-count"));
    let count = match count {
        Some(AMQPValue::LongLongInt(count)) => u32::try_from(*count).ok(),
        Some(AMQPValue::LongInt(count)) => u32::try_from(*count).ok(),
        Some(AMQPValue::LongUInt(count)) => Some(*count),
        Some(AMQPValue::ShortInt(count)) => u32::try_from(*count).ok(),
        Some(AMQPValue::ShortUInt(count)) => Some((*count).into()),
        Some(AMQPValue::ShortShortInt(count)) => u32::try_from(*count).ok(),
        Some(AMQPValue::ShortShortUInt(count)) => Some((*count).into()),
        _ => None,
    };
    count.unwrap_or(0)
}
