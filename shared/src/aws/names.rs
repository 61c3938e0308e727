//! How things are called on AWS. A queue's name has at most 80 characters: letters, digits, `-` and `_`.
//!
//! A namespace holds no `-`, what follows a route's name is one of a few words, and no subscription's name ends as those of the
//! queues beside one do (`naru subscription add` refuses it), so nothing can be mistaken.

use super::AwsNamespace;
use crate::{domain::SubscriptionName, queue::QueueName};

/// Names of one deployment.
#[derive(Debug, Clone)]
pub struct AwsNames(String);

impl AwsNames {
    /// How the name of a queue for what was received too often ends.
    pub const DEAD: &str = "-dead";
    /// How the name of a queue for what could not be read ends.
    pub const QUARANTINE: &str = "-quarantine";

    /// Those of this namespace.
    #[must_use]
    pub fn of(namespace: &AwsNamespace) -> Self {
        Self(format!("naru-{namespace}"))
    }

    /// What the name of everything begins with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.0
    }

    /// The queue with the packs of a lane of a route.
    #[must_use]
    pub fn packs(&self, queue: &QueueName) -> String {
        format!("{}-packs-{}-{}", self.0, queue.route, queue.lane.as_str())
    }

    /// The topic to which every event is published.
    #[must_use]
    pub fn events(&self) -> String {
        format!("{}-events", self.0)
    }

    /// The queue with a subscription's copies.
    #[must_use]
    pub fn subscription(&self, name: &SubscriptionName) -> String {
        format!("{}-copies-{name}", self.0)
    }

    /// Where SQS puts what was received too often.
    #[must_use]
    pub fn dead(queue: &str) -> String {
        format!("{queue}{}", Self::DEAD)
    }

    /// Where a person finds what could not be read.
    #[must_use]
    pub fn quarantine(queue: &str) -> String {
        format!("{queue}{}", Self::QUARANTINE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Lane;

    #[test]
    fn the_longest_names_are_short_enough() {
        let names = AwsNames::of(&"12345678".parse().unwrap());
        let queue = QueueName { route: "r".repeat(40).parse().unwrap(), lane: Lane::Express };
        let longest = AwsNames::quarantine(&names.packs(&queue));
        assert!(longest.len() <= 80, "{} characters", longest.len());
        assert!(AwsNames::dead(&names.subscription(&"s".repeat(40).parse().unwrap())).len() <= 80);
    }
}
