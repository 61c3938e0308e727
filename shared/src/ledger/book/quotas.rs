//! Exact quotas: while a group is recorded, what is left of every limit that touches it.

use std::{collections::HashMap, sync::Arc};

use crate::{
    domain::{CustomerId, Day, Environment, Quota},
    ledger::{IntakeEntry, QuotaUse},
};

/// The limits of a group, read once and held against every charge in it.
pub(in crate::ledger) struct Tallies {
    list: Vec<QuotaUse>,
    by_customer: HashMap<CustomerId, Vec<usize>>,
}

impl Tallies {
    /// Every quota in every period that a live entry falls into. How much of each is used is to be filled in.
    pub(in crate::ledger) fn of(quotas: &[Arc<Quota>], entries: &[IntakeEntry]) -> Self {
        let mut tallies = Self { list: Vec::new(), by_customer: HashMap::new() };
        if quotas.is_empty() {
            return tallies;
        }
        for (customer, days) in days_of(entries) {
            for quota in quotas.iter().filter(|quota| quota.customer == customer) {
                for day in &days {
                    tallies.open(quota, *day);
                }
            }
        }
        tallies
    }

    fn open(&mut self, quota: &Arc<Quota>, day: Day) {
        let listed = self.by_customer.entry(quota.customer.clone()).or_default();
        for index in listed.iter() {
            let known = &mut self.list[*index];
            if Arc::ptr_eq(&known.quota, quota) && quota.period.days(known.day) == quota.period.days(day) {
                known.day = known.day.max(day);
                return;
            }
        }
        listed.push(self.list.len());
        self.list.push(QuotaUse { quota: Arc::clone(quota), day, seen: 0, used: 0 });
    }

    /// What is to be read: a quota, and a day of its period.
    pub(in crate::ledger) fn list(&mut self) -> &mut [QuotaUse] {
        &mut self.list
    }

    /// Whether every limit that matches still holds these units; they count as seen.
    pub(in crate::ledger) fn see(&mut self, entry: &IntakeEntry) -> bool {
        let units = u64::from(entry.message.units.get());
        let mut fits = true;
        self.matching(entry, |tally| {
            tally.seen += units;
            fits &= tally.used.saturating_add(units) <= tally.quota.limit;
        });
        fits
    }

    /// These units are reserved.
    pub(in crate::ledger) fn reserve(&mut self, entry: &IntakeEntry) {
        let units = u64::from(entry.message.units.get());
        self.matching(entry, |tally| tally.used += units);
    }

    fn matching(&mut self, entry: &IntakeEntry, mut visit: impl FnMut(&mut QuotaUse)) {
        if entry.account.environment != Environment::Live || self.list.is_empty() {
            return;
        }
        let Some(indexes) = self.by_customer.get(&entry.account.customer) else { return };
        for index in indexes {
            let tally = &mut self.list[*index];
            let channel = tally.quota.channel.as_ref().is_none_or(|c| *c == entry.message.content.channel);
            let period = tally.quota.period;
            if channel && period.days(tally.day) == period.days(entry.day) {
                visit(tally);
            }
        }
    }

    /// How they stand.
    pub(in crate::ledger) fn into_used(self) -> Vec<QuotaUse> {
        self.list
    }
}

/// The days on which each live customer of a group is charged.
fn days_of(entries: &[IntakeEntry]) -> HashMap<CustomerId, Vec<Day>> {
    let mut days: HashMap<CustomerId, Vec<Day>> = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.account.environment == Environment::Live) {
        let known = days.entry(entry.account.customer.clone()).or_default();
        if !known.contains(&entry.day) {
            known.push(entry.day);
        }
    }
    days
}
