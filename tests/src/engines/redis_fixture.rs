//! One Redis for all tests of a binary, with names of its own for each.

use std::{
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::ensure;
use naru_shared::redis::RedisSettings;

use super::Redis;

impl Redis {
    /// How to reach it, with a prefix that nobody else has; `timeout` is the longest that a call waits.
    #[must_use]
    pub fn settings(&self, timeout: Duration) -> RedisSettings {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let prefix = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        RedisSettings { url: self.url(), ca_file: None, prefix, timeout }
    }
}

/// The Redis of this process, started when it is first asked for. Nobody stops it or flushes it.
///
/// # Errors
/// If it is not installed or does not start.
pub fn shared_redis() -> anyhow::Result<&'static Redis> {
    static SHARED: OnceLock<Redis> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = STARTING.lock().map_err(|_| anyhow::anyhow!("it failed to start before"))?;
    match SHARED.get() {
        Some(redis) => Ok(redis),
        None => {
            let redis = Redis::start()?;
            Ok(SHARED.get_or_init(|| redis))
        }
    }
}

/// Makes these settings' place in Redis one that has not been emptied for long.
///
/// # Errors
/// If Redis does not answer.
pub async fn redis_known_for_long(settings: &RedisSettings) -> anyhow::Result<()> {
    let mut connection = settings.client()?.get_multiplexed_async_connection().await?;
    let key = format!("{}:{{gate}}:since", settings.prefix);
    Ok(redis::cmd("SET").arg(key).arg(0).query_async(&mut connection).await?)
}

/// Waits until something is so.
///
/// # Errors
/// If it is not within ten seconds.
pub async fn until(is_so: impl Fn() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        ensure!(Instant::now() < deadline, "it did not become so within ten seconds");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}
