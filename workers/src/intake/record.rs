//! Recording a group: one transaction, tried until the ledger answers; and what follows from its verdicts.

use std::sync::Arc;

use naru_shared::{
    domain::{Code, IntakeToken, Message, State},
    ledger::{
        Disposition, IntakeBatch, IntakeDone, IntakeEntry, IntakeVerdict, LedgerError, QuotaUse, RowRef, Work,
    },
    metrics,
};
use serde_json::Map;

use super::group::Group;
use crate::{
    bisect::Bisection,
    courier::{self, Desk, Permit},
    crew::Crew,
    patience::{self, Backoff},
    shell::Progress,
};

/// The crew stops before the ledger answered: the packs come back to another.
#[derive(Debug)]
pub(super) struct Stopped;

/// What the ledger said; a verdict is `None` if it cannot digest even what is left of a message without its content.
pub(super) struct Recorded {
    pub(super) verdicts: Vec<Option<IntakeVerdict>>,
    used: Vec<QuotaUse>,
}

/// Records a group. What the database cannot digest is found by bisection and gets a final state.
pub(super) async fn record(crew: &Crew, group: &Group, progress: &Progress) -> Result<Recorded, Stopped> {
    let mut recorded = Recorded { verdicts: vec![None; group.entries.len()], used: Vec::new() };
    let mut search = Bisection::of(group.entries.len());
    while let Some(part) = search.next() {
        let entries = group.entries[part.clone()].to_vec();
        if let Some(done) = intake(crew, group, entries, progress).await? {
            for (slot, verdict) in recorded.verdicts[part].iter_mut().zip(done.verdicts) {
                *slot = Some(verdict);
            }
            recorded.used.extend(done.used);
        } else if let Some(index) = search.refused(part) {
            let plain = digestible(&group.entries[index]);
            let done = intake(crew, group, vec![plain], progress).await?;
            recorded.verdicts[index] = done.and_then(|done| done.verdicts.first().copied());
            let id = group.entries[index].message.id;
            tracing::error!(%id, recorded = recorded.verdicts[index].is_some(), "a message cannot be stored: it fails");
        }
    }
    Ok(recorded)
}

/// One transaction, with one token, until the ledger answers; `None` if it cannot digest something in it.
async fn intake(
    crew: &Crew,
    group: &Group,
    entries: Vec<IntakeEntry>,
    progress: &Progress,
) -> Result<Option<IntakeDone>, Stopped> {
    let batch = IntakeBatch {
        token: IntakeToken::random(),
        incarnation: crew.incarnations.current(),
        now: crew.now(),
        emit: crew.emit(),
        entries,
        quotas: group.quotas.clone(),
    };
    let mut backoff = Backoff::default();
    loop {
        progress.mark();
        let begun = std::time::Instant::now();
        match patience::ledger(crew.deps.ledger.intake(batch.clone())).await {
            Ok(done) => {
                metrics::INTAKE_SECONDS.of(&[]).record(begun.elapsed());
                return Ok(Some(done));
            }
            Err(LedgerError::Indigestible(_)) => return Ok(None),
            Err(error @ LedgerError::Unavailable(_)) => {
                if backoff.is_news() {
                    tracing::warn!(%error, messages = batch.entries.len(), "intake waits for the ledger");
                }
                backoff.pause(&crew.stop).await;
            }
        }
        if crew.stop.is_cancelled() {
            return Err(Stopped);
        }
    }
}

/// What is left of a message that cannot be stored: who, where, how much; nothing that its sender wrote.
fn digestible(entry: &IntakeEntry) -> IntakeEntry {
    let mut message = Message { traceparent: None, ..Message::clone(&entry.message) };
    let content = &mut message.content;
    content.recipient = String::new();
    content.body = String::new();
    content.sender = None;
    content.subject = None;
    content.reference = None;
    content.attachments = Vec::new();
    content.data = Map::new();
    IntakeEntry {
        disposition: Disposition::Finish(State::Failed, Code::Indigestible),
        message: Arc::new(message),
        ..entry.clone()
    }
}

/// Acts on the verdicts: starts what is to start, lets the other permits go, tells the gate what is used.
pub(super) async fn follow(
    crew: &Arc<Crew>,
    own: Option<&Arc<Desk>>,
    group: Group,
    recorded: &Recorded,
) -> Vec<naru_shared::queue::Receipt> {
    let mut starts: Vec<(Work, Permit)> = Vec::new();
    let mut tally = Tally::default();
    let mut waits = false;
    for ((entry, permit), verdict) in group.entries.into_iter().zip(group.permits).zip(&recorded.verdicts) {
        tally.count(*verdict);
        match (*verdict, permit) {
            (Some(IntakeVerdict::Recorded(row, State::Sending)), Some(permit)) => {
                starts.push((first_attempt(row, entry), permit))
            }
            (Some(IntakeVerdict::Recorded(_, State::Ready)), _) => waits = true,
            (Some(IntakeVerdict::Conflict), _) => {
                let id = entry.message.id;
                tracing::warn!(%id, customer = %entry.account.customer, "idempotency conflict: another content with this key came before");
            }
            _ => {}
        }
    }
    if let Some(desk) = own {
        if waits {
            desk.backlog.mark();
        }
        tally.publish(desk.name.as_str());
        courier::start(crew, desk, starts);
    }
    for one in &recorded.used {
        crew.watch_limit(Arc::clone(&one.quota), one.day, one.used);
    }
    crew.tell_used(&recorded.used);
    group.receipts
}

fn first_attempt(row: RowRef, entry: IntakeEntry) -> Work {
    Work {
        row,
        expires_at: entry.expires_at(),
        account: entry.account,
        route: entry.route,
        lane: entry.lane,
        attempt: 1,
        possible_duplicate: false,
        backend_id: None,
        message: entry.message,
    }
}

/// Counts verdicts by their words.
#[derive(Default)]
struct Tally([u64; 6]);

const VERDICTS: [&str; 6] = ["waiting", "ended", "duplicate", "conflict", "cancelled", "refused"];

impl Tally {
    const fn count(&mut self, verdict: Option<IntakeVerdict>) {
        let index = match verdict {
            Some(IntakeVerdict::Recorded(_, state)) => state.is_final() as usize,
            Some(IntakeVerdict::Duplicate) => 2,
            Some(IntakeVerdict::Conflict) => 3,
            Some(IntakeVerdict::Cancelled) => 4,
            None => 5,
        };
        self.0[index] += 1;
    }

    fn publish(&self, route: &str) {
        for (verdict, count) in VERDICTS.iter().zip(self.0).filter(|(_, count)| *count > 0) {
            metrics::INTAKE.of(&[("route", route), ("verdict", verdict)]).increment(count);
        }
    }
}
