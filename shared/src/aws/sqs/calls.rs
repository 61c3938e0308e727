//! One request to SQS at a time: bounded, timed, counted as it is billed.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_sdk_sqs::{Client, config::retry::RetryConfig};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tokio::{
    sync::{OnceCell, Semaphore},
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{address::Sort, trouble::SqsTrouble};
use crate::{aws::Aws, metrics};

/// Tries of a request that may go another way.
pub(super) const TRIES: u32 = 3;

/// The first pause between tries.
const PAUSE: Duration = Duration::from_millis(50);

/// What one billed request may carry.
const BILLED: usize = 64 * 1024;

/// Batches under way at once, and their bytes: beyond them a batch waits for its turn.
const UNDER_WAY: usize = 64;
const UNDER_WAY_BYTES: usize = 64 << 20;

/// SQS as its settings say, for every queue of a process.
#[derive(Debug)]
pub struct Sqs {
    aws: Arc<Aws>,
    client: OnceCell<Client>,
    /// Whether what is missing is made.
    create: bool,
    batches: Semaphore,
    bytes: Semaphore,
    failures: AtomicU64,
}

/// A request and what it carries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// Its name.
    pub(super) call: &'static str,
    /// Of which sort of queue.
    pub(super) sort: Sort,
    /// Bytes that it carries.
    pub(super) bytes: usize,
}

impl Sqs {
    /// SQS by these settings; nothing is asked yet. With `create`, queues that are missing are made.
    #[must_use]
    pub fn new(aws: Arc<Aws>, create: bool) -> Arc<Self> {
        let (batches, bytes) = (Semaphore::new(UNDER_WAY), Semaphore::new(UNDER_WAY_BYTES));
        Arc::new(Self { aws, client: OnceCell::new(), create, batches, bytes, failures: AtomicU64::new(0) })
    }

    /// How many requests have failed so far.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    pub(super) const fn creates(&self) -> bool {
        self.create
    }

    /// How long any call but a long poll may take with all its tries.
    pub(super) fn call_timeout(&self) -> Duration {
        self.aws.settings().call_timeout()
    }

    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.call_timeout()
    }

    /// The client. It does not try again by itself: what a failed try means must be known for each.
    pub(super) async fn client(&self) -> &Client {
        let made = self.client.get_or_init(|| async {
            let config = aws_sdk_sqs::config::Builder::from(self.aws.config().await)
                .retry_config(RetryConfig::disabled())
                .build();
            Client::from_conf(config)
        });
        made.await
    }

    /// Waits for its turn to carry so many bytes; `None` if it does not come in time.
    pub(super) async fn turn(&self, bytes: usize, until: Instant) -> Option<impl Sized + use<'_>> {
        let bytes = u32::try_from(bytes.min(UNDER_WAY_BYTES)).unwrap_or(u32::MAX);
        // One after the other, so that nobody waits for what another who waits has.
        let turns = async {
            let bytes = self.bytes.acquire_many(bytes).await.ok()?;
            Some((bytes, self.batches.acquire().await.ok()?))
        };
        timeout_at(until, turns).await.ok().flatten()
    }

    /// Makes one request, once.
    pub(super) async fn once<T, E>(
        &self,
        asked: Asked,
        within: Duration,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, SqsTrouble>
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let Asked { call, .. } = asked;
        let began = Instant::now();
        let result = match timeout(within, request).await {
            Ok(result) => result.map_err(|error| SqsTrouble::of(call, &error)),
            Err(_elapsed) => Err(SqsTrouble::late(call, within)),
        };
        metrics::SQS_CALL_SECONDS.of(&[("call", call)]).record(began.elapsed().as_secs_f64());
        asked.count(1);
        if result.is_err() {
            asked.failed(1);
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    /// Makes one request until it is answered, or tries or time are used up. Only for what may be done twice.
    pub(super) async fn patiently<T, E, F>(
        &self,
        asked: Asked,
        request: impl Fn(Client) -> F,
    ) -> Result<T, SqsTrouble>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let (until, client) = (self.deadline(), self.client().await);
        let mut tries = 0;
        loop {
            match self.once(asked, self.one_try(until), request(client.clone())).await {
                Err(trouble) if trouble.is_passing() && pause(&mut tries, until).await => {}
                result => return result,
            }
        }
    }

    /// How long one try may take: an answer that got lost leaves time for another.
    pub(super) fn one_try(&self, until: Instant) -> Duration {
        (self.call_timeout().mul_f64(0.45)).min(until.saturating_duration_since(Instant::now()))
    }
}

impl Asked {
    /// Counts the request, and what it is billed for so many bytes.
    fn count(self, requests: u64) {
        let labels = [("call", self.call), ("queue", self.sort.as_str())];
        metrics::SQS_CALLS.of(&labels).increment(requests);
        metrics::SQS_BILLED.of(&labels).increment(self.bytes.div_ceil(BILLED).max(1) as u64);
    }

    /// Counts what is billed beyond the first part of an answer of so many bytes.
    pub(super) fn brought(self, bytes: usize) {
        let labels = [("call", self.call), ("queue", self.sort.as_str())];
        metrics::SQS_BILLED.of(&labels).increment(bytes.div_ceil(BILLED).saturating_sub(1) as u64);
    }

    pub(super) fn failed(self, count: u64) {
        metrics::SQS_ERRORS.of(&[("call", self.call), ("queue", self.sort.as_str())]).increment(count);
    }
}

/// Waits before another try; whether there is one.
pub(super) async fn pause(tries: &mut u32, until: Instant) -> bool {
    *tries += 1;
    let pause = PAUSE.saturating_mul(1 << (*tries - 1).min(6)).mul_f64(0.5 + fastrand::f64());
    if *tries >= TRIES || Instant::now() + pause >= until {
        return false;
    }
    sleep(pause).await;
    true
}
