//! What this process holds of one queue: pure, the time is given.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use tokio::time::Instant;

use crate::queue::Receipt;

/// How many of those that were given back are remembered, to tell them from those that were acknowledged.
const REMEMBERED: usize = 4_096;

/// A message as it was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Its content.
    pub(crate) body: Bytes,
    /// How often it has been delivered, as far as the broker tells; this time included.
    pub(crate) deliveries: u32,
}

/// Names one delivery: by whom (each life of a consumer has a number of its own) and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Mark {
    life: u64,
    pub(super) tag: u64,
}

impl Mark {
    /// As the ports' callers carry it.
    pub(crate) fn receipt(self) -> Receipt {
        Receipt(format!("{:x}.{}", self.life, self.tag).into())
    }

    /// Reads it back; `None` if it is another engine's.
    pub(crate) fn of(receipt: &Receipt) -> Option<Self> {
        let (life, tag) = receipt.0.split_once('.')?;
        Some(Self { life: u64::from_str_radix(life, 16).ok()?, tag: tag.parse().ok()? })
    }
}

/// What has become of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is in its receiver's hands.
    Held,
    /// It was acknowledged.
    Settled,
    /// It went back to the broker, or will.
    GoneBack,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Delivered to this process, and to nobody in it.
    Waiting,
    /// In a receiver's hands, until then at the most.
    Held(Option<Instant>),
    /// Released; it goes back to the broker then.
    Resting(Instant),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Hand {
    life: u64,
    out: BTreeMap<u64, (Item, Place)>,
    waiting: VecDeque<u64>,
    given_back: BTreeSet<u64>,
}

impl Hand {
    /// A new life of the consumer: whatever was delivered to the one before has gone back.
    pub(super) fn begin(&mut self, life: u64) {
        *self = Self { life, ..Self::default() };
    }

    /// The broker delivered it. Numbers grow.
    pub(super) fn put(&mut self, tag: u64, item: Item) {
        self.out.insert(tag, (item, Place::Waiting));
        self.waiting.push_back(tag);
    }

    /// Hands out up to `max`, each until `until` if that is a time.
    pub(super) fn take(&mut self, max: usize, until: Option<Instant>) -> Vec<(Mark, Item)> {
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some(tag) = self.waiting.pop_front()
        {
            if let Some((item, place)) = self.out.get_mut(&tag) {
                *place = Place::Held(until);
                taken.push((Mark { life: self.life, tag }, item.clone()));
            }
        }
        taken
    }

    pub(super) fn standing(&self, mark: Mark) -> Standing {
        if mark.life != self.life {
            return Standing::GoneBack;
        }
        match self.out.get(&mark.tag) {
            Some((_, Place::Held(_))) => Standing::Held,
            Some((_, Place::Waiting | Place::Resting(_))) => Standing::GoneBack,
            None if self.given_back.contains(&mark.tag) => Standing::GoneBack,
            None => Standing::Settled,
        }
    }

    /// What is in a receiver's hands under this mark.
    pub(super) fn held(&self, mark: Mark) -> Option<Item> {
        let (item, _) = self.out.get(&mark.tag)?;
        (self.standing(mark) == Standing::Held).then(|| item.clone())
    }

    /// These are acknowledged: the number up to which everything that is out is among them, and the others' numbers.
    pub(super) fn settle(&mut self, tags: &BTreeSet<u64>) -> (Option<u64>, Vec<u64>) {
        let together = self.out.keys().take_while(|tag| tags.contains(tag)).last().copied();
        let single = tags.iter().copied().filter(|tag| together.is_none_or(|last| *tag > last)).collect();
        self.out.retain(|tag, _| !tags.contains(tag));
        (together, single)
    }

    /// Releases what is held under this mark until `until`; whether it was.
    pub(super) fn rest(&mut self, mark: Mark, until: Instant) -> bool {
        if self.standing(mark) != Standing::Held {
            return false;
        }
        if let Some((_, place)) = self.out.get_mut(&mark.tag) {
            *place = Place::Resting(until);
        }
        true
    }

    /// When the next one is due to go back.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.out.values().filter_map(|(_, place)| place.until()).min()
    }

    /// Forgets those that are due to go back to the broker: their numbers.
    pub(super) fn due(&mut self, now: Instant) -> Vec<u64> {
        self.give_back(|place| place.until().is_some_and(|until| until <= now))
    }

    /// Forgets those that nobody took: their numbers, to give them back.
    pub(super) fn untaken(&mut self) -> Vec<u64> {
        self.waiting.clear();
        self.give_back(|place| *place == Place::Waiting)
    }

    fn give_back(&mut self, which: impl Fn(&Place) -> bool) -> Vec<u64> {
        let tags: Vec<u64> =
            self.out.iter().filter(|(_, (_, place))| which(place)).map(|(tag, _)| *tag).collect();
        for tag in &tags {
            self.out.remove(tag);
            self.given_back.insert(*tag);
        }
        while self.given_back.len() > REMEMBERED {
            self.given_back.pop_first();
        }
        tags
    }

    /// Those that are delivered to this process and neither acknowledged nor given back.
    pub(super) fn len(&self) -> usize {
        self.out.len()
    }
}

impl Place {
    const fn until(&self) -> Option<Instant> {
        match self {
            Self::Waiting => None,
            Self::Held(until) => *until,
            Self::Resting(until) => Some(*until),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn hand(tags: std::ops::RangeInclusive<u64>) -> Hand {
        let mut hand = Hand::default();
        hand.begin(7);
        for tag in tags {
            hand.put(tag, Item { body: Bytes::from_static(b"x"), deliveries: 1 });
        }
        hand
    }

    fn mark(tag: u64) -> Mark {
        Mark { life: 7, tag }
    }

    #[test]
    fn what_is_acknowledged_in_order_is_acknowledged_together() {
        let mut hand = hand(1..=6);
        hand.take(6, None);
        assert_eq!(hand.settle(&BTreeSet::from([1, 2, 3, 5])), (Some(3), vec![5]));
        // 4 is still out, so nothing beyond it may be acknowledged with it.
        assert_eq!(hand.settle(&BTreeSet::from([6])), (None, vec![6]));
        assert_eq!(hand.standing(mark(6)), Standing::Settled);
        assert_eq!(hand.settle(&BTreeSet::from([4])), (Some(4), vec![]));
        assert_eq!(hand.len(), 0);
    }

    #[test]
    fn a_delivery_that_went_back_is_told_from_one_that_was_acknowledged() {
        let now = Instant::now();
        let mut hand = hand(1..=3);
        hand.take(2, None);
        assert!(hand.rest(mark(1), now + Duration::from_secs(1)));
        assert!(!hand.rest(mark(1), now), "it is no longer held");
        assert_eq!(hand.standing(mark(1)), Standing::GoneBack);
        assert_eq!((hand.due(now), hand.next_due()), (vec![], Some(now + Duration::from_secs(1))));
        assert_eq!(hand.due(now + Duration::from_secs(1)), [1]);
        assert_eq!(hand.standing(mark(1)), Standing::GoneBack);
        assert_eq!(hand.untaken(), [3]);
        hand.settle(&BTreeSet::from([2]));
        assert_eq!((hand.standing(mark(2)), hand.standing(mark(3))), (Standing::Settled, Standing::GoneBack));
        hand.begin(8);
        assert_eq!(hand.standing(mark(2)), Standing::GoneBack);
    }

    #[test]
    fn what_is_held_too_long_is_due() {
        let now = Instant::now();
        let mut hand = hand(1..=2);
        assert_eq!(hand.take(1, Some(now)).len(), 1);
        assert!(hand.held(mark(1)).is_some() && hand.held(mark(2)).is_none());
        assert_eq!(hand.due(now), [1]);
        assert_eq!(hand.take(2, None).len(), 1);
    }

    #[test]
    fn a_receipt_is_read_back_and_a_strange_one_is_not() {
        let mark = Mark { life: u64::MAX, tag: 12 };
        assert_eq!(Mark::of(&mark.receipt()), Some(mark));
        for strange in ["", "1", "1.", ".1", "x.1", "1.x", "1.2.3"] {
            assert_eq!(Mark::of(&Receipt(strange.into())), None, "{strange}");
        }
    }
}
