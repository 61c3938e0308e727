//! Outcomes, from the couriers' hands into the ledger.

mod committer;

use std::sync::Arc;

pub(crate) use committer::{Committer, routine};
use naru_shared::{
    domain::Next,
    ledger::{LedgerError, Settled, Settlement},
    metrics,
};

use crate::{bisect::Bisection, courier::Desk, crew::Crew, patience};

/// The end of an attempt on its way to its commit.
pub(crate) struct Ended {
    pub(crate) settlement: Settlement,
    /// Where its row is held, to be let go when it has committed; `None`: a late word, nobody holds it any more.
    pub(crate) desk: Option<Arc<Desk>>,
}

/// Commits outcomes; one answer for each. What the ledger cannot digest is found and committed without its words; `None` if
/// even that is refused.
///
/// # Errors
/// Only if the ledger is away: whether anything took effect is not known, and the same call may be made again.
pub(crate) async fn settle(crew: &Crew, batch: &[Settlement]) -> Result<Vec<Option<Settled>>, LedgerError> {
    let mut answers = vec![None; batch.len()];
    let mut search = Bisection::of(batch.len());
    while let Some(part) = search.next() {
        match commit(crew, batch[part.clone()].to_vec()).await {
            Ok(settled) => {
                for (answer, settled) in answers[part].iter_mut().zip(settled) {
                    *answer = Some(settled);
                }
            }
            Err(error @ LedgerError::Unavailable(_)) => return Err(error),
            Err(error @ LedgerError::Indigestible(_)) => {
                if let Some(index) = search.refused(part) {
                    let id = batch[index].row.id;
                    tracing::error!(%id, %error, "an outcome's words cannot be stored: it is stored without them");
                    answers[index] = settle_plainly(crew, &batch[index]).await?;
                }
            }
        }
    }
    Ok(answers)
}

async fn settle_plainly(crew: &Crew, refused: &Settlement) -> Result<Option<Settled>, LedgerError> {
    let plain = Settlement { next: plain(&refused.next), ..refused.clone() };
    match commit(crew, vec![plain]).await {
        Ok(settled) => Ok(settled.first().copied()),
        Err(error @ LedgerError::Unavailable(_)) => Err(error),
        Err(error @ LedgerError::Indigestible(_)) => {
            tracing::error!(id = %refused.row.id, %error, "an outcome cannot be stored: its row stays as it is");
            Ok(None)
        }
    }
}

/// The same without words of others.
fn plain(next: &Next) -> Next {
    match next {
        Next::Final { state, code, .. } => Next::end(*state, *code, ""),
        Next::Sent { look_at, .. } => Next::Sent { backend_id: None, look_at: *look_at },
        Next::Retry { at, possible_duplicate, .. } => {
            Next::Retry { at: *at, possible_duplicate: *possible_duplicate, detail: String::new() }
        }
        Next::Missed { captured } => Next::Missed { captured: *captured },
        Next::Held { .. } => Next::Held { detail: String::new() },
    }
}

async fn commit(crew: &Crew, batch: Vec<Settlement>) -> Result<Vec<Settled>, LedgerError> {
    let begun = std::time::Instant::now();
    let expected = batch.len();
    let settled = patience::ledger(crew.deps.ledger.settle(batch, crew.now(), crew.emit())).await?;
    metrics::SETTLE_SECONDS.of(&[]).record(begun.elapsed());
    if settled.len() == expected {
        Ok(settled)
    } else {
        Err(LedgerError::Unavailable("the ledger answered for another number of outcomes".into()))
    }
}

/// Counts what outcomes did.
pub(crate) fn count(settled: &[Option<Settled>]) {
    let of = |what: &str, wanted: Option<Settled>| {
        let count = settled.iter().filter(|settled| **settled == wanted).count();
        if count > 0 {
            metrics::SETTLED.of(&[("did", what)]).increment(u64::try_from(count).unwrap_or(u64::MAX));
        }
    };
    of("applied", Some(Settled::Applied));
    of("corrected", Some(Settled::Corrected));
    of("evidence", Some(Settled::Evidence));
    of("unknown", Some(Settled::Unknown));
    of("refused", None);
}
