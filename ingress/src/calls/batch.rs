//! `POST /messages/batch`: 1 to 1,000 messages, each on its own.

use std::collections::HashMap;

use futures_util::future::join_all;
use naru_shared::{
    domain::{Fingerprint, Key, Timestamp},
    gate::FirstAnswer,
};
use serde_json::value::RawValue;

use super::{
    accepted::unknown,
    batch_body,
    batch_result::{Fate, Summary, status},
    query,
};
use crate::{
    accept::{self, Admission, Draft, Place},
    answer::Answer,
    auth::Caller,
    exchange::Exchange,
    limits,
    problem::{Code, Problem},
    publisher::{Item, Verdict},
    traceparent,
};

/// One item on its way.
enum Step {
    /// Decided.
    Done(Fate),
    /// The gate is being asked.
    Asked,
    /// To be published; it is the n-th of those.
    Publish(usize),
    /// It has the key and content of an earlier item, and shares its fate.
    Same(usize),
}

/// Accepts many messages; what becomes of each is in the answer.
pub async fn call(exchange: &mut Exchange) -> Result<Answer, Problem> {
    let caller = exchange.authenticate().await?;
    exchange.room()?;
    let dry_run = query::dry_run(exchange.request.query_string())?;
    let body = exchange.body(&caller, limits::BATCH_BODY).await?;
    let items = batch_body::split(&body.bytes)?;
    exchange.has(items.len());
    fits_rates(&caller, items.len())?;
    exchange.rate(&caller, u32::try_from(items.len()).unwrap_or(u32::MAX)).await?;
    let now = exchange.front.clock.now();
    let fates = if dry_run {
        rehearse(exchange, &caller, &items, now).await
    } else {
        let (steps, publish) = admit(exchange, &caller, &items, now).await;
        let published = send(exchange, &caller, publish).await;
        fates(steps, &published)
    };
    drop(body);
    count(exchange, &caller, &fates);
    let (status, retry_after) = status(fates.iter().map(|(_, fate)| fate));
    let answer = Answer::json(status, &Summary::of(&fates, dry_run, exchange.id.as_str()))?;
    Ok(Answer { retry_after, ..answer })
}

/// Counts the items that were not accepted.
fn count(exchange: &Exchange, caller: &Caller, fates: &[(Option<Key>, Fate)]) {
    let mut refused: HashMap<Code, u64> = HashMap::new();
    for (_, fate) in fates {
        if let Fate::Refused(problem) | Fate::Unknown(problem) = fate {
            *refused.entry(problem.code).or_default() += 1;
        }
    }
    for (code, messages) in refused {
        exchange.front.meters.refused(code, messages);
        exchange.front.denials.add(Some(&caller.account.customer), code, messages);
    }
}

/// A batch that the rates would never let in is too large, not too early.
fn fits_rates(caller: &Caller, messages: usize) -> Result<(), Problem> {
    let most = caller.profile.customer.rates.iter().map(|policy| policy.burst).min();
    match most {
        Some(most) if messages > usize::try_from(most).unwrap_or(usize::MAX) => {
            let sentence = format!("The rates of this customer let in at most {most} messages at once.");
            Err(Problem::new(Code::BatchTooLarge, sentence))
        }
        _ => Ok(()),
    }
}

/// What would become of each item, in order; nothing is claimed, charged or published.
async fn rehearse(
    exchange: &Exchange,
    caller: &Caller,
    items: &[&RawValue],
    now: Timestamp,
) -> Vec<(Option<Key>, Fate)> {
    let mut keys: HashMap<Key, (Fingerprint, usize)> = HashMap::new();
    let mut fates: Vec<(Option<Key>, Fate)> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let draft = match accept::parse(item.get(), Place::InBatch, now) {
            Ok(draft) => draft,
            Err(problem) => {
                fates.push((accept::key(item.get()), Fate::Refused(problem)));
                continue;
            }
        };
        let fate = match repeated(&mut keys, &draft, index) {
            Some(Step::Done(fate)) => fate,
            // The same as an earlier one, or one of its own: what is found is the same.
            _ => match accept::rehearse(&exchange.front, caller, &draft).await {
                Ok(rehearsal) => Fate::Rehearsed(rehearsal),
                Err(problem) => Fate::Refused(problem),
            },
        };
        fates.push((draft.key, fate));
    }
    fates
}

/// Admits each item in order.
async fn admit(
    exchange: &Exchange,
    caller: &Caller,
    items: &[&RawValue],
    now: Timestamp,
) -> (Vec<(Option<Key>, Step)>, Vec<Item>) {
    let trace = traceparent::of(exchange.request.headers());
    let mut keys: HashMap<Key, (Fingerprint, usize)> = HashMap::new();
    let mut steps = Vec::with_capacity(items.len());
    let mut asked = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let mut draft = match accept::parse(item.get(), Place::InBatch, now) {
            Ok(draft) => draft,
            Err(problem) => {
                steps.push((accept::key(item.get()), Step::Done(Fate::Refused(problem))));
                continue;
            }
        };
        draft.content.simulate.clone_from(&exchange.simulate);
        let key = draft.key.clone();
        if let Some(step) = repeated(&mut keys, &draft, index) {
            steps.push((key, step));
            continue;
        }
        asked.push((
            steps.len(),
            accept::admit(&exchange.front, caller, draft, key.clone(), Some(index), trace),
        ));
        steps.push((key, Step::Asked));
    }
    // At the same time, each in its turn where it need not wait: a thousand keys are not a thousand waits.
    let (places, asked): (Vec<usize>, Vec<_>) = asked.into_iter().unzip();
    let mut publish = Vec::new();
    for (place, admitted) in places.into_iter().zip(join_all(asked).await) {
        let step = match admitted {
            Ok(Admission::Known(first)) => Step::Done(Fate::Accepted(first.id, first.units)),
            Ok(Admission::New(item)) => {
                publish.push(item);
                Step::Publish(publish.len() - 1)
            }
            Err(problem) => Step::Done(Fate::Refused(problem)),
        };
        if let Some(waiting) = steps.get_mut(place) {
            waiting.1 = step;
        }
    }
    (steps, publish)
}

/// What becomes of an item whose key an earlier item of the same batch has.
fn repeated(keys: &mut HashMap<Key, (Fingerprint, usize)>, draft: &Draft, index: usize) -> Option<Step> {
    let key = draft.key.as_ref()?;
    let fingerprint = Fingerprint::of(&draft.content, draft.lane);
    match keys.get(key) {
        Some((known, first)) if *known == fingerprint => Some(Step::Same(*first)),
        Some(_) => Some(Step::Done(Fate::Refused(Code::IdempotencyConflict.into()))),
        None => {
            keys.insert(key.clone(), (fingerprint, index));
            None
        }
    }
}

/// Publishes what was admitted, as one; the fate of each, in order.
async fn send(exchange: &Exchange, caller: &Caller, items: Vec<Item>) -> Vec<Fate> {
    let front = &exchange.front;
    let answers: Vec<_> = items.iter().map(|item| (item.answer.clone(), item.key.clone())).collect();
    if items.is_empty() {
        return Vec::new();
    }
    let verdicts = match front.publisher.publish(&caller.account, items).await {
        Ok(verdicts) => verdicts,
        Err(items) => {
            for item in items {
                accept::undo(front, item.claim).await;
            }
            return vec![Fate::Refused(Code::Overloaded.into()); answers.len()];
        }
    };
    let accepted = verdicts.iter().filter(|verdict| **verdict == Verdict::Accepted).count();
    front.meters.accepted(exchange.environment, accepted as u64);
    let fate = |((answer, key), verdict): ((FirstAnswer, Option<Key>), Verdict)| match verdict {
        Verdict::Accepted => Fate::Accepted(answer.id, answer.units),
        Verdict::Refused => Fate::Refused(Code::QueueUnavailable.into()),
        Verdict::Unknown => Fate::Unknown(unknown(&answer, key.as_ref())),
    };
    answers.into_iter().zip(verdicts).map(fate).collect()
}

fn fates(steps: Vec<(Option<Key>, Step)>, published: &[Fate]) -> Vec<(Option<Key>, Fate)> {
    let mut fates: Vec<(Option<Key>, Fate)> = Vec::with_capacity(steps.len());
    for (key, step) in steps {
        let fate = match step {
            Step::Done(fate) => Some(fate),
            Step::Asked => None,
            Step::Publish(place) => published.get(place).cloned(),
            Step::Same(first) => fates.get(first).map(|(_, fate)| fate.clone()),
        };
        fates.push((key, fate.unwrap_or_else(|| Fate::Unknown(Code::AcceptUnknown.into()))));
    }
    fates
}
