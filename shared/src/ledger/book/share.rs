//! How much each customer may be given by one take, by what it holds already.

use std::{collections::HashMap, sync::Arc};

use crate::ledger::Shares;

/// What is left of the shares while a take goes on.
#[derive(Debug, Clone)]
pub(in crate::ledger) struct Tally {
    shares: Shares,
    given: HashMap<String, usize>,
}

impl Tally {
    pub(in crate::ledger) fn new(shares: &Shares) -> Self {
        Self { shares: shares.clone(), given: HashMap::new() }
    }

    /// How much more a customer may be given before it has its share.
    pub(in crate::ledger) fn left(&self, customer: &str) -> usize {
        if self.shares.each == usize::MAX {
            return usize::MAX;
        }
        let held = self.shares.held.get(customer).copied().unwrap_or(0);
        self.shares.each.saturating_sub(held + self.given.get(customer).copied().unwrap_or(0))
    }

    /// A customer is given so many.
    pub(in crate::ledger) fn give(&mut self, customer: &str, rows: usize) {
        if self.shares.each != usize::MAX && rows > 0 {
            *self.given.entry(customer.to_owned()).or_default() += rows;
        }
    }

    /// How many more may go to customers who have their share.
    pub(in crate::ledger) const fn beyond(&self) -> usize {
        self.shares.beyond
    }

    /// So many went to them.
    pub(in crate::ledger) const fn spend(&mut self, rows: usize) {
        self.shares.beyond = self.shares.beyond.saturating_sub(rows);
    }

    /// The shares as they stand for whoever goes on with the take.
    pub(in crate::ledger) fn shares(self) -> Shares {
        let Self { mut shares, given } = self;
        if !given.is_empty() {
            let held = Arc::make_mut(&mut shares.held);
            for (customer, rows) in given {
                if let Ok(customer) = customer.parse() {
                    *held.entry(customer).or_default() += rows;
                }
            }
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_share_is_less_what_is_held_and_what_was_given() {
        let held = BTreeMap::from([("a".parse().unwrap(), 3)]);
        let mut tally = Tally::new(&Shares { each: 4, held: Arc::new(held), beyond: 2 });
        assert_eq!((tally.left("a"), tally.left("b")), (1, 4));
        tally.give("a", 2);
        tally.give("b", 1);
        assert_eq!((tally.left("a"), tally.left("b")), (0, 3));
        tally.spend(5);
        let after = Tally::new(&tally.shares());
        assert_eq!((after.left("a"), after.left("b"), after.beyond()), (0, 3, 0));
        assert_eq!(Tally::new(&Shares::default()).left("a"), usize::MAX);
    }
}
