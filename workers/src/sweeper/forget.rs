//! Lets go of what was kept long enough, a little at a time.

use naru_shared::{ledger::LedgerError, metrics::FORGOTTEN};

use crate::{crew::Crew, patience, shell::Progress};

/// Messages in one transaction, for which others wait: 0.1 ms a message were measured, unoptimised and on a busy machine.
const ROWS: usize = 100;

/// Transactions in one turn; the rest has its turn soon.
const ROUNDS: usize = 10;

/// Whether more is old enough.
pub(super) async fn forget(crew: &Crew, progress: &Progress) -> Result<bool, LedgerError> {
    for _ in 0..ROUNDS {
        progress.mark();
        let step = crew.deps.ledger.forget(crew.now(), crew.config.keep(), ROWS);
        let forgotten = patience::ledger(step).await?;
        for (what, messages) in [("removed", forgotten.removed), ("text", forgotten.masked)] {
            if messages > 0 {
                FORGOTTEN.of(&[("what", what)]).increment(messages as u64);
            }
        }
        if !forgotten.more {
            return Ok(false);
        }
    }
    Ok(true)
}
