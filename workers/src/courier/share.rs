//! How a route's couriers are shared out among customers, in this process: nobody has more than a quarter of them while others wait
//! who have less.
//!
//! Where attempts are slow a courier that is given away does not come back for long. So as long as others had something lately, as many
//! are kept as they will need if they go on as they do, and a few more.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use naru_shared::{domain::CustomerId, ledger::Shares};
use parking_lot::Mutex;

/// A customer has this part of the couriers, at least one.
const PART: usize = 4;

/// This part of them is kept for who comes next, where attempts are slow, at least.
const KEPT: usize = 8;

/// Others come by chance: so much more than they need in the mean is kept.
const MARGIN: f64 = 1.25;

/// In how long what others did is forgotten by two thirds.
const MEMORY: Duration = Duration::from_secs(30);

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

#[derive(Debug)]
struct Holding {
    out: usize,
    /// When it last began something within its share.
    within: Option<Instant>,
    /// Attempts that it began in a second, as of `at`; those before `first` are missing.
    rate: f64,
    first: Instant,
    at: Instant,
}

impl Holding {
    const fn new(now: Instant) -> Self {
        Self { out: 0, within: None, rate: 0.0, first: now, at: now }
    }

    fn begin(&mut self, now: Instant) {
        self.out += 1;
        self.rate = self.decayed(now) + 1.0 / MEMORY.as_secs_f64();
        self.at = now;
    }

    fn decayed(&self, now: Instant) -> f64 {
        self.rate * (-now.saturating_duration_since(self.at).as_secs_f64() / MEMORY.as_secs_f64()).exp()
    }

    /// Attempts that it begins in a second: of one who came lately, by what it did since.
    fn per_second(&self, now: Instant) -> f64 {
        let known = now.saturating_duration_since(self.first).max(Duration::from_secs(1));
        self.decayed(now) / (1.0 - (-known.as_secs_f64() / MEMORY.as_secs_f64()).exp())
    }
}

/// A route's couriers in this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Couriers {
    /// How many there are.
    pub(crate) all: usize,
    /// How many are under way or about to be.
    pub(crate) out: usize,
    /// How long an attempt may take: so long it is taken to take before any has ended.
    pub(crate) longest: Duration,
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
    /// How many couriers are kept for others than those who have their share.
    fn kept(&self, couriers: Couriers, now: Instant) -> usize {
        let all = couriers.all;
        let mean = self.mean.unwrap_or(couriers.longest);
        let slow = SELDOM.saturating_mul(u32::try_from(all).unwrap_or(u32::MAX));
        if all < FEW || mean < slow {
            return 0;
        }
        let lately = |held: &&Holding| {
            held.out < share(all) && held.within.is_some_and(|at| now.saturating_duration_since(at) < LATELY)
        };
        let (mut others, mut out, mut rate) = (0, 0, 0.0);
        for held in self.customers.values().filter(lately) {
            others += 1;
            out += held.out;
            rate += held.per_second(now);
        }
        if others == 0 {
            return 0;
        }
        // As many are under way in the mean as begin while one attempt lasts.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and cut off far below where it would not fit"
        )]
        let need = (rate * mean.as_secs_f64() * MARGIN).ceil().clamp(0.0, 1e6) as usize;
        need.saturating_sub(out).max(all / KEPT).max(1).min(all)
    }

    fn begin(&mut self, customer: &CustomerId, limit: usize, now: Instant) {
        let held = self.customers.entry(customer.clone()).or_insert_with(|| Holding::new(now));
        held.begin(now);
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

    /// An attempt of this customer begins, if that leaves others what is theirs; `couriers` as they are with it. `waits`: something
    /// may wait before it.
    pub(crate) fn begin_at_once(&self, customer: &CustomerId, couriers: Couriers, waits: bool) -> bool {
        let (now, mut book) = (Instant::now(), self.0.lock());
        let has = book.customers.get(customer).map_or(0, |held| held.out);
        let full = || couriers.out + book.kept(couriers, now) > couriers.all;
        if has >= share(couriers.all) && (waits || full()) {
            return false;
        }
        book.begin(customer, couriers.all, now);
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

    /// How the couriers stand, of which `max` are to be filled.
    pub(crate) fn standing(&self, couriers: Couriers, max: usize) -> Standing {
        self.standing_at(couriers, max, Instant::now())
    }

    fn standing_at(&self, couriers: Couriers, max: usize, now: Instant) -> Standing {
        let mut book = self.0.lock();
        book.customers.retain(|_, held| {
            held.out > 0 || held.within.is_some_and(|at| now.saturating_duration_since(at) < LATELY)
        });
        let free = couriers.all.saturating_sub(couriers.out);
        let beyond = free.saturating_sub(book.kept(couriers, now)).min(max);
        let out = book.customers.iter().filter(|(_, held)| held.out > 0);
        let held: BTreeMap<_, _> = out.map(|(who, held)| (who.clone(), held.out)).collect();
        drop(book);
        let each = share(couriers.all);
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

    fn couriers(all: usize, out: usize) -> Couriers {
        Couriers { all, out, longest: Duration::from_secs(30) }
    }

    fn beyond(held: &Held, all: usize, free: usize, now: Instant) -> usize {
        held.standing_at(couriers(all, all - free), free, now).shares.beyond
    }

    #[test]
    fn a_customer_alone_has_all_and_gives_way_to_who_comes() {
        let (held, hog, other) = (Held::default(), customer("hog"), customer("other"));
        for out in 1..=16 {
            assert!(held.begin_at_once(&hog, couriers(16, out), false), "{out}");
        }
        let now = Instant::now();
        let standing = held.standing_at(couriers(16, 16), 0, now);
        assert_eq!((standing.shares.each, standing.full.contains(&hog)), (4, true));
        // Two come back: both are anybody's, until another was there.
        (0..2).for_each(|_| held.end(&hog));
        assert_eq!(beyond(&held, 16, 2, now), 2);
        held.begin(&other, 16);
        held.end(&other);
        assert_eq!(beyond(&held, 16, 2, now), 0, "kept for who comes next");
        assert!(!held.begin_at_once(&hog, couriers(16, 15), false));
        assert!(held.begin_at_once(&other, couriers(16, 15), true));
        held.end(&other);
        assert_eq!(beyond(&held, 16, 2, now + LATELY * 2), 2, "nobody came for long");
    }

    #[test]
    fn as_many_are_kept_as_others_will_need() {
        let (held, hog, other) = (Held::default(), customer("hog"), customer("other"));
        let now = Instant::now();
        held.took(Duration::from_secs(30));
        (0..16).for_each(|_| held.begin(&hog, 64));
        // One begins every three seconds and takes thirty: ten will be under way, and a few more by chance.
        let mut book = held.0.lock();
        (0..5).for_each(|n| book.begin(&other, 64, now + Duration::from_secs(3 * n)));
        let kept = book.kept(couriers(64, 21), now + Duration::from_secs(14));
        drop(book);
        assert!((8..=11).contains(&kept), "{kept}");
        // A second is not long enough to know: then whoever has its share has no more.
        let burst = customer("burst");
        let mut book = held.0.lock();
        (0..10).for_each(|_| book.begin(&burst, 64, now));
        assert!(book.kept(couriers(64, 31), now) > 33);
        assert!(book.kept(couriers(64, 31), now + Duration::from_secs(50)) <= 12, "it did not go on so");
    }

    #[test]
    fn where_attempts_are_fast_or_couriers_few_none_is_kept() {
        let (held, hog, other) = (Held::default(), customer("hog"), customer("other"));
        held.begin(&other, 64);
        (0..16).for_each(|_| held.begin(&hog, 64));
        let now = Instant::now();
        assert_eq!(beyond(&held, 64, 3, now), 0);
        assert_eq!(beyond(&held, 3, 3, now), 3);
        held.took(Duration::from_secs(3));
        assert_eq!(beyond(&held, 64, 3, now), 3, "one comes back every 47 ms");
        held.took(Duration::from_secs(30));
        assert_eq!(beyond(&held, 64, 3, now), 0);
    }

    #[test]
    fn beyond_its_share_nobody_begins_while_something_waits() {
        let (held, hog) = (Held::default(), customer("hog"));
        assert!((1..=4).all(|out| held.begin_at_once(&hog, couriers(16, out), true)));
        assert!(!held.begin_at_once(&hog, couriers(16, 5), true));
        assert!(held.begin_at_once(&hog, couriers(16, 5), false));
    }
}
