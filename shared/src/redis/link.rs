//! One connection, kept up by a loop of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use metrics::{Counter, Gauge, Histogram};
use parking_lot::RwLock;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, Script, aio::MultiplexedConnection};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::{RedisSettings, SettingsError, bell::Bell};
use crate::metrics as names;

/// How long a connection may take until it has answered for the first time; nobody waits for it.
const CONNECT: Duration = Duration::from_millis(500);

/// The first pause before another try, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(25), Duration::from_secs(1));

/// A connection that lived for so long begins the pauses anew.
const STEADY: Duration = Duration::from_secs(10);

/// Calls on their way at once, beyond which a call waits for its turn within its time.
const PIPELINE: usize = 1_024;

/// Redis did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// There is no connection; nothing was sent.
    #[error("Redis is away")]
    Away,
    /// No answer came in time; it may have been done all the same.
    #[error("Redis did not answer within {0:?}")]
    Late(Duration),
    /// It answered with an error, or the connection broke; it may have been done all the same.
    #[error("Redis failed")]
    Failed(#[from] RedisError),
}

/// The connection of the moment; its number tells an old failure from a new one.
#[derive(Default)]
struct Slot {
    connection: Option<MultiplexedConnection>,
    number: u64,
}

struct Meters {
    connected: Gauge,
    answered: Counter,
    failed: Counter,
    away: Counter,
    seconds: Histogram,
}

/// One multiplexed connection to Redis, shared by everybody who calls.
pub struct Link {
    port: &'static str,
    client: Client,
    timeout: Duration,
    scripts: Vec<Script>,
    slot: RwLock<Slot>,
    broken: Notify,
    mended: Notify,
    bell: Option<Arc<Bell>>,
    meters: Meters,
}

impl Link {
    /// A link that is away until [`Link::keep`] runs. `scripts` are loaded with every connection.
    ///
    /// # Errors
    /// If the settings cannot be used.
    pub fn new(
        port: &'static str,
        settings: &RedisSettings,
        scripts: Vec<Script>,
    ) -> Result<Arc<Self>, SettingsError> {
        Self::open(port, settings.client()?, settings.timeout, scripts, None)
    }

    /// As [`Link::new`]; every connection also listens to a channel, for [`Link::rung`].
    ///
    /// # Errors
    /// If the settings cannot be used.
    pub fn listening(
        port: &'static str,
        settings: &RedisSettings,
        scripts: Vec<Script>,
        channel: String,
    ) -> Result<Arc<Self>, SettingsError> {
        let bell = Some(Arc::new(Bell::new(channel)));
        Self::open(port, settings.listening_client()?, settings.timeout, scripts, bell)
    }

    fn open(
        port: &'static str,
        client: Client,
        timeout: Duration,
        scripts: Vec<Script>,
        bell: Option<Arc<Bell>>,
    ) -> Result<Arc<Self>, SettingsError> {
        let calls = |result| names::REDIS_CALLS.of(&[("port", port), ("result", result)]);
        let meters = Meters {
            connected: names::REDIS_CONNECTED.of(&[("port", port)]),
            answered: calls("answered"),
            failed: calls("failed"),
            away: calls("away"),
            seconds: names::REDIS_SECONDS.of(&[("port", port)]),
        };
        let (slot, broken, mended) = (RwLock::default(), Notify::new(), Notify::new());
        Ok(Arc::new(Self { port, client, timeout, scripts, slot, broken, mended, bell, meters }))
    }

    /// Returns when a connection was made since the last wait. One may wait at a time.
    pub async fn mended(&self) {
        self.mended.notified().await;
    }

    /// Returns when something was published on the channel, or there is a new connection; at the latest after `heard`, or
    /// after `deaf` where nothing would be heard. One may wait at a time.
    pub async fn rung(&self, heard: Duration, deaf: Duration) {
        match &self.bell {
            Some(bell) => bell.rung(heard, deaf).await,
            None => sleep(deaf).await,
        }
    }

    /// Whether there is a connection that has not failed.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.slot.read().connection.is_some()
    }

    /// Which connection this is: another number, another connection.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.slot.read().number
    }

    /// The longest that one call should wait.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Asks over the connection, for at most `limit`. A failure ends the connection for everybody, and so does an answer
    /// that did not come within the link's own time; not one that a shorter limit did not wait for.
    ///
    /// # Errors
    /// If there is no connection (at once), no answer in time, or an error.
    pub async fn run<T, F: Future<Output = RedisResult<T>>>(
        &self,
        limit: Duration,
        ask: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T, LinkError> {
        let (connection, number) = {
            let slot = self.slot.read();
            (slot.connection.clone(), slot.number)
        };
        let Some(connection) = connection else {
            self.meters.away.increment(1);
            return Err(LinkError::Away);
        };
        let began = Instant::now();
        let result = timeout(limit, ask(connection)).await;
        self.meters.seconds.record(began.elapsed().as_secs_f64());
        match result {
            Ok(Ok(answer)) => {
                self.meters.answered.increment(1);
                Ok(answer)
            }
            Ok(Err(error)) => {
                self.meters.failed.increment(1);
                self.fail(number, &error);
                Err(error.into())
            }
            Err(_elapsed) => {
                self.meters.failed.increment(1);
                let late = LinkError::Late(limit);
                if limit >= self.timeout {
                    self.fail(number, &late);
                }
                Err(late)
            }
        }
    }

    /// Nobody uses the connection any more; whoever waits on it already still gets its answer if one comes.
    fn fail(&self, number: u64, why: &dyn std::error::Error) {
        {
            let mut slot = self.slot.write();
            if slot.number != number || slot.connection.take().is_none() {
                return;
            }
        }
        if let Some(bell) = &self.bell {
            bell.silence();
        }
        self.meters.connected.set(0.0);
        tracing::warn!(port = self.port, error = %why, "Redis failed: it is not asked again until it answers");
        self.broken.notify_one();
    }

    /// Keeps the connection up for as long as it is polled.
    pub async fn keep(&self) {
        let mut failures = 0_u32;
        self.meters.connected.set(0.0);
        loop {
            let begun = Instant::now();
            match timeout(CONNECT, self.connect()).await {
                Ok(Ok(connection)) => {
                    self.put(connection, failures);
                    self.broken.notified().await;
                    failures = if begun.elapsed() > STEADY { 0 } else { failures.saturating_add(1) };
                }
                Ok(Err(error)) => failures = self.not_yet(failures, &error),
                Err(_elapsed) => failures = self.not_yet(failures, &LinkError::Late(CONNECT)),
            }
            sleep(pause(failures)).await;
        }
    }

    fn put(&self, connection: MultiplexedConnection, failures: u32) {
        {
            let mut slot = self.slot.write();
            slot.number += 1;
            slot.connection = Some(connection);
        }
        self.meters.connected.set(1.0);
        self.mended.notify_one();
        tracing::info!(port = self.port, failures, "connected to Redis");
    }

    fn not_yet(&self, failures: u32, why: &dyn std::error::Error) -> u32 {
        if failures == 0 {
            tracing::warn!(port = self.port, error = %why, "Redis cannot be reached; it is tried again and again");
        }
        failures.saturating_add(1)
    }

    /// A new connection that has answered, and knows the scripts.
    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(PIPELINE);
        if let Some(bell) = &self.bell {
            config = config.set_push_sender(bell.ear());
        }
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        self.teach(&mut connection).await?;
        self.look(&mut connection).await;
        if let Some(bell) = &self.bell {
            bell.listen(self.port, &mut connection).await;
        }
        Ok(connection)
    }

    /// Loads the scripts that it does not know: most often it knows all.
    async fn teach(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        if self.scripts.is_empty() {
            return Ok(());
        }
        let mut ask = redis::cmd("SCRIPT");
        ask.arg("EXISTS");
        for script in &self.scripts {
            ask.arg(script.get_hash());
        }
        let known: Vec<bool> = ask.query_async(connection).await?;
        for (script, _) in self.scripts.iter().zip(known).filter(|(_, known)| !known) {
            script.load_async(connection).await?;
        }
        Ok(())
    }

    /// Tells of a Redis that is too old or forgets keys of its own accord. One that does not tell is taken as it is.
    async fn look(&self, connection: &mut MultiplexedConnection) {
        let info: RedisResult<String> =
            redis::cmd("INFO").arg("server").arg("memory").query_async(connection).await;
        let Ok(info) = info else { return };
        let line = |name: &str| {
            info.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .unwrap_or_default()
                .trim()
        };
        let (version, policy) = (line("redis_version"), line("maxmemory_policy"));
        let major: Option<u32> = version.split('.').next().and_then(|major| major.parse().ok());
        if major.is_some_and(|major| major < 7) {
            tracing::warn!(
                port = self.port,
                version,
                "this Redis is older than 7, which is the oldest that is supported"
            );
        }
        if !policy.is_empty() && policy != "noeviction" {
            tracing::warn!(
                port = self.port,
                policy,
                "this Redis forgets keys when it is full: set its maxmemory-policy to noeviction"
            );
        }
    }
}

/// Longer with every failure, and not the same for everybody.
fn pause(failures: u32) -> Duration {
    let (first, longest) = PAUSES;
    first.saturating_mul(1 << failures.min(10)).min(longest).mul_f64(0.5 + fastrand::f64() / 2.0)
}
