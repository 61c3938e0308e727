//! The subscription `slack`: made by the first process that starts with the section `[slack]`, ended by a person.

use std::{sync::atomic::Ordering, time::Duration};

use naru_shared::{
    catalog::{CatalogError, Entry, Kind, Subscription},
    domain::SubscriptionName,
};

use super::{Office, run::SlackError};
use crate::crew::Crew;

/// The longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(20);

/// Makes it once in a process's life, unless it is open already. Where somebody must make its queue before (`naru infra apply`) that is
/// looked at first: while it is missing nobody listens, so that no event waits for it.
pub(super) async fn open(crew: &Crew, office: &Office, name: &SubscriptionName) -> Result<(), SlackError> {
    if office.subscribed.load(Ordering::Acquire) {
        return Ok(());
    }
    let making = async {
        let found = stands(crew, name).await?;
        if found.as_ref().is_none_or(|subscription| subscription.ended) {
            crew.deps.topic.may_subscribe(name).await.map_err(SlackError::Unprepared)?;
            let version = found.map_or(0, |subscription| subscription.version);
            let made = Subscription { name: name.clone(), ended: false, outside: false, version };
            match crew.deps.catalog.put(vec![Entry::Subscription(made)]).await {
                Ok(_) => tracing::info!(subscription = %name, "made: operators' events are posted to Slack"),
                // Another process was faster.
                Err(CatalogError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok::<_, SlackError>(())
    };
    tokio::time::timeout(ANSWER, making).await.map_err(|_elapsed| SlackError::Silent)??;
    office.subscribed.store(true, Ordering::Release);
    Ok(())
}

/// Whether somebody ended it, or it is not ours to read: until that is changed there is nothing to do.
pub(super) async fn has_ended(crew: &Crew, name: &SubscriptionName) -> Result<bool, SlackError> {
    let found = tokio::time::timeout(ANSWER, stands(crew, name)).await;
    let found = found.map_err(|_elapsed| SlackError::Silent)??;
    Ok(found.is_none_or(|subscription| subscription.ended || subscription.outside))
}

async fn stands(crew: &Crew, name: &SubscriptionName) -> Result<Option<Subscription>, CatalogError> {
    let found = crew.deps.catalog.get(Kind::Subscription, name.as_str()).await?;
    Ok(found.and_then(|entry| if let Entry::Subscription(found) = entry { Some(found) } else { None }))
}
