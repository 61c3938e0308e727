//! What came and what ended by this process's commits, until it is written down.

use std::collections::HashMap;

use crate::{
    domain::{CustomerId, RouteName},
    watch::Flow,
};

/// Customers on routes that are told apart until the next write; what comes of others meanwhile is not counted.
const PLACES: usize = 20_000;

/// Rows of which it is looked up later whose they are; beyond that they are not counted.
const ROWS: usize = 200_000;

/// Counts by route and customer.
pub(in crate::ledger) type FlowByPlace = HashMap<(RouteName, CustomerId), Flow>;

/// See the module.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Flows {
    places: FlowByPlace,
    delivered: Vec<i64>,
}

impl Flows {
    /// A commit brought this.
    pub(in crate::ledger) fn add(&mut self, flow: &FlowByPlace) {
        for (place, more) in flow {
            if let Some(known) = self.places.get_mut(place) {
                known.add(more);
            } else if self.places.len() < PLACES {
                self.places.insert(place.clone(), *more);
            }
        }
    }

    /// As [`Flows::add`], and rows that were delivered and of which nothing was read.
    pub(in crate::ledger) fn add_unread(&mut self, flow: &FlowByPlace, delivered: &[i64]) {
        self.add(flow);
        let room = ROWS.saturating_sub(self.delivered.len());
        self.delivered.extend(delivered.iter().take(room));
    }

    /// What there is, to be written down.
    pub(in crate::ledger) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    pub(in crate::ledger) const fn delivered(&self) -> &Vec<i64> {
        &self.delivered
    }

    /// By route and customer, sorted, so that nobody waits crosswise.
    pub(in crate::ledger) fn sorted(&self) -> Vec<((RouteName, CustomerId), Flow)> {
        let mut list: Vec<_> = self.places.iter().map(|(place, flow)| (place.clone(), *flow)).collect();
        list.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        list
    }
}
