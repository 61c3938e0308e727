//! The queue and the topic.

use std::{sync::Arc, time::Duration};

use tokio::runtime::Handle;

use super::{OpenError, Part, of, place, records::refuse_missing};
use crate::{
    aws::Aws,
    data_dir::DataDir,
    doorbell::{Doorbell, DoorbellSettings, NoDoorbell, RedisDoorbell},
    engines::{Engines, QueueEngine, TopicEngine},
    queue::{
        Quarantine, Queue, RabbitMqQuarantine, RabbitMqQueue, SqliteQuarantine, SqliteQueue, SqsQuarantine,
        SqsQueue,
    },
    rabbitmq::{Broker, SettingsError},
    sqlite::Db,
    topic::{RabbitMqTopic, SnsTopic, SqliteTopic, Topic},
};

/// Both, and the files among them.
pub(super) struct Transport {
    pub(super) queue: Arc<dyn Queue>,
    /// Only where events are published.
    pub(super) topic: Option<Arc<dyn Topic>>,
    pub(super) files: Vec<Db>,
}

/// Opens what the part needs. With the same settings they share what can be shared: the
/// connections to one RabbitMQ, one doorbell.
pub(super) fn open(
    part: Part,
    engines: &Engines,
    dir: Option<&DataDir>,
    runtime: &Handle,
) -> Result<Transport, OpenError> {
    let (mut files, mut broker) = (Vec::new(), None);
    let mut bells = Bells { runtime, opened: None };
    let queue: Arc<dyn Queue> = match &engines.queue {
        QueueEngine::Sqlite { visibility_ms } => {
            let visibility = Duration::from_millis(*visibility_ms);
            let queue = SqliteQueue::open(&place(dir, "queue")?.queue(), visibility).map_err(of("queue"))?;
            files.push(queue.db().clone());
            Arc::new(queue)
        }
        QueueEngine::RabbitMq(settings) => {
            let opened = Broker::open(settings, runtime).map_err(over("queue"))?;
            broker = Some((settings, Arc::clone(&opened)));
            Arc::new(RabbitMqQueue::new(opened))
        }
        QueueEngine::Sqs(settings) => {
            let aws = Arc::new(Aws::new(settings.aws()));
            if !aws.settings().is_encrypted() {
                tracing::warn!("queue.endpoint is without TLS: what is sent there can be read on its way");
            }
            Arc::new(SqsQueue::new(aws, settings, bells.open("queue", settings.doorbell.as_ref())?))
        }
    };
    if !part.works() {
        return Ok(Transport { queue, topic: None, files });
    }
    let topic: Arc<dyn Topic> = match &engines.topic {
        TopicEngine::Sqlite { visibility_ms } => {
            let visibility = Duration::from_millis(*visibility_ms);
            let topic = SqliteTopic::open(&place(dir, "topic")?.topic(), visibility).map_err(of("topic"))?;
            files.push(topic.db().clone());
            Arc::new(topic)
        }
        TopicEngine::RabbitMq(settings) => {
            let broker = match broker.filter(|(others, _)| *others == settings) {
                Some((_, broker)) => broker,
                None => Broker::open(settings, runtime).map_err(over("topic"))?,
            };
            Arc::new(RabbitMqTopic::new(broker, RabbitMqTopic::VISIBILITY))
        }
        TopicEngine::Sns(settings) => {
            let aws = Arc::new(Aws::new(settings.aws()));
            if !aws.settings().is_encrypted() {
                tracing::warn!("topic.endpoint is without TLS: what is sent there can be read on its way");
            }
            let bell = bells.open("topic", settings.doorbell.as_ref())?;
            Arc::new(SnsTopic::new(aws, settings, bell))
        }
    };
    Ok(Transport { queue, topic: Some(topic), files })
}

/// What was set aside from the queue, beside whoever works on it.
pub(super) fn quarantine(
    engine: &QueueEngine,
    dir: Option<&DataDir>,
    runtime: &Handle,
) -> Result<Arc<dyn Quarantine>, OpenError> {
    Ok(match engine {
        QueueEngine::Sqlite { .. } => {
            let file = place(dir, "queue")?.queue();
            refuse_missing(file.clone())?;
            Arc::new(SqliteQuarantine::open(&file).map_err(of("queue"))?)
        }
        QueueEngine::RabbitMq(settings) => {
            Arc::new(RabbitMqQuarantine::new(Broker::open(settings, runtime).map_err(over("queue"))?))
        }
        QueueEngine::Sqs(settings) => {
            let aws = Arc::new(Aws::new(settings.aws()));
            let mut bells = Bells { runtime, opened: None };
            let bell = bells.open("queue", settings.doorbell.as_ref())?;
            Arc::new(SqsQuarantine::new(aws, settings, bell))
        }
    })
}

/// The doorbells of a process: one, where both ports have the same.
struct Bells<'a> {
    runtime: &'a Handle,
    opened: Option<(&'a DoorbellSettings, Arc<dyn Doorbell>)>,
}

impl<'a> Bells<'a> {
    /// The doorbell of these settings; without any, nobody rings and everybody looks.
    fn open(
        &mut self,
        port: &'static str,
        settings: Option<&'a DoorbellSettings>,
    ) -> Result<Arc<dyn Doorbell>, OpenError> {
        let Some(settings) = settings else { return Ok(Arc::new(NoDoorbell)) };
        if let Some((_, bell)) = self.opened.as_ref().filter(|(others, _)| *others == settings) {
            return Ok(Arc::clone(bell));
        }
        let bell = RedisDoorbell::open(&settings.settings(), self.runtime);
        let bell: Arc<dyn Doorbell> = Arc::new(bell.map_err(|source| OpenError::Redis { port, source })?);
        self.opened = Some((settings, Arc::clone(&bell)));
        Ok(bell)
    }
}

fn over(port: &'static str) -> impl FnOnce(SettingsError) -> OpenError {
    move |source| OpenError::RabbitMq { port, source }
}
