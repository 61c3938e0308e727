//! Units by customer, day and channel, in the file.

use rusqlite::Connection;

use crate::{
    domain::{ChannelName, Day, Period, Quota},
    ledger::book::UsageChanges,
};

/// Writes what a transaction gathered.
pub(super) fn write(changes: UsageChanges, connection: &Connection) -> rusqlite::Result<()> {
    let changes = changes.into_sorted();
    if changes.is_empty() {
        return Ok(());
    }
    let mut upsert = connection.prepare_cached(
        "INSERT INTO usage (customer, day, channel, used, credited) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT DO UPDATE SET used = used + excluded.used, credited = credited + excluded.credited",
    )?;
    for ((customer, day, channel), (used, credited)) in changes {
        upsert.execute((customer.as_str(), day.as_i32(), channel.as_str(), used, credited))?;
    }
    Ok(())
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
