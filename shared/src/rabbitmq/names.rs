//! How things are called on the broker. Names of routes and subscriptions hold no `.`, so nothing can be mistaken.

use crate::{
    domain::{Namespace, SubscriptionName},
    queue::QueueName,
};

/// Names of one deployment.
#[derive(Debug, Clone)]
pub(crate) struct Names(String);

impl Names {
    pub(super) fn of(namespace: &Namespace) -> Self {
        Self(format!("naru.{namespace}"))
    }

    /// Packs of a lane of a route.
    pub(crate) fn packs(&self, queue: &QueueName) -> String {
        format!("{}.{}.{}", self.0, queue.route, queue.lane.as_str())
    }

    /// Whoever has it may make queues.
    pub(super) fn declaring(&self) -> String {
        format!("{}.declaring", self.0)
    }

    /// Where every event is published.
    pub(crate) fn events(&self) -> String {
        format!("{}.events", self.0)
    }

    /// A subscription's copies.
    pub(crate) fn subscription(&self, name: &SubscriptionName) -> String {
        format!("{}.events.{name}.copies", self.0)
    }
}

/// Where the broker puts what it will not deliver any more.
pub(crate) fn dead(queue: &str) -> String {
    format!("{queue}.dead")
}

/// Where what was put off waits for its time; then the broker puts it back at the queue's end.
pub(crate) fn later(queue: &str) -> String {
    format!("{queue}.later")
}

/// Where a person finds what could not be read.
pub(crate) fn quarantine(queue: &str) -> String {
    format!("{queue}.quarantine")
}
