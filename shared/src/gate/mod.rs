//! The port `gate`: what an accept asks before it lets a call in. Protection and early refusals: the ledger decides
//! about money, intake about duplicates.

mod memory;
mod patience;
mod redis;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
pub use memory::{MemoryGate, Stopwatch};
pub use patience::{AFTER, BEFORE, patiently};
pub use redis::{ANSWERS, RedisGate, Times};

use crate::{
    domain::{
        Account, ChannelName, Day, Fingerprint, Key, MessageId, NonceMark, Quota, RatePolicy, RouteName,
        Timestamp, Units,
    },
    ledger::{QuotaUse, Waiting},
};

/// How a rate policy stands after a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateStanding {
    /// The policy.
    pub policy: RatePolicy,
    /// Messages that could come now.
    pub remaining: u32,
    /// Until the whole burst is free again.
    pub reset: Duration,
}

/// The answer about rates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateVerdict {
    /// Within every policy; how they stand.
    Within(Vec<RateStanding>),
    /// Over one: how they stand, and when to come again. Nothing was counted.
    Over(Vec<RateStanding>, Duration),
    /// Nobody who knows can be asked: what this process's own share of the rates says, which is never the whole limit.
    /// The customer's policy decides.
    Away(Box<RateVerdict>),
}

/// The first answer to a key, to be given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstAnswer {
    /// The message.
    pub id: MessageId,
    /// What it costs.
    pub units: Units,
    /// Where it went.
    pub route: RouteName,
    /// When it was accepted.
    pub accepted_at: Timestamp,
}

/// The answer about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyVerdict {
    /// Not seen: it is now in flight in the caller's hands, until `finish` or `abandon`.
    New,
    /// Another call with it is under way.
    InFlight,
    /// Seen with the same content.
    Answered(FirstAnswer),
    /// Seen with other content.
    Conflict,
}

/// A content as it is remembered: a keyed hash of everything that makes it the same, which tells nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentMark(pub [u8; 16]);

/// The answer about quotas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuotaVerdict {
    /// As far as is known there is room; the units count as in flight.
    Within,
    /// There is none left; which limit it is.
    Exceeded(Arc<Quota>),
}

/// How long what an account sends by a route now would wait before its attempt begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delay {
    /// By which route.
    pub route: RouteName,
    /// Whose.
    pub account: Account,
    /// How long `express` would wait.
    pub express: Duration,
}

/// What is told of delays is believed for so long.
pub const DELAYS_LAST: Duration = Duration::from_secs(60);

/// The gate did not answer in time; the customer's policy decides.
#[derive(Debug, thiserror::Error)]
#[error("the gate is not available")]
pub struct GateError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Rates, quotas (advisory), keys in flight, back-pressure.
#[async_trait]
pub trait Gate: Send + Sync + 'static {
    /// Counts `messages` against every policy, or against none.
    async fn rate(
        &self,
        account: &Account,
        policies: &[RatePolicy],
        messages: u32,
    ) -> Result<RateVerdict, GateError>;

    /// Claims a key.
    async fn begin(
        &self,
        account: &Account,
        key: &Key,
        fingerprint: Fingerprint,
    ) -> Result<KeyVerdict, GateError>;

    /// Remembers the first answer to a key.
    async fn finish(&self, account: &Account, key: &Key, answer: FirstAnswer) -> Result<(), GateError>;

    /// Forgets a key whose call was refused before publish.
    async fn abandon(&self, account: &Account, key: &Key) -> Result<(), GateError>;

    /// Spends a nonce: whether it was not spent before. It stays known for `span`, whatever else comes: one that cannot be
    /// remembered is an error, never a yes.
    async fn spend(&self, account: &Account, nonce: NonceMark, span: Duration) -> Result<bool, GateError>;

    /// Claims a content for a message, for so long: `None` if it has it now, or had it already; else how long another message
    /// still has it, and nothing changed.
    async fn claim_content(
        &self,
        account: &Account,
        mark: ContentMark,
        by: MessageId,
        span: Duration,
    ) -> Result<Option<Duration>, GateError>;

    /// Gives a content back that a message claimed and that was not sent. What another has stays as it is.
    async fn free_content(
        &self,
        account: &Account,
        mark: ContentMark,
        by: MessageId,
    ) -> Result<(), GateError>;

    /// Counts units as in flight against the quotas that match the channel, if all have room.
    async fn reserve(
        &self,
        account: &Account,
        channel: &ChannelName,
        quotas: &[Arc<Quota>],
        day: Day,
        units: Units,
    ) -> Result<QuotaVerdict, GateError>;

    /// Takes units out of flight again: their call was refused before publish.
    async fn give_back(
        &self,
        account: &Account,
        channel: &ChannelName,
        quotas: &[Arc<Quota>],
        day: Day,
        units: Units,
    ) -> Result<(), GateError>;

    /// Learns from an intake what the ledger holds; what it saw is no longer in flight.
    async fn observe_quota(&self, used: &[QuotaUse]) -> Result<(), GateError>;

    /// Learns what waits, and who would wait for long; replaces what was known. Of delays the longest are kept.
    async fn observe_waiting(&self, waiting: &[Waiting], delays: &[Delay]) -> Result<(), GateError>;

    /// How long a message of an account would wait on a route, in `express`, if that was observed a moment ago.
    async fn delay(&self, account: &Account, route: &RouteName) -> Result<Option<Duration>, GateError>;

    /// Messages of an account that wait on a route, and of everybody, as last observed.
    async fn waiting(&self, account: &Account, route: &RouteName) -> Result<(u64, u64), GateError>;
}
