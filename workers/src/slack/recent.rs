//! What was posted a while ago: what comes again of it is acknowledged, and not counted again.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
};

/// How many are remembered: more than come back within the topic's visibility when an acknowledgement failed.
const KEPT: usize = 50_000;

/// Ids as short numbers, the oldest forgotten first. Keyed at random, so that nobody can choose two ids that are taken for one.
#[derive(Debug, Default)]
pub(super) struct Recent {
    key: RandomState,
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Recent {
    /// An id as a short number.
    pub(super) fn short(&self, id: &str) -> u64 {
        self.key.hash_one(id)
    }

    pub(super) fn knows(&self, short: u64) -> bool {
        self.known.contains(&short)
    }

    pub(super) fn add(&mut self, short: u64) {
        if !self.known.insert(short) {
            return;
        }
        self.order.push_back(short);
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_known_until_many_more_were() {
        let mut recent = Recent::default();
        let (first, other, more) = (recent.short("first"), recent.short("other"), recent.short("one more"));
        recent.add(first);
        for number in 1..KEPT {
            let short = recent.short(&number.to_string());
            recent.add(short);
            recent.add(short);
        }
        assert!(recent.knows(first) && !recent.knows(other));
        recent.add(more);
        assert!(!recent.knows(first) && recent.knows(more));
        assert_eq!((recent.known.len(), recent.order.len()), (KEPT, KEPT));
    }
}
