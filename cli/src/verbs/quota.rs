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
    /// Set a limit; it replaces the one of the same channel and period, and holds beside those of others
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
    /// Add units to a limit, as when a customer buys more
    Add {
        /// Whose
        customer: CustomerId,
        /// How many more
        #[arg(allow_negative_numbers = true, value_parser = units)]
        units: u64,
        /// Of which channel, `*` for all together
        #[arg(long, default_value = "*")]
        channel: ChannelOrAll,
        /// Of which period, where there are several
        #[arg(long, value_enum)]
        period: Option<PeriodArg>,
    },
    /// Take a limit away
    Remove {
        /// Whose
        customer: CustomerId,
        /// Of which channel, `*` for all together
        #[arg(long, default_value = "*")]
        channel: ChannelOrAll,
        /// Of which period, where there are several
        #[arg(long, value_enum)]
        period: Option<PeriodArg>,
    },
    /// A customer's limits and what is used of them
    Show {
        /// Whose
        customer: CustomerId,
    },
}

/// The largest limit there is.
const MOST: u64 = i64::MAX as u64;

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
            desk.book()?.customer(&customer).await?;
            set(desk, Quota::new(customer.clone(), channel.0, period.into(), limit)).await?;
            show(desk, &customer).await
        }
        QuotaVerb::Add { customer, units, channel, period } => {
            if units == 0 {
                return Err(Failure::Usage("no units are to be added".to_owned()).into());
            }
            let quota = only(desk, &customer, &channel, period.map(Period::from)).await?;
            let more = |quota: &mut Quota| {
                let too_much = || Failure::Usage("the limit would be too large a number".to_owned());
                let limit = quota.limit.checked_add(units).filter(|n| i64::try_from(*n).is_ok());
                quota.limit = limit.ok_or_else(too_much)?;
                Ok(())
            };
            change(desk, &quota, more).await?;
            show(desk, &customer).await
        }
        QuotaVerb::Remove { customer, channel, period } => {
            let quota = only(desk, &customer, &channel, period.map(Period::from)).await?;
            let end = |quota: &mut Quota| {
                (quota.ended, quota.limit) = (true, MOST);
                Ok(())
            };
            change(desk, &quota, end).await?;
            show(desk, &customer).await
        }
        QuotaVerb::Show { customer } => show(desk, &customer).await,
    }
}

/// The limits of a customer, ended ones included: for one channel, or for all its channels.
async fn limits(
    desk: &Desk,
    customer: &CustomerId,
    channel: Option<&ChannelOrAll>,
) -> anyhow::Result<Vec<Quota>> {
    let entries = desk.book()?.all(Kind::Quota, &format!("{customer}/")).await?;
    let quotas = entries.into_iter().filter_map(|entry| match entry {
        Entry::Quota(quota) => Some(quota),
        _ => None,
    });
    Ok(quotas.filter(|quota| channel.is_none_or(|channel| quota.channel == channel.0)).collect())
}

/// Puts a limit in the place of the one of its channel and period; else where none holds any more; else beside the others.
async fn set(desk: &Desk, new: Quota) -> anyhow::Result<()> {
    let known = limits(desk, &new.customer, Some(&ChannelOrAll(new.channel.clone()))).await?;
    let same = known.iter().find(|quota| !quota.ended && quota.period == new.period);
    let free = known.iter().find(|quota| quota.ended && (!quota.beside || quota.period == new.period));
    let (beside, version) = match same.or(free) {
        Some(known) => (known.beside, known.version),
        None => (!known.is_empty(), 0),
    };
    desk.book()?.put(vec![Entry::Quota(Quota { beside, version, ..new })]).await?;
    Ok(())
}

/// The limit that is meant: of several of one channel, the one of the period that was named.
async fn only(
    desk: &Desk,
    customer: &CustomerId,
    channel: &ChannelOrAll,
    period: Option<Period>,
) -> anyhow::Result<Quota> {
    desk.book()?.customer(customer).await?;
    let mut known = limits(desk, customer, Some(channel)).await?;
    known.retain(|quota| !quota.ended && period.is_none_or(|period| quota.period == period));
    match known.len() {
        0 | 1 => known.pop().ok_or_else(|| {
            let name = format!("{customer}/{}", channel_word(channel.0.as_ref()));
            Failure::NotFound("quota", name).into()
        }),
        _ => {
            Err(Failure::Usage("there are several: name one by --period day, month or prepaid".to_owned())
                .into())
        }
    }
}

async fn change(
    desk: &Desk,
    quota: &Quota,
    change: impl Fn(&mut Quota) -> anyhow::Result<()> + Send + Sync,
) -> anyhow::Result<()> {
    let apply = |entry| match entry {
        Entry::Quota(mut quota) => {
            change(&mut quota)?;
            Ok(Entry::Quota(quota))
        }
        other => Ok(other),
    };
    desk.book()?.change(Kind::Quota, &Entry::Quota(quota.clone()).key(), apply).await?;
    Ok(())
}

async fn show(desk: &Desk, id: &CustomerId) -> anyhow::Result<()> {
    let book = desk.book()?;
    let customer = book.customer(id).await?;
    let quotas = limits(desk, id, None).await?;
    let reads = desk.ledger()?.reads;
    let now = desk.now();
    let today = Day::of(now, &customer.time_zone);
    let mut rows = Vec::new();
    for quota in quotas.into_iter().filter(|quota| !quota.ended) {
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
