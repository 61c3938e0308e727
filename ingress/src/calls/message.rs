//! `POST /messages`: one message.

use actix_web::http::StatusCode;

use super::{
    accepted::{Accepted, Rehearsed, unknown},
    query,
};
use crate::{
    accept::{self, Admission, Place, key_header},
    answer::Answer,
    exchange::Exchange,
    limits,
    problem::{Code, Problem},
    publisher::Verdict,
    traceparent,
};

/// Accepts one message: `202` once the queue has it.
pub async fn call(exchange: &mut Exchange) -> Result<Answer, Problem> {
    let caller = exchange.authenticate().await?;
    let dry_run = query::dry_run(exchange.request.query_string())?;
    exchange.room()?;
    exchange.rate(&caller, 1).await?;
    let body = exchange.body(&caller, limits::BODY).await?;
    let headers = exchange.request.headers();
    let key = headers.get(limits::IDEMPOTENCY_KEY).map(|v| key_header::parse(v.as_bytes())).transpose()?;
    let front = &exchange.front;
    let mut draft = accept::parse_bytes(&body.bytes, Place::Alone, front.clock.now())?;
    draft.content.simulate.clone_from(&exchange.simulate);
    drop(body);
    if dry_run {
        let rehearsal = accept::rehearse(front, &caller, &draft).await?;
        return Answer::json(StatusCode::OK, &Rehearsed::of(&rehearsal, draft.content.reference.as_deref()));
    }
    let reference = draft.content.reference.clone();
    let trace = traceparent::of(headers);
    let answer = match accept::admit(front, &caller, draft, key.clone(), None, trace).await? {
        Admission::Known(first) => first,
        Admission::New(item) => {
            let answer = item.answer.clone();
            match publish(exchange, &caller.account, item).await? {
                Verdict::Accepted => front.meters.accepted(exchange.environment, 1),
                Verdict::Refused => return Err(Code::QueueUnavailable.into()),
                Verdict::Unknown => return Err(unknown(&answer, key.as_ref())),
            }
            answer
        }
    };
    let mut response = Answer::json(StatusCode::ACCEPTED, &Accepted::of(&answer, reference.as_deref()))?;
    response.location = Some(exchange.location(answer.id));
    Ok(response)
}

async fn publish(
    exchange: &Exchange,
    account: &naru_shared::domain::Account,
    item: crate::publisher::Item,
) -> Result<Verdict, Problem> {
    match exchange.front.publisher.publish(account, vec![item]).await {
        Ok(verdicts) => Ok(verdicts.first().copied().unwrap_or(Verdict::Unknown)),
        Err(items) => {
            for item in items {
                accept::undo(&exchange.front, item.claim).await;
            }
            Err(Code::Overloaded.into())
        }
    }
}
