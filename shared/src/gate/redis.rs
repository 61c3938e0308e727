//! The gate of many processes, over Redis: rates and quotas leased in blocks, keys, and what waits.
//!
//! Nothing that is written here decides about money or duplicates: the ledger does. So everything may be lost, and a
//! Redis that was emptied is a Redis in which every bucket begins without a message to spend.

mod backlog;
mod contents;
mod keys;
mod names;
mod nonces;
mod numbers;
mod pace;
mod quotas;
mod rates;
mod times;
mod watch;

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
pub use times::Times;
use tokio::runtime::Handle;

use super::{
    ContentMark, Delay, FirstAnswer, Gate, GateError, KeyVerdict, QuotaVerdict, RateVerdict, patience,
};
use crate::{
    domain::{
        Account, ChannelName, Day, Fingerprint, Key, MessageId, NonceMark, Quota, RatePolicy, RouteName,
        Units,
    },
    ledger::{QuotaUse, Waiting},
    redis::{Link, LinkError, RedisSettings, SettingsError},
};

/// How long an answer to a key is remembered unless something else is said.
pub const ANSWERS: Duration = Duration::from_secs(24 * 3_600);

/// A gate over Redis.
pub struct RedisGate {
    link: Arc<Link>,
    names: names::Names,
    times: Times,
    rates: Arc<rates::AllRates>,
    quotas: Arc<quotas::AllQuotas>,
    keys: keys::Keys,
    contents: contents::Contents,
    nonces: nonces::Nonces,
    backlog: Arc<backlog::Backlog>,
    watch: Arc<watch::Watch>,
}

impl RedisGate {
    /// A gate, and what keeps it connected for as long as it is polled. It opens whether Redis is there or not.
    ///
    /// # Errors
    /// If the settings cannot be used.
    pub fn open(
        settings: &RedisSettings,
        answers: Duration,
        times: Times,
        runtime: &Handle,
    ) -> Result<(Arc<Self>, impl Future<Output = ()> + Send + 'static), SettingsError> {
        let mut scripts = vec![rates::script(), watch::script(), nonces::script()];
        scripts.extend(quotas::scripts());
        scripts.extend(keys::scripts());
        scripts.extend(contents::scripts());
        let link = Link::new("gate", settings, scripts)?;
        let names = names::Names::new(&settings.prefix);
        let backlog = Arc::new(backlog::Backlog::default());
        let parts = || (Arc::clone(&link), names.clone(), times.clone());
        let (l, n, t) = parts();
        let watch = Arc::new(watch::Watch::new(l, n, t, Arc::clone(&backlog)));
        let (l, n, t) = parts();
        let rates = Arc::new(rates::AllRates::new(l, n, t, Arc::clone(&watch), runtime.clone()));
        let (l, n, t) = parts();
        let quotas = Arc::new(quotas::AllQuotas::new(l, n, t, runtime.clone()));
        let (l, n, t) = parts();
        let keys = keys::Keys::new(l, n, t, answers);
        let (l, n, t) = parts();
        let contents = contents::Contents::new(l, n, t);
        let (l, n, t) = parts();
        let nonces = nonces::Nonces::new(l, n, t);
        let keeping = (Arc::clone(&link), Arc::clone(&watch));
        let gate =
            Arc::new(Self { link, names, times, rates, quotas, keys, contents, nonces, backlog, watch });
        Ok((gate, async move {
            let (link, watch) = keeping;
            tokio::join!(link.keep(), watch.run());
        }))
    }

    /// Whether Redis answers.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.link.is_up()
    }
}

impl From<LinkError> for GateError {
    fn from(error: LinkError) -> Self {
        Self(Box::new(error))
    }
}

#[async_trait]
impl Gate for RedisGate {
    async fn rate(
        &self,
        account: &Account,
        policies: &[RatePolicy],
        messages: u32,
    ) -> Result<RateVerdict, GateError> {
        Ok(self.rates.ask(account, policies, messages).await)
    }

    async fn begin(
        &self,
        account: &Account,
        key: &Key,
        fingerprint: Fingerprint,
    ) -> Result<KeyVerdict, GateError> {
        Ok(self.keys.begin(account, key, fingerprint).await?)
    }

    async fn finish(&self, account: &Account, key: &Key, answer: FirstAnswer) -> Result<(), GateError> {
        Ok(self.keys.finish(account, key, answer).await?)
    }

    async fn abandon(&self, account: &Account, key: &Key) -> Result<(), GateError> {
        Ok(self.keys.abandon(account, key).await?)
    }

    async fn spend(&self, account: &Account, nonce: NonceMark, span: Duration) -> Result<bool, GateError> {
        Ok(self.nonces.spend(account, nonce, span).await?)
    }

    async fn claim_content(
        &self,
        account: &Account,
        mark: ContentMark,
        by: MessageId,
        span: Duration,
    ) -> Result<Option<Duration>, GateError> {
        Ok(self.contents.claim(account, mark, by, span).await?)
    }

    async fn free_content(
        &self,
        account: &Account,
        mark: ContentMark,
        by: MessageId,
    ) -> Result<(), GateError> {
        Ok(self.contents.free(account, mark, by).await?)
    }

    async fn reserve(
        &self,
        account: &Account,
        channel: &ChannelName,
        quotas: &[Arc<Quota>],
        day: Day,
        units: Units,
    ) -> Result<QuotaVerdict, GateError> {
        Ok(self.quotas.reserve(account, channel, quotas, day, units).await?)
    }

    async fn give_back(
        &self,
        account: &Account,
        channel: &ChannelName,
        quotas: &[Arc<Quota>],
        day: Day,
        units: Units,
    ) -> Result<(), GateError> {
        Ok(self.quotas.give_back(account, channel, quotas, day, units).await?)
    }

    async fn observe_quota(&self, used: &[QuotaUse]) -> Result<(), GateError> {
        Ok(self.quotas.observe(used).await?)
    }

    async fn observe_waiting(&self, waiting: &[Waiting], delays: &[Delay]) -> Result<(), GateError> {
        let observed = self.backlog.observe(waiting, delays, self.times.now());
        let Some((digest, text)) = observed else { return Ok(()) };
        let mut calls = redis::pipe();
        calls.atomic();
        for (key, value) in [(self.names.waiting(), text), (self.names.stamp(), format!("{digest:016x}"))] {
            calls.cmd("SET").arg(key).arg(value).arg("PX").arg(backlog::LASTS_MS).ignore();
        }
        let written = patience::within(self.link.timeout(), |most| {
            self.link.run(most, |mut c| async move { calls.query_async::<()>(&mut c).await })
        });
        if let Err(error) = written.await {
            self.backlog.unwritten();
            return Err(error.into());
        }
        Ok(())
    }

    async fn waiting(&self, account: &Account, route: &RouteName) -> Result<(u64, u64), GateError> {
        // Whoever asks is a front, and looks.
        let _sight = self.watch.sight();
        Ok(self.backlog.of(account, route))
    }

    async fn delay(&self, account: &Account, route: &RouteName) -> Result<Option<Duration>, GateError> {
        Ok(self.backlog.delay(account, route, self.times.now()))
    }
}
