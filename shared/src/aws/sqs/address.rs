//! One queue: what it is called, where it is, and how it is made if it is missing and may be made.

use std::{collections::HashMap, sync::Arc};

use aws_sdk_sqs::types::QueueAttributeName;
use parking_lot::RwLock;
use serde_json::json;
use tokio::sync::Mutex;

use super::{
    calls::{Asked, Sqs},
    trouble::SqsTrouble,
};
use crate::aws::infra::plan::{RECEIVES, RETENTION_SECONDS};

/// What a queue is for; a label of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Packs of a lane.
    Packs,
    /// A subscription's copies.
    Copies,
    /// What was received too often.
    Dead,
    /// What could not be read.
    Quarantine,
}

impl Sort {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Packs => "packs",
            Self::Copies => "copies",
            Self::Dead => "dead",
            Self::Quarantine => "quarantine",
        }
    }
}

/// A queue, and what it is made with.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Its name.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) sort: Sort,
    /// The queue for what was received too often, which is made first.
    pub(crate) dead: Option<String>,
}

/// A queue that is looked for once.
#[derive(Debug)]
pub(crate) struct Address {
    pub(super) sqs: Arc<Sqs>,
    plan: Plan,
    known: RwLock<Option<Arc<str>>>,
    looking: Mutex<()>,
}

impl Address {
    /// A queue; nothing is asked yet.
    pub(crate) fn new(sqs: &Arc<Sqs>, plan: Plan) -> Self {
        Self { sqs: Arc::clone(sqs), plan, known: RwLock::default(), looking: Mutex::default() }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.plan.name
    }

    /// A request of this queue.
    pub(super) const fn asked(&self, call: &'static str, bytes: usize) -> Asked {
        Asked { call, sort: self.plan.sort, bytes }
    }

    /// Where it is.
    pub(super) async fn url(&self) -> Result<Arc<str>, SqsTrouble> {
        if let Some(url) = self.known() {
            return Ok(url);
        }
        let _one_looks = self.looking.lock().await;
        if let Some(url) = self.known() {
            return Ok(url);
        }
        let url = match self.look(&self.plan.name).await {
            Err(trouble) if trouble.is_missing() && self.sqs.creates() => self.make().await?,
            Err(trouble) if trouble.is_missing() => {
                return Err(SqsTrouble::no_queue(&self.plan.name));
            }
            found => found?,
        };
        *self.known.write() = Some(Arc::clone(&url));
        Ok(url)
    }

    fn known(&self) -> Option<Arc<str>> {
        self.known.read().clone()
    }

    /// What a failure means for what is known: a queue that is gone is looked for again.
    pub(super) fn learn<T>(&self, result: Result<T, SqsTrouble>) -> Result<T, SqsTrouble> {
        if let Err(trouble) = &result
            && trouble.is_missing()
        {
            *self.known.write() = None;
        }
        result
    }

    async fn look(&self, name: &str) -> Result<Arc<str>, SqsTrouble> {
        let asked = self.asked("GetQueueUrl", 0);
        let said = self.sqs.patiently(asked, |sqs| sqs.get_queue_url().queue_name(name).send()).await?;
        Ok(said.queue_url().unwrap_or_default().into())
    }

    async fn make(&self) -> Result<Arc<str>, SqsTrouble> {
        let mut attributes =
            HashMap::from([(QueueAttributeName::MessageRetentionPeriod, RETENTION_SECONDS.to_string())]);
        if let Some(dead) = &self.plan.dead {
            let url = self.made(dead, attributes.clone()).await?;
            let arn = self.full_name(&url).await?;
            let policy = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": RECEIVES });
            attributes.insert(QueueAttributeName::RedrivePolicy, policy.to_string());
        }
        tracing::info!(queue = self.plan.name, "this queue was missing and is made");
        self.made(&self.plan.name, attributes).await
    }

    /// Makes a queue, or finds that somebody has.
    async fn made(
        &self,
        name: &str,
        attributes: HashMap<QueueAttributeName, String>,
    ) -> Result<Arc<str>, SqsTrouble> {
        let asked = self.asked("CreateQueue", 0);
        let made = self
            .sqs
            .patiently(asked, |sqs| {
                sqs.create_queue().queue_name(name).set_attributes(Some(attributes.clone())).send()
            })
            .await;
        match made {
            Err(trouble) if trouble.is_made_already() => self.look(name).await,
            made => Ok(made?.queue_url().unwrap_or_default().into()),
        }
    }

    async fn full_name(&self, url: &str) -> Result<String, SqsTrouble> {
        let asked = self.asked("GetQueueAttributes", 0);
        let wanted = QueueAttributeName::QueueArn;
        let said = self.sqs.patiently(asked, |sqs| {
            sqs.get_queue_attributes().queue_url(url).attribute_names(wanted.clone()).send()
        });
        let said = said.await?;
        let arn = said.attributes().and_then(|all| all.get(&wanted)).cloned();
        arn.ok_or_else(|| SqsTrouble::here(format!("{url} does not say what it is called in full")))
    }

    /// What lies there: waiting, in hands, and put off.
    pub(crate) async fn count(&self) -> Result<u64, SqsTrouble> {
        const COUNTS: [QueueAttributeName; 3] = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let url = self.url().await?;
        let asked = self.asked("GetQueueAttributes", 0);
        let said = self.sqs.patiently(asked, |sqs| {
            let wanted = Some(COUNTS.to_vec());
            sqs.get_queue_attributes().queue_url(&*url).set_attribute_names(wanted).send()
        });
        let said = self.learn(said.await)?;
        let count = |name| said.attributes().and_then(|all| all.get(name)?.parse::<u64>().ok());
        COUNTS
            .iter()
            .map(count)
            .sum::<Option<u64>>()
            .ok_or_else(|| SqsTrouble::here(format!("{} does not say how much lies on it", self.plan.name)))
    }
}
