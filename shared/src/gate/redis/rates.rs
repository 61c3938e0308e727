//! Rates of accounts. Messages are leased in blocks, and what is in hand is let in without asking.
//!
//! One at a time asks Redis for an account; whoever comes meanwhile waits for it, and takes of what it brings.

mod account;
mod share;

use std::{sync::Arc, time::Duration};

use account::Rates;
use moka::sync::Cache;
use redis::Script;
use tokio::{runtime::Handle, sync::OwnedMutexGuard};

use super::{
    names::Names,
    numbers::Numbers,
    times::Times,
    watch::{self, TRUSTED, Watch},
};
use crate::{
    domain::{Account, RatePolicy},
    gate::{RateVerdict, patience},
    redis::{Link, LinkError},
};

/// Accounts that are remembered; of one that is forgotten the lease ends by itself.
const ACCOUNTS: u64 = 500_000;
const IDLE: Duration = Duration::from_secs(600);

/// How long a lease is valid: what a process that was killed had in hand is counted as used then.
pub(super) const LEASE: Duration = Duration::from_secs(30);

/// The rates of every account that calls here.
pub(super) struct AllRates {
    link: Arc<Link>,
    names: Names,
    times: Times,
    watch: Arc<Watch>,
    runtime: Handle,
    accounts: Cache<Account, Arc<Rates>>,
    script: Script,
}

pub(super) fn script() -> Script {
    Script::new(include_str!("rates.lua"))
}

/// What is asked of Redis.
struct Question {
    used: u32,
    back: u32,
    take: u32,
    want: u32,
    away: u64,
}

impl AllRates {
    pub(super) fn new(
        link: Arc<Link>,
        names: Names,
        times: Times,
        watch: Arc<Watch>,
        runtime: Handle,
    ) -> Self {
        let accounts = Cache::builder().max_capacity(ACCOUNTS).time_to_idle(IDLE).build();
        Self { link, names, times, watch, runtime, accounts, script: script() }
    }

    /// Counts against every policy or against none. While Redis is away: what this process's share says.
    pub(super) async fn ask(
        self: &Arc<Self>,
        account: &Account,
        policies: &[RatePolicy],
        messages: u32,
    ) -> RateVerdict {
        if policies.is_empty() {
            return RateVerdict::Within(Vec::new());
        }
        let known = self.accounts.get(account);
        let rates = known.unwrap_or_else(|| self.accounts.get_with(account.clone(), Arc::default));
        let _waiting = rates.waiting(messages);
        if let Some(verdict) = self.in_hand(account, &rates, policies, messages) {
            return verdict;
        }
        match self.fetch(account, &rates, policies, messages).await {
            Ok(verdict) => return verdict,
            Err(error) => tracing::debug!(%error, "the rates of an account could not be asked"),
        }
        let fronts = self.watch.sight().fronts;
        RateVerdict::Away(Box::new(rates.share(policies, messages, fronts, self.times.now())))
    }

    /// The answer that needs no question; what is nearly used up is fetched meanwhile.
    fn in_hand(
        self: &Arc<Self>,
        account: &Account,
        rates: &Arc<Rates>,
        policies: &[RatePolicy],
        messages: u32,
    ) -> Option<RateVerdict> {
        let (verdict, is_low) = rates.in_hand(policies, messages, self.watch.sight(), self.times.now())?;
        if is_low
            && self.link.is_up()
            && let Ok(turn) = Arc::clone(&rates.turn).try_lock_owned()
        {
            self.refill(account, rates, policies, turn);
        }
        Some(verdict)
    }

    /// Fetches more in the background; bounded by the link's time.
    fn refill(
        self: &Arc<Self>,
        account: &Account,
        rates: &Arc<Rates>,
        policies: &[RatePolicy],
        turn: OwnedMutexGuard<()>,
    ) {
        let (all, account, rates) = (Arc::clone(self), account.clone(), Arc::clone(rates));
        let policies = policies.to_vec();
        self.runtime.spawn(async move {
            if let Err(error) = all.more(&account, &rates, &policies, turn).await {
                tracing::debug!(%error, "the rates of an account could not be fetched ahead");
            }
        });
    }

    /// Reports what was used, and asks for a block; what is in hand stays in use.
    async fn more(
        &self,
        account: &Account,
        rates: &Rates,
        policies: &[RatePolicy],
        turn: OwnedMutexGuard<()>,
    ) -> Result<(), LinkError> {
        let sent = self.times.now();
        let trip = rates.report(self.watch.sight(), sent);
        let question = Question { used: trip.used, back: 0, take: 0, want: trip.want, away: 0 };
        let lease = trip.lease(&self.names);
        let answer = self.question(account, policies, &question, &lease, -1, self.link.timeout()).await?;
        // A Redis that knows nothing of the account is asked again by whoever comes when nothing is in hand.
        if answer.first() == Some(&1) {
            trip.landed(policies, &answer, 0, sent);
        }
        drop(turn);
        Ok(())
    }

    /// Waits for the turn to ask; gives back what is in hand and asks for these messages, and for a block beside.
    async fn fetch(
        self: &Arc<Self>,
        account: &Account,
        rates: &Arc<Rates>,
        policies: &[RatePolicy],
        messages: u32,
    ) -> Result<RateVerdict, LinkError> {
        let timeout = self.link.timeout();
        if !self.link.is_up() {
            return Err(LinkError::Away);
        }
        let turn = patience::within(timeout, |most| {
            tokio::time::timeout(most, Arc::clone(&rates.turn).lock_owned())
        });
        let turn = turn.await.map_err(|_elapsed| LinkError::Late(timeout))?;
        // Whoever had the turn may have brought enough.
        if let Some(verdict) = self.in_hand(account, rates, policies, messages) {
            return Ok(verdict);
        }
        let sent = self.times.now();
        let trip = rates.empty(policies, messages, self.watch.sight(), sent);
        let mut question =
            Question { used: trip.used, back: trip.back, take: messages, want: trip.want, away: trip.away };
        let lease = trip.lease(&self.names);
        let mut answer = self.question(account, policies, &question, &lease, -1, timeout).await?;
        if answer.first() == Some(&-1) {
            // Redis knows nothing of the account. Whether it ever did is told by when it began to know.
            let sight = patience::within(timeout, |most| self.watch.look(most)).await?;
            let grace = i64::try_from(TRUSTED.as_micros()).unwrap_or(i64::MAX / 4);
            (question.used, question.back, question.want) = (0, 0, 0);
            let since = sight.since.saturating_add(grace);
            answer = self.question(account, policies, &question, &lease, since, timeout).await?;
        }
        if answer.len() < 3 + 2 * policies.len() {
            return Err(watch::strange("the answer about rates is too short"));
        }
        let verdict = trip.landed(policies, &answer, messages, sent);
        drop(turn);
        Ok(verdict)
    }

    async fn question(
        &self,
        account: &Account,
        policies: &[RatePolicy],
        question: &Question,
        lease: &str,
        since: i64,
        limit: Duration,
    ) -> Result<Vec<i64>, LinkError> {
        let mut call = self.script.key(self.names.rates(account));
        call.arg(self.times.for_script()).arg(since).arg(lease);
        call.arg(u64::try_from(LEASE.as_micros()).unwrap_or(u64::MAX));
        call.arg(question.used).arg(question.back).arg(question.take).arg(question.want).arg(question.away);
        for policy in policies {
            let numbers = Numbers::of(policy);
            call.arg(&policy.name)
                .arg(numbers.each)
                .arg(numbers.flow)
                .arg(numbers.tick_us)
                .arg(numbers.burst);
        }
        patience::within(limit, |most| {
            self.link.run(most, |mut c| async move { call.invoke_async(&mut c).await })
        })
        .await
    }
}
