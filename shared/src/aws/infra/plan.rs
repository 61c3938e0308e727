//! What there shall be: pure, from what the configuration and the catalog imply.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{
    bucket::Bucket,
    resource::{Resource, Sort, Text},
};
use crate::{
    aws::{AwsAccount, AwsNames},
    domain::SubscriptionName,
    queue::QueueName,
};

/// The longest that SQS keeps anything, in seconds: 14 days.
pub const RETENTION_SECONDS: u32 = 1_209_600;

/// The longest message that SQS takes, attributes included: 1 MiB. Queues that were made before it was so large keep what they had.
pub const MESSAGE_BYTES: u32 = 1_048_576;

/// How often a message is received before SQS moves it away: so often that it never decides a message's fate.
pub const RECEIVES: u32 = 1_000;

/// What one port needs, if its engine is on AWS: the configuration says which are, the catalog says the rest.
#[derive(Debug, Clone)]
pub enum Area {
    /// Queues of packs, for these lanes of routes.
    Packs(AwsNames, BTreeSet<QueueName>),
    /// The topic, and these subscriptions of ours.
    Events(AwsNames, BTreeSet<SubscriptionName>),
    /// The bucket with blobs.
    Blobs(Bucket),
}

impl Area {
    /// The port's name.
    #[must_use]
    pub const fn port(&self) -> &'static str {
        match self {
            Self::Packs(..) => "queue",
            Self::Events(..) => "topic",
            Self::Blobs(_) => "blobs",
        }
    }

    /// Everything that there shall be in this account, in an order in which it can be made.
    #[must_use]
    pub fn plan(&self, account: &AwsAccount) -> Vec<Resource> {
        let mut all: Vec<Resource> = match self {
            Self::Packs(names, queues) => {
                queues.iter().flat_map(|queue| packs(names, queue, account)).collect()
            }
            Self::Events(names, subscriptions) => {
                let fed = subscriptions.iter().flat_map(|name| subscription(names, name, account));
                std::iter::once(events(names)).chain(fed).collect()
            }
            Self::Blobs(bucket) => vec![bucket.wanted()],
        };
        all.sort_by_key(|resource| (resource.sort, resource.attributes.contains_key("RedrivePolicy")));
        all
    }
}

/// The queues of one lane of one route.
#[must_use]
pub fn packs(names: &AwsNames, queue: &QueueName, account: &AwsAccount) -> Vec<Resource> {
    queue_with_its_own(&names.packs(queue), account, [])
}

/// The topic.
#[must_use]
pub fn events(names: &AwsNames) -> Resource {
    Resource { sort: Sort::Topic, name: names.events(), attributes: BTreeMap::new() }
}

/// A subscription: its queues, and that the topic feeds the first, raw and unfiltered.
#[must_use]
pub fn subscription(names: &AwsNames, name: &SubscriptionName, account: &AwsAccount) -> Vec<Resource> {
    let queue = names.subscription(name);
    let policy = only_from(&account.topic(&names.events()), &account.queue(&queue));
    let mut all = queue_with_its_own(&queue, account, [("Policy", policy)]);
    let attributes = [("RawMessageDelivery", Text::from("true")), ("FilterPolicy", Text::default())];
    all.push(Resource { sort: Sort::Subscription, name: queue, attributes: attributes.into() });
    all
}

/// A queue, the one for what was received too often, and the one for what could not be read.
fn queue_with_its_own<const N: usize>(
    name: &str,
    account: &AwsAccount,
    more: [(&'static str, Text); N],
) -> Vec<Resource> {
    let kept = || {
        [
            ("MessageRetentionPeriod", Text::from(&*RETENTION_SECONDS.to_string())),
            ("DelaySeconds", Text::from("0")),
            ("MaximumMessageSize", Text::from(&*MESSAGE_BYTES.to_string())),
        ]
    };
    let queue = |name: String, attributes| Resource { sort: Sort::Queue, name, attributes };
    let dead = AwsNames::dead(name);
    let redrive = json!({ "deadLetterTargetArn": account.queue(&dead), "maxReceiveCount": RECEIVES });
    let own = more.into_iter().chain(kept()).chain([("RedrivePolicy", Text::from(redrive))]);
    vec![
        queue(dead, kept().into()),
        queue(AwsNames::quarantine(name), kept().into()),
        queue(name.to_owned(), own.collect()),
    ]
}

/// Lets this topic send to this queue. Whoever else may is said by the account's own policies.
fn only_from(topic: &str, queue: &str) -> Text {
    Text::from(json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "NaruEvents",
            "Effect": "Allow",
            "Principal": { "Service": "sns.amazonaws.com" },
            "Action": "sqs:SendMessage",
            "Resource": queue,
            "Condition": { "ArnEquals": { "aws:SourceArn": topic } },
        }],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Lane;

    #[test]
    fn what_others_point_at_is_made_first() {
        let account = AwsAccount::new("eu-west-1", "123456789012").unwrap();
        let names = AwsNames::of(&"main".parse().unwrap());
        let lane = QueueName { route: "sms".parse().unwrap(), lane: Lane::Express };
        let told = |area: Area| -> Vec<String> {
            area.plan(&account).iter().map(|r| format!("{} {}", r.sort, r.name)).collect()
        };
        assert_eq!(
            told(Area::Packs(names.clone(), [lane].into())),
            [
                "queue naru-main-packs-sms-express-dead",
                "queue naru-main-packs-sms-express-quarantine",
                "queue naru-main-packs-sms-express",
            ]
        );
        assert_eq!(
            told(Area::Events(names, ["slack", "webhooks"].map(|name| name.parse().unwrap()).into())),
            [
                "queue naru-main-copies-slack-dead",
                "queue naru-main-copies-slack-quarantine",
                "queue naru-main-copies-webhooks-dead",
                "queue naru-main-copies-webhooks-quarantine",
                "queue naru-main-copies-slack",
                "queue naru-main-copies-webhooks",
                "topic naru-main-events",
                "subscription naru-main-copies-slack",
                "subscription naru-main-copies-webhooks",
            ]
        );
    }

    #[test]
    fn only_the_topic_may_send_to_a_subscription_s_queue() {
        let account = AwsAccount::new("cn-north-1", "123456789012").unwrap();
        let names = AwsNames::of(&"main".parse().unwrap());
        let all = subscription(&names, &"slack".parse().unwrap(), &account);
        let policy: serde_json::Value = serde_json::from_str(all[2].attributes["Policy"].as_str()).unwrap();
        let statement = &policy["Statement"][0];
        assert_eq!(statement["Resource"], "arn:aws-cn:sqs:cn-north-1:123456789012:naru-main-copies-slack");
        assert_eq!(
            statement["Condition"]["ArnEquals"]["aws:SourceArn"],
            "arn:aws-cn:sns:cn-north-1:123456789012:naru-main-events"
        );
        assert_eq!(policy["Statement"].as_array().unwrap().len(), 1);
    }
}
