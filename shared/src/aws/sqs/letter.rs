//! What is sent to a queue, many at once.

use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::{
    address::Address,
    batch::{self, Answers, Batch},
    calls::Asked,
    trouble::SqsTrouble,
};

/// What SQS takes in one request, in bytes of bodies and attributes, and so in one message.
pub(crate) const LARGEST: usize = 1 << 20;

/// Bytes of attributes and of what stands around them that are allowed for.
pub(crate) const AROUND: usize = 2 * 1024;

/// One message to be.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    /// Its text, of characters that SQS takes.
    pub(crate) body: String,
    /// Whose it is: SQS delivers fairly among groups.
    pub(crate) group: Option<String>,
    /// What people and tools see without reading it; names and texts that are not empty.
    pub(crate) attributes: Vec<(&'static str, String)>,
}

impl Letter {
    fn bytes(&self) -> usize {
        let attribute = |(name, text): &(&str, String)| name.len() + "String".len() + text.len();
        self.body.len() + self.attributes.iter().map(attribute).sum::<usize>()
    }

    fn entry(&self, number: usize) -> Result<SendMessageBatchRequestEntry, SqsTrouble> {
        let mut entry = SendMessageBatchRequestEntry::builder()
            .id(number.to_string())
            .message_body(&self.body)
            .set_message_group_id(self.group.clone());
        for (name, text) in &self.attributes {
            let value = MessageAttributeValue::builder().data_type("String").string_value(text).build();
            entry = entry.message_attributes(*name, value.map_err(unbuilt)?);
        }
        entry.build().map_err(unbuilt)
    }
}

pub(super) fn unbuilt(error: aws_smithy_types::error::operation::BuildError) -> SqsTrouble {
    SqsTrouble::here(format!("the request cannot be written: {error}"))
}

struct Sending(Vec<Letter>);

impl Batch for Sending {
    fn bytes(&self, entry: usize) -> usize {
        self.0.get(entry).map_or(0, Letter::bytes)
    }

    fn asked(&self, at: &Address, bytes: usize) -> Asked {
        at.asked("SendMessageBatch", bytes)
    }

    async fn ask(
        &self,
        at: &Address,
        url: &str,
        entries: &[usize],
        until: Instant,
    ) -> Result<Answers, SqsTrouble> {
        let letters = entries.iter().filter_map(|entry| Some((*entry, self.0.get(*entry)?)));
        let built = letters.map(|(number, letter)| letter.entry(number)).collect::<Result<Vec<_>, _>>()?;
        let bytes = entries.iter().map(|entry| self.bytes(*entry)).sum();
        let request = at.sqs.client().await.send_message_batch().queue_url(url).set_entries(Some(built));
        let said = at.sqs.once(self.asked(at, bytes), at.sqs.one_try(until), request.send()).await?;
        let taken = said.successful().iter().filter_map(|entry| Some((entry.id().parse().ok()?, Ok(()))));
        let failed = said.failed().iter().filter_map(|entry| {
            let trouble = SqsTrouble::of_entry(entry.code(), entry.sender_fault(), entry.message());
            Some((entry.id().parse().ok()?, Err(trouble)))
        });
        Ok(taken.chain(failed).collect())
    }
}

/// Sends these; one result for each, in order. `Ok`: SQS has it.
pub(crate) async fn send(at: &Address, letters: Vec<Letter>) -> Vec<Result<(), SqsTrouble>> {
    let until = at.sqs.deadline();
    let sizes: Vec<usize> = letters.iter().map(Letter::bytes).collect();
    let sending = Sending(letters);
    let requests = batch::split(&sizes, LARGEST).into_iter().map(|range| {
        let too_large = sizes.get(range.start).is_some_and(|size| *size > LARGEST);
        let sending = &sending;
        async move {
            if too_large {
                let why = format!("{} is the most that a message may have in bytes", LARGEST);
                return vec![Err(SqsTrouble::here(why)); range.len()];
            }
            batch::carry(sending, at, range, until).await
        }
    });
    join_all(requests).await.into_iter().flatten().collect()
}
