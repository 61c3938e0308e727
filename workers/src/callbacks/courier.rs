//! Calls webhooks: claims what is due, within what each may have at once, and writes down what came of it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use naru_shared::{
    callbacks::{Among, Callback, CallbackEnd, Fate},
    domain::{Webhook, WhyDisabled},
    ledger::LedgerError,
    metrics,
};
use tokio::task::{Id, JoinError, JoinSet};

use super::{
    Answered, Post,
    directory::Listing,
    lanes::{Ask, Lane, Lanes},
    schedule, switch,
};
use crate::{
    crew::Crew,
    patience::{self, Backoff, rest},
    shell::Progress,
};

/// How long a claim lasts: a call and its commit are bounded well below.
const LEASE: Duration = Duration::from_secs(60);

/// How long it sleeps at the most while nothing is due.
const IDLE: Duration = Duration::from_secs(10);

/// How long it sleeps at the most where there is no webhook.
const NOBODY: Duration = Duration::from_secs(30);

/// How long those not known to be well are not looked at after none of them had anything due, while there is something else to do.
const OTHERS_PAUSE: Duration = Duration::from_millis(200);

/// After a look that promised something and found nothing: somebody else has it in hand.
const IN_VAIN: Duration = Duration::from_millis(20);

/// A call that has ended.
struct Ended {
    callback: Callback,
    webhook: Arc<Webhook>,
    answered: Answered,
}

/// What the loop has in hand.
struct Bench {
    calls: JoinSet<Ended>,
    lanes: Lanes,
    of: HashMap<Id, Lane>,
    /// Ended, and not written yet.
    ended: Vec<(Lane, Option<Ended>)>,
    others_from: Instant,
}

pub(super) async fn run(crew: Arc<Crew>, progress: Progress) {
    let lanes = Lanes::new(crew.config.webhook_calls, crew.config.webhook_calls_each);
    let others_from = Instant::now();
    let mut bench =
        Bench { calls: JoinSet::new(), lanes, of: HashMap::new(), ended: Vec::new(), others_from };
    let mut backoff = Backoff::default();
    let mut seen = None;
    while !crew.end.is_cancelled() {
        progress.mark();
        bench.gather();
        match round(&crew, &mut bench, &mut seen).await {
            Ok(true) => backoff.reset(),
            Ok(false) => {
                backoff.reset();
                wait(&crew, &mut bench, seen).await;
            }
            Err(error) => {
                if backoff.is_news() {
                    tracing::warn!(%error, "webhooks are not called");
                }
                backoff.pause(&crew.end).await;
            }
        }
    }
    bench.gather();
    patience::said("the last outcomes of webhooks", bench.settle(&crew).await);
    crew.hooks.count(0);
}

#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Catalog(#[from] naru_shared::catalog::CatalogError),
}

/// Writes what ended and begins what is due; whether there may be more at once.
async fn round(crew: &Arc<Crew>, bench: &mut Bench, seen: &mut Option<u64>) -> Result<bool, CallError> {
    bench.settle(crew).await?;
    if crew.stop.is_cancelled() {
        return Ok(false);
    }
    let version = crew.deps.registry.version();
    let listing = crew.hooks.directory.listing(crew).await?;
    let changed = *seen != Some(version);
    if changed {
        *seen = Some(version);
        crew.hooks.keep_callers(listing.all());
        bench.lanes.keep(|id| listing.enabled(id).is_some());
    }
    if !listing.any() && !changed {
        return Ok(false);
    }
    let mut begun = 0;
    for ask in bench.asks() {
        let is_others = matches!(ask.0, Among::Others { .. });
        let claimed = patience::ledger(crew.deps.callbacks.claim(&ask.0, ask.1, LEASE)).await?;
        if is_others && claimed.is_empty() {
            bench.others_from = Instant::now() + OTHERS_PAUSE;
        }
        begun += claimed.len();
        begin(crew, bench, &listing, claimed).await;
    }
    Ok(begun > 0)
}

/// Begins calls. What is not to be called any more is given up.
async fn begin(crew: &Arc<Crew>, bench: &mut Bench, listing: &Listing, claimed: Vec<Callback>) {
    let mut off = HashSet::new();
    for callback in claimed {
        if let Some(webhook) = listing.enabled(&callback.webhook) {
            bench.call(crew, Arc::clone(webhook), callback);
            continue;
        }
        if off.contains(&callback.webhook) {
            continue;
        }
        // Another process may know it already.
        match switch::look(crew, &callback.webhook).await {
            Ok(Some(webhook)) if webhook.is_enabled() => bench.call(crew, Arc::new(webhook), callback),
            Ok(_) => {
                switch::give_up(crew, &callback.webhook).await;
                off.insert(callback.webhook);
            }
            Err(error) => {
                tracing::warn!(webhook = %callback.webhook, %error, "a webhook cannot be looked up; its event comes again");
            }
        }
    }
    crew.hooks.count(bench.lanes.under_way());
}

/// Returns when there is something to do.
async fn wait(crew: &Crew, bench: &mut Bench, seen: Option<u64>) {
    let asks: Vec<_> = if crew.stop.is_cancelled() { Vec::new() } else { bench.all_asks() };
    let among: Vec<_> = asks.into_iter().map(|(among, _)| among).collect();
    let most = crew.config.stuck() / 4;
    let due = async {
        if among.is_empty() {
            return rest(IDLE.min(most), &crew.end).await;
        }
        let any = crew.hooks.directory.listing(crew).await.is_ok_and(|listing| listing.any());
        if !any {
            return rest(NOBODY.min(most), &crew.end).await;
        }
        let begun = Instant::now();
        crew.deps.callbacks.await_due(&among, IDLE.min(most)).await;
        if begun.elapsed() < IN_VAIN {
            rest(IN_VAIN, &crew.end).await;
        }
    };
    tokio::select! {
        biased;
        () = crew.end.cancelled() => {}
        Some(ended) = bench.calls.join_next_with_id() => {
            bench.note(ended);
            return;
        }
        () = crew.deps.registry.changed(seen.unwrap_or_default()) => {}
        () = due => {}
    }
    bench.others_from = Instant::now();
}

impl Bench {
    /// What may be claimed now. Those not known to be well go first: they are few by their bound, and would starve otherwise.
    fn asks(&self) -> Vec<Ask> {
        if !self.ended.is_empty() {
            return Vec::new();
        }
        let others = (Instant::now() >= self.others_from).then(|| self.lanes.others()).flatten();
        let taken = others.as_ref().map_or(0, |(_, max)| *max);
        let well = self.lanes.well().map(|(among, max)| (among, max.saturating_sub(taken)));
        others.into_iter().chain(well.filter(|(_, max)| *max > 0)).collect()
    }

    /// What may be waited for.
    fn all_asks(&self) -> Vec<Ask> {
        self.lanes.others().into_iter().chain(self.lanes.well()).collect()
    }

    fn call(&mut self, crew: &Arc<Crew>, webhook: Arc<Webhook>, callback: Callback) {
        let lane = self.lanes.begin(&callback.webhook);
        let crew = Arc::clone(crew);
        let task = self.calls.spawn(async move {
            let answered = call(&crew, &webhook, &callback).await;
            Ended { callback, webhook, answered }
        });
        self.of.insert(task.id(), lane);
    }

    /// Takes in what has ended.
    fn gather(&mut self) {
        while let Some(ended) = self.calls.try_join_next_with_id() {
            self.note(ended);
        }
    }

    fn note(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let (id, ended) = match ended {
            Ok((id, ended)) => (id, Some(ended)),
            // A call that panicked comes again when its lease is over.
            Err(error) => (error.id(), None),
        };
        if let Some(lane) = self.of.remove(&id) {
            self.ended.push((lane, ended));
        }
    }

    /// Writes what ended. A lane is free only then.
    async fn settle(&mut self, crew: &Crew) -> Result<(), LedgerError> {
        if self.ended.is_empty() {
            return Ok(());
        }
        let done: Vec<&Ended> = self.ended.iter().filter_map(|(_, ended)| ended.as_ref()).collect();
        let ends: Vec<CallbackEnd> = done.iter().map(|ended| end(crew, ended)).collect();
        let since = patience::ledger(crew.deps.callbacks.settle(ends.clone())).await?;
        let now = crew.now();
        let mut off = HashMap::new();
        for ((ended, end), since) in done.into_iter().zip(ends).zip(since) {
            count(&ended.answered, end.fate);
            // Failures before it was enabled are another matter.
            let failing = since.map(|since| now.since(since.max(ended.webhook.since)));
            let why = if ended.answered.is_gone() {
                Some(WhyDisabled::Gone)
            } else {
                failing.filter(|span| *span >= schedule::BORNE).map(|_| WhyDisabled::Failing)
            };
            if let Some(why) = why {
                off.insert(end.webhook, (ended.webhook.version, why));
            }
        }
        for (lane, ended) in self.ended.drain(..) {
            let (taken, took) =
                ended.map_or((false, Duration::ZERO), |e| (e.answered.is_taken(), e.answered.took));
            self.lanes.end(lane, taken, took);
        }
        crew.hooks.count(self.lanes.under_way());
        for (webhook, (version, why)) in off {
            switch::off(crew, &webhook, version, why).await;
        }
        Ok(())
    }
}

/// What becomes of an event after a call.
fn end(crew: &Crew, ended: &Ended) -> CallbackEnd {
    let Ended { callback, answered, .. } = ended;
    let again = || {
        let now = crew.now();
        let asked = answered.retry_after;
        schedule::next(callback.first_at, callback.attempt, now, asked, fastrand::f64())
    };
    let fate = if answered.is_taken() {
        Fate::Delivered
    } else if answered.is_gone() {
        Fate::GivenUp
    } else {
        again().map_or(Fate::GivenUp, Fate::Again)
    };
    CallbackEnd {
        row: callback.row,
        webhook: callback.webhook.clone(),
        attempt: callback.attempt,
        fate,
        answer: answered.detail.clone(),
    }
}

fn count(answered: &Answered, fate: Fate) {
    let (outcome, taken) = match fate {
        Fate::Delivered => ("delivered", "delivered"),
        Fate::Again(_) => ("failed", "failed"),
        Fate::GivenUp => ("given-up", "failed"),
    };
    metrics::CALLBACKS.of(&[("outcome", outcome)]).increment(1);
    metrics::CALLBACK_SECONDS.of(&[("outcome", taken)]).record(answered.took);
}

async fn call(crew: &Crew, webhook: &Webhook, callback: &Callback) -> Answered {
    let caller = match crew.hooks.caller(webhook) {
        Ok(caller) => caller,
        Err(error) => return Answered::none(error.to_string(), Duration::ZERO),
    };
    let now = crew.now();
    let secrets = crew.hooks.secrets.signing(webhook, now);
    let body = Bytes::from(callback.body.clone());
    caller.post(&webhook.url, Post { id: &callback.event, body, secrets: &secrets, now }).await
}
