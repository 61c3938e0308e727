//! What is recorded of an operator's acts on messages: counts and ids, never whom they were for nor what customers wrote.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Erased, Erasure, OptOut, Redrive, Redriven, Resolution, StopEnd, StopPhase, StopRule};
use crate::{
    audit::Act,
    domain::{EventKind, MessageId, kinds},
};

/// Ids that one record names; of more it holds the number.
const NAMED: usize = 100;

/// Characters of a person's reason.
const REASON: usize = 256;

fn named(ids: &[MessageId]) -> Vec<String> {
    ids.iter().take(NAMED).map(ToString::to_string).collect()
}

pub(super) fn ordered(rule: &StopRule) -> Act {
    let filter = &rule.order.filter;
    let reason: Option<String> = rule.order.reason.as_ref().map(|text| text.chars().take(REASON).collect());
    let detail = json!({
        "customer": filter.customer,
        "route": filter.route,
        "channel": filter.channel,
        "lane": filter.lane,
        // A customer's own word, which may say whom it is about.
        "by_reference": filter.reference.is_some(),
        "since": filter.since,
        "reason": reason,
    });
    Act::new(kinds::STOP_ORDERED.name, &format!("stop/{}", rule.number), detail)
}

pub(super) fn ended(number: i64, end: StopEnd, phase: Option<StopPhase>) -> Option<Act> {
    let kind: EventKind = match end {
        StopEnd::Undo => kinds::STOP_UNDONE,
        StopEnd::Commit => kinds::STOP_COMMITTED,
    };
    // Another end had been decided: nothing was done.
    (phase == Some(end.phase())).then(|| Act::new(kind.name, &format!("stop/{number}"), Value::Null))
}

pub(super) fn resolved(resolution: Resolution, decided: &[MessageId]) -> Option<Act> {
    let decision = match resolution {
        Resolution::Delivered => "delivered",
        Resolution::Failed => "failed",
        Resolution::Retry => "retry",
    };
    let detail = json!({ "decision": decision, "messages": decided.len(), "ids": named(decided) });
    (!decided.is_empty()).then(|| Act::new(kinds::RESOLVED.name, "held", detail))
}

pub(super) fn redriven(redrive: &Redrive, done: &[Redriven]) -> Option<Act> {
    let mut outcomes: BTreeMap<Redriven, usize> = BTreeMap::new();
    for outcome in done {
        *outcomes.entry(*outcome).or_default() += 1;
    }
    let changed = |outcome: &Redriven| matches!(outcome, Redriven::Ready | Redriven::Stopped);
    let sent: Vec<MessageId> =
        redrive.ids.iter().zip(done).filter(|(_, outcome)| changed(outcome)).map(|(id, _)| *id).collect();
    let counts: BTreeMap<String, usize> =
        outcomes.into_iter().map(|(outcome, count)| (plain(outcome), count)).collect();
    let detail = json!({ "messages": sent.len(), "outcomes": counts, "ids": named(&sent) });
    (!sent.is_empty()).then(|| Act::new(kinds::DEAD_REDRIVEN.name, "dead", detail))
}

fn plain(outcome: Redriven) -> String {
    serde_json::to_value(outcome).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A step of it: a large erasure is as many acts as it has steps that changed something.
pub(super) fn erased(erasure: &Erasure, done: &Erased) -> Option<Act> {
    let changed = done.erased + done.cancelled + done.told > 0 && !erasure.dry_run;
    let detail = json!({
        "customer": erasure.customer,
        "erased": done.erased,
        "cancelled": done.cancelled,
        "told": done.told,
    });
    changed.then(|| Act::new(kinds::RECIPIENT_ERASED.name, "recipient", detail))
}

/// Entries that were put on lists, or taken off them.
pub(super) fn listed(entries: &[OptOut], added: bool, changed: usize) -> Option<Act> {
    let mut lists: BTreeMap<String, usize> = BTreeMap::new();
    for entry in entries {
        *lists.entry(entry.scope().0.to_owned()).or_default() += 1;
    }
    let list = match lists.first_key_value() {
        Some((list, _)) if lists.len() == 1 => list.clone(),
        _ => "several".to_owned(),
    };
    let detail = json!({
        "change": if added { "added" } else { "removed" },
        "recipients": entries.len(),
        "changed": changed,
        "lists": lists.len(),
    });
    (changed > 0).then(|| Act::new(kinds::OPT_OUTS.name, &format!("opt-out/{list}"), detail))
}
