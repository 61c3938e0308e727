//! What a transaction tells once it is durable.

use std::collections::{HashMap, HashSet};

use crate::domain::{Account, Lane, RouteName};

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
}

impl News {
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
