//! What was set aside on SQS: a queue beside each lane's, from which messages are received and held while somebody looks.
//!
//! SQS shows some of what lies there, in no order; what others look at meanwhile is not shown. So what is found is a sample
//! unless the count says otherwise.

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{
    super::{
        Outgoing, QueueError, QueueName, Receipt,
        sqs::{envelope, letter},
    },
    Aside, Quarantine, SetAside,
};
use crate::{
    aws::{
        Aws, AwsNames,
        sqs::{Address, Item, Plan, Sort, Sqs, SqsSettings, SqsTrouble},
    },
    domain::CustomerId,
    doorbell::Doorbell,
};

/// How long what was shown is in hand: longer than whoever looks needs, and not so long that a look that died is in the way.
const VISIBILITY: Duration = Duration::from_secs(120);

/// How long the doorbell may take to be told of what was put back.
const WAKING: Duration = Duration::from_secs(2);

/// See the module.
pub struct SqsQuarantine {
    sqs: Arc<Sqs>,
    names: AwsNames,
    /// Whether processes make their queues when they need them: one that is not there has nothing on it.
    made_when_needed: bool,
    bell: Arc<dyn Doorbell>,
}

impl SqsQuarantine {
    /// On SQS; nothing is asked yet, and no queue is made.
    #[must_use]
    pub fn new(aws: Arc<Aws>, settings: &SqsSettings, bell: Arc<dyn Doorbell>) -> Self {
        Self {
            sqs: Sqs::new(aws, false),
            names: AwsNames::of(&settings.namespace),
            made_when_needed: settings.create,
            bell,
        }
    }
}

#[async_trait]
impl Quarantine for SqsQuarantine {
    async fn aside(&self, queue: &QueueName) -> Result<Box<dyn Aside>, QueueError> {
        let packs = self.names.packs(queue);
        let quarantine = AwsNames::quarantine(&packs);
        let dead = Some(AwsNames::dead(&packs));
        let address = |name, sort, dead| Address::new(&self.sqs, Plan { name, sort, dead });
        Ok(Box::new(SqsAside {
            from: address(quarantine, Sort::Quarantine, None),
            to: address(packs, Sort::Packs, dead),
            queue: queue.clone(),
            made_when_needed: self.made_when_needed,
            bell: Arc::clone(&self.bell),
            in_hand: HashSet::new(),
            rang: false,
        }))
    }
}

struct SqsAside {
    from: Address,
    to: Address,
    queue: QueueName,
    made_when_needed: bool,
    bell: Arc<dyn Doorbell>,
    in_hand: HashSet<Arc<str>>,
    /// Whether anything was put back.
    rang: bool,
}

fn failed(trouble: SqsTrouble) -> QueueError {
    QueueError(Box::new(trouble))
}

fn shown(item: &Item) -> SetAside {
    let reason = item.attributes.iter().find(|(name, _)| name == "naru-reason").map(|(_, text)| text.clone());
    SetAside {
        receipt: Receipt((*item.handle).into()),
        envelope: envelope(item),
        reason: reason.unwrap_or_else(|| "it does not say".to_owned()),
        at: item.sent,
    }
}

#[async_trait]
impl Aside for SqsAside {
    async fn next(&mut self, max: usize) -> Result<Vec<SetAside>, QueueError> {
        let mut found = Vec::new();
        while found.len() < max {
            let items = match self.from.browse(max - found.len(), VISIBILITY).await {
                Ok(items) => items,
                Err(trouble) if trouble.is_missing() && self.made_when_needed => break,
                Err(trouble) => return Err(failed(trouble)),
            };
            // A question that waits is put to all of SQS's machines: an empty answer is believed.
            if items.is_empty() {
                break;
            }
            for item in items {
                self.in_hand.insert(Arc::clone(&item.handle));
                found.push(shown(&item));
            }
        }
        Ok(found)
    }

    /// Sent, then deleted here; whoever receives is woken.
    async fn readmit(&mut self, pack: &SetAside, group: &CustomerId) -> Result<bool, QueueError> {
        let (queue, envelope) = (self.queue.clone(), pack.envelope.clone());
        let sent = letter(&Outgoing { queue, group: group.clone(), envelope });
        self.to.send_one(sent).await.map_err(failed)?;
        self.bell.ring(self.to.name());
        self.rang = true;
        self.discard(pack).await?;
        Ok(true)
    }

    async fn discard(&mut self, pack: &SetAside) -> Result<(), QueueError> {
        let handle: Arc<str> = (*pack.receipt.0).into();
        self.from.forget(Arc::clone(&handle)).await.map_err(failed)?;
        self.in_hand.remove(&handle);
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<bool, QueueError> {
        let handles: Vec<Arc<str>> = self.in_hand.into_iter().collect();
        let back = async {
            if handles.is_empty() { Ok(()) } else { self.from.give_back(handles).await.map_err(failed) }
        };
        let waking = async { !self.rang || self.bell.told(WAKING).await };
        let (given, woken) = tokio::join!(back, waking);
        given.map(|()| woken)
    }
}
