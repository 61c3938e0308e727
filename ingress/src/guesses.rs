//! Whoever guesses is answered later: beyond a few refusals a second, each further `401` to the same address waits.
//!
//! Only refusals wait. A call that proves itself is never slowed, whoever else is behind its address, and whoever guessed for it; a
//! connection that waits costs a timer. What a refusal is answered with, and for how long it waits, does not depend on why it is
//! one.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use metrics::Counter;
use naru_shared::metrics as names;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// One address may be refused so often at once without waiting, and once more in each such span.
const AT_ONCE: u32 = 100;
const EACH: Duration = Duration::from_millis(100);

/// Beyond it callers would take the server for dead.
const LONGEST: Duration = Duration::from_secs(5);

/// Addresses that are told apart; further ones are one.
const ADDRESSES: usize = 16_384;

/// How often those that have been calm are forgotten, where there is no room for another.
const SWEEP: Duration = Duration::from_secs(1);

/// Who was refused how often, of late.
pub struct Guesses {
    wait: Duration,
    marks: Mutex<Marks>,
    waited: Counter,
}

struct Marks {
    /// Until when what an address did is remembered: each refusal adds [`EACH`].
    until: HashMap<IpAddr, Instant>,
    swept: Instant,
}

impl Guesses {
    /// None yet; further refusals of an address wait so many milliseconds each, or not at all.
    pub fn new(wait_ms: u64) -> Self {
        let wait = Duration::from_millis(wait_ms).min(LONGEST);
        let marks = Marks { until: HashMap::new(), swept: Instant::now() };
        Self { wait, marks: Mutex::new(marks), waited: names::HTTP_GUESSES.of(&[]) }
    }

    /// Counts a refusal, and waits if there were too many; not while the server ends.
    pub async fn refused(&self, from: Option<IpAddr>, draining: &CancellationToken) {
        let wait = self.count(from, Instant::now());
        if !wait.is_zero() && !draining.is_cancelled() {
            self.waited.increment(1);
            // Either way it has waited for long enough.
            draining.run_until_cancelled(tokio::time::sleep(wait)).await.unwrap_or_default();
        }
    }

    /// How long this one waits.
    fn count(&self, from: Option<IpAddr>, now: Instant) -> Duration {
        if self.wait.is_zero() {
            return self.wait;
        }
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let until = marks.of(from.map_or(OTHERS, network), now);
        // A flood is forgotten as fast as what is just too much.
        *until = (*until).max(now).min(now + EACH * AT_ONCE) + EACH;
        if *until > now + EACH * AT_ONCE { self.wait } else { Duration::ZERO }
    }
}

/// Addresses for which there is no room, and callers that have none. No caller has this one.
const OTHERS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// What one caller can choose from: an address of version 4, a `/64` of version 6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & (u128::MAX << 64))),
        four @ IpAddr::V4(_) => four,
    }
}

impl Marks {
    fn of(&mut self, address: IpAddr, now: Instant) -> &mut Instant {
        let mut key = address;
        if self.until.len() >= ADDRESSES && !self.until.contains_key(&key) {
            if now >= self.swept + SWEEP {
                self.swept = now;
                self.until.retain(|_, until| *until > now);
            }
            if self.until.len() >= ADDRESSES {
                key = OTHERS;
            }
        }
        self.until.entry(key).or_insert(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(1);

    fn address(number: u32) -> Option<IpAddr> {
        Some(IpAddr::V4(number.into()))
    }

    #[test]
    fn beyond_a_few_at_once_refusals_of_one_address_wait_and_those_of_others_do_not() {
        let (guesses, now) = (Guesses::new(1_000), Instant::now());
        assert!((0..AT_ONCE).all(|_| guesses.count(address(1), now).is_zero()));
        assert!((0..100_000).all(|_| guesses.count(address(1), now) == WAIT));
        assert!(guesses.count(address(2), now).is_zero());
        assert!(guesses.count(None, now).is_zero());
        // However long the flood was.
        let later = now + EACH * 3;
        assert_eq!((0..5).filter(|_| guesses.count(address(1), later).is_zero()).count(), 2);
        let calm = now + EACH * (2 * AT_ONCE + 2);
        assert!((0..AT_ONCE).all(|_| guesses.count(address(1), calm).is_zero()));
    }

    #[test]
    fn whoever_has_a_network_of_addresses_has_one() {
        let (guesses, now) = (Guesses::new(1_000), Instant::now());
        let of = |text: &str| Some(text.parse().unwrap());
        for n in 0..AT_ONCE {
            assert!(guesses.count(of(&format!("2001:db8::{n:x}")), now).is_zero());
        }
        assert_eq!(guesses.count(of("2001:db8::ffff:1"), now), WAIT);
        assert!(guesses.count(of("2001:db8:0:1::1"), now).is_zero());
        for mapped in ["::ffff:192.0.2.1", "192.0.2.1"] {
            assert!((0..AT_ONCE / 2).all(|_| guesses.count(of(mapped), now).is_zero()));
        }
        assert_eq!(guesses.count(of("192.0.2.1"), now), WAIT);
    }

    #[test]
    fn the_table_is_bounded_and_who_has_been_calm_makes_room() {
        let (guesses, now) = (&Guesses::new(1_000), Instant::now());
        let waits =
            |from: u32, to: u32, now| (from..to).filter(move |n| !guesses.count(address(*n), now).is_zero());
        // Those beyond it share what one may do.
        assert_eq!(waits(0, 17_000, now).count(), 17_000 - ADDRESSES - AT_ONCE as usize);
        assert_eq!(guesses.marks.lock().unwrap().until.len(), ADDRESSES + 1);
        assert_eq!(waits(20_000, 30_000, now + SWEEP).count(), 0);
        assert!(guesses.marks.lock().unwrap().until.len() <= 10_001);
    }

    #[test]
    fn where_nothing_is_to_wait_nothing_is_remembered() {
        let (guesses, now) = (Guesses::new(0), Instant::now());
        assert!((0..1_000).all(|_| guesses.count(address(1), now).is_zero()));
        assert!(guesses.marks.lock().unwrap().until.is_empty());
    }
}
