//! `naru quiet`: hours in which no attempt of a customer's messages begins.

use clap::{Subcommand, ValueEnum};
use naru_shared::{
    catalog::{Entry, Kind},
    domain::{ChannelName, Customer, CustomerId, Hours, Hushed, QuietHours, TimeZone},
};
use serde::Serialize;

use super::customer::zone;
use crate::{
    desk::Desk,
    exit::Failure,
    units::{AssignTo, channel_word},
};

/// The most rules of one customer: one for each channel.
const MOST: usize = 64;

/// Which messages, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HushedArg {
    /// The lane bulk alone: login codes are sent at night
    Bulk,
    /// Both lanes
    All,
}

/// What can be done to quiet hours.
#[derive(Debug, Subcommand)]
pub enum QuietVerb {
    /// Set quiet hours; they replace those that there were
    Set {
        /// CUSTOMER for all channels that have none of their own, or CUSTOMER/CHANNEL
        whose: AssignTo,
        /// From when until when, such as 21:00-08:00
        hours: Hours,
        /// IANA name of the zone by whose clock [default: the customer's]
        #[arg(long, value_parser = zone)]
        time_zone: Option<TimeZone>,
        /// Which messages wait
        #[arg(long, value_enum, default_value_t = HushedArg::Bulk)]
        lane: HushedArg,
    },
    /// Quiet hours, of one customer or of all
    List {
        /// Whose
        customer: Option<CustomerId>,
    },
    /// Remove quiet hours
    Remove {
        /// CUSTOMER or CUSTOMER/CHANNEL, as they were set
        whose: AssignTo,
    },
}

#[derive(Serialize)]
struct Shown {
    customer: CustomerId,
    channel: String,
    hours: Hours,
    time_zone: TimeZone,
    lane: Hushed,
    /// When they end, if it is quiet now.
    until: Option<String>,
}

/// Does it.
///
/// # Errors
/// See the exit codes.
pub async fn run(verb: QuietVerb, desk: &Desk) -> anyhow::Result<()> {
    match verb {
        QuietVerb::Set { whose, hours, time_zone, lane } => {
            let lane = match lane {
                HushedArg::Bulk => Hushed::Bulk,
                HushedArg::All => Hushed::All,
            };
            change(desk, &whose, |customer, channel| {
                let time_zone = time_zone.clone().unwrap_or_else(|| customer.time_zone.clone());
                customer.quiet.retain(|rule| rule.channel != *channel);
                if customer.quiet.len() >= MOST {
                    let why = format!("`{}` has quiet hours for {MOST} channels already", customer.id);
                    return Err(Failure::Refused(why).into());
                }
                customer.quiet.push(QuietHours { channel: channel.clone(), hours, time_zone, lane });
                Ok(())
            })
            .await
        }
        QuietVerb::Remove { whose } => {
            change(desk, &whose, |customer, channel| {
                let before = customer.quiet.len();
                customer.quiet.retain(|rule| rule.channel != *channel);
                if customer.quiet.len() == before {
                    let key = format!("{}/{}", customer.id, channel_word(channel.as_ref()));
                    return Err(Failure::NotFound("quiet hours", key).into());
                }
                Ok(())
            })
            .await
        }
        QuietVerb::List { customer: Some(customer) } => {
            let customer = desk.book()?.customer(&customer).await?;
            show(desk, &[customer])
        }
        QuietVerb::List { customer: None } => {
            let entries = desk.book()?.all(Kind::Customer, "").await?.into_iter();
            let customers: Vec<Customer> =
                entries.filter_map(|e| if let Entry::Customer(c) = e { Some(c) } else { None }).collect();
            show(desk, &customers)
        }
    }
}

async fn change<F>(desk: &Desk, whose: &AssignTo, change: F) -> anyhow::Result<()>
where
    F: Fn(&mut Customer, &Option<ChannelName>) -> anyhow::Result<()> + Send + Sync,
{
    let book = desk.book()?;
    let apply = |entry| match entry {
        Entry::Customer(mut customer) => {
            change(&mut customer, &whose.channel)?;
            customer.quiet.sort_by(|a, b| a.channel.cmp(&b.channel));
            Ok(Entry::Customer(customer))
        }
        other => Ok(other),
    };
    book.change(Kind::Customer, whose.customer.as_str(), apply).await?;
    show(desk, &[book.customer(&whose.customer).await?])
}

fn show(desk: &Desk, customers: &[Customer]) -> anyhow::Result<()> {
    let now = desk.now();
    let rules = customers.iter().flat_map(|customer| customer.quiet.iter().map(move |rule| (customer, rule)));
    let rows: Vec<Shown> = rules
        .map(|(customer, rule)| Shown {
            customer: customer.id.clone(),
            channel: channel_word(rule.channel.as_ref()),
            hours: rule.hours,
            time_zone: rule.time_zone.clone(),
            lane: rule.lane,
            until: rule.until(now).map(|at| at.to_string()),
        })
        .collect();
    desk.out.rows(&rows, &["customer", "channel", "hours", "time zone", "lane", "quiet until"], |row| {
        vec![
            row.customer.to_string(),
            row.channel.clone(),
            row.hours.to_string(),
            row.time_zone.name().to_owned(),
            row.lane.as_str().to_owned(),
            row.until.clone().unwrap_or_default(),
        ]
    })
}
