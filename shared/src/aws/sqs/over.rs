//! What is done with messages in hand: forgotten, or given back.

use std::{sync::Arc, time::Duration};

use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::{
    address::Address,
    batch::{self, Answers, Batch, ENTRIES},
    calls::Asked,
    letter::unbuilt,
    trouble::SqsTrouble,
};

/// The longest that a message is put off, in seconds: SQS counts 12 hours from when it was received.
const LONGEST: i32 = 42_000;

/// Whole seconds, never less than were asked for.
pub(super) fn seconds(duration: Duration) -> i32 {
    let whole = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i32::try_from(whole).unwrap_or(i32::MAX)
}

struct Deleting(Vec<Arc<str>>);

impl Batch for Deleting {
    fn bytes(&self, _entry: usize) -> usize {
        0
    }

    fn asked(&self, at: &Address, bytes: usize) -> Asked {
        at.asked("DeleteMessageBatch", bytes)
    }

    async fn ask(
        &self,
        at: &Address,
        url: &str,
        entries: &[usize],
        until: Instant,
    ) -> Result<Answers, SqsTrouble> {
        let handles = entries.iter().filter_map(|entry| Some((*entry, self.0.get(*entry)?)));
        let built = handles.map(|(number, handle)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(number.to_string());
            entry.receipt_handle(&**handle).build().map_err(unbuilt)
        });
        let built = built.collect::<Result<Vec<_>, _>>()?;
        let request = at.sqs.client().await.delete_message_batch().queue_url(url).set_entries(Some(built));
        let said = at.sqs.once(self.asked(at, 0), at.sqs.one_try(until), request.send()).await?;
        Ok(answers(said.successful().iter().map(|entry| entry.id()), said.failed()))
    }
}

struct Releasing(Vec<(Arc<str>, Duration)>);

impl Batch for Releasing {
    fn bytes(&self, _entry: usize) -> usize {
        0
    }

    fn asked(&self, at: &Address, bytes: usize) -> Asked {
        at.asked("ChangeMessageVisibilityBatch", bytes)
    }

    async fn ask(
        &self,
        at: &Address,
        url: &str,
        entries: &[usize],
        until: Instant,
    ) -> Result<Answers, SqsTrouble> {
        let handles = entries.iter().filter_map(|entry| Some((*entry, self.0.get(*entry)?)));
        let built = handles.map(|(number, (handle, after))| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(number.to_string());
            let after = seconds(*after).min(LONGEST);
            entry.receipt_handle(&**handle).visibility_timeout(after).build().map_err(unbuilt)
        });
        let built = built.collect::<Result<Vec<_>, _>>()?;
        let client = at.sqs.client().await;
        let request = client.change_message_visibility_batch().queue_url(url).set_entries(Some(built));
        let said = at.sqs.once(self.asked(at, 0), at.sqs.one_try(until), request.send()).await?;
        Ok(answers(said.successful().iter().map(|entry| entry.id()), said.failed()))
    }
}

/// What is said of each entry. A receipt that is over is no failure: the message is gone, or another has it.
fn answers<'a>(done: impl Iterator<Item = &'a str>, failed: &[BatchResultErrorEntry]) -> Answers {
    let done = done.filter_map(|id| Some((id.parse().ok()?, Ok(()))));
    let failed = failed.iter().filter_map(|entry| {
        let trouble = SqsTrouble::of_entry(entry.code(), entry.sender_fault(), entry.message());
        Some((entry.id().parse().ok()?, if trouble.is_over() { Ok(()) } else { Err(trouble) }))
    });
    done.chain(failed).collect()
}

/// Forgets these for ever; one result for each, in order. One that is gone already is forgotten.
pub(super) async fn delete(at: &Address, handles: Vec<Arc<str>>) -> Vec<Result<(), SqsTrouble>> {
    let count = handles.len();
    all(&Deleting(handles), at, count).await
}

/// Lets these be received again after their time; one result for each, in order.
pub(super) async fn release(at: &Address, handles: Vec<(Arc<str>, Duration)>) -> Vec<Result<(), SqsTrouble>> {
    let count = handles.len();
    all(&Releasing(handles), at, count).await
}

async fn all(batch: &impl Batch, at: &Address, count: usize) -> Vec<Result<(), SqsTrouble>> {
    let until = at.sqs.deadline();
    let requests = (0..count).step_by(ENTRIES).map(|first| {
        let entries = first..(first + ENTRIES).min(count);
        batch::carry(batch, at, entries, until)
    });
    join_all(requests).await.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_comes_back_too_early() {
        for (millis, expected) in [(0, 0), (1, 1), (1_000, 1), (1_001, 2)] {
            assert_eq!(seconds(Duration::from_millis(millis)), expected);
        }
    }
}
