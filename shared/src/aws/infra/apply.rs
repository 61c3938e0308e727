//! Makes what is missing and mends what drifted, one thing at a time.

use aws_sdk_sqs::types::QueueAttributeName;

use super::{
    Infra,
    diff::{Difference, Drift},
    plan::Area,
    resource::{Resource, Sort},
};
use crate::aws::AwsTrouble;

impl Infra {
    /// Makes what is missing or mends what drifted; a thing that is strange is left alone. Whether anything was done. Idempotent.
    ///
    /// # Errors
    /// If AWS does not answer or does not allow it.
    pub async fn apply(&self, area: &Area, difference: &Difference) -> Result<bool, AwsTrouble> {
        match (area, difference) {
            (_, Difference::Strange { .. } | Difference::Unspoken { .. }) => return Ok(false),
            (Area::Blobs(bucket), Difference::Missing(_)) => self.make_bucket(bucket).await?,
            (Area::Blobs(bucket), Difference::Drifted(drift)) => {
                for attribute in drift.attributes.keys() {
                    self.mend_bucket(bucket, attribute).await?;
                }
            }
            (Area::Events(names, _), Difference::Missing(resource)) => {
                self.make(resource, &names.events()).await?;
            }
            (Area::Packs(..), Difference::Missing(resource)) => self.make(resource, "").await?,
            (_, Difference::Drifted(drift)) => self.mend(drift).await?,
        }
        Ok(true)
    }

    /// Makes a thing with its attributes, all at once. Idempotent as long as it has these attributes.
    pub(crate) async fn make(&self, resource: &Resource, topic: &str) -> Result<(), AwsTrouble> {
        let attributes = resource.attributes.iter().filter(|(_, text)| !text.as_str().is_empty());
        match resource.sort {
            Sort::Queue => {
                let attributes = attributes
                    .map(|(name, text)| (QueueAttributeName::from(*name), text.as_str().to_owned()))
                    .collect();
                let asked =
                    self.sqs.create_queue().queue_name(&resource.name).set_attributes(Some(attributes));
                self.call("CreateQueue", asked.send()).await.map(drop)
            }
            Sort::Topic => {
                self.call("CreateTopic", self.sns.create_topic().name(&resource.name).send()).await.map(drop)
            }
            Sort::Subscription => {
                let attributes =
                    attributes.map(|(name, text)| ((*name).to_owned(), text.as_str().to_owned())).collect();
                let asked = self
                    .sns
                    .subscribe()
                    .topic_arn(self.account().topic(topic))
                    .protocol("sqs")
                    .endpoint(self.account().queue(&resource.name))
                    .return_subscription_arn(true)
                    .set_attributes(Some(attributes));
                self.call("Subscribe", asked.send()).await.map(drop)
            }
            // It is made with its rules, by whoever knows them.
            Sort::Bucket => Ok(()),
        }
    }

    async fn mend(&self, drift: &Drift) -> Result<(), AwsTrouble> {
        let shall = drift.attributes.iter().map(|(name, is)| (*name, is.shall.as_str()));
        match drift.sort {
            Sort::Queue => {
                let shall = shall.map(|(name, text)| (QueueAttributeName::from(name), text.to_owned()));
                let asked = self
                    .sqs
                    .set_queue_attributes()
                    .queue_url(&drift.handle)
                    .set_attributes(Some(shall.collect()));
                self.call("SetQueueAttributes", asked.send()).await.map(drop)
            }
            // Nothing of a topic is ours but that it is there.
            Sort::Topic | Sort::Bucket => Ok(()),
            Sort::Subscription => {
                for (name, text) in shall {
                    // A filter is taken away by one that lets everything pass.
                    let text = if text.is_empty() { "{}" } else { text };
                    let asked = self
                        .sns
                        .set_subscription_attributes()
                        .subscription_arn(&drift.handle)
                        .attribute_name(name)
                        .attribute_value(text);
                    self.call("SetSubscriptionAttributes", asked.send()).await?;
                }
                Ok(())
            }
        }
    }
}
