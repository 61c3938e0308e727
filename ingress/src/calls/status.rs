//! `GET /messages/{id}`: how a message stands.

use actix_web::http::StatusCode;
use naru_shared::domain::{MessageId, State};
use schemars::JsonSchema;
use serde::Serialize;

use super::reading::{ANSWER, message_id, within};
use crate::{
    answer::Answer,
    exchange::Exchange,
    problem::{Code, Problem},
};

/// All that is known of a message that no worker has seen.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Unseen", description = "All that is known of a message that no worker has seen.")]
pub struct Queued {
    id: MessageId,
    status: State,
}

impl Queued {
    /// With its state: `queued`, or `cancelled` before it was seen.
    pub const fn new(id: MessageId, status: State) -> Self {
        Self { id, status }
    }
}

/// The last known state; `queued` for an id made for this customer that intake has not seen; `404` for anything else.
pub async fn call(exchange: &mut Exchange) -> Result<Answer, Problem> {
    let caller = exchange.caller(0).await?;
    let id = message_id(exchange)?;
    let front = &exchange.front;
    if !front.minter.is_of(&caller.account, id) {
        return Err(Code::NotFound.into());
    }
    let _place = exchange.reading(&caller)?;
    match within(front, ANSWER, front.reads.view(&caller.account, id)).await? {
        Some(view) => Answer::json(StatusCode::OK, &view),
        None => Answer::json(StatusCode::OK, &Queued::new(id, State::Queued)),
    }
}
