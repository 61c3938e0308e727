//! The gate of one process: everything in memory, every map bounded.

mod contents;
pub(super) mod gcra;
mod keys;
mod nonces;
mod quotas;
mod rates;
pub(super) mod waiting;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;

use super::{ContentMark, Delay, FirstAnswer, Gate, GateError, KeyVerdict, QuotaVerdict, RateVerdict};
use crate::{
    domain::{
        Account, ChannelName, Clock, Day, Fingerprint, Key, MessageId, NonceMark, Quota, RatePolicy,
        RouteName, Units,
    },
    ledger::{QuotaUse, Waiting},
};

/// Time since the gate began, that never goes back.
pub type Stopwatch = Arc<dyn Fn() -> Duration + Send + Sync>;

/// A gate in memory.
pub struct MemoryGate {
    stopwatch: Stopwatch,
    rates: rates::Rates,
    keys: keys::Keys,
    contents: contents::Contents,
    nonces: nonces::Nonces,
    quotas: quotas::Quotas,
    waiting: waiting::Waits,
}

impl MemoryGate {
    /// A gate that knows nothing yet. Keys in flight age by `clock`; rates by the machine's monotonic clock, which no
    /// correction of the time of day can stop or speed up.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let began = Instant::now();
        Self::with_stopwatch(clock, Arc::new(move || began.elapsed()))
    }

    /// The same over a stopwatch of the caller's, for tests that own the time.
    #[must_use]
    pub fn with_stopwatch(clock: Arc<dyn Clock>, stopwatch: Stopwatch) -> Self {
        Self {
            stopwatch,
            rates: rates::Rates::new(),
            keys: keys::Keys::new(clock),
            contents: contents::Contents::new(),
            nonces: nonces::Nonces::default(),
            quotas: quotas::Quotas::default(),
            waiting: waiting::Waits::default(),
        }
    }
}

#[async_trait]
impl Gate for MemoryGate {
    async fn rate(
        &self,
        account: &Account,
        policies: &[RatePolicy],
        messages: u32,
    ) -> Result<RateVerdict, GateError> {
        Ok(self.rates.ask(account, policies, messages, (self.stopwatch)()))
    }

    async fn begin(
        &self,
        account: &Account,
        key: &Key,
        fingerprint: Fingerprint,
    ) -> Result<KeyVerdict, GateError> {
        Ok(self.keys.begin(account, key, fingerprint))
    }

    async fn finish(&self, account: &Account, key: &Key, answer: FirstAnswer) -> Result<(), GateError> {
        self.keys.finish(account, key, answer);
        Ok(())
    }

    async fn abandon(&self, account: &Account, key: &Key) -> Result<(), GateError> {
        self.keys.abandon(account, key);
        Ok(())
    }

    async fn spend(&self, account: &Account, nonce: NonceMark, span: Duration) -> Result<bool, GateError> {
        self.nonces.spend(account, nonce, span, (self.stopwatch)())
    }

    async fn claim_content(
        &self,
        _account: &Account,
        mark: ContentMark,
        by: MessageId,
        span: Duration,
    ) -> Result<Option<Duration>, GateError> {
        Ok(self.contents.claim(mark, by, span, (self.stopwatch)()))
    }

    async fn free_content(
        &self,
        _account: &Account,
        mark: ContentMark,
        by: MessageId,
    ) -> Result<(), GateError> {
        self.contents.free(mark, by);
        Ok(())
    }

    async fn reserve(
        &self,
        account: &Account,
        channel: &ChannelName,
        quotas: &[Arc<Quota>],
        day: Day,
        units: Units,
    ) -> Result<QuotaVerdict, GateError> {
        Ok(self.quotas.reserve(account, channel, quotas, day, units, (self.stopwatch)()))
    }

    async fn give_back(
        &self,
        account: &Account,
        channel: &ChannelName,
        quotas: &[Arc<Quota>],
        day: Day,
        units: Units,
    ) -> Result<(), GateError> {
        self.quotas.give_back(account, channel, quotas, day, units);
        Ok(())
    }

    async fn observe_quota(&self, used: &[QuotaUse]) -> Result<(), GateError> {
        self.quotas.observe(used, (self.stopwatch)());
        Ok(())
    }

    async fn observe_waiting(&self, waiting: &[Waiting], delays: &[Delay]) -> Result<(), GateError> {
        self.waiting.replace(waiting::Counts::of(waiting, delays), (self.stopwatch)());
        Ok(())
    }

    async fn delay(&self, account: &Account, route: &RouteName) -> Result<Option<Duration>, GateError> {
        Ok(self.waiting.delay(account, route, (self.stopwatch)()))
    }

    async fn waiting(&self, account: &Account, route: &RouteName) -> Result<(u64, u64), GateError> {
        Ok(self.waiting.of(account, route))
    }
}
