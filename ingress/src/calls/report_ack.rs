//! `POST /reports/ack`: these reports were read.

use actix_web::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    batch_body,
    reading::{ANSWER, within},
};
use crate::{
    answer::Answer,
    exchange::Exchange,
    limits,
    problem::{Code, Problem},
};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Acknowledged", description = "How many reports were unread until now.")]
pub struct Done {
    acknowledged: usize,
}

/// Marks reports as read; how many were unread until now.
pub async fn call(exchange: &mut Exchange) -> Result<Answer, Problem> {
    let caller = exchange.caller(0).await?;
    let body = exchange.body(&caller, limits::BODY).await?;
    let front = &exchange.front;
    let mut reports = Vec::new();
    for revision in batch_body::revisions(&body.bytes)? {
        let id = revision
            .id
            .parse()
            .map_err(|_| Problem::new(Code::InvalidMessage, "A report is named by the id of its message."))?;
        // An id of another customer is as unknown here as one that was never made.
        if front.minter.is_of(&caller.account, id) {
            reports.push((id, revision.revision));
        }
    }
    let acknowledged = match reports.is_empty() {
        true => 0,
        false => {
            let _place = exchange.reading(&caller)?;
            within(front, ANSWER, front.reads.acknowledge(&caller.account, reports)).await?
        }
    };
    Answer::json(StatusCode::OK, &Done { acknowledged })
}
