//! A customer as it is put together from documents that may come in any order.

use std::sync::Arc;

use crate::{
    domain::{Assignment, Customer, Quota},
    registry::Profile,
};

/// The documents of one customer, and the profile made of them.
#[derive(Default)]
pub(super) struct Tenant {
    /// Its own document, until the profile takes it over.
    customer: Option<Box<Customer>>,
    quotas: Vec<Arc<Quota>>,
    assignments: Vec<Assignment>,
    profile: Option<Arc<Profile>>,
}

impl Tenant {
    /// The profile as of the last rebuild; none before the customer's own document has come.
    pub(super) const fn profile(&self) -> Option<&Arc<Profile>> {
        self.profile.as_ref()
    }

    pub(super) fn set_customer(&mut self, new: Customer) {
        let known =
            self.customer.as_deref().or_else(|| self.profile.as_ref().map(|profile| &profile.customer));
        if known.is_none_or(|known| known.version < new.version) {
            self.customer = Some(Box::new(new));
        }
    }

    pub(super) fn set_quota(&mut self, new: Quota) {
        let same =
            |known: &&mut Arc<Quota>| known.channel == new.channel && known.own_period() == new.own_period();
        match self.quotas.iter_mut().find(same) {
            Some(known) if known.version < new.version => *known = Arc::new(new),
            Some(_) => {}
            None => self.quotas.push(Arc::new(new)),
        }
    }

    pub(super) fn set_assignment(&mut self, new: Assignment) {
        match self.assignments.iter_mut().find(|known| known.channel == new.channel) {
            Some(known) if known.version < new.version => *known = new,
            Some(_) => {}
            None => self.assignments.push(new),
        }
    }

    /// Makes the profile anew.
    pub(super) fn rebuild(&mut self) {
        // There may be a hundred thousand of these, most with one of each.
        self.quotas.shrink_to_fit();
        self.assignments.shrink_to_fit();
        let former = || self.profile.as_ref().map(|profile| profile.customer.clone());
        let Some(customer) = self.customer.take().map(|new| *new).or_else(former) else { return };
        let assignments = self.assignments.iter().map(|a| (a.channel.clone(), a.route.clone())).collect();
        let quotas = self.quotas.iter().filter(|quota| !quota.ended).cloned().collect();
        self.profile = Some(Arc::new(Profile { customer, quotas, assignments }));
    }
}
