//! What the reads share: ids from the path, and what the ledger's absence means.

use std::time::Duration;

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

/// How long the ledger may take for an answer that it need not wait for.
pub const ANSWER: Duration = Duration::from_secs(10);

/// What the ledger answers within that time; else `503`.
pub async fn within<T>(
    front: &Front,
    time: Duration,
    asked: impl Future<Output = Result<T, LedgerError>>,
) -> Result<T, Problem> {
    match tokio::time::timeout(time, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(away(front, &error)),
        Err(late) => Err(away(front, &late)),
    }
}

/// The ledger did not answer: counted and told.
fn away(front: &Front, error: &dyn std::error::Error) -> Problem {
    front.meters.ledger_errors.increment(1);
    tracing::warn!(%error, "the ledger did not answer a read");
    Problem::from(Code::Unavailable).retry_after(2)
}
