//! What waits in the ledger, as last observed.

use std::{collections::HashMap, time::Duration};

use parking_lot::RwLock;

use crate::{
    domain::{Account, RouteName},
    gate::{DELAYS_LAST, Delay},
    ledger::Waiting,
};

/// Messages that wait on a route, by account and in all.
#[derive(Default)]
pub(in crate::gate) struct Counts {
    /// By account.
    pub(in crate::gate) own: HashMap<RouteName, HashMap<Account, u64>>,
    /// In all.
    pub(in crate::gate) all: HashMap<RouteName, u64>,
    /// How long `express` of an account would wait, where that is long.
    pub(in crate::gate) delays: HashMap<RouteName, HashMap<Account, Duration>>,
}

impl Counts {
    /// Both lanes together.
    pub(in crate::gate) fn of(waiting: &[Waiting], delays: &[Delay]) -> Self {
        let mut counts = Self::default();
        for row in waiting {
            let own = counts.own.entry(row.route.clone()).or_default();
            *own.entry(row.account.clone()).or_default() += row.messages;
            *counts.all.entry(row.route.clone()).or_default() += row.messages;
        }
        for one in delays {
            let own = counts.delays.entry(one.route.clone()).or_default();
            own.insert(one.account.clone(), one.express);
        }
        counts
    }
}

/// The counts that were last observed, and when.
#[derive(Default)]
pub(in crate::gate) struct Waits(RwLock<(Counts, Duration)>);

impl Waits {
    pub(in crate::gate) fn replace(&self, counts: Counts, now: Duration) {
        *self.0.write() = (counts, now);
    }

    pub(in crate::gate) fn of(&self, account: &Account, route: &RouteName) -> (u64, u64) {
        let (counts, _) = &*self.0.read();
        let own = counts.own.get(route).and_then(|own| own.get(account)).copied();
        (own.unwrap_or(0), counts.all.get(route).copied().unwrap_or(0))
    }

    /// What is old is not believed: by now it may be otherwise.
    pub(in crate::gate) fn delay(
        &self,
        account: &Account,
        route: &RouteName,
        now: Duration,
    ) -> Option<Duration> {
        let (counts, at) = &*self.0.read();
        let delay = counts.delays.get(route)?.get(account).copied();
        delay.filter(|_| now.saturating_sub(*at) < DELAYS_LAST)
    }
}
