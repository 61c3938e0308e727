//! What waits in the ledger, as last observed.

use std::collections::HashMap;

use parking_lot::RwLock;

use crate::{
    domain::{Account, RouteName},
    ledger::Waiting,
};

#[derive(Default)]
struct Counts {
    own: HashMap<RouteName, HashMap<Account, u64>>,
    all: HashMap<RouteName, u64>,
}

/// Both lanes together.
#[derive(Default)]
pub(super) struct Waits(RwLock<Counts>);

impl Waits {
    pub(super) fn replace(&self, waiting: &[Waiting]) {
        let mut counts = Counts::default();
        for row in waiting {
            let own = counts.own.entry(row.route.clone()).or_default();
            *own.entry(row.account.clone()).or_default() += row.messages;
            *counts.all.entry(row.route.clone()).or_default() += row.messages;
        }
        *self.0.write() = counts;
    }

    pub(super) fn of(&self, account: &Account, route: &RouteName) -> (u64, u64) {
        let counts = self.0.read();
        let own = counts.own.get(route).and_then(|own| own.get(account)).copied();
        (own.unwrap_or(0), counts.all.get(route).copied().unwrap_or(0))
    }
}
