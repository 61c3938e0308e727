//! What waits in the ledger, as last observed.

use std::collections::HashMap;

use parking_lot::RwLock;

use crate::{
    domain::{Account, RouteName},
    ledger::Waiting,
};

/// Messages that wait on a route, by account and in all.
#[derive(Default)]
pub(in crate::gate) struct Counts {
    /// By account.
    pub(in crate::gate) own: HashMap<RouteName, HashMap<Account, u64>>,
    /// In all.
    pub(in crate::gate) all: HashMap<RouteName, u64>,
}

impl Counts {
    /// Both lanes together.
    pub(in crate::gate) fn of(waiting: &[Waiting]) -> Self {
        let mut counts = Self::default();
        for row in waiting {
            let own = counts.own.entry(row.route.clone()).or_default();
            *own.entry(row.account.clone()).or_default() += row.messages;
            *counts.all.entry(row.route.clone()).or_default() += row.messages;
        }
        counts
    }
}

/// The counts that were last observed.
#[derive(Default)]
pub(in crate::gate) struct Waits(RwLock<Counts>);

impl Waits {
    pub(in crate::gate) fn replace(&self, counts: Counts) {
        *self.0.write() = counts;
    }

    pub(in crate::gate) fn of(&self, account: &Account, route: &RouteName) -> (u64, u64) {
        let counts = self.0.read();
        let own = counts.own.get(route).and_then(|own| own.get(account)).copied();
        (own.unwrap_or(0), counts.all.get(route).copied().unwrap_or(0))
    }
}
