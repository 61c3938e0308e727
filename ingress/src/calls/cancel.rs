//! `DELETE /messages/{id}`: take back what was certainly not taken.

use actix_web::http::StatusCode;
use naru_shared::{domain::State, ledger::Cancelled};

use super::{
    reading::{ANSWER, message_id, within},
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
    let _place = exchange.reading(&caller)?;
    let cancel = front.reads.cancel(&caller.account, id, front.clock.now(), front.registry.has_subscribers());
    match within(front, ANSWER, cancel).await? {
        Cancelled::Done(view) => Answer::json(StatusCode::OK, &view),
        Cancelled::Tombstone => Answer::json(StatusCode::OK, &Queued::new(id, State::Cancelled)),
        Cancelled::TooLate(view) => {
            let sentence = format!("The message is {} and cannot be cancelled.", view.status.as_str());
            Err(Problem::new(Code::NotCancellable, sentence))
        }
    }
}
