//! Takes away a subscription that has ended. Only a process that makes things by itself does; an operator does it by hand.

use super::Infra;
use crate::aws::{AwsNames, AwsTrouble};

impl Infra {
    /// Ends what feeds this queue and deletes it with what belongs to it. Idempotent.
    pub(crate) async fn unmake(&self, queue: &str, topic: &str) -> Result<(), AwsTrouble> {
        let subscribed = match self.subscriptions(&self.account().topic(topic)).await {
            Err(trouble) if trouble.is_missing() => Vec::new(),
            subscribed => subscribed?,
        };
        for subscription in subscribed.into_iter().filter(|subscription| subscription.name == queue) {
            let asked = self.sns.unsubscribe().subscription_arn(subscription.handle).send();
            gone(self.call("Unsubscribe", asked).await)?;
        }
        for name in [queue.to_owned(), AwsNames::dead(queue), AwsNames::quarantine(queue)] {
            let url = match self.call("GetQueueUrl", self.sqs.get_queue_url().queue_name(&name).send()).await
            {
                Err(trouble) if trouble.is_missing() => continue,
                said => said?.queue_url.unwrap_or_default(),
            };
            gone(self.call("DeleteQueue", self.sqs.delete_queue().queue_url(url).send()).await)?;
        }
        Ok(())
    }
}

fn gone<T>(answer: Result<T, AwsTrouble>) -> Result<(), AwsTrouble> {
    match answer {
        Err(trouble) if !trouble.is_missing() => Err(trouble),
        _ => Ok(()),
    }
}
