//! Lets go of counts of denials that are old, or beyond the number that is kept.

use naru_shared::{
    denials::{KEPT, MOST},
    ledger::LedgerError,
};

use crate::{crew::Crew, patience, shell::Progress};

/// Steps in one turn: more than ever come within an hour.
const ROUNDS: usize = 50;

pub(super) async fn forget(crew: &Crew, progress: &Progress) -> Result<(), LedgerError> {
    let before = crew.now().minus(KEPT);
    for _ in 0..ROUNDS {
        progress.mark();
        if !patience::ledger(crew.deps.denials.forget_denied(before, MOST)).await? {
            break;
        }
    }
    Ok(())
}
