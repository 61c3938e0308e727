//! The answer about one accepted message.

use naru_shared::{
    domain::{Key, MessageId, State, Timestamp, Units},
    gate::FirstAnswer,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    accept::Rehearsal,
    problem::{Code, Doubt, Problem},
};

/// What a `202` says.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(
    rename = "Accepted",
    description = "A message that will be sent, or whose report will say why not."
)]
pub struct Accepted<'a> {
    id: MessageId,
    reference: Option<&'a str>,
    status: State,
    units: Units,
    #[schemars(with = "naru_shared::domain::RouteName")]
    route: &'a str,
    accepted_at: Timestamp,
}

impl<'a> Accepted<'a> {
    /// The first answer, or the same again.
    pub fn of(answer: &'a FirstAnswer, reference: Option<&'a str>) -> Self {
        Self {
            id: answer.id,
            reference,
            status: State::Queued,
            units: answer.units,
            route: answer.route.as_str(),
            accepted_at: answer.accepted_at,
        }
    }
}

/// What a rehearsal says: there is no message, so it has neither id nor state.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(
    rename = "Rehearsed",
    description = "A message that would be accepted; nothing was sent, and there is no message."
)]
pub struct Rehearsed<'a> {
    dry_run: bool,
    reference: Option<&'a str>,
    units: Units,
    #[schemars(with = "naru_shared::domain::RouteName")]
    route: &'a str,
}

impl<'a> Rehearsed<'a> {
    /// What was found.
    pub fn of(rehearsal: &'a Rehearsal, reference: Option<&'a str>) -> Self {
        Self { dry_run: true, reference, units: rehearsal.units, route: rehearsal.route.as_str() }
    }
}

/// The refusal when the queue did not confirm: the message's id, and the key to try again with. For a call without a key
/// that is the id itself.
pub fn unknown(answer: &FirstAnswer, key: Option<&Key>) -> Problem {
    let id = answer.id.to_string();
    let key = key.map_or_else(|| id.clone(), |key| key.as_str().to_owned());
    Problem { doubt: Some(Box::new(Doubt { id, key })), ..Problem::from(Code::AcceptUnknown) }
}
