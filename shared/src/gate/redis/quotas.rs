//! Quotas as far as fronts can tell. Units are leased in blocks; the ledger, which is asked by intake, decides.

mod block;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use block::{Block, Trip};
use moka::sync::Cache;
use redis::Script;
use tokio::{runtime::Handle, sync::OwnedMutexGuard};

use super::{names::Names, times::Times, watch};
use crate::{
    domain::{Account, ChannelName, CustomerId, Day, Environment, Quota, Units},
    gate::{QuotaVerdict, patience},
    ledger::QuotaUse,
    redis::{Link, LinkError},
};

/// Customers and channels that are remembered; of one that is forgotten the lease ends by itself.
const BLOCKS: u64 = 500_000;
const IDLE: Duration = Duration::from_secs(600);

/// How long units are in a process's hands, and how long they are in flight: after this they are taken for lost.
pub(super) const LEASE: Duration = Duration::from_secs(60);

/// How exactly the time is known since when units are in flight.
const SLOT: Duration = Duration::from_secs(10);

/// The quotas of everybody who calls here.
pub(super) struct AllQuotas {
    link: Arc<Link>,
    names: Names,
    times: Times,
    runtime: Handle,
    blocks: Cache<(CustomerId, ChannelName), Arc<Block>>,
    reserve: Script,
    observe: Script,
    /// How often something was observed here.
    observed: AtomicU64,
}

pub(super) fn scripts() -> [Script; 2] {
    let script = |body: &str| Script::new(&format!("{}{body}", include_str!("quota_book.lua")));
    [script(include_str!("quota_reserve.lua")), script(include_str!("quota_observe.lua"))]
}

/// A limit and the period of a day in it.
pub(super) struct Limit<'a> {
    quota: &'a Arc<Quota>,
    days: (Day, Day),
}

/// A moment, and how often something had been observed by then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    now: Duration,
    observed: u64,
}

/// What is asked of Redis.
#[derive(Default)]
struct Question {
    used: u64,
    back: u64,
    refused: u64,
    take: u64,
    want: u64,
}

impl AllQuotas {
    pub(super) fn new(link: Arc<Link>, names: Names, times: Times, runtime: Handle) -> Self {
        let blocks = Cache::builder().max_capacity(BLOCKS).time_to_idle(IDLE).build();
        let [reserve, observe] = scripts();
        Self { link, names, times, runtime, blocks, reserve, observe, observed: AtomicU64::new(0) }
    }

    /// All matching quotas have room, and count the units, or none does.
    pub(super) async fn reserve(
        self: &Arc<Self>,
        account: &Account,
        channel: &ChannelName,
        quotas: &[Arc<Quota>],
        day: Day,
        units: Units,
    ) -> Result<QuotaVerdict, LinkError> {
        let limits = matching(account, channel, quotas, day);
        if limits.is_empty() {
            return Ok(QuotaVerdict::Within);
        }
        let units = u64::from(units.get());
        let name = (account.customer.clone(), channel.clone());
        let block = self.blocks.get(&name).unwrap_or_else(|| self.blocks.get_with(name, Arc::default));
        let _waiting = block.waiting(units);
        if let Some(verdict) = self.in_hand(&block, channel, &limits, units) {
            return Ok(verdict);
        }
        let timeout = self.link.timeout();
        if !self.link.is_up() {
            return Err(LinkError::Away);
        }
        let turn = patience::within(timeout, |most| {
            tokio::time::timeout(most, Arc::clone(&block.turn).lock_owned())
        });
        let turn = turn.await.map_err(|_elapsed| LinkError::Late(timeout))?;
        if let Some(verdict) = self.in_hand(&block, channel, &limits, units) {
            return Ok(verdict);
        }
        let now = self.moment();
        let trip = block.empty(&limits, units, now);
        let answer = self.ask(channel, &limits, &trip.question(units), &trip).await?;
        let verdict = trip.landed(&limits, answer, units, now);
        drop(turn);
        Ok(verdict)
    }

    fn in_hand(
        self: &Arc<Self>,
        block: &Arc<Block>,
        channel: &ChannelName,
        limits: &[Limit<'_>],
        units: u64,
    ) -> Option<QuotaVerdict> {
        let (verdict, is_low) = block.in_hand(limits, units, self.moment())?;
        if is_low
            && self.link.is_up()
            && let Ok(turn) = Arc::clone(&block.turn).try_lock_owned()
        {
            self.refill(block, channel, limits, turn);
        }
        Some(verdict)
    }

    /// Fetches more in the background; bounded by the link's time.
    fn refill(
        self: &Arc<Self>,
        block: &Arc<Block>,
        channel: &ChannelName,
        limits: &[Limit<'_>],
        turn: OwnedMutexGuard<()>,
    ) {
        let (all, block, channel) = (Arc::clone(self), Arc::clone(block), channel.clone());
        let limits: Vec<_> = limits.iter().map(|limit| (Arc::clone(limit.quota), limit.days)).collect();
        self.runtime.spawn(async move {
            let limits: Vec<_> = limits.iter().map(|(quota, days)| Limit { quota, days: *days }).collect();
            let now = all.moment();
            let trip = block.report(now);
            match all.ask(&channel, &limits, &trip.question(0), &trip).await {
                Ok(answer) => drop(trip.landed(&limits, answer, 0, now)),
                Err(error) => tracing::debug!(%error, "the quota of a customer could not be fetched ahead"),
            }
            drop(turn);
        });
    }

    fn moment(&self) -> Moment {
        Moment { now: self.times.now(), observed: self.observed.load(Ordering::Relaxed) }
    }

    async fn ask(
        &self,
        channel: &ChannelName,
        limits: &[Limit<'_>],
        question: &Question,
        trip: &Trip<'_>,
    ) -> Result<(usize, u64), LinkError> {
        let lease = format!("{}.{}.{channel}", self.names.process(), trip.lease);
        self.question(limits, question, &lease).await
    }

    async fn question(
        &self,
        limits: &[Limit<'_>],
        question: &Question,
        lease: &str,
    ) -> Result<(usize, u64), LinkError> {
        let mut call = self.reserve.prepare_invoke();
        for limit in limits {
            call.key(self.names.quota(limit.quota));
        }
        call.arg(self.times.for_script()).arg(micros(SLOT)).arg(micros(LEASE)).arg(lease).arg(micros(LEASE));
        call.arg(question.used)
            .arg(question.back)
            .arg(question.refused)
            .arg(question.take)
            .arg(question.want);
        for limit in limits {
            call.arg(limit.days.0.as_i32()).arg(limit.days.1.as_i32()).arg(limit.quota.limit);
        }
        let answer: Vec<u64> = patience::within(self.link.timeout(), |most| {
            self.link.run(most, |mut c| async move { call.invoke_async(&mut c).await })
        })
        .await?;
        match answer[..] {
            [full, granted] => Ok((usize::try_from(full).unwrap_or(usize::MAX), granted)),
            _ => Err(watch::strange("the answer about quotas is not of two numbers")),
        }
    }

    /// Units of a message that was refused: into the block again, or out of flight.
    pub(super) async fn give_back(
        &self,
        account: &Account,
        channel: &ChannelName,
        quotas: &[Arc<Quota>],
        day: Day,
        units: Units,
    ) -> Result<(), LinkError> {
        let limits = matching(account, channel, quotas, day);
        let units = u64::from(units.get());
        let block = self.blocks.get(&(account.customer.clone(), channel.clone()));
        let now = self.moment();
        if limits.is_empty() || block.is_some_and(|block| block.give_back(&limits, units, now)) {
            return Ok(());
        }
        let question = Question { refused: units, ..Question::default() };
        self.question(&limits, &question, self.names.process()).await.map(|_| ())
    }

    /// Tells what an intake learnt from the ledger.
    pub(super) async fn observe(&self, used: &[QuotaUse]) -> Result<(), LinkError> {
        let mut calls = redis::pipe();
        for seen in used {
            let quota = &seen.quota;
            let (first, last) = quota.period.days(seen.day);
            calls.cmd("EVALSHA").arg(self.observe.get_hash()).arg(1);
            calls.arg(self.names.quota(quota));
            calls.arg(self.times.for_script()).arg(micros(SLOT)).arg(micros(LEASE));
            calls.arg(first.as_i32()).arg(last.as_i32()).arg(seen.used).arg(seen.seen).ignore();
        }
        self.link
            .run(self.link.timeout(), |mut c| async move { calls.query_async::<()>(&mut c).await })
            .await?;
        // Refusals that are repeated here may be out of date.
        self.observed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// The sandbox is never charged: no quota matches it.
fn matching<'a>(
    account: &Account,
    channel: &ChannelName,
    quotas: &'a [Arc<Quota>],
    day: Day,
) -> Vec<Limit<'a>> {
    let matches = |quota: &&Arc<Quota>| {
        account.environment == Environment::Live && quota.channel.as_ref().is_none_or(|own| own == channel)
    };
    quotas.iter().filter(matches).map(|quota| Limit { quota, days: quota.period.days(day) }).collect()
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
