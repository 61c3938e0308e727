//! The sweeper: what time does to rows. One loop, each task in its own file; a task that fails is tried again at its next
//! turn.

mod lost;
mod own;
mod quota;
mod reports;
mod waiting;
mod wake;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use naru_shared::ledger::LedgerError;
pub(crate) use own::give_back_unheld;

use crate::{
    crew::Crew,
    patience::rest,
    shell::{Progress, Routine},
};

/// How often ingress is told what waits and what is used.
const OBSERVE: Duration = Duration::from_secs(1);

/// How often the queues are asked how much lies on them.
const QUEUES: Duration = Duration::from_secs(5);

/// How often this process looks for rows in its own name that nobody holds, suspicion or not.
const OWN: Duration = Duration::from_secs(30);

/// How often it looks while there is a suspicion.
const OWN_SUSPECTED: Duration = Duration::from_secs(1);

/// The actor of the sweeper.
pub(crate) fn routine(crew: &Arc<Crew>) -> Routine {
    let sweeping = Arc::clone(crew);
    Routine {
        name: "sweeper",
        of: String::new(),
        run: Box::new(move |progress| run(Arc::clone(&sweeping), progress).boxed()),
        watch: Box::new(|| ()),
        stuck: crew.config.stuck(),
        stop: crew.end.clone(),
    }
}

/// When a task has its turn.
struct Turn {
    every: Duration,
    last: Option<Instant>,
}

impl Turn {
    const fn every(every: Duration) -> Self {
        Self { every, last: None }
    }

    fn is_due(&mut self) -> bool {
        let due = self.last.is_none_or(|last| last.elapsed() >= self.every);
        if due {
            self.last = Some(Instant::now());
        }
        due
    }
}

async fn run(crew: Arc<Crew>, progress: Progress) {
    // Whether events are wanted, and what a route does with uncertainty, is known only of a complete registry.
    while !crew.deps.registry.is_complete() && !crew.end.is_cancelled() {
        progress.mark();
        rest(crew.config.sweep(), &crew.end).await;
    }
    let mut observe = Turn::every(OBSERVE);
    let mut queues = Turn::every(QUEUES);
    let mut own = Turn::every(OWN);
    let mut suspected = Turn::every(OWN_SUSPECTED);
    let mut watch = lost::Watch::new(crew.config.lease());
    let mut orphans = own::Orphans::default();
    let mut gauges = waiting::Gauges::default();
    while !crew.end.is_cancelled() {
        progress.mark();
        said("wake what is due", wake::wake(&crew).await);
        said("ask for reports", reports::ask(&crew, &progress).await);
        said("recover lost rows", lost::recover(&crew, &mut watch, &progress).await);
        if observe.is_due() {
            said("observe what waits", waiting::observe(&crew, &mut gauges).await);
            said("observe what is used", quota::observe(&crew).await);
        }
        if queues.is_due() {
            waiting::observe_queues(&crew, &progress).await;
        }
        let suspicion = suspected.is_due() && (crew.take_suspicion() || orphans.are_suspected());
        if suspicion || own.is_due() {
            said("look after own rows", own::look_after(&crew, &mut orphans).await);
        }
        rest(crew.config.sweep(), &crew.end).await;
    }
}

fn said(what: &'static str, result: Result<(), LedgerError>) {
    if let Err(error) = result {
        tracing::warn!(what, %error, "the sweeper could not do a task");
    }
}
