//! Commits outcomes in groups: while one commit runs, the next group gathers.

use std::sync::Arc;

use futures_util::FutureExt;
use naru_shared::{
    ledger::{Settled, Settlement},
    pace::Pace,
};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{Ended, count, settle};
use crate::{
    crew::Crew,
    patience::Backoff,
    shell::{Progress, Routine},
};

/// Where outcomes come in, and the group under way. Both outlive the loop: what a former life could not finish, the next
/// commits again (settling is idempotent).
pub(crate) struct Committer {
    incoming: tokio::sync::Mutex<mpsc::Receiver<Ended>>,
    group: Mutex<Vec<Ended>>,
}

impl Committer {
    pub(crate) fn new(incoming: mpsc::Receiver<Ended>) -> Self {
        Self { incoming: tokio::sync::Mutex::new(incoming), group: Mutex::default() }
    }
}

/// The actor of the committer.
pub(crate) fn routine(crew: &Arc<Crew>, committer: &Arc<Committer>) -> Routine {
    let (working, committing) = (Arc::clone(crew), Arc::clone(committer));
    Routine {
        name: "committer",
        of: String::new(),
        run: Box::new(move |progress| run(Arc::clone(&working), Arc::clone(&committing), progress).boxed()),
        watch: Box::new(|| ()),
        stuck: crew.config.stuck(),
        stop: crew.end.clone(),
    }
}

async fn run(crew: Arc<Crew>, committer: Arc<Committer>, progress: Progress) {
    let mut incoming = committer.incoming.lock().await;
    let mut gathered = Vec::with_capacity(crew.config.settle_group);
    let mut pace = Pace::new(crew.deps.ledger.capabilities().pace);
    loop {
        progress.mark();
        pace.begin(committer.group.lock().len());
        finish_group(&crew, &committer, &progress).await;
        if crew.end.is_cancelled() {
            return;
        }
        // Once most of what is under way has ended there is little left to wait for.
        if incoming.len() * 2 < crew.held().min(crew.config.settle_group) {
            pace.ready().await;
        }
        let gathering = incoming.recv_many(&mut gathered, crew.config.settle_group.max(1));
        tokio::select! {
            biased;
            _count = tokio::time::timeout(crew.config.poll(), gathering) => {}
            () = crew.end.cancelled() => {}
        }
        committer.group.lock().append(&mut gathered);
    }
}

/// Commits the group under way, however often it takes; only the end of work leaves it (its rows are then recovered).
async fn finish_group(crew: &Crew, committer: &Committer, progress: &Progress) {
    let batch: Vec<Settlement> = committer.group.lock().iter().map(|e| e.settlement.clone()).collect();
    if batch.is_empty() {
        return;
    }
    let mut backoff = Backoff::default();
    let settled = loop {
        progress.mark();
        match settle(crew, &batch).await {
            Ok(settled) => break settled,
            Err(error) => {
                if backoff.is_news() {
                    tracing::warn!(%error, outcomes = batch.len(), "outcomes wait for the ledger");
                }
                backoff.pause(&crew.end).await;
                if crew.end.is_cancelled() {
                    return;
                }
            }
        }
    };
    count(&settled);
    let group = std::mem::take(&mut *committer.group.lock());
    release(group, &settled);
}

/// Lets rows go whose outcome has committed. One that was refused for ever keeps its row and permit: it must never look as if
/// it had not begun.
fn release(group: Vec<Ended>, settled: &[Option<Settled>]) {
    for (ended, settled) in group.into_iter().zip(settled) {
        let (Some(desk), Some(settled)) = (ended.desk, settled) else { continue };
        let (row, attempt) = (ended.settlement.row, ended.settlement.attempt);
        if *settled == Settled::Unknown {
            tracing::error!(id = %row.id, "the ledger does not know a row that was in hand");
        }
        desk.table.release([(row.row, attempt)]);
    }
}
