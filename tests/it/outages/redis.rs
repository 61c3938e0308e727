//! Redis is killed, frozen, or behind a network that swallows: what becomes of calls, and how long they wait.
//!
//! How long a call waited for Redis is told from outside by comparing it with one that asks Redis nothing and otherwise goes
//! the same way, made at about the same time: a page that needs no credential, for a call that is refused
//! for what it says (after its rate was asked); and an accept of a customer without rates, limits and key, for one with all
//! three. What is beyond the slowest of those around it, it waited for Redis; or its thread had to wait for the machine, which
//! is why a harm is done up to three times, and must once be without such a call.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use naru_tests::{customer::Customer, deployment::Deployment, engines::Stop, proxy::Way};

use super::{
    PATIENCE,
    callers::{Call, call_on, quantile},
    loan::{borrow, customers},
    message,
};
use crate::stage::within;

/// The longest that a call may wait for Redis.
const MOST: Duration = Duration::from_millis(50);

/// What two calls differ by that take the same way: one does more work.
const WORK: Duration = Duration::from_millis(15);

/// How near another call must be to have seen the same machine, and by how much the machine may treat one worse than the
/// slowest of those: by half.
const NEAR: Duration = Duration::from_secs(1);
const WORSE: f64 = 1.5;

/// Calls before the harm, under it, and after it.
const SPANS: [Duration; 3] =
    [Duration::from_millis(700), Duration::from_millis(2_500), Duration::from_millis(800)];

/// What was leased may be used so long after Redis was last seen; then the policy rules alone.
const LEASED: Duration = Duration::from_millis(1_300);

/// How many calls at once do each of what is compared.
const AT_ONCE: usize = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Asks Redis nothing, and no other engine either.
    Page,
    /// Asks for its rate, then is refused.
    Refused,
    /// An accept that asks Redis nothing.
    Bare,
    /// An accept that asks for its rate, its key and its quota.
    Full,
    Open,
    Closed,
}

const KINDS: [Kind; 6] = [Kind::Page, Kind::Refused, Kind::Bare, Kind::Full, Kind::Open, Kind::Closed];

#[derive(Debug, Clone, Copy)]
enum Harm {
    Killed,
    Frozen,
    Swallows(Way),
    Stalled,
}

impl Harm {
    fn begin(self, site: &mut Deployment) {
        match self {
            Self::Killed => site.redis.stop(Stop::Kill).unwrap(),
            Self::Frozen => site.redis.freeze().unwrap(),
            Self::Swallows(way) => site.redis.proxy().unwrap().swallow(way),
            Self::Stalled => site.redis.proxy().unwrap().stall(),
        }
    }

    fn end(self, site: &mut Deployment) {
        match self {
            Self::Killed => site.redis.begin().unwrap(),
            Self::Frozen => site.redis.thaw().unwrap(),
            Self::Swallows(_) | Self::Stalled => site.redis.proxy().unwrap().pass().unwrap(),
        }
    }
}

type Told = BTreeMap<(usize, Kind), Vec<Call>>;

#[test]
fn without_redis_each_customers_policy_rules_and_no_call_waits_for_it_longer_than_50_ms() {
    let mut site = borrow();
    for customer in [customers::LOCAL, customers::OPEN, customers::CLOSED] {
        site.verb(&["quota", "set", &format!("c{customer}"), "1000000", "--period", "month"]).unwrap();
    }
    site.verb(&["customer", "set", &format!("c{}", customers::BARE), "--no-rate"]).unwrap();
    thread::sleep(Duration::from_secs(1));
    for harm in [
        Harm::Killed,
        Harm::Frozen,
        Harm::Swallows(Way::ToEngine),
        Harm::Swallows(Way::FromEngine),
        Harm::Stalled,
    ] {
        let mut rounds = 0;
        while !is_clean(&mut site, harm) {
            rounds += 1;
            assert!(
                rounds < 3,
                "{harm:?}: in each of three rounds some call waited longer than {MOST:?} for Redis"
            );
        }
    }
}

/// One round: policies are judged strictly; whether no call waited longer for Redis than it may.
fn is_clean(site: &mut Deployment, harm: Harm) -> bool {
    // Of a Redis that was emptied every bucket begins empty: all is well once the strictest is let in again.
    within(PATIENCE, "Redis is used", || {
        let let_in = |front| {
            call(&mut client(site, front, Kind::Closed), Kind::Closed, front)
                .is_some_and(|status| status == 202)
        };
        (let_in(0) && let_in(1)).then_some(())
    });
    let (told, begun, ended) = round(site, harm);
    policies(&told, begun, ended);
    let pairs = [(Kind::Page, Kind::Refused), (Kind::Bare, Kind::Full)];
    let mut clean = true;
    for (plain, asking) in pairs {
        let of = |kind| [0, 1].map(|front| told[&(front, kind)].clone()).concat();
        clean &= compare(harm, &of(plain), &of(asking));
    }
    clean
}

fn client(site: &Deployment, front: usize, kind: Kind) -> Customer {
    let customer = match kind {
        Kind::Page | Kind::Refused | Kind::Full => customers::LOCAL,
        Kind::Bare => customers::BARE,
        Kind::Open => customers::OPEN,
        Kind::Closed => customers::CLOSED,
    };
    site.customer_at(front, customer)
}

fn call(customer: &mut Customer, kind: Kind, number: usize) -> Option<u16> {
    ask(customer, kind, number).ok().map(|reply| reply.status)
}

fn ask(
    customer: &mut Customer,
    kind: Kind,
    number: usize,
) -> Result<naru_tests::wire::Reply, naru_tests::wire::CallError> {
    static RUN: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    let run = RUN.get_or_init(|| fastrand::u64(..));
    let reference = format!("{kind:?}-{run:x}-{number}");
    let mut said = message(&reference);
    match kind {
        Kind::Page => customer.page("/problems/unavailable"),
        Kind::Refused => {
            said["recipient"] = "nobody".into();
            customer.send(&said, None)
        }
        Kind::Bare => customer.send(&said, None),
        Kind::Full | Kind::Open | Kind::Closed => customer.send(&said, Some(&reference)),
    }
}

/// Calls of each kind at each front; when the harm was done, and until when it lasted.
fn round(site: &mut Deployment, harm: Harm) -> (Told, Instant, Instant) {
    let stop = AtomicBool::new(false);
    let places = [0, 1].into_iter().flat_map(|front| KINDS.map(|kind| (front, kind)));
    let clients: Vec<_> = places
        .flat_map(|place| (0..AT_ONCE).map(move |_| place))
        .map(|(front, kind)| ((front, kind), client(site, front, kind)))
        .collect();
    thread::scope(|scope| {
        let callers: Vec<_> = clients
            .into_iter()
            .map(|((front, kind), mut client)| {
                let stop = &stop;
                let calling = move || {
                    call_on(&mut client, stop, Duration::from_millis(15), |client, number| {
                        ask(client, kind, number)
                    })
                };
                ((front, kind), scope.spawn(calling))
            })
            .collect();
        thread::sleep(SPANS[0]);
        let begun = Instant::now();
        harm.begin(site);
        thread::sleep(SPANS[1]);
        let ended = Instant::now();
        harm.end(site);
        thread::sleep(SPANS[2]);
        stop.store(true, Ordering::Relaxed);
        let mut told = Told::new();
        for (place, caller) in callers {
            told.entry(place).or_default().extend(caller.join().unwrap());
        }
        (told, begun, ended)
    })
}

/// Every answer is one that the policy allows, and while Redis is away it is the policy's.
fn policies(told: &Told, begun: Instant, ended: Instant) {
    for ((front, kind), calls) in told {
        let under = |call: &&Call| call.sent > begun + LEASED && call.answered < ended;
        let away: Vec<&Call> = calls.iter().filter(under).collect();
        assert!(away.len() > 10, "{kind:?} at {front}: only {} calls", away.len());
        for call in calls {
            // Beside what Redis says: a bucket that begins anew is empty for a second.
            let allowed: &[(u16, &str)] = match kind {
                Kind::Page => &[(200, "")],
                Kind::Refused => &[(422, "invalid-recipient"), (429, "rate-limited")],
                Kind::Bare => &[(202, "")],
                Kind::Full | Kind::Open => &[(202, ""), (429, "rate-limited")],
                Kind::Closed => &[(202, ""), (429, "rate-limited"), (503, "unavailable")],
            };
            assert!(allowed.contains(&(call.status, call.code.as_str())), "{kind:?} at {front}: {call:?}");
        }
        let of = |status: u16| away.iter().filter(|call| call.status == status).count();
        match kind {
            Kind::Open => assert_eq!(of(202), away.len(), "open: all are let in"),
            Kind::Closed => assert_eq!(of(503), away.len(), "closed: none is let in"),
            // Far below its share here.
            Kind::Full => assert_eq!(of(202), away.len(), "local: its share is let in"),
            Kind::Page | Kind::Refused | Kind::Bare => {}
        }
    }
}

/// Whether no call took longer than the slowest plain one around it by more than it may wait for Redis.
fn compare(harm: Harm, plain: &[Call], asking: &[Call]) -> bool {
    let beyond = |call: &Call| {
        let near = |other: &&Call| other.answered + NEAR > call.sent && other.sent < call.answered + NEAR;
        let slowest = plain.iter().filter(near).map(Call::took).max();
        slowest.map(|slowest| call.took().saturating_sub(slowest.mul_f64(WORSE)))
    };
    let late: Vec<Duration> =
        asking.iter().filter_map(beyond).filter(|beyond| *beyond > MOST + WORK).collect();
    let quantiles = |calls: &[Call]| [0.5, 0.9, 0.99, 1.0].map(|share| quantile(calls, share));
    println!(
        "{harm:?}: {} calls that ask Redis nothing took {:.1?} (p50, p90, p99, longest), {} that ask it {:.1?}; \
         {} were longer by more than {MOST:?}: {late:?}",
        plain.len(),
        quantiles(plain),
        asking.len(),
        quantiles(asking),
        late.len(),
    );
    late.is_empty()
}
