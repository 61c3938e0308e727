//! Asks backends for the reports of what they took.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, stream};
use naru_shared::{
    domain::{Next, Outcome},
    ledger::{LedgerError, ParkedNotice, Settlement, Work},
};

use crate::{
    backend::Afterwards,
    courier::{Plan, attempt},
    crew::Crew,
    outcome, patience,
    shell::Progress,
};

/// Rows in one turn.
const ROWS: usize = 256;

/// How long a row that has no report yet is left alone.
const LEASE: Duration = Duration::from_secs(60);

/// Questions under way at once.
const ASKING: usize = 16;

pub(super) async fn ask(crew: &Arc<Crew>, progress: &Progress) -> Result<(), LedgerError> {
    let due = patience::ledger(crew.deps.ledger.due_reports(crew.now(), ROWS, LEASE)).await?;
    if due.is_empty() {
        return Ok(());
    }
    let asking = stream::iter(due.into_iter().map(|work| inquire(Arc::clone(crew), work)));
    let mut answers = asking.buffer_unordered(ASKING);
    let mut settlements = Vec::new();
    while let Some(answer) = answers.next().await {
        progress.mark();
        settlements.extend(answer);
    }
    if !settlements.is_empty() {
        outcome::count(&outcome::settle(crew, &settlements).await?);
    }
    Ok(())
}

/// What becomes of one row; `None`: it has no report yet, and comes back after its lease.
async fn inquire(crew: Arc<Crew>, work: Work) -> Option<Settlement> {
    let plan = crew.desk(&work.route).map(|desk| desk.plan());
    let mut answer = None;
    if let Some(plan) = &plan
        && let Some(backend) = &plan.backend
    {
        let asking = AssertUnwindSafe(backend.inquire(&work)).catch_unwind();
        match tokio::time::timeout(plan.limit(), asking).await {
            Ok(Ok(outcome)) => {
                let report = outcome.filter(is_report);
                answer = report.map(|outcome| attempt::decide(&crew, plan, &work, outcome, Duration::ZERO));
            }
            Ok(Err(_panic)) => tracing::error!(id = %work.row.id, "asking for a report failed"),
            Err(_elapsed) => tracing::warn!(id = %work.row.id, "asking for a report took too long"),
        }
    }
    let missed = match &plan {
        // Nothing comes of asking: it was to be looked at when its report is missed.
        Some(plan) if plan.backend.is_some() && !plan.can_be_asked() && !plan.tells_by_itself() => true,
        Some(plan) => crew.now() > work.expires_at.plus(plan.report_window(&crew, &work)),
        None => {
            let window = crew.config.report_window(&work.message.content.channel);
            crew.now() > work.expires_at.plus(window)
        }
    };
    let afterwards = plan.as_ref().and_then(|plan| plan.backend.as_ref()?.afterwards(&work));
    let missed = missed || afterwards.as_ref().is_some_and(|afterwards| afterwards.missed);
    if let Some(afterwards) = afterwards {
        // First what is to come, then what it comes after: done twice it is kept once.
        park(&crew, &work, afterwards).await?;
    }
    if missed && answer.is_none() {
        withdraw(plan.as_deref(), &work).await;
    }
    let captured = plan.as_ref().is_some_and(|plan| plan.route.reports.captured_without);
    let next = answer.or_else(|| missed.then_some(Next::Missed { captured }))?;
    Some(Settlement { row: work.row, attempt: work.attempt, next })
}

/// Nobody is to begin later what its customer is told has ended.
async fn withdraw(plan: Option<&Plan>, work: &Work) {
    let Some(plan) = plan else { return };
    let Some(backend) = &plan.backend else { return };
    let withdrawing = AssertUnwindSafe(backend.withdraw(work)).catch_unwind();
    match tokio::time::timeout(plan.limit(), withdrawing).await {
        Ok(Ok(())) => {}
        Ok(Err(_panic)) => tracing::error!(id = %work.row.id, "withdrawing a message failed"),
        Err(_elapsed) => tracing::warn!(id = %work.row.id, "withdrawing a message took too long"),
    }
}

/// Keeps a report that comes later as one that came too early: it is looked at when it is due. `None`: the ledger is away.
async fn park(crew: &Crew, work: &Work, afterwards: Afterwards) -> Option<()> {
    // What is kept is looked at a second after the moment that it is given.
    let at = crew.now().plus(afterwards.after).minus(Duration::from_secs(1));
    let until = at.plus(crew.config.early_report());
    let parked = ParkedNotice { route: work.route.clone(), notice: afterwards.notice, since: at, until };
    let parking = crew.deps.ledger.park(vec![parked], at, crew.config.early_reports);
    match patience::ledger(parking).await {
        Ok(kept) => {
            if kept.iter().any(|kept| !kept) {
                tracing::warn!(route = %work.route, "too many reports wait: one that was to come later does not come");
            }
            Some(())
        }
        Err(error) => {
            tracing::warn!(%error, id = %work.row.id, "a report that is to come later could not be kept; it is asked for again");
            None
        }
    }
}

/// What was taken is never sent again because its report is in doubt: only an end, or a later report, counts.
const fn is_report(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Delivered { .. } | Outcome::Failed { .. } | Outcome::Sent { .. })
}
