//! What the configuration and the catalog need on AWS, and who looks after it there.

use std::{collections::BTreeSet, sync::Arc};

use naru_shared::{
    aws::{
        Aws, AwsAccount, AwsNames, AwsSettings, AwsTrouble,
        iam::{Objects, Queues, Uses},
        infra::{
            Infra,
            bucket::Bucket,
            diff::{Difference, diff},
            plan::Area,
        },
    },
    blobs::expiry_days,
    catalog::{Entry, Kind},
    domain::{Lane, Route},
    engines::{BlobsEngine, QueueEngine, TopicEngine},
    queue::QueueName,
};
use naru_workers::SLACK;

use crate::{config::Config, desk::Book};

/// One port on AWS.
pub struct Site {
    /// What it needs.
    pub area: Area,
    infra: Infra,
    /// Whether processes make what is missing.
    create: bool,
}

impl Site {
    /// How what is there differs from what there shall be.
    ///
    /// # Errors
    /// If AWS does not answer or does not allow it.
    pub async fn differences(&self) -> Result<Vec<Difference>, AwsTrouble> {
        let wanted = self.area.plan(self.infra.account());
        Ok(diff(&wanted, &self.infra.look(&self.area).await?))
    }

    /// What keeps packs or events from being kept: everything that is not as it shall be, unless processes make it themselves.
    ///
    /// # Errors
    /// If AWS does not answer or does not allow it.
    pub async fn missing(&self) -> Result<Vec<String>, AwsTrouble> {
        if self.create {
            return Ok(Vec::new());
        }
        let sentence = |difference| match difference {
            Difference::Missing(resource) => {
                Some(format!("{} {} is missing: run `naru infra apply`", resource.sort, resource.name))
            }
            Difference::Drifted(drift) => {
                let which = drift.attributes.into_keys().collect::<Vec<_>>().join(", ");
                Some(format!("{} {} has drifted ({which}): run `naru infra apply`", drift.sort, drift.name))
            }
            Difference::Strange { .. } | Difference::Unspoken { .. } => None,
        };
        Ok(self.differences().await?.into_iter().filter_map(sentence).collect())
    }

    /// See [`Infra::apply`].
    ///
    /// # Errors
    /// If AWS does not answer or does not allow it.
    pub async fn apply(&self, difference: &Difference) -> Result<bool, AwsTrouble> {
        self.infra.apply(&self.area, difference).await
    }
}

/// How a port reaches AWS, whose account it is if that is said, and what it needs there.
struct Needed {
    aws: AwsSettings,
    account: Option<String>,
    create: bool,
    area: Area,
}

/// Every port that is on AWS.
///
/// # Errors
/// If the catalog does not answer, or AWS does not tell whose it is.
pub async fn sites(config: &Config, book: &Book) -> anyhow::Result<Vec<Site>> {
    let mut sites = Vec::new();
    for Needed { aws, account, create, area } in needed(config, book).await? {
        let infra = Infra::open(Arc::new(Aws::new(aws)), account.as_deref()).await?;
        sites.push(Site { area, infra, create });
    }
    Ok(sites)
}

async fn needed(config: &Config, book: &Book) -> anyhow::Result<Vec<Needed>> {
    let mut all = Vec::new();
    if let QueueEngine::Sqs(settings) = &config.queue {
        let lanes = |route: Route| {
            [Lane::Express, Lane::Bulk].map(|lane| QueueName { route: route.name.clone(), lane })
        };
        let queues = book.routes().await?.into_iter().flat_map(lanes).collect::<BTreeSet<_>>();
        let area = Area::Packs(AwsNames::of(&settings.namespace), queues);
        all.push(Needed { aws: settings.aws(), account: account(config), create: settings.create, area });
    }
    if let TopicEngine::Sns(settings) = &config.topic {
        let ours = |entry| match entry {
            Entry::Subscription(one) if !one.ended && !one.outside => Some(one.name),
            _ => None,
        };
        let mut names =
            book.all(Kind::Subscription, "").await?.into_iter().filter_map(ours).collect::<BTreeSet<_>>();
        if config.slack.is_some() {
            // Workers open this subscription by themselves, once its queue is there.
            names.insert(SLACK.parse()?);
        }
        let area = Area::Events(AwsNames::of(&settings.namespace), names);
        all.push(Needed { aws: settings.aws(), account: account(config), create: settings.create, area });
    }
    if let BlobsEngine::S3(settings) = &config.blobs {
        let (days, _why) = expiry_days();
        let area = Area::Blobs(Bucket { name: settings.bucket.clone(), keys: settings.keys(), days });
        all.push(Needed { aws: settings.aws(), account: account(config), create: settings.create, area });
    }
    Ok(all)
}

/// Which ports are on AWS, and in whose account if that is not given.
///
/// # Errors
/// If the number is none, or AWS does not tell whose it is.
pub async fn uses(config: &Config, number: Option<String>) -> anyhow::Result<Uses> {
    let number = number.or_else(|| account(config));
    let mut uses = Uses::default();
    if let QueueEngine::Sqs(settings) = &config.queue {
        let account = AwsAccount::of(&Aws::new(settings.aws()), number.as_deref()).await?;
        let names = AwsNames::of(&settings.namespace);
        uses.packs = Some(Queues { account, names, create: settings.create });
    }
    if let TopicEngine::Sns(settings) = &config.topic {
        let account = AwsAccount::of(&Aws::new(settings.aws()), number.as_deref()).await?;
        let names = AwsNames::of(&settings.namespace);
        uses.events = Some(Queues { account, names, create: settings.create });
    }
    if let BlobsEngine::S3(settings) = &config.blobs {
        let account = AwsAccount::of(&Aws::new(settings.aws()), number.as_deref()).await?;
        let (bucket, keys) = (settings.bucket.clone(), settings.keys());
        uses.blobs = Some(Objects { account, bucket, keys, create: settings.create });
    }
    Ok(uses)
}

/// The account's number, if the topic's settings say it.
fn account(config: &Config) -> Option<String> {
    if let TopicEngine::Sns(settings) = &config.topic { settings.account.clone() } else { None }
}

/// Whether packs are on AWS, and processes do not make what is missing there.
pub const fn makes_nothing_itself(config: &Config) -> bool {
    matches!(&config.queue, QueueEngine::Sqs(settings) if !settings.create)
}
