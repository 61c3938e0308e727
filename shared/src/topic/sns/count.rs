//! What is counted of requests that publish.

use std::time::Duration;

use super::{NotTaken, wire::Entry};
use crate::metrics::{SNS_BILLED, SNS_CALL_SECONDS, SNS_CALLS, SNS_ENTRIES};

/// What one billed request may carry.
const BILLED: usize = 64 * 1024;

/// A request with these entries has ended.
pub(super) fn asked(entries: &[(usize, Entry)], took: Duration, answered: bool) {
    let bytes: usize = entries.iter().map(|(_, entry)| entry.weight()).sum();
    SNS_CALLS.of(&[("result", if answered { "answered" } else { "failed" })]).increment(1);
    SNS_BILLED.of(&[]).increment(bytes.div_ceil(BILLED).max(1) as u64);
    SNS_CALL_SECONDS.of(&[]).record(took.as_secs_f64());
}

/// What became of one entry.
pub(super) fn told(result: &Result<(), NotTaken>) {
    let word = match result {
        Ok(()) => "taken",
        Err(NotTaken::Refused { .. }) => "refused",
        Err(NotTaken::Untold) => "untold",
        Err(NotTaken::Failed(_)) => "failed",
    };
    SNS_ENTRIES.of(&[("result", word)]).increment(1);
}
