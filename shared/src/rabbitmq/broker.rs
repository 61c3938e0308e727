//! A RabbitMQ as the adapters see it: one connection that publishes, one that consumes.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    browse::Browse,
    confirms::Unconfirmed,
    consuming::Consuming,
    control::Control,
    dial::Dial,
    hand::{Hand, Item},
    inbox::{Inbox, ORDERS, Shared},
    link::Link,
    names::{self, Names},
    publisher::{Message, Publisher},
    settings::{RabbitMqSettings, SettingsError},
    topology::{Plan, Topology},
    trouble::Trouble,
    turn::Turns,
};
use crate::domain::{Clock, SystemClock};

/// How long a call waits for a connection that is just being made.
const FOR_CONNECTION: Duration = Duration::from_secs(1);

/// How long it is remembered that there is no such queue, unless this process makes it: to ask for one that may just be made
/// takes a turn among all processes and twenty frames, and whoever counts what waits there asks again and again.
const ABSENT: Duration = Duration::from_secs(600);

/// The first pause before a message is published again for which the broker refused responsibility.
const AFTER_REFUSAL: Duration = Duration::from_millis(20);

/// The content type of a pack.
pub(crate) const ENVELOPE: &str = "application/vnd.naru.envelope";

/// `delivery_mode`: on the disk.
const PERSISTENT: u8 = 2;

/// See the module. It connects by itself, and again; nothing waits for it. Dropped, its connections are closed.
pub struct Broker {
    names: Names,
    settings: RabbitMqSettings,
    runtime: Handle,
    publishing: Link,
    publisher: Publisher,
    control: Control,
    topology: Topology,
    /// What was declared over the connection of this number.
    declared: Mutex<HashMap<String, u64>>,
    /// Queues that were asked for and not there, and when.
    absent: Mutex<HashMap<String, Instant>>,
    consumer_dial: Dial,
    /// Made when somebody receives: a process that only publishes has no use for it.
    consuming: OnceLock<Link>,
    stop: CancellationToken,
    _stop: DropGuard,
}

impl Broker {
    /// Begins to connect.
    ///
    /// # Errors
    /// If the settings cannot be used; an engine that is away is no error.
    pub fn open(settings: &RabbitMqSettings, runtime: &Handle) -> Result<Arc<Self>, SettingsError> {
        settings.check()?;
        let stop = CancellationToken::new();
        let patience = settings.call_timeout();
        let link = Link::start(Dial::new(settings, "publisher")?, "publisher", runtime, stop.clone());
        let publisher = Publisher::start(link.clone(), settings.in_flight_bytes, patience, runtime, &stop);
        Ok(Arc::new(Self {
            names: Names::of(&settings.namespace),
            settings: settings.clone(),
            runtime: runtime.clone(),
            control: Control::new(link.clone(), patience),
            publishing: link,
            publisher,
            topology: Topology::new(
                Turns::new(Names::of(&settings.namespace).declaring(), patience),
                patience,
            ),
            declared: Mutex::default(),
            absent: Mutex::default(),
            consumer_dial: Dial::new(settings, "consumer")?,
            consuming: OnceLock::new(),
            _stop: stop.clone().drop_guard(),
            stop,
        }))
    }

    pub(crate) const fn names(&self) -> &Names {
        &self.names
    }

    /// When a call that begins now must have its answer.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.settings.call_timeout()
    }

    /// The longest an acknowledgement or a question may take.
    pub(crate) fn patience(&self) -> Duration {
        self.settings.call_timeout()
    }

    /// Makes sure that something is declared, once for each connection.
    pub(crate) async fn ensure(&self, plan: &Plan, until: Instant) -> Result<(), Trouble> {
        let up = self.publishing.up(FOR_CONNECTION).await?;
        if self.declared.lock().get(plan.queue()) == Some(&up.number) {
            return Ok(());
        }
        let declaring = self.topology.declare(&up.connection, plan);
        let declared = timeout_at(until, declaring).await;
        let declared = declared.map_err(|_elapsed| Trouble::Silent(self.patience())).flatten();
        match declared {
            Ok(()) => {
                self.declared.lock().insert(plan.queue().to_owned(), up.number);
                self.absent.lock().remove(plan.queue());
                Ok(())
            }
            Err(trouble) => {
                self.publishing.suspect();
                Err(trouble)
            }
        }
    }

    /// What is declared under this name has gone.
    pub(crate) fn forget(&self, queue: &str) {
        self.declared.lock().remove(queue);
        self.topology.forget(queue);
    }

    /// Publishes to what was declared. What the broker refuses responsibility for is published again until it takes it or
    /// the time is over: a copy too many is told by its content, and a queue that was just made refuses at first.
    pub(crate) async fn publish(&self, message: Message, until: Instant) -> Result<(), Unconfirmed> {
        let (mut pause, mut refused) = (AFTER_REFUSAL, false);
        loop {
            let published = match self.publisher.publish(message.clone(), until).await {
                // The copy that was refused may be kept all the same.
                Err(Unconfirmed::NotTaken(trouble)) if refused => Err(Unconfirmed::InDoubt(trouble)),
                other => other,
            };
            refused = matches!(published, Err(Unconfirmed::InDoubt(Trouble::Nacked)));
            if !refused || Instant::now() + pause >= until {
                return published;
            }
            sleep(pause).await;
            pause *= 2;
        }
    }

    /// Publishes to a queue that is declared as planned; if somebody deleted it meanwhile, it is declared again.
    pub(crate) async fn publish_to(
        &self,
        plan: &Plan,
        message: Message,
        until: Instant,
    ) -> Result<(), Unconfirmed> {
        let mut again = true;
        loop {
            self.ensure(plan, until).await.map_err(Unconfirmed::NotTaken)?;
            match self.publish(message.clone(), until).await {
                Err(Unconfirmed::NotTaken(Trouble::Missing)) if again => {
                    again = false;
                    self.forget(plan.queue());
                }
                result => return result,
            }
        }
    }

    /// Puts an item where a person finds it; `Ok` once it is kept there. The original is still in hand.
    pub(crate) async fn set_aside(&self, queue: &str, item: Item, reason: &str) -> Result<(), Trouble> {
        let aside = Plan::Plain(names::quarantine(queue));
        let mut headers = FieldTable::default();
        let text = |text: &str| AMQPValue::LongString(text.into());
        headers.insert("naru-reason".into(), text(reason));
        headers.insert("naru-queue".into(), text(queue));
        let id = format!("{:032x}", fastrand::u128(..));
        let message = Message {
            exchange: String::new(),
            key: aside.queue().to_owned(),
            mandatory: true,
            body: item.body,
            properties: properties(&id, "application/octet-stream")
                .with_headers(headers)
                .with_timestamp(now()),
            id,
        };
        self.publish_to(&aside, message, self.deadline()).await.map_err(Unconfirmed::trouble)
    }

    /// Puts an item beside its queue, from where the broker puts it back at the queue's end after a while; `Ok` once it is
    /// kept there. The original is still in hand.
    pub(crate) async fn put_off(&self, queue: &str, item: Item, after: Duration) -> Result<(), Trouble> {
        let later = Plan::Later { queue: names::later(queue), back: queue.to_owned() };
        let id = format!("{:032x}", fastrand::u128(..));
        let message = Message {
            exchange: String::new(),
            key: later.queue().to_owned(),
            mandatory: true,
            body: item.body,
            properties: properties(&id, ENVELOPE).with_expiration(after.as_millis().to_string().into()),
            id,
        };
        self.publish_to(&later, message, self.deadline()).await.map_err(Unconfirmed::trouble)
    }

    /// What was set aside from a queue, for a person to look at.
    pub(crate) async fn browse_quarantine(&self, queue: &str) -> Result<Browse, Trouble> {
        Browse::open(&self.publishing, names::quarantine(queue), self.patience()).await
    }

    /// Messages set aside from a queue.
    pub(crate) async fn quarantined(&self, queue: &str) -> Result<u64, Trouble> {
        self.waiting(&names::quarantine(queue)).await
    }

    /// Messages that wait on a queue and are in nobody's hands; none if there is no such queue.
    pub(crate) async fn waiting(&self, queue: &str) -> Result<u64, Trouble> {
        if self.absent.lock().get(queue).is_some_and(|since| since.elapsed() < ABSENT) {
            return Ok(0);
        }
        match self.existing(queue).await {
            Err(Trouble::Missing) => {
                self.absent.lock().insert(queue.to_owned(), Instant::now());
                Ok(0)
            }
            other => other,
        }
    }

    /// Messages that wait on a queue; [`Trouble::Missing`] if there is no such queue.
    pub(crate) async fn existing(&self, queue: &str) -> Result<u64, Trouble> {
        let up = self.publishing.up(FOR_CONNECTION).await?;
        self.topology.find(&up.connection, queue).await?;
        self.control.waiting(queue).await.inspect_err(|trouble| {
            if matches!(trouble, Trouble::Missing) {
                self.forget(queue);
            }
        })
    }

    /// Removes a queue with all that is on it.
    pub(crate) async fn delete(&self, queue: &str) -> Result<(), Trouble> {
        self.forget(queue);
        self.control.delete(queue).await
    }

    /// A receiver's end of a queue. `floor` is the least that is said about deliveries; `arrived` is told of arrivals.
    pub(crate) fn inbox(&self, plan: Plan, floor: u32, arrived: Arc<Notify>) -> Inbox {
        let link = self.consuming.get_or_init(|| {
            Link::start(self.consumer_dial.clone(), "consumer", &self.runtime, self.stop.clone())
        });
        let shared = Arc::new(Shared {
            plan,
            floor,
            hand: Mutex::new(Hand::default()),
            trouble: Mutex::default(),
            receivers: 0.into(),
            asked: false.into(),
            consuming: false.into(),
            changed: Notify::new(),
            arrived,
        });
        let (sender, orders) = mpsc::channel(ORDERS);
        let consuming = Consuming {
            shared: Arc::clone(&shared),
            orders,
            link: link.clone(),
            topology: self.topology.clone(),
            prefetch: self.settings.prefetch,
            patience: self.patience(),
        };
        let stop = self.stop.clone();
        // It ends with the broker, or when its inbox is dropped.
        drop(self.runtime.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = consuming.run() => {}
            }
        }));
        Inbox::new(shared, sender, self.patience())
    }
}

/// In seconds, as AMQP has it.
fn now() -> u64 {
    u64::try_from(SystemClock.now().as_millis() / 1_000).unwrap_or_default()
}

/// Of every message: it is kept on disk, and has an id.
pub(crate) fn properties(id: &str, content_type: &str) -> BasicProperties {
    BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type(content_type.into())
        .with_app_id("naru".into())
        .with_message_id(id.into())
}
