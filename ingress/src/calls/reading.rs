//! What the reads share: ids from the path, and what the ledger's absence means.

use naru_shared::{domain::MessageId, ledger::LedgerError};

use crate::{
    exchange::Exchange,
    front::Front,
    problem::{Code, Problem},
};

/// The id in the path; what is no id is not found.
pub fn message_id(exchange: &Exchange) -> Result<MessageId, Problem> {
    let text = exchange.request.match_info().get("id").unwrap_or_default();
    text.parse().map_err(|_| Code::NotFound.into())
}

/// The ledger did not answer: `503`, counted and told.
pub fn away(front: &Front, error: &LedgerError) -> Problem {
    front.meters.ledger_errors.increment(1);
    tracing::warn!(%error, "the ledger did not answer a read");
    Problem::from(Code::Unavailable).retry_after(2)
}
