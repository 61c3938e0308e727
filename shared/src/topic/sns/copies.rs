//! A subscription's queue as its subscriber sees it, and the one beside it for what SQS moved away.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

use super::unavailable;
use crate::{
    aws::{
        AwsNames,
        sqs::{Address, End, Item, Plan, Receiving, Sort, Sqs, SqsTrouble, receive},
    },
    queue::Receipt,
    topic::{EventDelivery, TopicError},
};

/// Both ends, and where what is no event is put.
pub(super) struct Copies {
    copies: End,
    dead: End,
    quarantine: Address,
}

/// A receipt of another engine, or none at all.
#[derive(Debug, thiserror::Error)]
#[error("not a receipt of this topic")]
struct ForeignReceipt;

impl Copies {
    pub(super) fn new(sqs: &Arc<Sqs>, queue: String, how: &Receiving) -> Self {
        let address = |name: String, sort| Address::new(sqs, Plan { name, sort, dead: None });
        let arrived = Arc::new(Notify::new());
        let (dead, quarantine) = (AwsNames::dead(&queue), AwsNames::quarantine(&queue));
        Self {
            copies: End::new(address(queue, Sort::Copies), how.clone(), &arrived),
            dead: End::seldom(address(dead, Sort::Dead), how.clone(), &arrived),
            quarantine: address(quarantine, Sort::Quarantine),
        }
    }

    /// Up to `max`, waiting up to `wait` for the first; what is no event is set aside.
    pub(super) async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<EventDelivery>, SqsTrouble> {
        let mut deliveries = Vec::new();
        for (end, item) in receive(&[&self.copies, &self.dead], max, wait).await? {
            let (mark, end) = if end == 0 { ('c', &self.copies) } else { ('d', &self.dead) };
            match serde_json::from_slice(&item.body) {
                Ok(event) => {
                    let receipt = Receipt(format!("{mark}{}", item.handle).into());
                    deliveries.push(EventDelivery { receipt, event });
                }
                Err(error) => self.set_aside(end, &item, &error).await,
            }
        }
        Ok(deliveries)
    }

    /// Puts what is no event where a person finds it. Whoever may send to the queue or publish to the topic can bring it here.
    async fn set_aside(&self, end: &End, item: &Item, error: &serde_json::Error) {
        let queue = end.address().name();
        tracing::error!(queue, %error, "what came is not an event; it is set aside");
        if let Err(error) = end.set_aside(&self.quarantine, &item.handle, &error.to_string()).await {
            tracing::warn!(queue, %error, "it could not be set aside; it comes back");
        }
    }

    /// One result for each, in order.
    pub(super) async fn ack(&self, receipts: Vec<Receipt>) -> Vec<Result<(), TopicError>> {
        let (mut copies, mut dead) = (Vec::new(), Vec::new());
        let mut results = Vec::with_capacity(receipts.len());
        for (index, receipt) in receipts.iter().enumerate() {
            let known = match receipt.0.split_at_checked(1) {
                Some(("c", handle)) => Some((&mut copies, handle)),
                Some(("d", handle)) => Some((&mut dead, handle)),
                _ => None,
            };
            results.push(match known {
                Some((of, handle)) => {
                    of.push((index, Arc::from(handle)));
                    Ok(())
                }
                None => Err(unavailable(ForeignReceipt)),
            });
        }
        for (end, of) in [(&self.copies, copies), (&self.dead, dead)] {
            let (indices, handles): (Vec<usize>, Vec<Arc<str>>) = of.into_iter().unzip();
            if handles.is_empty() {
                continue;
            }
            for (index, result) in indices.into_iter().zip(end.delete(handles).await) {
                if let Some(slot) = results.get_mut(index) {
                    *slot = result.map_err(unavailable);
                }
            }
        }
        results
    }

    /// Waiting or in hand, as far as SQS knows; nothing is asked while it is known to be nothing.
    pub(super) async fn depth(&self) -> Result<u64, SqsTrouble> {
        Ok(self.copies.count().await? + self.dead.count().await?)
    }
}
