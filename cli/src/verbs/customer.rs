//! `naru customer`: paying tenants.

use std::num::NonZeroU32;

use clap::{Args, Subcommand, ValueEnum};
use naru_shared::{
    catalog::{Entry, Kind},
    domain::{Customer, CustomerId, GatePolicy, RatePolicy, TimeZone},
};

use super::{rate, sender};
use crate::{
    desk::Desk,
    exit::Failure,
    units::{Rate, rate_words, title},
};

/// What can be done to customers.
#[derive(Debug, Subcommand)]
pub enum CustomerVerb {
    /// Make a customer
    Add {
        /// Its name for ever
        id: CustomerId,
        /// What is set
        #[command(flatten)]
        settings: Settings,
    },
    /// Change a customer; what is not given stays
    Set {
        /// Which
        id: CustomerId,
        /// What is set
        #[command(flatten)]
        settings: Settings,
    },
    /// All customers
    List,
    /// One customer
    Show {
        /// Which
        id: CustomerId,
    },
    /// Refuse its calls, and reject what it has on the queue
    Suspend {
        /// Which
        id: CustomerId,
    },
    /// End a suspension
    Resume {
        /// Which
        id: CustomerId,
    },
}

/// What can be set.
#[derive(Debug, Args)]
pub struct Settings {
    /// For people to read, at most 256 characters
    #[arg(long, value_parser = title)]
    title: Option<String>,
    /// IANA name of the zone in which its days and months are counted [default: UTC]
    #[arg(long, value_parser = zone)]
    time_zone: Option<TimeZone>,
    /// Its share among others that wait on a route [default: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    weight: Option<u32>,
    /// A rate policy, NAME=LIMIT/WINDOW+BURST; may be given several times [default: burst=100/1s+200]
    #[arg(long = "rate")]
    rates: Vec<Rate>,
    /// No rate policy at all
    #[arg(long, conflicts_with = "rates")]
    no_rate: bool,
    /// What becomes of its calls while nobody can be asked about its rates: local (each process lets in its share),
    /// open or closed [default: local]
    #[arg(long, value_parser = gate_policy, value_name = "POLICY")]
    gate_policy: Option<GatePolicy>,
    /// In whose name it may send: any, or registered (see `naru sender`) [default: any]
    #[arg(long, value_enum)]
    senders: Option<SendersArg>,
    /// Seconds for which the same content to the same recipient is refused; 0: it never is [default: 0]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=86_400))]
    refuse_repeats: Option<u32>,
}

/// In whose name a customer may send, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SendersArg {
    /// In any
    Any,
    /// In that of a registered sender alone, which every message must name
    Registered,
}

fn gate_policy(word: &str) -> Result<GatePolicy, String> {
    let known = [GatePolicy::Local, GatePolicy::Open, GatePolicy::Closed];
    known
        .into_iter()
        .find(|policy| policy.as_str() == word)
        .ok_or_else(|| "expected local, open or closed".to_owned())
}

pub(super) fn zone(name: &str) -> Result<TimeZone, String> {
    name.parse().map_err(|_| "expected an IANA time zone such as Asia/Seoul".to_owned())
}

impl Settings {
    fn apply(&self, customer: &mut Customer) -> anyhow::Result<()> {
        if let Some(title) = &self.title {
            customer.title.clone_from(title);
        }
        if let Some(zone) = &self.time_zone {
            customer.time_zone = zone.clone();
        }
        if let Some(weight) = self.weight {
            customer.weight = weight;
        }
        if let Some(policy) = self.gate_policy {
            customer.gate_policy = policy;
        }
        if let Some(senders) = self.senders {
            customer.senders.registered_only = senders == SendersArg::Registered;
        }
        if let Some(seconds) = self.refuse_repeats {
            customer.refuse_repeats = NonZeroU32::new(seconds);
        }
        if self.no_rate {
            customer.rates.clear();
        } else if !self.rates.is_empty() {
            customer.rates = self.rates.iter().map(|rate| rate.0.clone()).collect();
        }
        let mut names: Vec<&str> = customer.rates.iter().map(|rate| rate.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        if names.len() < customer.rates.len() {
            return Err(Failure::Usage("two rate policies have one name".to_owned()).into());
        }
        rate::few(customer)
    }
}

/// The policy of a customer for whom none was named.
#[must_use]
pub fn default_rate() -> RatePolicy {
    RatePolicy { name: "burst".to_owned(), limit: 100, window_seconds: 1, burst: 200 }
}

/// Does it.
///
/// # Errors
/// See the exit codes.
pub async fn run(verb: CustomerVerb, desk: &Desk) -> anyhow::Result<()> {
    match verb {
        CustomerVerb::Add { id, settings } => {
            let mut customer = Customer { rates: vec![default_rate()], ..Customer::new(id) };
            settings.apply(&mut customer)?;
            let hint = format!("`naru customer set {}` changes it", customer.id);
            let version = desk.book()?.add(vec![Entry::Customer(customer.clone())], &hint).await?;
            customer.version = version;
            show(desk, &customer)
        }
        CustomerVerb::Set { id, settings } => change(desk, &id, |c| settings.apply(c)).await,
        CustomerVerb::Suspend { id } => {
            change(desk, &id, |c| {
                c.suspended = true;
                Ok(())
            })
            .await
        }
        CustomerVerb::Resume { id } => {
            change(desk, &id, |c| {
                c.suspended = false;
                Ok(())
            })
            .await
        }
        CustomerVerb::Show { id } => show(desk, &desk.book()?.customer(&id).await?),
        CustomerVerb::List => list(desk).await,
    }
}

pub(super) async fn change<F>(desk: &Desk, id: &CustomerId, change: F) -> anyhow::Result<()>
where
    F: Fn(&mut Customer) -> anyhow::Result<()> + Send + Sync,
{
    let apply = |entry| match entry {
        Entry::Customer(mut customer) => {
            change(&mut customer)?;
            Ok(Entry::Customer(customer))
        }
        other => Ok(other),
    };
    match desk.book()?.change(Kind::Customer, id.as_str(), apply).await? {
        Entry::Customer(customer) => show(desk, &customer),
        _ => Err(Failure::NotFound("customer", id.to_string()).into()),
    }
}

async fn list(desk: &Desk) -> anyhow::Result<()> {
    let entries = desk.book()?.all(Kind::Customer, "").await?;
    let customers: Vec<Customer> =
        entries.into_iter().filter_map(|e| if let Entry::Customer(c) = e { Some(c) } else { None }).collect();
    desk.out.rows(&customers, &["customer", "title", "state", "time zone", "weight", "rates"], |c| {
        vec![
            c.id.to_string(),
            c.title.clone(),
            state(c),
            c.time_zone.name().to_owned(),
            c.weight.to_string(),
            rates(c),
        ]
    })
}

fn show(desk: &Desk, c: &Customer) -> anyhow::Result<()> {
    desk.out.one(
        c,
        &[
            ("customer", c.id.to_string()),
            ("title", c.title.clone()),
            ("state", state(c)),
            ("time zone", c.time_zone.name().to_owned()),
            ("weight", c.weight.to_string()),
            ("rates", rates(c)),
            ("without gate", c.gate_policy.as_str().to_owned()),
            ("senders", sender::words(&c.senders)),
            ("repetitions", repetitions(c)),
        ],
    )
}

fn state(customer: &Customer) -> String {
    if customer.suspended { "suspended".to_owned() } else { "active".to_owned() }
}

fn repetitions(customer: &Customer) -> String {
    customer.refuse_repeats.map_or_else(|| "let in".to_owned(), |seconds| format!("refused for {seconds} s"))
}

fn rates(customer: &Customer) -> String {
    let words: Vec<String> = customer.rates.iter().map(rate_words).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(" ") }
}
