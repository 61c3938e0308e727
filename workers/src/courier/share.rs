//! How a route's couriers are shared out among customers, in this process: nobody has more than a quarter of them while others wait
//! who have less.
//!
//! Where attempts are slow a courier that is given away does not come back for long. So as long as others had something lately, the
//! last few are kept for whoever comes next.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use naru_shared::{domain::CustomerId, ledger::Shares};
use parking_lot::Mutex;

/// A customer has this part of the couriers, at least one.
const PART: usize = 4;

/// This part of them is kept for who comes next, where attempts are slow.
const KEPT: usize = 8;

/// With fewer couriers none is kept: it would be too great a part.
const FEW: usize = 4;

/// Attempts are slow if couriers come back less often than so.
const SELDOM: Duration = Duration::from_millis(50);

/// Whoever had something within this time may have something again.
const LATELY: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Held(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    customers: HashMap<CustomerId, Holding>,
    /// How long attempts take, in the mean; not known before the first has ended.
    mean: Option<Duration>,
}

#[derive(Debug, Default)]
struct Holding {
    out: usize,
    /// When it last began something within its share.
    within: Option<Instant>,
}

/// How the couriers stand before a take.
pub(crate) struct Standing {
    /// What the ledger goes by.
    pub(crate) shares: Shares,
    /// Who has its share or more.
    pub(crate) full: BTreeSet<CustomerId>,
}

/// A customer's share of so many couriers.
const fn share(limit: usize) -> usize {
    let part = limit / PART;
    if part == 0 { 1 } else { part }
}

impl Book {
    /// How many couriers are kept for who comes next.
    fn kept(&self, limit: usize, now: Instant) -> usize {
        let is_fast = self
            .mean
            .is_some_and(|mean| mean < SELDOM.saturating_mul(u32::try_from(limit).unwrap_or(u32::MAX)));
        if limit < FEW || is_fast {
            return 0;
        }
        let lately =
            |held: &Holding| held.within.is_some_and(|at| now.saturating_duration_since(at) < LATELY);
        let others = self.customers.values().any(|held| held.out < share(limit) && lately(held));
        if others { (limit / KEPT).max(1) } else { 0 }
    }

    fn begin(&mut self, customer: &CustomerId, limit: usize, now: Instant) {
        let held = self.customers.entry(customer.clone()).or_default();
        held.out += 1;
        if held.out <= share(limit) {
            held.within = Some(now);
        }
    }
}

impl Held {
    /// An attempt of this customer begins.
    pub(crate) fn begin(&self, customer: &CustomerId, limit: usize) {
        self.0.lock().begin(customer, limit, Instant::now());
    }

    /// An attempt of this customer begins, if that leaves others what is theirs. `out` are the couriers under way with it, `waits`:
    /// something may wait before it.
    pub(crate) fn begin_at_once(&self, customer: &CustomerId, limit: usize, out: usize, waits: bool) -> bool {
        let (now, mut book) = (Instant::now(), self.0.lock());
        let has = book.customers.get(customer).map_or(0, |held| held.out);
        if has >= share(limit) && (waits || out + book.kept(limit, now) > limit) {
            return false;
        }
        book.begin(customer, limit, now);
        true
    }

    /// An attempt of this customer has ended.
    pub(crate) fn end(&self, customer: &CustomerId) {
        if let Some(held) = self.0.lock().customers.get_mut(customer) {
            held.out = held.out.saturating_sub(1);
        }
    }

    /// An attempt took so long.
    pub(crate) fn took(&self, span: Duration) {
        let mut book = self.0.lock();
        book.mean = Some(book.mean.map_or(span, |mean| (mean * 7 + span) / 8));
    }

    /// How the couriers stand: `free` of `limit` are free, and `max` are to be filled.
    pub(crate) fn standing(&self, limit: usize, free: usize, max: usize) -> Standing {
        self.standing_at(limit, free, max, Instant::now())
    }

    fn standing_at(&self, limit: usize, free: usize, max: usize, now: Instant) -> Standing {
        let mut book = self.0.lock();
        book.customers.retain(|_, held| {
            held.out > 0 || held.within.is_some_and(|at| now.saturating_duration_since(at) < LATELY)
        });
        let beyond = free.saturating_sub(book.kept(limit, now)).min(max);
        let out = book.customers.iter().filter(|(_, held)| held.out > 0);
        let held: BTreeMap<_, _> = out.map(|(who, held)| (who.clone(), held.out)).collect();
        drop(book);
        let each = share(limit);
        let full = held.iter().filter(|(_, out)| **out >= each).map(|(who, _)| who.clone()).collect();
        Standing { shares: Shares { each, held: Arc::new(held), beyond }, full }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer(name: &str) -> CustomerId {
        name.parse().unwrap()
    }

    #[test]
    fn a_customer_alone_has_all_and_gives_way_to_who_comes() {
        let (held, hog, other) = (Held::default(), customer("hog"), customer("other"));
        for out in 1..=16 {
            assert!(held.begin_at_once(&hog, 16, out, false), "{out}");
        }
        let now = Instant::now();
        let standing = held.standing_at(16, 0, 0, now);
        assert_eq!((standing.shares.each, standing.full.contains(&hog)), (4, true));
        // Two come back: both are anybody's, until another was there.
        (0..2).for_each(|_| held.end(&hog));
        assert_eq!(held.standing_at(16, 2, 2, now).shares.beyond, 2);
        held.begin(&other, 16);
        held.end(&other);
        assert_eq!(held.standing_at(16, 2, 2, now).shares.beyond, 0, "kept for who comes next");
        assert!(!held.begin_at_once(&hog, 16, 15, false) && held.begin_at_once(&other, 16, 15, true));
        held.end(&other);
        assert_eq!(held.standing_at(16, 2, 2, now + LATELY * 2).shares.beyond, 2, "nobody came for long");
    }

    #[test]
    fn where_attempts_are_fast_or_couriers_few_none_is_kept() {
        let (held, hog, other) = (Held::default(), customer("hog"), customer("other"));
        held.begin(&other, 64);
        (0..16).for_each(|_| held.begin(&hog, 64));
        let (now, beyond) =
            (Instant::now(), |held: &Held, limit, now| held.standing_at(limit, 3, 3, now).shares.beyond);
        assert_eq!(beyond(&held, 64, now), 0);
        assert_eq!(beyond(&held, 3, now), 3);
        held.took(Duration::from_secs(3));
        assert_eq!(beyond(&held, 64, now), 3, "one comes back every 47 ms");
        held.took(Duration::from_secs(30));
        assert_eq!(beyond(&held, 64, now), 0);
    }

    #[test]
    fn beyond_its_share_nobody_begins_while_something_waits() {
        let (held, hog) = (Held::default(), customer("hog"));
        assert!((1..=4).all(|out| held.begin_at_once(&hog, 16, out, true)));
        assert!(!held.begin_at_once(&hog, 16, 5, true));
        assert!(held.begin_at_once(&hog, 16, 5, false));
    }
}
