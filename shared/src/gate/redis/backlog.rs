//! What waits in the ledger: written by workers, read by fronts in the background, asked without waiting.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{Account, RouteName},
    gate::{
        Delay,
        memory::waiting::{Counts, Waits},
    },
    ledger::Waiting,
};

/// Accounts that are written, those with the most first; the sums are of all. Who is not among them has little waiting.
const ACCOUNTS: usize = 2_000;

/// What has not changed is written again after so long, and is forgotten by Redis after [`LASTS_MS`].
const AGAIN: Duration = Duration::from_secs(20);

/// How long Redis keeps it.
pub(super) const LASTS_MS: u64 = 60_000;

/// As it is written.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    all: BTreeMap<RouteName, u64>,
    own: Vec<(RouteName, Account, u64)>,
    /// Milliseconds that `express` of an account would wait, where that is long.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    delays: Vec<(RouteName, Account, u64)>,
    /// Changes while there are delays, so that whoever reads them knows that they are still so.
    #[serde(default, skip_serializing_if = "is_zero")]
    round: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What was written last, and when.
#[derive(Default)]
struct Written {
    digest: u64,
    at: Option<Duration>,
}

/// Both sides of it.
#[derive(Default)]
pub(super) struct Backlog {
    waits: Waits,
    written: Mutex<Written>,
    read: Mutex<String>,
}

impl Backlog {
    /// Learns what waits. What is to be written, unless the same was written a moment ago.
    pub(super) fn observe(
        &self,
        waiting: &[Waiting],
        delays: &[Delay],
        now: Duration,
    ) -> Option<(u64, String)> {
        let counts = Counts::of(waiting, delays);
        let mut document = document(&counts);
        if !document.delays.is_empty() {
            document.round = 1 + now.as_secs() / AGAIN.as_secs();
        }
        self.waits.replace(counts, now);
        let text = serde_json::to_string(&document).ok()?;
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let digest = hasher.finish();
        let mut written = self.written.lock();
        let recent = written.at.is_some_and(|at| now.saturating_sub(at) < AGAIN);
        if recent && written.digest == digest {
            return None;
        }
        *written = Written { digest, at: Some(now) };
        Some((digest, text))
    }

    /// It could not be written: the next is, whatever it is.
    pub(super) fn unwritten(&self) {
        *self.written.lock() = Written::default();
    }

    /// Whether what bears a stamp has not been read yet.
    pub(super) fn is_news(&self, stamp: &str) -> bool {
        !stamp.is_empty() && *self.read.lock() != stamp
    }

    /// Takes in what was read.
    pub(super) fn read(&self, stamp: String, text: &str, now: Duration) {
        match serde_json::from_str::<Document>(text) {
            Ok(document) => self.waits.replace(counts(document), now),
            Err(error) => tracing::warn!(%error, "what is told of waiting messages cannot be read"),
        }
        *self.read.lock() = stamp;
    }

    /// Messages of an account that wait on a route, and of everybody.
    pub(super) fn of(&self, account: &Account, route: &RouteName) -> (u64, u64) {
        self.waits.of(account, route)
    }

    /// How long a message of an account would wait on a route.
    pub(super) fn delay(&self, account: &Account, route: &RouteName, now: Duration) -> Option<Duration> {
        self.waits.delay(account, route, now)
    }
}

fn document(counts: &Counts) -> Document {
    Document {
        all: counts.all.iter().map(|(route, count)| (route.clone(), *count)).collect(),
        own: most(&counts.own, |count| *count),
        delays: most(&counts.delays, |delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
        round: 0,
    }
}

/// The greatest of these, in one order.
fn most<T>(
    all: &HashMap<RouteName, HashMap<Account, T>>,
    number: impl Fn(&T) -> u64,
) -> Vec<(RouteName, Account, u64)> {
    let mut own: Vec<_> = all
        .iter()
        .flat_map(|(route, own)| own.iter().map(|(who, one)| (route.clone(), who.clone(), number(one))))
        .collect();
    own.sort_unstable_by(|a, b| b.2.cmp(&a.2).then_with(|| (&a.0, &a.1).cmp(&(&b.0, &b.1))));
    own.truncate(ACCOUNTS);
    own
}

fn counts(document: Document) -> Counts {
    let mut counts = Counts { all: document.all.into_iter().collect(), ..Counts::default() };
    for (route, account, count) in document.own {
        counts.own.entry(route).or_default().insert(account, count);
    }
    for (route, account, millis) in document.delays {
        counts.delays.entry(route).or_default().insert(account, Duration::from_millis(millis));
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Environment, Lane};

    fn waiting(customer: String, messages: u64) -> Waiting {
        let account = Account { customer: customer.parse().unwrap(), environment: Environment::Live };
        Waiting { route: "r".parse().unwrap(), lane: Lane::Bulk, account, messages }
    }

    #[test]
    fn what_is_written_is_bounded_and_its_sums_are_of_all() {
        let many: Vec<_> = (0..3_000_u64).map(|n| waiting(format!("c{n}"), n + 1)).collect();
        let (writer, reader) = (Backlog::default(), Backlog::default());
        let (_, text) = writer.observe(&many, &[], Duration::ZERO).unwrap();
        assert_eq!(writer.observe(&many, &[], Duration::from_secs(1)), None, "the same again");
        assert!(writer.observe(&many, &[], Duration::from_secs(22)).is_some(), "in time");
        assert!(writer.observe(&many[1..], &[], Duration::from_secs(23)).is_some(), "another");
        assert!(reader.is_news("s") && !reader.is_news(""));
        reader.read("s".to_owned(), &text, Duration::ZERO);
        assert!(!reader.is_news("s"));
        let route = "r".parse().unwrap();
        assert_eq!(reader.of(&many[2_999].account, &route), (3_000, 4_501_500));
        assert_eq!(reader.of(&many[0].account, &route), (0, 4_501_500));
        reader.read("t".to_owned(), "nonsense", Duration::ZERO);
        assert_eq!(reader.of(&many[2_999].account, &route), (3_000, 4_501_500));
    }
}
