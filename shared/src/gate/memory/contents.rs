//! Contents that were sent a moment ago.

use std::time::Duration;

use moka::{
    ops::compute::{CompResult, Op},
    sync::Cache,
};

use crate::{domain::MessageId, gate::ContentMark};

/// Contents that are remembered: of one that is forgotten, a repetition is let in.
const CONTENTS: u64 = 1_000_000;

/// The longest for which one is claimed.
const LONGEST: Duration = Duration::from_secs(86_400);

#[derive(Clone, Copy)]
struct Claim {
    by: MessageId,
    until: Duration,
}

pub(super) struct Contents {
    claims: Cache<ContentMark, Claim>,
}

impl Contents {
    pub(super) fn new() -> Self {
        Self { claims: Cache::builder().max_capacity(CONTENTS).time_to_live(LONGEST).build() }
    }

    /// One of many callers at once has it: the cache computes one at a time for each mark.
    pub(super) fn claim(
        &self,
        mark: ContentMark,
        by: MessageId,
        span: Duration,
        now: Duration,
    ) -> Option<Duration> {
        let claim = Claim { by, until: now.saturating_add(span) };
        let result = self.claims.entry(mark).and_compute_with(|found| {
            if found.is_none_or(|entry| entry.value().until <= now) { Op::Put(claim) } else { Op::Nop }
        });
        match result {
            CompResult::Unchanged(entry) if entry.value().by != by => {
                Some(entry.value().until.saturating_sub(now))
            }
            _ => None,
        }
    }

    pub(super) fn free(&self, mark: ContentMark, by: MessageId) {
        self.claims.entry(mark).and_compute_with(|found| {
            if found.is_some_and(|entry| entry.value().by == by) { Op::Remove } else { Op::Nop }
        });
    }
}
