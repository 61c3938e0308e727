//! What a transaction tells once it is durable.

use std::collections::{HashMap, HashSet};

use crate::{
    domain::{Account, CustomerId, Environment, Lane, RouteName, State},
    watch::Flow,
};

/// Where messages wait, and whose they are.
pub(in crate::ledger) type Place = (RouteName, Lane, Account);

/// Who is to be told, and how what waits has changed.
#[derive(Debug, Default)]
pub(in crate::ledger) struct News {
    /// Routes that have something new that is ready.
    pub(in crate::ledger) ready: HashSet<RouteName>,
    /// Accounts that have a new report.
    pub(in crate::ledger) reports: HashSet<Account>,
    /// There are reports of which nobody asked whose they are, since nobody listened.
    pub(in crate::ledger) any_report: bool,
    /// Events were written.
    pub(in crate::ledger) events: bool,
    /// The earliest moment at which a row is to be looked at that the transaction wrote, in UTC milliseconds.
    pub(in crate::ledger) due: Option<i64>,
    /// By how many more or fewer messages wait.
    pub(in crate::ledger) waiting: HashMap<Place, i64>,
    /// What came and ended of live messages.
    pub(in crate::ledger) flow: HashMap<(RouteName, CustomerId), Flow>,
    /// Rows that were delivered and of which nothing was read.
    pub(in crate::ledger) delivered: Vec<i64>,
}

impl News {
    /// A message was recorded.
    pub(in crate::ledger) fn came(&mut self, route: &RouteName, account: &Account) {
        if let Some(flow) = self.flow_of(route, account) {
            flow.taken_in += 1;
        }
    }

    /// A message ended, or ended anew.
    pub(in crate::ledger) fn ended(&mut self, route: &RouteName, account: &Account, state: State) {
        if let Some(flow) = self.flow_of(route, account) {
            flow.end(state);
        }
    }

    fn flow_of(&mut self, route: &RouteName, account: &Account) -> Option<&mut Flow> {
        if account.environment != Environment::Live {
            return None;
        }
        Some(self.flow.entry((route.clone(), account.customer.clone())).or_default())
    }

    /// A row is to be looked at then.
    pub(in crate::ledger) fn due(&mut self, at: i64) {
        self.due = Some(self.due.map_or(at, |known| known.min(at)));
    }

    /// So many more of this account wait there.
    pub(in crate::ledger) fn waits(
        &mut self,
        route: &RouteName,
        lane: Lane,
        account: &Account,
        messages: i64,
    ) {
        *self.waiting.entry((route.clone(), lane, account.clone())).or_default() += messages;
    }

    /// A route has something ready.
    pub(in crate::ledger) fn is_ready(&mut self, route: &RouteName) {
        if !self.ready.contains(route) {
            self.ready.insert(route.clone());
        }
    }
}
