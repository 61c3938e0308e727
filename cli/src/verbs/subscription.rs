//! `naru subscription`: who listens to the topic.

use clap::Subcommand;
use naru_shared::{
    aws::AwsNames,
    catalog::{Entry, Kind, Subscription},
    domain::SubscriptionName,
    engines::TopicEngine,
};
use naru_workers::SUBSCRIPTION;

use crate::{desk::Desk, exit::Failure};

/// A name stands for ever, whatever engine carries events later: none may be taken for a queue beside another's.
const ENDS: [&str; 2] = [AwsNames::DEAD, AwsNames::QUARANTINE];

/// What can be done to subscriptions.
#[derive(Debug, Subcommand)]
pub enum SubscriptionVerb {
    /// Copy every event from now on for this listener
    Add {
        /// Its name for ever
        name: SubscriptionName,
        /// It listens by means of its own (its queue on the exchange or the topic): nothing is made for it
        #[arg(long)]
        outside: bool,
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
    if let SubscriptionVerb::Add { name, .. } | SubscriptionVerb::Remove { name } = &verb
        && name.as_str() == SUBSCRIPTION
    {
        let why = "is there as long as there are webhooks: see naru webhook";
        return Err(Failure::Refused(format!("the subscription `{name}` {why}")).into());
    }
    let book = desk.book()?;
    match verb {
        SubscriptionVerb::Add { name, outside } => {
            if outside && matches!(desk.config.topic, TopicEngine::Sqlite { .. }) {
                let why = "the topic is a file of one process: nobody else can listen to it";
                return Err(Failure::Refused(why.to_owned()).into());
            }
            if let Some(end) = ENDS.into_iter().find(|end| name.as_str().ends_with(end)) {
                let why = "names of queues that stand beside a subscription's own on AWS end so";
                return Err(
                    Failure::Usage(format!("a subscription's name must not end in `{end}`: {why}")).into()
                );
            }
            let there = book.find(Kind::Subscription, name.as_str()).await?;
            // One that has ended may begin again; one that lives is a conflict.
            let version = match there {
                Some(Entry::Subscription(old)) if old.ended => old.version,
                _ => 0,
            };
            let entry = Subscription { name: name.clone(), ended: false, outside, version };
            book.add(vec![Entry::Subscription(entry.clone())], "it receives every event").await?;
            let sentence = match (outside, &desk.config.topic) {
                (true, _) => format!("events are published from now on; {name} listens by means of its own"),
                (false, TopicEngine::Sns(sns)) if !sns.create => {
                    format!(
                        "{name} receives every event from now on; events wait until `naru infra apply` has made its queue"
                    )
                }
                _ => format!("{name} receives every event from now on"),
            };
            desk.out.said(&entry, &sentence)
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
                let state = match (s.ended, s.outside) {
                    (true, _) => "ended",
                    (false, true) => "open, outside",
                    (false, false) => "open",
                };
                vec![s.name.to_string(), state.to_owned()]
            })
        }
    }
}
