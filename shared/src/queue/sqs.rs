//! The queue on SQS: a standard queue for each lane of each route, one pack in a message, as base64.
//!
//! Customers are message groups, so that SQS delivers fairly among them. What SQS moves away for having been received too
//! often lies on a queue beside, and is received like any other, as one that came often. Publishers ring a doorbell, and a
//! lane of which nothing is heard is hardly ever asked.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use data_encoding::BASE64;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::{Capabilities, Delivery, Depth, Outgoing, PublishError, Queue, QueueError, QueueName, Receipt};
use crate::{
    aws::{
        Aws, AwsNames,
        sqs::{
            AROUND, Address, End, Item, LARGEST, Letter, Plan, Receiving, Rhythm, Sort, Sqs, SqsSettings,
            SqsTrouble, receive,
        },
    },
    domain::{Envelope, Lane},
    doorbell::Doorbell,
};

/// What is said about the deliveries of a pack that was moved away: it came often, and SQS counts anew.
const MOVED_AWAY: u32 = 100;

/// A request costs money and about 20 ms, however many packs it carries and however many messages are in them.
const PACE: Duration = Duration::from_millis(10);

/// A publish that takes longer rings again: the look that the first ring caused may be over.
const RING_AGAIN: Duration = Duration::from_secs(5);

/// A queue on SQS.
pub struct SqsQueue {
    sqs: Arc<Sqs>,
    names: AwsNames,
    visibility: Duration,
    receivers: usize,
    /// The longest message that is sent, in bytes.
    message_bytes: usize,
    rhythm: Rhythm,
    bell: Arc<dyn Doorbell>,
    lanes: Mutex<HashMap<QueueName, Arc<Ends>>>,
}

/// The ends of a lane: its packs, those that SQS moved away, and where what cannot be read is put.
struct Ends {
    packs: End,
    dead: End,
    quarantine: Address,
    /// What lay there when it was last asked; asked again when there are packs.
    quarantined: AtomicU64,
}

/// A receipt of another engine, or none at all.
#[derive(Debug, thiserror::Error)]
#[error("not a receipt of this queue")]
pub(super) struct ForeignReceipt;

impl SqsQueue {
    /// A queue on SQS; nothing is asked yet.
    #[must_use]
    pub fn new(aws: Arc<Aws>, settings: &SqsSettings, bell: Arc<dyn Doorbell>) -> Self {
        Self {
            sqs: Sqs::new(aws, settings.create),
            names: AwsNames::of(&settings.namespace),
            visibility: settings.visibility(),
            receivers: usize::try_from(settings.receivers).unwrap_or(1),
            message_bytes: usize::try_from(settings.message_bytes)
                .unwrap_or(LARGEST)
                .clamp(AROUND * 2, LARGEST),
            rhythm: Rhythm::default(),
            bell,
            lanes: Mutex::default(),
        }
    }

    /// The same in another rhythm.
    #[must_use]
    pub const fn with_rhythm(mut self, rhythm: Rhythm) -> Self {
        self.rhythm = rhythm;
        self
    }

    fn ends(&self, queue: &QueueName) -> Arc<Ends> {
        let mut lanes = self.lanes.lock();
        if let Some(known) = lanes.get(queue) {
            return Arc::clone(known);
        }
        let name = self.names.packs(queue);
        let (dead, quarantine) = (AwsNames::dead(&name), AwsNames::quarantine(&name));
        let address = |name: String, sort, dead| Address::new(&self.sqs, Plan { name, sort, dead });
        let receiving = |bell| Receiving {
            visibility: self.visibility,
            receivers: self.receivers,
            rhythm: self.rhythm,
            // So that the lanes of a route do not ask at the same time.
            apart: queue.lane == Lane::Bulk,
            bell,
        };
        let arrived = Arc::new(Notify::new());
        let packs = address(name, Sort::Packs, Some(dead.clone()));
        let how = receiving(Arc::clone(&self.bell));
        let made = Arc::new(Ends {
            packs: End::new(packs, how.clone(), &arrived),
            dead: End::seldom(address(dead, Sort::Dead, None), how, &arrived),
            quarantine: address(quarantine, Sort::Quarantine, None),
            quarantined: AtomicU64::new(0),
        });
        lanes.insert(queue.clone(), Arc::clone(&made));
        made
    }
}

impl Ends {
    /// The end that a receipt belongs to, and what SQS calls it.
    fn of<'a>(&self, receipt: &'a Receipt) -> Result<(&End, &'a str), QueueError> {
        let end = match receipt.0.split_at_checked(1) {
            Some(("p", handle)) => Some((&self.packs, handle)),
            Some(("d", handle)) => Some((&self.dead, handle)),
            _ => None,
        };
        end.ok_or_else(|| QueueError(Box::new(ForeignReceipt)))
    }
}

fn failed(trouble: SqsTrouble) -> QueueError {
    QueueError(Box::new(trouble))
}

fn refused(trouble: SqsTrouble) -> PublishError {
    if trouble.is_in_doubt() {
        PublishError::Unknown(Box::new(trouble))
    } else {
        PublishError::Refused(Box::new(trouble))
    }
}

/// A pack as SQS takes it.
pub(super) fn letter(pack: &Outgoing) -> Letter {
    let envelope = &pack.envelope.0;
    let version: String =
        envelope.iter().take(8).take_while(|b| b.is_ascii_digit()).map(|b| char::from(*b)).collect();
    let attributes = [
        ("naru-customer", pack.group.to_string()),
        ("naru-route", pack.queue.route.to_string()),
        ("naru-lane", pack.queue.lane.as_str().to_owned()),
        ("naru-version", version),
    ];
    Letter {
        body: BASE64.encode(envelope),
        group: Some(pack.group.to_string()),
        attributes: attributes.into_iter().filter(|(_, text)| !text.is_empty()).collect(),
    }
}

/// What came. What is not base64 is given out as it is: it is no envelope of ours, and whoever opens it says so.
pub(super) fn envelope(item: &Item) -> Envelope {
    Envelope(BASE64.decode(&item.body).map_or_else(|_| item.body.clone(), Bytes::from))
}

/// A pack as it came.
fn delivery((end, item): (usize, Item)) -> Delivery {
    let (mark, least) = if end == 0 { ('p', 1) } else { ('d', MOVED_AWAY) };
    Delivery {
        receipt: Receipt(format!("{mark}{}", item.handle).into()),
        envelope: envelope(&item),
        deliveries: item.deliveries.max(least),
    }
}

#[async_trait]
impl Queue for SqsQueue {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            exclusive: false,
            // SQS does so when a group has many in hand, and promises nothing.
            fair_groups: false,
            visibility: true,
            pace: PACE,
            max_bytes: Some((self.message_bytes - AROUND) / 4 * 3),
            look: Duration::from_secs(60),
        }
    }

    /// Each entry of each request is answered for itself.
    async fn publish(&self, packs: Vec<Outgoing>) -> Vec<Result<(), PublishError>> {
        let mut by_queue: HashMap<&QueueName, Vec<usize>> = HashMap::new();
        for (index, pack) in packs.iter().enumerate() {
            by_queue.entry(&pack.queue).or_default().push(index);
        }
        let sending = by_queue.into_iter().map(async |(queue, indices)| {
            let ends = self.ends(queue);
            let name = ends.packs.address().name();
            // While it is being written: whoever is woken waits for longer than that takes.
            self.bell.ring(name);
            let began = Instant::now();
            let letters = indices.iter().filter_map(|index| packs.get(*index)).map(letter).collect();
            let results = ends.packs.send(letters).await;
            if began.elapsed() > RING_AGAIN {
                self.bell.ring(name);
            }
            indices.into_iter().zip(results).collect::<Vec<_>>()
        });
        let mut told: Vec<_> = join_all(sending).await.into_iter().flatten().collect();
        told.sort_unstable_by_key(|(index, _)| *index);
        told.into_iter().map(|(_, result)| result.map_err(refused)).collect()
    }

    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let ends = self.ends(queue);
        let came = receive(&[&ends.packs, &ends.dead], max, wait).await.map_err(failed)?;
        Ok(came.into_iter().map(delivery).collect())
    }

    async fn ack(&self, queue: &QueueName, receipts: Vec<Receipt>) -> Vec<Result<(), QueueError>> {
        let ends = self.ends(queue);
        let mut results: Vec<Result<(), QueueError>> = Vec::with_capacity(receipts.len());
        let (mut packs, mut dead) = (Vec::new(), Vec::new());
        for (index, receipt) in receipts.iter().enumerate() {
            results.push(ends.of(receipt).map(|(end, handle)| {
                let of_dead = std::ptr::eq(end, &ends.dead);
                if of_dead { dead.push((index, handle.into())) } else { packs.push((index, handle.into())) }
            }));
        }
        let delete = async |end: &End, of: Vec<(usize, Arc<str>)>| {
            let (indices, handles): (Vec<usize>, Vec<Arc<str>>) = of.into_iter().unzip();
            let told = end.delete(handles).await;
            indices.into_iter().zip(told).collect::<Vec<_>>()
        };
        let (packs, dead) = tokio::join!(delete(&ends.packs, packs), delete(&ends.dead, dead));
        for (index, told) in packs.into_iter().chain(dead) {
            if let Some(result) = results.get_mut(index) {
                *result = told.map_err(failed);
            }
        }
        results
    }

    async fn release(&self, queue: &QueueName, receipt: Receipt, after: Duration) -> Result<(), QueueError> {
        let ends = self.ends(queue);
        let (end, handle) = ends.of(&receipt)?;
        end.release(handle, after).await.map_err(failed)
    }

    async fn quarantine(&self, queue: &QueueName, receipt: Receipt, reason: &str) -> Result<(), QueueError> {
        let ends = self.ends(queue);
        let (end, handle) = ends.of(&receipt)?;
        end.set_aside(&ends.quarantine, handle, reason).await.map_err(failed)?;
        ends.quarantined.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn failures(&self) -> u64 {
        self.sqs.failures()
    }

    /// A lane of which nothing was heard for a while, and on which nothing lay then, is not asked.
    async fn depth(&self, queue: &QueueName) -> Result<Depth, QueueError> {
        let ends = self.ends(queue);
        if ends.packs.is_known_to_be_empty() && ends.dead.is_known_to_be_empty() {
            let quarantined = ends.quarantined.load(Ordering::Relaxed);
            return Ok(Depth { packs: 0, quarantined, oldest: None });
        }
        let (packs, dead, quarantined) =
            tokio::try_join!(ends.packs.count(), ends.dead.count(), ends.quarantine.count())
                .map_err(failed)?;
        ends.quarantined.store(quarantined, Ordering::Relaxed);
        Ok(Depth { packs: packs + dead, quarantined, oldest: None })
    }

    async fn leave(&self, queue: &QueueName) {
        let ends = self.ends(queue);
        tokio::join!(ends.packs.leave(), ends.dead.leave());
    }
}
