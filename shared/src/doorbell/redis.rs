//! Bells in Redis: a counter for each in one hash, and a message on a channel that says that some counter has moved.
//!
//! The counters are what is believed; the message says when to look at them, and they are also looked at every few seconds
//! and with every new connection. Whoever rings has its rings told together, and keeps them until Redis has answered.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use redis::Pipeline;
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::{Doorbell, Heard};
use crate::redis::{Link, LinkError, RedisSettings, SettingsError};

/// How often the counters are looked at though nothing was said: where messages are heard, and where they are not.
const LOOK: (Duration, Duration) = (Duration::from_secs(2), Duration::from_millis(400));

/// Rings within so long are told together, and heard together.
const TOGETHER: Duration = Duration::from_millis(20);

/// The longest pause between two tries to tell of rings.
const AGAIN: Duration = Duration::from_secs(1);

/// A bell that somebody listens to.
struct Bell {
    /// Its counter when it was last looked at.
    counter: Option<u64>,
    heard: watch::Sender<Heard>,
}

struct Shared {
    link: Arc<Link>,
    key: String,
    channel: String,
    bells: Mutex<HashMap<String, Bell>>,
    /// Rung, and not yet told.
    rung: Mutex<BTreeSet<String>>,
    /// Whether all that was rung is told.
    told: watch::Sender<bool>,
    to_tell: Notify,
    to_hear: Notify,
}

/// A doorbell in Redis.
pub struct RedisDoorbell {
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl RedisDoorbell {
    /// A doorbell that is connected to in the background.
    ///
    /// # Errors
    /// If the settings cannot be used.
    pub fn open(settings: &RedisSettings, runtime: &Handle) -> Result<Self, SettingsError> {
        let channel = format!("{}:bells", settings.prefix);
        let link = Link::listening("doorbell", settings, Vec::new(), channel.clone())?;
        let shared = Arc::new(Shared {
            link,
            key: format!("{}:bell-counters", settings.prefix),
            channel,
            bells: Mutex::default(),
            rung: Mutex::default(),
            told: watch::channel(true).0,
            to_tell: Notify::new(),
            to_hear: Notify::new(),
        });
        let working = Arc::clone(&shared);
        let task = runtime.spawn(async move {
            tokio::join!(working.link.keep(), working.tell(), working.hear());
        });
        Ok(Self { shared, task: task.abort_handle() })
    }
}

impl Drop for RedisDoorbell {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[async_trait]
impl Doorbell for RedisDoorbell {
    fn ring(&self, name: &str) {
        let new = {
            let mut rung = self.shared.rung.lock();
            self.shared.told.send_replace(false);
            // As many as there are queues, at the most.
            !rung.contains(name) && rung.insert(name.to_owned())
        };
        if new {
            self.shared.to_tell.notify_one();
        }
    }

    fn listen(&self, name: &str) -> watch::Receiver<Heard> {
        let mut bells = self.shared.bells.lock();
        let new = || Bell { counter: None, heard: watch::channel(Heard::default()).0 };
        let receiver = bells.entry(name.to_owned()).or_insert_with(new).heard.subscribe();
        self.shared.to_hear.notify_one();
        receiver
    }

    async fn told(&self, patience: Duration) -> bool {
        let mut told = self.shared.told.subscribe();
        matches!(timeout(patience, told.wait_for(|told| *told)).await, Ok(Ok(_)))
    }
}

impl Shared {
    /// Tells Redis of what was rung, for ever.
    async fn tell(&self) {
        let mut pause = TOGETHER;
        loop {
            self.to_tell.notified().await;
            while let Err(error) = self.tell_once().await {
                tracing::debug!(%error, "a ring could not be told; it is told when Redis answers");
                sleep(pause).await;
                pause = (pause * 2).min(AGAIN);
            }
            pause = TOGETHER;
            sleep(TOGETHER).await;
        }
    }

    async fn tell_once(&self) -> Result<(), LinkError> {
        let names: Vec<String> = self.rung.lock().iter().cloned().collect();
        if names.is_empty() {
            return Ok(());
        }
        // What is rung from here on is a ring of its own.
        self.rung.lock().retain(|name| !names.contains(name));
        let mut pipeline = Pipeline::new();
        for name in &names {
            pipeline.hincr(&self.key, name, 1).ignore();
        }
        pipeline.publish(&self.channel, "").ignore();
        let told = self.link.run(self.link.timeout(), async |mut connection| {
            pipeline.query_async::<()>(&mut connection).await
        });
        let told = told.await;
        let mut rung = self.rung.lock();
        if told.is_err() {
            rung.extend(names);
        } else if rung.is_empty() {
            self.told.send_replace(true);
        }
        drop(rung);
        told
    }

    /// Looks at the counters whenever it is worth it, for ever.
    async fn hear(&self) {
        let mut connection = 0;
        loop {
            match self.look(&mut connection).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::debug!(%error, "the doorbell cannot be heard");
                    self.deaf();
                }
            }
            let (heard, unheard) = LOOK;
            tokio::select! {
                () = self.link.rung(heard, unheard) => {}
                () = self.to_hear.notified() => {}
            }
            sleep(TOGETHER).await;
        }
    }

    /// Compares the counters with what they were. With a new connection everything counts as rung: nobody knows what was
    /// said meanwhile, or whether these counters are those of before.
    async fn look(&self, connection: &mut u64) -> Result<(), LinkError> {
        let names: Vec<String> = self.bells.lock().keys().cloned().collect();
        if names.is_empty() {
            return Ok(());
        }
        let now = self.link.number();
        let asked = self.link.run(self.link.timeout(), async |mut link| {
            redis::cmd("HMGET").arg(&self.key).arg(&names).query_async::<Vec<Option<u64>>>(&mut link).await
        });
        let counters = asked.await?;
        let anew = std::mem::replace(connection, now) != now;
        let mut bells = self.bells.lock();
        for (name, counter) in names.iter().zip(counters) {
            let Some(bell) = bells.get_mut(name) else { continue };
            let counter = Some(counter.unwrap_or_default());
            let rang = anew || bell.counter != counter;
            bell.counter = counter;
            bell.heard.send_if_modified(|heard| {
                let changes = rang || !heard.hears;
                if changes {
                    *heard = Heard { rings: heard.rings + 1, hears: true };
                }
                changes
            });
        }
        Ok(())
    }

    fn deaf(&self) {
        for bell in self.bells.lock().values() {
            bell.heard.send_if_modified(|heard| std::mem::replace(&mut heard.hears, false));
        }
    }
}
