//! `naru subscription`: who listens to the topic.

use clap::Subcommand;
use naru_shared::{
    catalog::{Entry, Kind, Subscription},
    domain::SubscriptionName,
};
use naru_workers::SUBSCRIPTION;

use crate::{desk::Desk, exit::Failure};

/// What can be done to subscriptions.
#[derive(Debug, Subcommand)]
pub enum SubscriptionVerb {
    /// Copy every event from now on for this listener
    Add {
        /// Its name for ever
        name: SubscriptionName,
    },
    /// All subscriptions
    List,
    /// End it, and drop what it has not read
    Remove {
        /// Which
        name: SubscriptionName,
    },
}

/// Does it.
///
/// # Errors
/// See the exit codes.
pub async fn run(verb: SubscriptionVerb, desk: &Desk) -> anyhow::Result<()> {
    if let SubscriptionVerb::Add { name } | SubscriptionVerb::Remove { name } = &verb
        && name.as_str() == SUBSCRIPTION
    {
        let why = "is there as long as there are webhooks: see naru webhook";
        return Err(Failure::Refused(format!("the subscription `{name}` {why}")).into());
    }
    let book = desk.book()?;
    match verb {
        SubscriptionVerb::Add { name } => {
            let there = book.find(Kind::Subscription, name.as_str()).await?;
            // One that has ended may begin again; one that lives is a conflict.
            let version = match there {
                Some(Entry::Subscription(old)) if old.ended => old.version,
                _ => 0,
            };
            let entry = Subscription { name: name.clone(), ended: false, version };
            book.add(vec![Entry::Subscription(entry.clone())], "it receives every event").await?;
            desk.out.said(&entry, &format!("{name} receives every event from now on"))
        }
        SubscriptionVerb::Remove { name } => {
            let end = |entry| match entry {
                Entry::Subscription(mut subscription) => {
                    subscription.ended = true;
                    Ok(Entry::Subscription(subscription))
                }
                other => Ok(other),
            };
            let ended = book.change(Kind::Subscription, name.as_str(), end).await?;
            desk.out.said(&ended, &format!("{name} has ended"))
        }
        SubscriptionVerb::List => {
            let entries = book.all(Kind::Subscription, "").await?;
            let rows: Vec<Subscription> = entries
                .into_iter()
                .filter_map(|e| if let Entry::Subscription(s) = e { Some(s) } else { None })
                .collect();
            desk.out.rows(&rows, &["subscription", "state"], |s| {
                vec![s.name.to_string(), if s.ended { "ended" } else { "open" }.to_owned()]
            })
        }
    }
}
