//! A subscriber that writes down what it receives, then acknowledges it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use naru_shared::{
    domain::SubscriptionName,
    topic::{EventDelivery, Topic},
};

use crate::{checker::evidence::EventSeen, journal::Journal};

/// Follows a subscription for as long as the process lives.
pub(super) async fn follow(topic: Arc<dyn Topic>, name: SubscriptionName, journal: PathBuf) {
    let journal = match Journal::open(&journal) {
        Ok(journal) => journal,
        Err(error) => return tracing::error!(%error, "the subscriber has no journal"),
    };
    loop {
        let received = topic.receive(&name, 256, Duration::from_secs(1)).await;
        if let Err(error) = write_down(&*topic, &name, &journal, received.unwrap_or_default()).await {
            tracing::error!(%error, "the subscriber cannot write down what it received");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

async fn write_down(
    topic: &dyn Topic,
    name: &SubscriptionName,
    journal: &Journal,
    deliveries: Vec<EventDelivery>,
) -> anyhow::Result<()> {
    if deliveries.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        return Ok(());
    }
    for EventDelivery { event, .. } in &deliveries {
        journal.append(&EventSeen {
            id: event.id.clone(),
            subject: event.subject.clone(),
            sequence: event.sequence,
            kind: event.kind.clone(),
        })?;
    }
    let receipts = deliveries.into_iter().map(|delivery| delivery.receipt).collect();
    for result in topic.ack(name, receipts).await {
        result?;
    }
    Ok(())
}
