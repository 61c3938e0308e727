//! `naru quota`: how many units a customer may send in a period.

use clap::{Subcommand, ValueEnum};
use naru_shared::{
    catalog::{Entry, Kind},
    domain::{CustomerId, Day, Period, Quota},
};
use serde::Serialize;

use crate::{
    desk::Desk,
    exit::Failure,
    units::{ChannelOrAll, channel_word, units},
};

/// A period, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PeriodArg {
    /// A calendar day of the customer
    Day,
    /// A calendar month of the customer
    Month,
    /// Never begins anew; more is bought
    Prepaid,
}

impl From<PeriodArg> for Period {
    fn from(period: PeriodArg) -> Self {
        match period {
            PeriodArg::Day => Self::Day,
            PeriodArg::Month => Self::Month,
            PeriodArg::Prepaid => Self::Prepaid,
        }
    }
}

/// What can be done to quotas.
#[derive(Debug, Subcommand)]
pub enum QuotaVerb {
    /// Set a limit; it replaces the one there was
    Set {
        /// Whose
        customer: CustomerId,
        /// Units in a period
        #[arg(allow_negative_numbers = true, value_parser = units)]
        limit: u64,
        /// Of which channel, `*` for all together
        #[arg(long, default_value = "*")]
        channel: ChannelOrAll,
        /// How long it lasts
        #[arg(long, value_enum, default_value_t = PeriodArg::Month)]
        period: PeriodArg,
    },
    /// Add units to a limit
    Add {
        /// Whose
        customer: CustomerId,
        /// How many more
        #[arg(allow_negative_numbers = true, value_parser = units)]
        units: u64,
        /// Of which channel, `*` for all together
        #[arg(long, default_value = "*")]
        channel: ChannelOrAll,
    },
    /// A customer's limits and what is used of them
    Show {
        /// Whose
        customer: CustomerId,
    },
}

#[derive(Serialize)]
struct Shown {
    channel: String,
    period: Period,
    limit: u64,
    used: u64,
    remaining: u64,
    renews_at: Option<String>,
}

/// Does it.
///
/// # Errors
/// See the exit codes.
pub async fn run(verb: QuotaVerb, desk: &Desk) -> anyhow::Result<()> {
    match verb {
        QuotaVerb::Set { customer, limit, channel, period } => {
            let book = desk.book()?;
            book.customer(&customer).await?;
            let quota = Quota {
                customer: customer.clone(),
                channel: channel.0,
                period: period.into(),
                limit,
                version: 0,
            };
            let entry = Entry::Quota(quota);
            let version = book.find(Kind::Quota, &entry.key()).await?.map_or(0, |there| there.version());
            book.put(vec![entry.at_version(version)]).await?;
            show(desk, &customer).await
        }
        QuotaVerb::Add { customer, units, channel } => {
            let key = format!("{customer}/{}", channel_word(channel.0.as_ref()));
            let more = |entry| match entry {
                Entry::Quota(mut quota) => {
                    let too_much = || Failure::Usage("the limit would be too large a number".to_owned());
                    let limit = quota.limit.checked_add(units).filter(|n| i64::try_from(*n).is_ok());
                    quota.limit = limit.ok_or_else(too_much)?;
                    Ok(Entry::Quota(quota))
                }
                other => Ok(other),
            };
            desk.book()?.change(Kind::Quota, &key, more).await?;
            show(desk, &customer).await
        }
        QuotaVerb::Show { customer } => show(desk, &customer).await,
    }
}

async fn show(desk: &Desk, id: &CustomerId) -> anyhow::Result<()> {
    let book = desk.book()?;
    let customer = book.customer(id).await?;
    let entries = book.all(Kind::Quota, &format!("{id}/")).await?;
    let reads = desk.ledger()?.reads;
    let now = desk.now();
    let today = Day::of(now, &customer.time_zone);
    let mut rows = Vec::new();
    for entry in entries {
        let Entry::Quota(quota) = entry else { continue };
        let used = reads.used(&quota, today).await?;
        rows.push(Shown {
            channel: channel_word(quota.channel.as_ref()),
            period: quota.period,
            limit: quota.limit,
            used,
            remaining: quota.limit.saturating_sub(used),
            renews_at: quota.period.renews_at(now, &customer.time_zone).map(|at| at.to_string()),
        });
    }
    desk.out.rows(&rows, &["channel", "period", "limit", "used", "remaining", "renews"], |row| {
        vec![
            row.channel.clone(),
            row.period.as_str().to_owned(),
            row.limit.to_string(),
            row.used.to_string(),
            row.remaining.to_string(),
            row.renews_at.clone().unwrap_or_default(),
        ]
    })
}
