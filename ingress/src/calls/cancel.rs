//! `DELETE /messages/{id}`: take back what was certainly not taken.

use actix_web::http::StatusCode;
use naru_shared::{domain::State, ledger::Cancelled};

use super::{
    reading::{away, message_id},
    status::Queued,
};
use crate::{
    answer::Answer,
    exchange::Exchange,
    problem::{Code, Problem},
};

/// The message as it stands, cancelled; `409` when it was, or may have been, taken.
pub async fn call(exchange: &mut Exchange) -> Result<Answer, Problem> {
    let caller = exchange.caller(0).await?;
    let id = message_id(exchange)?;
    let front = &exchange.front;
    if !front.minter.is_of(&caller.account, id) {
        return Err(Code::NotFound.into());
    }
    let now = front.clock.now();
    match front.reads.cancel(&caller.account, id, now, front.registry.has_subscribers()).await {
        Ok(Cancelled::Done(view)) => Answer::json(StatusCode::OK, &view),
        Ok(Cancelled::Tombstone) => Answer::json(StatusCode::OK, &Queued::new(id, State::Cancelled)),
        Ok(Cancelled::TooLate(view)) => {
            let sentence = format!("The message is {} and cannot be cancelled.", view.status.as_str());
            Err(Problem::new(Code::NotCancellable, sentence))
        }
        Err(error) => Err(away(front, &error)),
    }
}
