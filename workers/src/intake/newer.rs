//! Packs that a newer release wrote. They are left for a newer worker, and told of: every one is counted, and a line is
//! written at once and then at most once a minute for each version, however many there are.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use naru_shared::{metrics, queue::QueueName};
use parking_lot::Mutex;

/// How often a version is told of.
const MINUTE: Duration = Duration::from_secs(60);

/// Versions that are told apart; whoever can write to the queue can write any number.
const VERSIONS: usize = 8;

/// The versions that were seen; `None` stands for those beyond the bound.
#[derive(Default)]
pub(crate) struct Newer(Mutex<BTreeMap<Option<u32>, Seen>>);

struct Seen {
    told: Instant,
    untold: u64,
}

impl Newer {
    /// A pack of this version was left.
    pub(super) fn left(&self, queue: &QueueName, version: u32, newest: u32) {
        let (route, lane) = (queue.route.as_str(), queue.lane.as_str());
        metrics::NEWER.of(&[("route", route), ("lane", lane)]).increment(1);
        if let Some((version, packs)) = self.tell(version, Instant::now()) {
            let version = version.map_or_else(|| "others".to_owned(), |version| version.to_string());
            tracing::warn!(
                event = "envelopes-newer",
                version,
                newest_read = newest,
                packs,
                route,
                lane,
                "packs of a newer release are left for newer workers: replace the workers, or tell ingress to write \
                 the older version (ingress.envelope_version)"
            );
        }
    }

    /// What is to be told now, if anything: of which version, and how many since it was told last.
    fn tell(&self, version: u32, now: Instant) -> Option<(Option<u32>, u64)> {
        let mut seen = self.0.lock();
        let known = seen.len() < VERSIONS || seen.contains_key(&Some(version));
        let version = known.then_some(version);
        let Some(before) = seen.get_mut(&version) else {
            seen.insert(version, Seen { told: now, untold: 0 });
            return Some((version, 1));
        };
        before.untold += 1;
        (now.duration_since(before.told) >= MINUTE).then(|| {
            before.told = now;
            (version, std::mem::take(&mut before.untold))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_told_of_at_once_and_then_once_a_minute_with_all_that_came() {
        let (newer, begin) = (Newer::default(), Instant::now());
        let mut told = Vec::new();
        for second in 0..150 {
            let now = begin + Duration::from_secs(second);
            told.extend(newer.tell(2, now));
            told.extend(newer.tell(2, now));
            told.extend((second == 100).then(|| newer.tell(3, now)).flatten());
        }
        let two = Some(2);
        assert_eq!(told, [(two, 1), (two, 120), (Some(3), 1), (two, 120)]);
    }

    #[test]
    fn however_many_versions_there_are_few_are_told_of() {
        let (newer, now) = (Newer::default(), Instant::now());
        let told: Vec<_> = (2..10_000).filter_map(|version| newer.tell(version, now)).collect();
        assert_eq!(told.len(), VERSIONS + 1);
        assert_eq!(told.last(), Some(&(None, 1)));
        let later: Vec<_> = (2..10_000).filter_map(|version| newer.tell(version, now + MINUTE)).collect();
        assert_eq!(later.len(), VERSIONS + 1, "and nothing goes uncounted: {later:?}");
        assert_eq!(later.iter().map(|(_, packs)| packs).sum::<u64>(), (10_000 - 2 - 8 - 1) + 8 + 1);
    }
}
