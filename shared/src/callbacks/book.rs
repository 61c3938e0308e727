//! What is decided about callbacks, for every engine.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{CallbackEnd, CallbackState, Fate, NewCallback, Put, Written};
use crate::domain::{Timestamp, WebhookId};

/// A webhook that was full has room again once fewer wait than this part of the bound.
const ROOM_AGAIN: (u64, u64) = (9, 10);

/// How a webhook fares, as the engines keep it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) waiting: u64,
    pub(super) given_up: u64,
    pub(super) not_kept: u64,
    pub(super) failing_since: Option<i64>,
    pub(super) full_since: Option<i64>,
    pub(super) last_at: Option<i64>,
    pub(super) last_answer: Option<String>,
}

/// The tallies of a call's webhooks, in the order in which they are locked.
pub(super) type Tallies = BTreeMap<String, Tally>;

/// The names of a call's webhooks, each once, in order.
pub(super) fn names<'a>(webhooks: impl Iterator<Item = &'a WebhookId>) -> Vec<String> {
    let mut names: Vec<String> = webhooks.map(ToString::to_string).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Decides which events are written; `known` holds those that wait already.
pub(super) fn admit(
    events: &[NewCallback],
    bound: u64,
    now: Timestamp,
    known: &HashSet<(String, String)>,
    tallies: &mut Tallies,
) -> Put {
    let mut put = Put::default();
    let mut seen: HashSet<(String, &str)> = HashSet::new();
    for event in events {
        let name = event.webhook.to_string();
        let there = known.contains(&(name.clone(), event.event.clone()));
        if there || !seen.insert((name.clone(), &event.event)) {
            put.written.push(Written::Known);
            continue;
        }
        let tally = tallies.entry(name).or_default();
        if tally.waiting < bound / ROOM_AGAIN.1 * ROOM_AGAIN.0 {
            tally.full_since = None;
        }
        if tally.waiting < bound {
            tally.waiting += 1;
            put.written.push(Written::New);
            continue;
        }
        tally.not_kept += 1;
        if tally.full_since.is_none() {
            tally.full_since = Some(now.as_millis());
            put.newly_full.push(event.webhook.clone());
        }
        put.written.push(Written::Full);
    }
    put
}

/// Tells the tallies how attempts ended; `applied` holds the rows that were forgotten or made due again by it. For each attempt,
/// since when its webhook has been failing.
pub(super) fn tell(
    ends: &[CallbackEnd],
    applied: &HashSet<i64>,
    now: Timestamp,
    tallies: &mut Tallies,
) -> Vec<Option<Timestamp>> {
    let mut since = HashMap::new();
    for end in ends {
        let name = end.webhook.to_string();
        let tally = tallies.entry(name.clone()).or_default();
        let is_applied = applied.contains(&end.row);
        match end.fate {
            Fate::Delivered => tally.failing_since = None,
            // Somebody else has it in hand, and will say more than this.
            _ if !is_applied => continue,
            Fate::Again(_) | Fate::GivenUp => {
                tally.failing_since.get_or_insert(now.as_millis());
            }
        }
        tally.last_at = Some(now.as_millis());
        tally.last_answer = Some(end.answer.clone());
        if is_applied && !matches!(end.fate, Fate::Again(_)) {
            tally.waiting = tally.waiting.saturating_sub(1);
        }
        if is_applied && end.fate == Fate::GivenUp {
            tally.given_up += 1;
        }
        since.insert(name, tally.failing_since);
    }
    let failing = |end: &CallbackEnd| since.get(&end.webhook.to_string()).copied().flatten();
    ends.iter().map(|end| failing(end).map(Timestamp::from_millis)).collect()
}

/// As it is told to who asks.
pub(super) fn state(webhook: WebhookId, tally: Tally) -> CallbackState {
    CallbackState {
        webhook,
        waiting: tally.waiting,
        given_up: tally.given_up,
        not_kept: tally.not_kept,
        failing_since: tally.failing_since.map(Timestamp::from_millis),
        last_at: tally.last_at.map(Timestamp::from_millis),
        last_answer: tally.last_answer,
    }
}
