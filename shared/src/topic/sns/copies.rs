//! A subscription's queue as its subscriber sees it.

use std::{sync::Arc, time::Duration};

use aws_sdk_sqs::{
    Client,
    types::{DeleteMessageBatchRequestEntry, Message, QueueAttributeName},
};
use tokio::{sync::OnceCell, time::Instant};

use crate::{
    aws::{Aws, AwsNames, AwsTrouble, call},
    domain::Event,
    queue::Receipt,
    topic::EventDelivery,
};

/// Messages in a call of SQS, at the most.
const BATCH: usize = 10;

/// The longest poll, in seconds.
const POLL: u64 = 20;

/// One queue.
pub(super) struct Copies {
    aws: Arc<Aws>,
    queue: String,
    visibility: Duration,
    url: OnceCell<String>,
}

impl Copies {
    pub(super) fn new(aws: Arc<Aws>, queue: String, visibility: Duration) -> Self {
        Self { aws, queue, visibility, url: OnceCell::new() }
    }

    async fn client(&self) -> Client {
        Client::new(self.aws.config().await)
    }

    async fn call<T, E>(
        &self,
        what: &'static str,
        asked: impl Future<Output = Result<T, E>>,
    ) -> Result<T, AwsTrouble>
    where
        E: std::error::Error
            + aws_smithy_types::error::metadata::ProvideErrorMetadata
            + Send
            + Sync
            + 'static,
    {
        call(what, self.aws.settings().call_timeout(), asked).await
    }

    async fn url_of(&self, queue: &str) -> Result<String, AwsTrouble> {
        let asked = self.client().await.get_queue_url().queue_name(queue).send();
        Ok(self.call("GetQueueUrl", asked).await?.queue_url.unwrap_or_default())
    }

    async fn url(&self) -> Result<&str, AwsTrouble> {
        self.url.get_or_try_init(|| self.url_of(&self.queue)).await.map(String::as_str)
    }

    /// Up to `max`, waiting up to `wait` for the first; what is no event is set aside.
    pub(super) async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<EventDelivery>, AwsTrouble> {
        let until = Instant::now() + wait;
        loop {
            let left = until.saturating_duration_since(Instant::now()).as_secs().min(POLL);
            let seconds = i32::try_from(left).unwrap_or(0);
            let visible = i32::try_from(self.visibility.as_secs()).unwrap_or(i32::MAX);
            let asked = self
                .client()
                .await
                .receive_message()
                .queue_url(self.url().await?)
                .max_number_of_messages(i32::try_from(max.clamp(1, BATCH)).unwrap_or(1))
                .visibility_timeout(visible)
                .wait_time_seconds(seconds)
                .send();
            let within = self.aws.settings().call_timeout() + Duration::from_secs(left);
            let got = call("ReceiveMessage", within, asked).await?;
            let mut deliveries = Vec::new();
            for message in got.messages.unwrap_or_default() {
                deliveries.extend(self.read(message).await);
            }
            if !deliveries.is_empty() || seconds == 0 {
                return Ok(deliveries);
            }
        }
    }

    async fn read(&self, message: Message) -> Option<EventDelivery> {
        let handle = message.receipt_handle.unwrap_or_default();
        let body = message.body.unwrap_or_default();
        match serde_json::from_str::<Event>(&body) {
            Ok(event) => Some(EventDelivery { receipt: Receipt(handle.into()), event }),
            Err(error) => {
                tracing::error!(queue = self.queue, %error, "what came is not an event; it is set aside");
                if let Err(error) = self.set_aside(&body, handle).await {
                    tracing::warn!(%error, "it could not be set aside; it comes back");
                }
                None
            }
        }
    }

    async fn set_aside(&self, body: &str, handle: String) -> Result<(), AwsTrouble> {
        let quarantine = self.url_of(&AwsNames::quarantine(&self.queue)).await?;
        let kept = self.client().await.send_message().queue_url(quarantine).message_body(body).send();
        self.call("SendMessage", kept).await?;
        self.ack(vec![Receipt(handle.into())]).await.into_iter().collect()
    }

    pub(super) async fn ack(&self, receipts: Vec<Receipt>) -> Vec<Result<(), AwsTrouble>> {
        let mut results = Vec::with_capacity(receipts.len());
        for batch in receipts.chunks(BATCH) {
            let answer = self.delete(batch).await;
            results.extend((0..batch.len()).map(|index| match &answer {
                Ok(deleted) if deleted.contains(&index.to_string()) => Ok(()),
                Ok(_) => Err(AwsTrouble::settled("the message was not deleted".to_owned())),
                Err(trouble) => Err(trouble.clone()),
            }));
        }
        results
    }

    async fn delete(&self, batch: &[Receipt]) -> Result<Vec<String>, AwsTrouble> {
        let entry = |(index, receipt): (usize, &Receipt)| {
            let (id, handle) = (index.to_string(), receipt.0.to_string());
            DeleteMessageBatchRequestEntry::builder().id(id).receipt_handle(handle).build().ok()
        };
        let entries = batch.iter().enumerate().filter_map(entry).collect();
        let asked = self.client().await.delete_message_batch().queue_url(self.url().await?);
        let answer = self.call("DeleteMessageBatch", asked.set_entries(Some(entries)).send()).await?;
        Ok(answer.successful.into_iter().map(|entry| entry.id).collect())
    }

    /// Waiting or in hand; about as many.
    pub(super) async fn depth(&self) -> Result<u64, AwsTrouble> {
        let asked = self.client().await.get_queue_attributes().queue_url(self.url().await?);
        let asked = asked.attribute_names(QueueAttributeName::All).send();
        let said = self.call("GetQueueAttributes", asked).await?;
        let number = |name: QueueAttributeName| -> u64 {
            let text = said.attributes().and_then(|all| all.get(&name));
            text.and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        Ok(number(QueueAttributeName::ApproximateNumberOfMessages)
            + number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible))
    }
}
