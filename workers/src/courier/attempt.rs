//! One attempt: from a row in hand to its outcome in the committer's hands.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use naru_shared::{
    domain::{Facts, Next, Outcome, Timestamp, next_state},
    ledger::{RowRef, Settlement, Work},
};

use super::{Attachment, Desk, Plan};
use crate::{crew::Crew, outcome::Ended, patience};

/// A report that is missed by no more than this is not looked for twice.
const MISSED: Duration = Duration::from_secs(1);

/// Runs one attempt. Bounded by the route's time-out and a grace; a panic of the backend is an uncertain outcome.
pub(super) async fn run(crew: Arc<Crew>, desk: Arc<Desk>, work: Work) {
    let plan = desk.plan();
    let next = if crew.now() > work.expires_at {
        Next::out_of_time(work.possible_duplicate)
    } else {
        let outcome = attempt(&crew, &desk, &plan, &work).await;
        if work.tries() == 1 {
            desk.budget.first(plan.route.pacing.retry_percent);
        }
        let hold_back = desk.held_back(&outcome);
        decide(&crew, &plan, &work, outcome, hold_back)
    };
    let mine = desk.table.end((work.row.row, work.attempt));
    hand_in(&crew, &desk, &work, next, mine).await;
}

/// What the message carries is read within the attempt's own time: nothing is sent without it.
async fn attempt(crew: &Crew, desk: &Desk, plan: &Plan, work: &Work) -> Outcome {
    let begun = Instant::now();
    let reading = AssertUnwindSafe(crew.attachments.of(work, plan.limit())).catch_unwind();
    let carried = match reading.await {
        Ok(Ok(carried)) => carried,
        Ok(Err(outcome)) => {
            desk.count_unsent(&outcome);
            return outcome;
        }
        Err(_panic) => {
            let detail = "the attachments could not be read".to_owned();
            return Outcome::NotTaken { detail, retry_after: None };
        }
    };
    let left = plan.limit().saturating_sub(begun.elapsed());
    desk.turn((work.row.row, work.attempt)).await;
    let sent = Instant::now();
    let outcome = deliver(plan, work, &carried.attachments, left).await;
    desk.count(&crew.herald, &outcome, sent.elapsed());
    outcome
}

async fn deliver(plan: &Plan, work: &Work, attachments: &[Attachment], limit: Duration) -> Outcome {
    let Some(backend) = &plan.backend else {
        return Outcome::NotTaken { detail: "the route has no backend".to_owned(), retry_after: None };
    };
    let delivery = AssertUnwindSafe(backend.deliver(work, attachments)).catch_unwind();
    match tokio::time::timeout(limit, delivery).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_panic)) => Outcome::Uncertain { detail: "the courier failed".to_owned() },
        Err(_elapsed) => Outcome::Uncertain { detail: "timed out".to_owned() },
    }
}

/// What becomes of a message of which an attempt ended so, by the policy of its route. It is not tried again before `hold_back` is over.
pub(crate) fn decide(crew: &Crew, plan: &Plan, work: &Work, outcome: Outcome, hold_back: Duration) -> Next {
    let facts = Facts {
        attempt: work.tries(),
        now: crew.now(),
        life: work.life(),
        possible_duplicate: work.possible_duplicate,
        on_uncertain: plan.route.on_uncertain,
        idempotent: plan.route.idempotent,
        max_attempts: plan.route.max_attempts,
        jitter: fastrand::f64(),
        hold_back,
        report_window: plan.report_window(crew, work),
    };
    match next_state(outcome, &facts) {
        // Nothing is asked for: the next moment to look is when the report is missed.
        Next::Sent { backend_id, .. } if plan.tells_by_itself() => {
            let missed = work.expires_at.plus(plan.report_window(crew, work)).plus(MISSED);
            Next::Sent { backend_id, look_at: missed }
        }
        Next::Sent { backend_id, .. } if !plan.can_be_asked() && plan.route.reports.window_ms.is_some() => {
            Next::Sent { backend_id, look_at: facts.now.plus(plan.report_window(crew, work)) }
        }
        // Once the route gives way, whoever looks after that shall find the message at once.
        Next::Retry { possible_duplicate: false, detail, at } if crew.gives_way(&plan.route.name) => {
            Next::Retry { at: at.min(crew.now()), possible_duplicate: false, detail }
        }
        Next::Retry { at, possible_duplicate, detail } => {
            Next::Retry { at: after_quiet(crew, work, at), possible_duplicate, detail }
        }
        next => next,
    }
}

/// What would begin in quiet hours begins when they end; if its time ends before, they were set after it was counted, and the take
/// sees to it.
fn after_quiet(crew: &Crew, work: &Work, at: Timestamp) -> Timestamp {
    let quiet = crew.deps.registry.quiet();
    let rules = quiet.get(&work.account.customer);
    let until = rules.and_then(|rules| rules.until(&work.message.content.channel, work.lane, at));
    until.filter(|until| *until <= work.expires_at).unwrap_or(at)
}

/// `mine`: nobody else has ended this attempt. Else this is a late word, which the ledger weighs by its fence.
async fn hand_in(crew: &Arc<Crew>, desk: &Arc<Desk>, work: &Work, next: Next, mine: bool) {
    let settlement = Settlement { row: work.row, attempt: work.attempt, next };
    let ended = Ended { settlement, desk: mine.then(|| Arc::clone(desk)) };
    if crew.ended.send(ended).await.is_err() {
        tracing::warn!(id = %work.row.id, "an outcome came after the end of work; its row is recovered as uncertain");
    }
}

/// Ends attempts that stand still although their time is long over: their outcome is uncertain.
pub(super) fn reap(crew: &Arc<Crew>, desk: &Arc<Desk>) {
    let plan = desk.plan();
    // Twice the limit: only what cannot be ended by its own time-out is found here.
    let room = crew.ended.capacity();
    for work in desk.table.overdue(plan.limit() + crew.config.stuck().min(plan.limit()), room) {
        naru_shared::metrics::WORKER_RESTARTS.of(&[("actor", "attempt")]).increment(1);
        tracing::error!(id = %work.row.id, route = %desk.name, attempt = work.attempt, "an attempt stood still");
        let outcome = Outcome::Uncertain { detail: "the courier stood still".to_owned() };
        desk.count(&crew.herald, &outcome, plan.limit());
        let hold_back = desk.held_back(&outcome);
        let next = decide(crew, &plan, &work, outcome, hold_back);
        let (crew, desk) = (Arc::clone(crew), Arc::clone(desk));
        let runtime = crew.deps.runtime.clone();
        runtime.spawn(async move { hand_in(&crew, &desk, &work, next, true).await });
    }
}

/// Gives back rows whose attempt was never begun. What cannot be given back is found by the sweeper, since nobody holds it.
pub(super) async fn give_back(crew: Arc<Crew>, desk: Arc<Desk>, rows: Vec<(RowRef, u32)>) {
    let keys: Vec<_> = rows.iter().map(|(row, attempt)| (row.row, *attempt)).collect();
    if let Err(error) = patience::ledger(crew.deps.ledger.give_back(rows)).await {
        tracing::warn!(route = %desk.name, %error, "rows could not be given back at once");
        crew.suspect();
    }
    desk.table.release(keys);
}
