//! Units by customer, day and channel: what quotas are held against.

use std::{collections::HashMap, time::Duration};

use super::row::{Charge, Row};
use crate::domain::{ChannelName, ChargeEffect, CustomerId, Day, Timestamp};

/// A month is over everywhere on Earth when it is over in UTC−12; two hours more for clocks that differ.
const CLOSED_AFTER: Duration = Duration::from_secs(14 * 3_600);

/// Changes of usage that a transaction gathers and writes last.
#[derive(Debug, Default)]
pub(in crate::ledger) struct UsageChanges(HashMap<UsageKey, (i64, i64)>);

/// A row of usage.
pub(in crate::ledger) type UsageKey = (CustomerId, Day, ChannelName);

impl UsageChanges {
    /// Units reserved.
    pub(in crate::ledger) fn charge(
        &mut self,
        customer: &CustomerId,
        day: Day,
        channel: &ChannelName,
        units: u32,
    ) {
        self.add(customer, day, channel, i64::from(units), 0);
    }

    /// What an end does with a row's units; where the charge stands now.
    pub(in crate::ledger) fn end(&mut self, row: &Row, effect: ChargeEffect, now: Timestamp) -> Charge {
        let units = i64::from(row.units);
        match (row.charge, effect) {
            (Charge::None, _) => Charge::None,
            (Charge::Reserved | Charge::Captured, ChargeEffect::Captured) => Charge::Captured,
            (Charge::Reserved | Charge::Captured, ChargeEffect::Released) if is_closed(row.day, now) => {
                self.add(&row.account.customer, row.day, &row.channel, 0, units);
                Charge::Credited
            }
            (Charge::Reserved | Charge::Captured, ChargeEffect::Released) => {
                self.add(&row.account.customer, row.day, &row.channel, -units, 0);
                Charge::Released
            }
            (Charge::Released, ChargeEffect::Captured) => {
                self.add(&row.account.customer, row.day, &row.channel, units, 0);
                Charge::Captured
            }
            (Charge::Credited, ChargeEffect::Captured) => {
                self.add(&row.account.customer, row.day, &row.channel, 0, -units);
                Charge::Captured
            }
            (kept @ (Charge::Released | Charge::Credited), ChargeEffect::Released) => kept,
        }
    }

    fn add(&mut self, customer: &CustomerId, day: Day, channel: &ChannelName, used: i64, credited: i64) {
        let sum = self.0.entry((customer.clone(), day, channel.clone())).or_default();
        sum.0 += used;
        sum.1 += credited;
    }

    /// Units used and credited by key, in the order of the keys.
    pub(in crate::ledger) fn into_sorted(self) -> Vec<(UsageKey, (i64, i64))> {
        let mut changes: Vec<_> = self.0.into_iter().filter(|(_, sums)| *sums != (0, 0)).collect();
        changes.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        changes
    }
}

/// Whether the period of a charge is over. A charge knows its day and not its time zone, so a month counts as over
/// when it is over in every zone.
fn is_closed(day: Day, now: Timestamp) -> bool {
    Day::of(now.minus(CLOSED_AFTER), &crate::domain::TimeZone::UTC).month() > day.month()
}
