//! A queue and a topic of a process of its own, as far as the broker sees it.

use std::{sync::Arc, time::Duration};

use naru_shared::{
    queue::{Queue, RabbitMqQueue},
    rabbitmq::{Broker, RabbitMqSettings},
    topic::{RabbitMqTopic, Topic},
};
use tokio::runtime::{Builder, Runtime};

/// Both ports over connections that nobody else uses. Their tasks run on a runtime of their own: dropped, it ends as a
/// process does that is killed, with no word to the broker.
#[derive(Clone)]
pub struct OnRabbitMq {
    settings: RabbitMqSettings,
    _runtime: Arc<Crash>,
    /// The port.
    pub queue: Arc<dyn Queue>,
    /// The port.
    pub topic: Arc<dyn Topic>,
}

struct Crash(Option<Runtime>);

impl Drop for Crash {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl OnRabbitMq {
    /// In a namespace of its own.
    ///
    /// # Errors
    /// If the settings cannot be used.
    pub fn fresh(url: String, visibility: Duration) -> anyhow::Result<Self> {
        let namespace = format!("t{:016x}", fastrand::u64(..)).parse()?;
        Self::open(RabbitMqSettings { url, namespace, ..RabbitMqSettings::default() }, visibility)
    }

    /// With these settings.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn open(settings: RabbitMqSettings, visibility: Duration) -> anyhow::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let broker = Broker::open(&settings, runtime.handle())?;
        let queue = Arc::new(RabbitMqQueue::new(Arc::clone(&broker)));
        let topic = Arc::new(RabbitMqTopic::new(broker, visibility));
        Ok(Self { settings, _runtime: Arc::new(Crash(Some(runtime))), queue, topic })
    }

    /// Another process like it.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn another(&self, visibility: Duration) -> anyhow::Result<Self> {
        Self::open(self.settings.clone(), visibility)
    }

    /// Ends it as SIGKILL would, and begins another.
    ///
    /// # Errors
    /// If that cannot be made.
    pub fn crash(&mut self, visibility: Duration) -> anyhow::Result<()> {
        let another = self.another(visibility)?;
        *self = another;
        Ok(())
    }

    /// Its settings.
    #[must_use]
    pub const fn settings(&self) -> &RabbitMqSettings {
        &self.settings
    }
}
