//! Makes ready what is due, ends what has expired.

use naru_shared::ledger::LedgerError;

use crate::{crew::Crew, patience};

/// Rows in one transaction.
const ROWS: usize = 1_000;

/// Transactions in one turn; the rest has its turn soon.
const ROUNDS: usize = 10;

pub(super) async fn wake(crew: &Crew) -> Result<(), LedgerError> {
    for _ in 0..ROUNDS {
        let woken = patience::ledger(crew.deps.ledger.wake(crew.now(), ROWS, crew.emit())).await?;
        if woken.expired > 0 {
            crew.count_expired("*", woken.expired);
        }
        if woken.ready + woken.expired < ROWS {
            break;
        }
    }
    Ok(())
}
