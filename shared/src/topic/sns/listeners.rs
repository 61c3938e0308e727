//! Who listens, as far as this process knows: nobody asks AWS again for what is known.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, OnceCell},
    time::Instant,
};

use super::SnsSettings;
use crate::{
    aws::{
        Aws, AwsNames, AwsTrouble,
        infra::{Infra, plan},
    },
    domain::SubscriptionName,
};

/// What was seen stands this long: a subscription that somebody takes away meanwhile misses no more than that.
const STANDS: Duration = Duration::from_secs(300);

/// What was seen to be missing is not asked for again sooner.
const AGAIN: Duration = Duration::from_secs(5);

/// The topic and the subscriptions of ours that it feeds.
pub(super) struct Listeners {
    aws: Arc<Aws>,
    settings: SnsSettings,
    names: AwsNames,
    infra: OnceCell<Infra>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Those that this process was told of.
    told: BTreeSet<SubscriptionName>,
    /// Those of which it knows that they have ended.
    ended: BTreeSet<SubscriptionName>,
    /// Whether this process has made the topic, or found it, once.
    topic: bool,
    /// Queues that the topic feeds, and when that was seen; nothing if there was no topic.
    fed: Option<(Instant, Option<BTreeSet<String>>)>,
}

impl Seen {
    /// What was seen since.
    fn since(&self, span: Duration) -> Option<&Option<BTreeSet<String>>> {
        self.fed.as_ref().filter(|(at, _)| at.elapsed() < span).map(|(_, fed)| fed)
    }
}

/// Why nothing is published, or nobody subscribed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Deaf {
    #[error(transparent)]
    Trouble(#[from] AwsTrouble),
    #[error("{0} is not there: run `naru infra apply`")]
    Missing(String),
}

impl Listeners {
    pub(super) fn new(aws: Arc<Aws>, settings: SnsSettings) -> Self {
        let names = AwsNames::of(&settings.namespace);
        Self { aws, settings, names, infra: OnceCell::new(), seen: Mutex::default() }
    }

    pub(super) const fn names(&self) -> &AwsNames {
        &self.names
    }

    async fn infra(&self) -> Result<&Infra, AwsTrouble> {
        let number = self.settings.account.as_deref();
        self.infra.get_or_try_init(|| Infra::open(Arc::clone(&self.aws), number)).await
    }

    /// The topic's full name.
    pub(super) async fn topic(&self) -> Result<String, AwsTrouble> {
        Ok(self.infra().await?.account().topic(&self.names.events()))
    }

    /// From now on this one listens.
    pub(super) async fn add(&self, name: &SubscriptionName) -> Result<(), Deaf> {
        let mut seen = self.seen.lock().await;
        seen.told.insert(name.clone());
        seen.ended.remove(name);
        self.look(&mut seen).await
    }

    /// Whether this one could listen: the topic feeds its queue, or this process may make both. Nothing comes of it that it does not.
    pub(super) async fn may_add(&self, name: &SubscriptionName) -> Result<(), Deaf> {
        if self.settings.create {
            return Ok(());
        }
        let mut seen = self.seen.lock().await;
        let one = BTreeSet::from([name.clone()]);
        let known = |seen: &Seen| seen.since(STANDS).map(|fed| self.missing(&one, fed.as_ref()));
        if !matches!(known(&seen), Some(None)) && seen.since(AGAIN).is_none() {
            seen.fed = Some((Instant::now(), self.fed().await?));
        }
        known(&seen).flatten().map_or(Ok(()), |missing| Err(Deaf::Missing(missing)))
    }

    /// It listens no more. What it had is deleted where this process may; else a person does.
    pub(super) async fn end(&self, name: &SubscriptionName) -> Result<(), Deaf> {
        let mut seen = self.seen.lock().await;
        let had_listened = seen.told.remove(name);
        if seen.ended.contains(name) {
            return Ok(());
        }
        let queue = self.names.subscription(name);
        if self.settings.create {
            self.infra().await?.unmake(&queue, &self.names.events()).await?;
            if let Some((_, Some(fed))) = &mut seen.fed {
                fed.remove(&queue);
            }
        } else if had_listened {
            // What listens by means of its own never had a queue of ours, and of what ended long ago `naru infra plan` tells.
            tracing::info!(subscription = %name, queue, "it has ended: if its queue is still there, it is to be deleted by hand");
        }
        seen.ended.insert(name.clone());
        Ok(())
    }

    /// Before something is published: everybody that this process was told of listens, as far as was seen a while ago.
    pub(super) async fn all(&self) -> Result<BTreeSet<SubscriptionName>, Deaf> {
        let mut seen = self.seen.lock().await;
        self.look(&mut seen).await?;
        Ok(seen.told.clone())
    }

    /// Whether it is known that there is no such subscription.
    pub(super) async fn has_ended(&self, name: &SubscriptionName) -> bool {
        self.seen.lock().await.ended.contains(name)
    }

    /// Looks whether the topic feeds everybody, if that was not seen a while ago, and makes what is missing where that is allowed.
    async fn look(&self, seen: &mut Seen) -> Result<(), Deaf> {
        if seen.since(STANDS).is_some_and(|fed| self.missing(&seen.told, fed.as_ref()).is_none()) {
            return Ok(());
        }
        if self.settings.create && !seen.topic {
            // Not every service tells an empty topic from one that is not there.
            self.infra().await?.make(&plan::events(&self.names), &self.names.events()).await?;
            seen.topic = true;
        }
        if self.settings.create || seen.since(AGAIN).is_none() {
            seen.fed = Some((Instant::now(), self.fed().await?));
        }
        let fed = seen.since(STANDS).and_then(Option::as_ref);
        let Some(missing) = self.missing(&seen.told, fed) else { return Ok(()) };
        if !self.settings.create {
            return Err(Deaf::Missing(missing));
        }
        self.make(&seen.told, fed).await?;
        let queues = seen.told.iter().map(|name| self.names.subscription(name)).collect();
        seen.fed = Some((Instant::now(), Some(queues)));
        Ok(())
    }

    /// The first that is not there.
    fn missing(&self, told: &BTreeSet<SubscriptionName>, fed: Option<&BTreeSet<String>>) -> Option<String> {
        let Some(fed) = fed else { return Some(format!("topic {}", self.names.events())) };
        let mut queues = told.iter().map(|name| self.names.subscription(name));
        queues.find(|queue| !fed.contains(queue)).map(|queue| format!("subscription {queue}"))
    }

    /// Queues that the topic feeds; nothing if there is no topic.
    async fn fed(&self) -> Result<Option<BTreeSet<String>>, AwsTrouble> {
        let infra = self.infra().await?;
        match infra.subscriptions(&infra.account().topic(&self.names.events())).await {
            Ok(found) => Ok(Some(found.into_iter().map(|one| one.name).collect())),
            Err(trouble) if trouble.is_missing() => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    async fn make(
        &self,
        told: &BTreeSet<SubscriptionName>,
        fed: Option<&BTreeSet<String>>,
    ) -> Result<(), AwsTrouble> {
        let (infra, topic) = (self.infra().await?, self.names.events());
        // That nobody listens is also what may be said of a topic that is not there.
        if fed.is_none_or(BTreeSet::is_empty) {
            infra.make(&plan::events(&self.names), &topic).await?;
        }
        for name in told {
            if fed.is_some_and(|fed| fed.contains(&self.names.subscription(name))) {
                continue;
            }
            let all = plan::subscription(&self.names, name, infra.account());
            for resource in &all {
                infra.make(resource, &topic).await?;
            }
            tracing::info!(subscription = %name, "made");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Mutex as Plain};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Plain<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn only_of_what_listened_here_it_is_said_that_its_queue_is_left() {
        let settings: SnsSettings = toml::from_str("region = \"eu-west-1\"").unwrap();
        let listeners = Listeners::new(Arc::new(Aws::new(settings.aws())), settings);
        let (kept, name) = (Kept::default(), |text: &str| text.parse::<SubscriptionName>().unwrap());
        listeners.seen.lock().await.told.insert(name("archive"));
        let sink = kept.clone();
        let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || sink.clone()).finish();
        let _guard = tracing::subscriber::set_default(lines);
        for one in ["partner", "archive", "archive"] {
            listeners.end(&name(one)).await.unwrap();
            assert!(listeners.has_ended(&name(one)).await);
        }
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches("it has ended").count(), 1, "{text}");
        assert!(text.contains("naru-main-copies-archive") && !text.contains("partner"), "{text}");
    }
}
