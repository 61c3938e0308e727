//! What there is: read, and nothing is changed.

use std::collections::BTreeMap;

use aws_sdk_sqs::types::QueueAttributeName;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    Infra,
    plan::Area,
    resource::{Found, Sort, Text},
};
use crate::aws::{AwsNames, AwsTrouble};

/// Questions under way at once.
const AT_ONCE: usize = 8;

/// Names in an answer of SQS, at the most.
const PAGE: i32 = 1_000;

impl Infra {
    /// What is there of an area, and whatever else has its prefix. What others have subscribed to the topic is theirs.
    ///
    /// # Errors
    /// If AWS does not answer or does not allow it.
    pub async fn look(&self, area: &Area) -> Result<Vec<Found>, AwsTrouble> {
        match area {
            Area::Packs(names, _) => self.queues(&format!("{}-packs-", names.prefix())).await,
            Area::Events(names, _) => self.look_for_events(names).await,
            Area::Blobs(bucket) => self.look_for_bucket(bucket).await,
        }
    }

    async fn look_for_events(&self, names: &AwsNames) -> Result<Vec<Found>, AwsTrouble> {
        let copies = format!("{}-copies-", names.prefix());
        let mut found = self.queues(&copies).await?;
        let topics = self.topics(&format!("{}-", names.prefix())).await?;
        let ours = self.account().topic(&names.events());
        if topics.iter().any(|topic| topic.handle == ours) {
            let subscribed = self.subscriptions(&ours).await?;
            let ours = subscribed.into_iter().filter(|subscription| subscription.name.starts_with(&copies));
            let looked = stream::iter(ours.map(|subscription| self.with_attributes(subscription)));
            found.extend(looked.buffered(AT_ONCE).try_collect::<Vec<_>>().await?);
        }
        found.extend(topics);
        Ok(found)
    }

    async fn queues(&self, prefix: &str) -> Result<Vec<Found>, AwsTrouble> {
        let (mut urls, mut more) = (Vec::new(), None);
        loop {
            let asked = self
                .sqs
                .list_queues()
                .queue_name_prefix(prefix)
                .max_results(PAGE)
                .set_next_token(more)
                .send();
            let page = self.call("ListQueues", asked).await?;
            urls.extend(page.queue_urls().iter().cloned());
            more = page.next_token().map(ToOwned::to_owned);
            if more.is_none() {
                break;
            }
        }
        urls.sort_unstable();
        urls.dedup();
        let looked = stream::iter(urls.into_iter().map(|url| self.queue(url))).buffered(AT_ONCE);
        // One that was deleted a moment ago may still be listed.
        looked.try_filter_map(|found| async { Ok(found) }).try_collect().await
    }

    async fn queue(&self, url: String) -> Result<Option<Found>, AwsTrouble> {
        let asked = self.sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::All);
        let said = match self.call("GetQueueAttributes", asked.send()).await {
            Err(trouble) if trouble.is_missing() => return Ok(None),
            said => said?,
        };
        let attributes = said.attributes().into_iter().flatten();
        let attributes =
            attributes.map(|(name, text)| (name.as_str().to_owned(), Text::from(&**text))).collect();
        let name = url.rsplit('/').next().unwrap_or_default().to_owned();
        Ok(Some(Found { sort: Sort::Queue, name, handle: url, attributes, unspoken: Vec::new() }))
    }

    async fn topics(&self, prefix: &str) -> Result<Vec<Found>, AwsTrouble> {
        let (mut found, mut more) = (Vec::new(), None);
        loop {
            let page = self.call("ListTopics", self.sns.list_topics().set_next_token(more).send()).await?;
            let arns = page.topics().iter().filter_map(|topic| topic.topic_arn());
            found.extend(arns.filter_map(|arn| {
                let name = arn.rsplit(':').next().filter(|name| name.starts_with(prefix))?.to_owned();
                let attributes = BTreeMap::new();
                Some(Found {
                    sort: Sort::Topic,
                    name,
                    handle: arn.to_owned(),
                    attributes,
                    unspoken: Vec::new(),
                })
            }));
            more = page.next_token().filter(|token| !token.is_empty()).map(ToOwned::to_owned);
            if more.is_none() {
                return Ok(found);
            }
        }
    }

    /// Queues that a topic feeds, of which only the names are known.
    pub(crate) async fn subscriptions(&self, topic: &str) -> Result<Vec<Found>, AwsTrouble> {
        let (mut found, mut more) = (Vec::new(), None);
        let own = self.account().queue("");
        loop {
            let asked = self.sns.list_subscriptions_by_topic().topic_arn(topic).set_next_token(more).send();
            let page = self.call("ListSubscriptionsByTopic", asked).await?;
            found.extend(page.subscriptions().iter().filter_map(|subscription| {
                let name = subscription.endpoint()?.strip_prefix(&own)?.to_owned();
                let handle = subscription.subscription_arn()?.to_owned();
                Some(Found {
                    sort: Sort::Subscription,
                    name,
                    handle,
                    attributes: BTreeMap::new(),
                    unspoken: Vec::new(),
                })
            }));
            more = page.next_token().filter(|token| !token.is_empty()).map(ToOwned::to_owned);
            if more.is_none() {
                return Ok(found);
            }
        }
    }

    async fn with_attributes(&self, mut subscription: Found) -> Result<Found, AwsTrouble> {
        let asked = self.sns.get_subscription_attributes().subscription_arn(&subscription.handle).send();
        let said = self.call("GetSubscriptionAttributes", asked).await?;
        let attributes = said.attributes().into_iter().flatten();
        // A filter that was taken away is an empty document.
        let attributes = attributes.filter(|(name, text)| *name != "FilterPolicy" || *text != "{}");
        subscription.attributes =
            attributes.map(|(name, text)| (name.clone(), Text::from(&**text))).collect();
        Ok(subscription)
    }
}
