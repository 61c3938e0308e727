//! What is in hand: events that one post will tell of, counted by groups, with what acknowledges them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Instant,
};

use naru_shared::{
    domain::{Event, Timestamp},
    queue::Receipt,
};
use serde_json::Value;

use super::{escape::code, rules::Severity};

/// Deliveries in hand at the most.
pub(super) const EVENTS: usize = 2_000;

/// Groups at the most; events of further ones are counted by severity alone.
pub(super) const GROUPS: usize = 100;

/// Ids that are shown of a group.
const SAMPLES: usize = 3;

/// The longest that a word of others may be in a post, in characters.
const WORD: usize = 120;

/// The longest sentence.
const SENTENCE: usize = 200;

/// What is alike: all words escaped already.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Alike {
    /// How loud.
    pub(super) severity: Severity,
    /// The event's kind.
    pub(super) kind: String,
    /// Where it went.
    pub(super) route: Option<String>,
    /// Whose.
    pub(super) customer: Option<String>,
    /// Why.
    pub(super) code: Option<String>,
}

impl Alike {
    fn of(event: &Event, severity: Severity) -> Self {
        let word = |name: &str| match event.data.get(name) {
            Some(Value::String(text)) => Some(code(text, WORD)),
            _ => None,
        };
        Self {
            severity,
            kind: code(&event.kind, WORD),
            route: word("route"),
            customer: word("customer"),
            code: word("code").or_else(|| word("reason")),
        }
    }
}

/// What is told of a group.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) count: u64,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    /// What the first of them was about, and the next ones.
    pub(super) samples: Vec<String>,
    /// What was said of the first.
    pub(super) detail: Option<String>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Hand {
    since: Option<Instant>,
    groups: HashMap<Alike, Group>,
    others: BTreeMap<Severity, u64>,
    ids: HashSet<u64>,
    receipts: Vec<Receipt>,
}

impl Hand {
    /// Counts an event, unless one of its id is in hand already; in either case its receipt is kept.
    pub(super) fn add(
        &mut self,
        event: &Event,
        severity: Severity,
        id: u64,
        receipt: Receipt,
        now: Instant,
    ) -> bool {
        self.since.get_or_insert(now);
        self.receipts.push(receipt);
        if !self.ids.insert(id) {
            return false;
        }
        let alike = Alike::of(event, severity);
        let room = self.groups.len() < GROUPS;
        match self.groups.get_mut(&alike) {
            Some(group) => group.count(event),
            None if room => {
                self.groups.insert(alike, Group::of(event));
            }
            None => *self.others.entry(severity).or_default() += 1,
        }
        true
    }

    /// When the first of them came.
    pub(super) const fn since(&self) -> Option<Instant> {
        self.since
    }

    pub(super) fn is_empty(&self) -> bool {
        self.receipts.is_empty()
    }

    /// How many more may be taken.
    pub(super) fn room(&self) -> usize {
        EVENTS.saturating_sub(self.receipts.len())
    }

    /// Events, each once.
    pub(super) fn count(&self) -> usize {
        self.ids.len()
    }

    /// Groups: the loudest first, then the largest.
    pub(super) fn groups(&self) -> Vec<(&Alike, &Group)> {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_unstable_by(|(a, x), (b, y)| {
            b.severity.cmp(&a.severity).then(y.count.cmp(&x.count)).then(a.cmp(b))
        });
        groups
    }

    /// Events of further groups, by severity.
    pub(super) const fn others(&self) -> &BTreeMap<Severity, u64> {
        &self.others
    }

    /// The loudest.
    pub(super) fn severity(&self) -> Severity {
        let groups = self.groups.keys().map(|alike| alike.severity);
        groups.chain(self.others.keys().copied()).max().unwrap_or(Severity::Info)
    }

    /// The ids, as short numbers, and what acknowledges all of them.
    pub(super) fn let_go(self) -> (HashSet<u64>, Vec<Receipt>) {
        (self.ids, self.receipts)
    }
}

impl Group {
    fn of(event: &Event) -> Self {
        let detail = event.data.get("detail").or_else(|| event.data.get("why")).and_then(Value::as_str);
        Self {
            count: 1,
            first: event.time,
            last: event.time,
            samples: vec![code(&event.subject, WORD)],
            detail: detail.map(|text| code(text, SENTENCE)),
        }
    }

    fn count(&mut self, event: &Event) {
        self.count += 1;
        self.first = self.first.min(event.time);
        self.last = self.last.max(event.time);
        if self.samples.len() < SAMPLES {
            let sample = code(&event.subject, WORD);
            if !self.samples.contains(&sample) {
                self.samples.push(sample);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An event of a message that failed.
    pub(in crate::slack) fn failed(id: &str, route: &str, customer: &str, code: &str) -> Event {
        let data = serde_json::json!({
            "route": route, "customer": customer, "code": code, "detail": "HTTP 400",
        });
        Event::about(id, 1, "naru.message.failed".to_owned(), Timestamp::from_millis(1_800_000_000_000), data)
    }

    #[test]
    fn every_event_is_counted_once_whatever_comes_and_however_often() {
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..50 {
            let (mut hand, mut told) = (Hand::default(), HashSet::new());
            let kinds = random.usize(1..20);
            while hand.room() > 0 {
                let number = random.u64(..1_500);
                let route = format!("r{}", number % u64::try_from(kinds).unwrap());
                let customer = format!("c{}", number % 17);
                let event = failed(&format!("msg_{number}"), &route, &customer, "backend-refused");
                let severity = if number.is_multiple_of(2) { Severity::Warning } else { Severity::Critical };
                let receipt = Receipt(told.len().to_string().into());
                let counted = hand.add(&event, severity, number, receipt, Instant::now());
                assert_eq!(counted, told.insert(number));
            }
            let sums: u64 = hand.groups().iter().map(|(_, group)| group.count).sum();
            let others: u64 = hand.others().values().sum();
            assert!(hand.groups().len() <= GROUPS);
            assert_eq!(usize::try_from(sums + others).unwrap(), told.len());
            assert_eq!(hand.count(), told.len());
            let (ids, receipts) = hand.let_go();
            assert_eq!((ids, receipts.len()), (told, EVENTS));
        }
    }
}
