//! Units by customer, day and channel.

use sqlx::{PgConnection, Row as _};

use crate::{
    domain::{Day, Period, Quota},
    ledger::QuotaUse,
    postgres::PgError,
};

/// One group at a time decides about a customer who has limits, until its commit. Which customers share a lock by chance wait
/// for one another, and nothing else. The numbers are sorted, so that no two groups wait crosswise.
const ALONE: &str = "SELECT pg_advisory_xact_lock(1852404321, lock) FROM ( \
     SELECT DISTINCT hashtext(customer) AS lock FROM unnest($1::text[]) AS customer ORDER BY 1) AS locks";

/// A credit gives back to what never renews, and to nothing else.
pub(super) const USED: &str = "SELECT coalesce(sum(u.used - CASE WHEN q.prepaid THEN u.credited ELSE 0 END), 0)::bigint \
     FROM unnest($1::text[], $2::integer[], $3::integer[], $4::text[], $5::boolean[]) WITH ORDINALITY \
       AS q (customer, first, last, channel, prepaid, number) \
     LEFT JOIN usage u ON u.customer = q.customer AND u.day BETWEEN q.first AND q.last \
       AND (q.channel IS NULL OR u.channel = q.channel) \
     GROUP BY q.number ORDER BY q.number";

/// Reads how much of each quota is used, after every other group that could change it has committed.
pub(super) async fn read_alone(
    connection: &mut PgConnection,
    tallies: &mut [QuotaUse],
) -> Result<(), PgError> {
    if tallies.is_empty() {
        return Ok(());
    }
    let customers: Vec<&str> = tallies.iter().map(|tally| tally.quota.customer.as_str()).collect();
    sqlx::query(ALONE).bind(customers).execute(&mut *connection).await?;
    let asked: Vec<(&Quota, Day)> = tallies.iter().map(|tally| (&*tally.quota, tally.day)).collect();
    let used = used(connection, &asked).await?;
    for (tally, used) in tallies.iter_mut().zip(used) {
        tally.used = used;
    }
    Ok(())
}

/// Units used of each quota in the period of its day.
pub(super) async fn used(
    connection: &mut PgConnection,
    asked: &[(&Quota, Day)],
) -> Result<Vec<u64>, PgError> {
    let periods: Vec<(Day, Day)> = asked.iter().map(|(quota, day)| quota.period.days(*day)).collect();
    let rows = sqlx::query(USED)
        .bind(asked.iter().map(|(quota, _)| quota.customer.as_str()).collect::<Vec<_>>())
        .bind(periods.iter().map(|(first, _)| first.as_i32()).collect::<Vec<_>>())
        .bind(periods.iter().map(|(_, last)| last.as_i32()).collect::<Vec<_>>())
        .bind(asked.iter().map(|(quota, _)| quota.channel.as_ref().map(|c| c.as_str())).collect::<Vec<_>>())
        .bind(asked.iter().map(|(quota, _)| quota.period == Period::Prepaid).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or(0))).collect()
}
