//! Units by customer, day and channel: what quotas are held against.

use std::{collections::HashMap, time::Duration};

use rusqlite::Connection;

use super::rows::{Charge, Row};
use crate::domain::{ChannelName, ChargeEffect, CustomerId, Day, Period, Quota, Timestamp};

/// A month is over everywhere on Earth when it is over in UTC−12; two hours more for clocks that differ.
const CLOSED_AFTER: Duration = Duration::from_secs(14 * 3_600);

/// Changes of usage that a transaction gathers and writes last.
#[derive(Debug, Default)]
pub(super) struct UsageChanges(HashMap<(CustomerId, Day, ChannelName), (i64, i64)>);

impl UsageChanges {
    /// Units reserved.
    pub(super) fn charge(&mut self, customer: &CustomerId, day: Day, channel: &ChannelName, units: u32) {
        self.add(customer, day, channel, i64::from(units), 0);
    }

    /// What an end does with a row's units; where the charge stands now.
    pub(super) fn end(&mut self, row: &Row, effect: ChargeEffect, now: Timestamp) -> Charge {
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

    /// Writes them, in the order of their keys.
    pub(super) fn write(self, connection: &Connection) -> rusqlite::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut changes: Vec<_> = self.0.into_iter().collect();
        changes.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut upsert = connection.prepare_cached(
            "INSERT INTO usage (customer, day, channel, used, credited) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT DO UPDATE SET used = used + excluded.used, credited = credited + excluded.credited",
        )?;
        for ((customer, day, channel), (used, credited)) in changes {
            upsert.execute((customer.as_str(), day.as_i32(), channel.as_str(), used, credited))?;
        }
        Ok(())
    }
}

/// Whether the period of a charge is over. A charge knows its day and not its time zone, so a month counts as over
/// when it is over in every zone.
fn is_closed(day: Day, now: Timestamp) -> bool {
    Day::of(now.minus(CLOSED_AFTER), &crate::domain::TimeZone::UTC).month() > day.month()
}

pub(super) const USED: &str = "SELECT coalesce(sum(used - iif(?5, credited, 0)), 0) FROM usage \
         WHERE customer = ?1 AND day BETWEEN ?2 AND ?3 AND (?4 IS NULL OR channel = ?4)";

/// Units used of a quota in the period of `day`. A credit gives back to what never renews, and to nothing else.
pub(super) fn used(connection: &Connection, quota: &Quota, day: Day) -> rusqlite::Result<u64> {
    let (first, last) = quota.period.days(day);
    let credit = quota.period == Period::Prepaid;
    let mut sum = connection.prepare_cached(USED)?;
    let channel = quota.channel.as_ref().map(ChannelName::as_str);
    let used: i64 = sum
        .query_row((quota.customer.as_str(), first.as_i32(), last.as_i32(), channel, credit), |row| {
            row.get(0)
        })?;
    Ok(u64::try_from(used).unwrap_or(0))
}
