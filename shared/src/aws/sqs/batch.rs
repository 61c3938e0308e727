//! Up to ten entries in one request, each with a result of its own.

use std::{ops::Range, sync::Arc};

use tokio::time::Instant;

use super::{
    address::Address,
    calls::{Asked, pause},
    trouble::SqsTrouble,
};

/// Entries in a request.
pub(super) const ENTRIES: usize = 10;

/// What an answer says of each entry that it speaks of, by the number that it was given.
pub(super) type Answers = Vec<(usize, Result<(), SqsTrouble>)>;

/// Something that is asked of SQS for many entries.
pub(super) trait Batch: Sync {
    /// Bytes of an entry.
    fn bytes(&self, entry: usize) -> usize;

    /// The request.
    fn asked(&self, at: &Address, bytes: usize) -> Asked;

    /// Asks once for these entries.
    fn ask(
        &self,
        at: &Address,
        url: &str,
        entries: &[usize],
        until: Instant,
    ) -> impl Future<Output = Result<Answers, SqsTrouble>> + Send;
}

/// Splits entries of these sizes into requests that are small enough.
pub(super) fn split(sizes: &[usize], most: usize) -> Vec<Range<usize>> {
    let (mut ranges, mut start, mut bytes) = (Vec::new(), 0, 0_usize);
    for (index, size) in sizes.iter().enumerate() {
        if index > start && (index - start == ENTRIES || bytes + size > most) {
            ranges.push(start..index);
            (start, bytes) = (index, 0);
        }
        bytes += size;
    }
    if start < sizes.len() {
        ranges.push(start..sizes.len());
    }
    ranges
}

/// Asks for these entries until each has an answer, or tries or time are used up; one result for each, in order. An entry is
/// in doubt if any of its tries was.
pub(super) async fn carry(
    batch: &impl Batch,
    at: &Address,
    entries: Range<usize>,
    until: Instant,
) -> Vec<Result<(), SqsTrouble>> {
    let first = entries.start;
    let mut results: Vec<Result<(), SqsTrouble>> =
        vec![Err(SqsTrouble::not_asked("there was no time to ask")); entries.len()];
    let bytes: usize = entries.clone().map(|entry| batch.bytes(entry)).sum();
    let Some(_turn) = at.sqs.turn(bytes, until).await else {
        results.fill(Err(SqsTrouble::not_asked("too much is under way")));
        return results;
    };
    let url = match at.url().await {
        Ok(url) => url,
        Err(trouble) => {
            // Whatever became of that question, no entry was in it.
            results.fill(Err(SqsTrouble::here(trouble.to_string())));
            return results;
        }
    };
    let (mut left, mut tries): (Vec<usize>, u32) = (entries.collect(), 0);
    loop {
        let answers = ask(batch, at, &url, &left, until).await;
        for (entry, answer) in answers {
            let Some(slot) = results.get_mut(entry - first) else { continue };
            let doubted = slot.as_ref().is_err_and(SqsTrouble::is_in_doubt);
            *slot = answer.map_err(|trouble| trouble.doubted(doubted));
        }
        left.retain(|entry| {
            results.get(entry - first).is_some_and(|r| r.as_ref().is_err_and(SqsTrouble::is_passing))
        });
        if left.is_empty() || !pause(&mut tries, until).await {
            return results;
        }
    }
}

/// One answer for each entry.
async fn ask(batch: &impl Batch, at: &Address, url: &Arc<str>, left: &[usize], until: Instant) -> Answers {
    let result = at.learn(batch.ask(at, url, left, until).await);
    match result {
        Ok(answers) => {
            let failed = answers.iter().filter(|(_, answer)| answer.is_err()).count();
            if failed > 0 {
                batch.asked(at, 0).failed(failed as u64);
            }
            let silent = left.iter().filter(|entry| answers.iter().all(|(answered, _)| answered != *entry));
            let silent: Answers = silent.map(|entry| (*entry, Err(SqsTrouble::unanswered()))).collect();
            answers.into_iter().filter(|(entry, _)| left.contains(entry)).chain(silent).collect()
        }
        Err(trouble) => left.iter().map(|entry| (*entry, Err(trouble.clone()))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, proptest};

    use super::*;

    proptest! {
        #[test]
        fn requests_hold_every_entry_once_in_order_and_are_small_enough(
            sizes in prop::collection::vec(1..400_usize, 0..60)
        ) {
            let ranges = split(&sizes, 1_000);
            assert_eq!(ranges.iter().cloned().flatten().collect::<Vec<_>>(), (0..sizes.len()).collect::<Vec<_>>());
            for range in ranges {
                assert!(!range.is_empty() && range.len() <= ENTRIES);
                assert!(sizes[range].iter().sum::<usize>() <= 1_000);
            }
        }
    }
}
