//! `naru sender`: in whose name a customer may send.

use clap::Subcommand;
use naru_shared::{
    catalog::{Entry, Kind},
    domain::{Customer, CustomerId, Party, Senders},
};
use serde::Serialize;

use crate::{desk::Desk, exit::Failure};

/// What can be done to senders.
#[derive(Debug, Subcommand)]
pub enum SenderVerb {
    /// Register senders; with the first, others are refused
    Add {
        /// Whose
        customer: CustomerId,
        /// Telephone numbers, written in any way, or names
        #[arg(required = true)]
        numbers: Vec<Party>,
    },
    /// The registered senders of a customer
    List {
        /// Whose
        customer: CustomerId,
    },
    /// Take senders off the list; what of theirs is on the queue is rejected
    Remove {
        /// Whose
        customer: CustomerId,
        /// Which
        #[arg(required = true)]
        numbers: Vec<Party>,
    },
}

#[derive(Serialize)]
struct Shown<'a> {
    customer: &'a CustomerId,
    #[serde(flatten)]
    senders: &'a Senders,
}

/// Does it.
///
/// # Errors
/// See the exit codes.
pub async fn run(verb: SenderVerb, desk: &Desk) -> anyhow::Result<()> {
    match verb {
        SenderVerb::Add { customer, numbers } => {
            change(desk, &customer, |senders| register(senders, &numbers)).await
        }
        SenderVerb::Remove { customer, numbers } => {
            change(desk, &customer, |senders| remove(senders, &numbers)).await
        }
        SenderVerb::List { customer } => show(desk, &desk.book()?.customer(&customer).await?),
    }
}

/// Whoever registers the first says by it that others are to be refused; an empty list that refuses all stays one.
fn register(senders: &mut Senders, numbers: &[Party]) -> anyhow::Result<()> {
    senders.registered_only |= senders.registered.is_empty();
    senders.registered.extend(numbers.iter().cloned());
    let count = senders.registered.len();
    if count > Senders::MOST {
        let why = format!("a customer has at most {} registered senders, these are {count}", Senders::MOST);
        return Err(Failure::Refused(why).into());
    }
    Ok(())
}

fn remove(senders: &mut Senders, numbers: &[Party]) -> anyhow::Result<()> {
    for number in numbers {
        if !senders.registered.remove(number) {
            return Err(Failure::NotFound("registered sender", number.to_string()).into());
        }
    }
    Ok(())
}

async fn change<F>(desk: &Desk, id: &CustomerId, change: F) -> anyhow::Result<()>
where
    F: Fn(&mut Senders) -> anyhow::Result<()> + Send + Sync,
{
    let apply = |entry| match entry {
        Entry::Customer(mut customer) => {
            change(&mut customer.senders)?;
            Ok(Entry::Customer(customer))
        }
        other => Ok(other),
    };
    match desk.book()?.change(Kind::Customer, id.as_str(), apply).await? {
        Entry::Customer(customer) => show(desk, &customer),
        _ => Err(Failure::NotFound("customer", id.to_string()).into()),
    }
}

fn show(desk: &Desk, customer: &Customer) -> anyhow::Result<()> {
    let senders = &customer.senders;
    let mut lines = vec![("customer", customer.id.to_string()), ("senders", words(senders))];
    lines.extend(senders.registered.iter().map(|number| ("registered", number.to_string())));
    desk.out.one(&Shown { customer: &customer.id, senders }, &lines)
}

/// What holds for senders, in words.
pub(super) fn words(senders: &Senders) -> String {
    match (senders.registered_only, senders.registered.len()) {
        (false, 0) => "any".to_owned(),
        (false, count) => format!("any ({count} registered)"),
        (true, 0) => "none: nobody is registered, and others are refused".to_owned(),
        (true, count) => format!("{count} registered, others are refused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(text: &str) -> Party {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_sender_refuses_others_and_the_last_one_s_end_lets_nobody_in() {
        let mut senders = Senders::default();
        assert_eq!(words(&senders), "any");
        register(&mut senders, &[party("02-1544-1234")]).unwrap();
        assert!(senders.registered_only && senders.allow(Some("+82215441234")));
        assert!(remove(&mut senders, &[party("1544-1234")]).is_err());
        remove(&mut senders, &[party("+82 2 1544 1234")]).unwrap();
        assert!(!senders.allow(Some("+82215441234")));
        assert_eq!(words(&senders), "none: nobody is registered, and others are refused");
    }

    #[test]
    fn whoever_lets_anybody_in_though_some_are_registered_is_asked_no_more() {
        let mut senders = Senders::default();
        register(&mut senders, &[party("1544-1234")]).unwrap();
        senders.registered_only = false;
        register(&mut senders, &[party("1544-1235")]).unwrap();
        assert!(!senders.registered_only);
        assert_eq!(words(&senders), "any (2 registered)");
    }

    #[test]
    fn the_list_is_bounded() {
        let numbers: Vec<Party> = (0..=Senders::MOST).map(|n| party(&format!("0215{n:06}"))).collect();
        let mut senders = Senders::default();
        register(&mut senders, &numbers[1..]).unwrap();
        assert!(register(&mut senders, &numbers).is_err());
    }
}
