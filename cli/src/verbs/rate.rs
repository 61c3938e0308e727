//! `naru rate`: how fast a customer may call, one policy at a time.

use clap::Subcommand;
use naru_shared::domain::{Customer, CustomerId, RatePolicy};

use super::customer;
use crate::{desk::Desk, exit::Failure, units::Rate};

/// The most policies of one customer: each is looked at with every call, and told in every answer.
pub(super) const MOST: usize = 8;

/// What can be done to rates.
#[derive(Debug, Subcommand)]
pub enum RateVerb {
    /// Add a policy beside those that there are, or change the one of this name; what was used of it stays used
    Set {
        /// Whose
        customer: CustomerId,
        /// NAME=LIMIT/WINDOW+BURST, for instance hourly=10000/1h+10000
        #[arg(required = true)]
        rates: Vec<Rate>,
    },
    /// Take policies away
    Remove {
        /// Whose
        customer: CustomerId,
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
    },
}

/// Does it.
///
/// # Errors
/// See the exit codes.
pub async fn run(verb: RateVerb, desk: &Desk) -> anyhow::Result<()> {
    match verb {
        RateVerb::Set { customer, rates } => {
            customer::change(desk, &customer, |c| {
                rates.iter().for_each(|rate| put(&mut c.rates, &rate.0));
                few(c)
            })
            .await
        }
        RateVerb::Remove { customer, names } => {
            customer::change(desk, &customer, |c| {
                for name in &names {
                    let at = c.rates.iter().position(|rate| rate.name == *name);
                    let missing = || Failure::NotFound("rate policy", name.clone());
                    c.rates.remove(at.ok_or_else(missing)?);
                }
                Ok(())
            })
            .await
        }
    }
}

/// In the place of the one of its name, else behind the others.
fn put(rates: &mut Vec<RatePolicy>, new: &RatePolicy) {
    match rates.iter_mut().find(|rate| rate.name == new.name) {
        Some(known) => known.clone_from(new),
        None => rates.push(new.clone()),
    }
}

/// Refuses more policies than there may be.
///
/// # Errors
/// If there are.
pub(super) fn few(customer: &Customer) -> anyhow::Result<()> {
    if customer.rates.len() > MOST {
        let why =
            format!("a customer has at most {MOST} rate policies, and these are {}", customer.rates.len());
        return Err(Failure::Usage(why).into());
    }
    Ok(())
}
