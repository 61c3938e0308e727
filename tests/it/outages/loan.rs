//! The deployment that these tests share, lent to one at a time.

use std::{
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicUsize, Ordering},
};

use naru_shared::domain::RatePolicy;
use naru_tests::{
    deployment::{Deployment, Shape},
    gateway::Setup,
};
use parking_lot::{Mutex, MutexGuard};

use super::PATIENCE;
use crate::stage::{Alone, alone, within};

/// How many tests borrow it; whoever is last ends it, and it is judged then as any other.
const BORROWERS: usize = 7;

static SITE: Mutex<Option<Deployment>> = Mutex::new(None);
static LEFT: AtomicUsize = AtomicUsize::new(BORROWERS);

/// The deployment for as long as a test lasts. A test that fails leaves none to others: they begin another.
pub(super) struct Loan {
    site: MutexGuard<'static, Option<Deployment>>,
    _alone: Alone,
}

/// Customers that no two tests share, by number.
pub(super) mod customers {
    pub(in crate::outages) const LOCAL: usize = 0;
    pub(in crate::outages) const OPEN: usize = 1;
    pub(in crate::outages) const CLOSED: usize = 2;
    /// Without rates and limits: nothing is asked of the gate for it.
    pub(in crate::outages) const BARE: usize = 3;
    pub(in crate::outages) const READER: usize = 4;
    pub(in crate::outages) const RATE: usize = 5;
    pub(in crate::outages) const QUOTA: usize = 6;
    pub(in crate::outages) const STEADY: usize = 7;
    pub(in crate::outages) const BROKER: usize = 8;
    pub(in crate::outages) const REVOKED: usize = 9;
    pub(in crate::outages) const ALL: usize = 10;
}

pub(super) fn borrow() -> Loan {
    let _alone = alone();
    let mut site = SITE.lock();
    let whole = site.get_or_insert_with(begin);
    // Whatever the test before took away is back at each front, not only at one of them.
    for front in [0, 1] {
        within(PATIENCE, "a front takes calls", || {
            let reply = whole.customer_at(front, customers::BARE).send(&super::message("doubtful"), None);
            (reply.ok()?.status == 202).then_some(())
        });
    }
    Loan { site, _alone }
}

/// Two of the three fronts run, and both workers.
fn begin() -> Deployment {
    let generous = RatePolicy { name: "burst".into(), limit: 2_000, window_seconds: 1, burst: 2_000 };
    let setup = Setup { customers: customers::ALL, rates: vec![generous], ..Setup::default() };
    let shape = Shape { setup, ingress: 3, proxied: true, ..Shape::default() };
    let mut site = Deployment::prepare(&shape).unwrap();
    let Deployment { ingress, workers, .. } = &mut site;
    let mut running: Vec<_> = ingress.iter_mut().take(2).chain(workers).collect();
    running.iter_mut().try_for_each(|member| member.launch(&[])).unwrap();
    running.iter_mut().try_for_each(|member| member.await_ready()).unwrap();
    site.balancer.await_open().unwrap();
    for (customer, policy) in [(customers::OPEN, "open"), (customers::CLOSED, "closed")] {
        site.verb(&["customer", "set", &format!("c{customer}"), "--gate-policy", policy]).unwrap();
    }
    site.verb(&["quota", "set", &format!("c{}", customers::READER), "1000000", "--period", "month"]).unwrap();
    // A gate over a new Redis lets nobody in for its first second.
    for front in [0, 1] {
        super::accepted_in_the_end(&mut site.customer_at(front, customers::LOCAL), "doubtful");
        within(PATIENCE, "limits are in force", || {
            let told = site.customer_at(front, customers::READER).get("/quota").unwrap().json();
            (told["quotas"][0]["limit"] == 1_000_000).then_some(())
        });
    }
    site
}

impl Deref for Loan {
    type Target = Deployment;

    fn deref(&self) -> &Deployment {
        self.site.as_ref().unwrap()
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut Deployment {
        self.site.as_mut().unwrap()
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let last = LEFT.fetch_sub(1, Ordering::Relaxed) == 1;
        if last || std::thread::panicking() {
            drop(self.site.take());
        }
    }
}
