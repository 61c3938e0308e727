//! Whether rules hold: pure, from what was seen to what changes.
//!
//! What was raised is cleared only once it has been well for a while, and well means well below what raised it, so that what swings
//! about a limit calls once.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use naru_shared::{
    domain::{AlarmKind, AlarmRule, AlarmSubject, Event, EventKind, Timestamp, kinds},
    watch::{AlarmChange, Flow, FlowStep, LastCame, Oldest, Raised, STEP_MS},
};
use serde_json::{Value, json};

/// What was seen.
pub(super) struct Seen {
    pub(super) now: Timestamp,
    /// Since when somebody has looked without a gap.
    pub(super) since: Timestamp,
    pub(super) oldest: Vec<Oldest>,
    pub(super) flow: Vec<FlowStep>,
    pub(super) came: Vec<LastCame>,
}

/// How a rule stands to one thing.
struct Found {
    over: bool,
    calm: bool,
    /// What was seen, for the event.
    value: Value,
}

/// What came and ended is counted together for so long.
const STEP: Duration = Duration::from_millis(STEP_MS.unsigned_abs());

/// Of a limit, what is left well below it.
const WELL: f64 = 0.8;

/// What changes.
pub(super) fn changes(rules: &[AlarmRule], seen: &Seen, raised: &[Raised]) -> Vec<AlarmChange> {
    let mut changes = Vec::new();
    let mut known = BTreeSet::new();
    for rule in rules.iter().filter(|rule| !rule.off) {
        let found = look(rule, seen);
        for one in raised.iter().filter(|one| one.alarm == rule.name.as_str()) {
            known.insert((&one.alarm, &one.subject));
            let subject = found.iter().find(|(subject, _)| subject.to_string() == one.subject);
            changes.extend(go_on(rule, subject.map(|(_, found)| found), one, seen.now));
        }
        for (subject, found) in found.iter().filter(|(_, found)| found.over) {
            let (alarm, text) = (rule.name.to_string(), subject.to_string());
            if !raised.iter().any(|one| one.alarm == alarm && one.subject == text) {
                changes.push(raise(rule, subject, found, seen.now));
            }
        }
    }
    // Whose rule is gone, or is switched off.
    let gone = raised.iter().filter(|one| !known.contains(&(&one.alarm, &one.subject)));
    changes.extend(gone.map(|one| clear(one, None, seen.now)));
    changes
}

fn look(rule: &AlarmRule, seen: &Seen) -> BTreeMap<AlarmSubject, Found> {
    match rule.kind {
        AlarmKind::OldestAge => oldest(rule, seen),
        AlarmKind::FailureRatio => failures(rule, seen),
        AlarmKind::NoTraffic => silence(rule, seen),
    }
}

fn oldest(rule: &AlarmRule, seen: &Seen) -> BTreeMap<AlarmSubject, Found> {
    let mut ages: BTreeMap<AlarmSubject, Duration> = BTreeMap::new();
    for one in seen.oldest.iter().filter(|one| rule.lane.is_none_or(|lane| lane == one.lane)) {
        if let Some(subject) = rule.subject(&one.route, &one.customer) {
            let age = ages.entry(subject).or_default();
            *age = (*age).max(seen.now.since(one.since));
        }
    }
    let found = |age: Duration| Found {
        over: age > rule.over(),
        calm: age <= rule.over().mul_f64(WELL),
        value: json!({ "oldest_seconds": age.as_secs() }),
    };
    ages.into_iter().map(|(subject, age)| (subject, found(age))).collect()
}

fn failures(rule: &AlarmRule, seen: &Seen) -> BTreeMap<AlarmSubject, Found> {
    // Of a step that has only partly gone by all is counted.
    let from = seen.now.minus(rule.over()).minus(STEP);
    let mut sums: BTreeMap<AlarmSubject, Flow> = BTreeMap::new();
    for step in seen.flow.iter().filter(|step| step.at > from) {
        if let Some(subject) = rule.subject(&step.route, &step.customer) {
            sums.entry(subject).or_default().add(&step.flow);
        }
    }
    let limit = f64::from(rule.percent) / 100.0;
    let found = |flow: Flow| {
        #[expect(clippy::cast_precision_loss, reason = "a count of messages is far below 2^52")]
        let share = flow.failed as f64 / flow.outcomes().max(1) as f64;
        let enough = flow.outcomes() >= rule.least;
        Found {
            over: enough && share >= limit,
            calm: !enough || share < limit * WELL,
            value: json!({ "failed": flow.failed, "outcomes": flow.outcomes() }),
        }
    };
    sums.into_iter().map(|(subject, flow)| (subject, found(flow))).collect()
}

/// A silence is counted from when something last came; at the earliest from when the rule was set, and from when somebody began to look:
/// while nobody worked, what came was not seen.
fn silence(rule: &AlarmRule, seen: &Seen) -> BTreeMap<AlarmSubject, Found> {
    let subject = AlarmSubject { route: rule.route.clone(), customer: rule.customer.clone() };
    let of = |one: &&LastCame| rule.subject(&one.route, &one.customer).is_some();
    let last = seen.came.iter().filter(of).map(|one| one.at).max();
    let from = last.unwrap_or_default().max(rule.set_at).max(seen.since);
    let silent = seen.now.since(from);
    let over = silent > rule.over();
    let value = json!({ "silent_seconds": silent.as_secs(), "last_at": last });
    BTreeMap::from([(subject, Found { over, calm: !over, value })])
}

fn raise(rule: &AlarmRule, subject: &AlarmSubject, found: &Found, now: Timestamp) -> AlarmChange {
    let mut data = json!({
        "alarm": rule.name,
        "kind": rule.kind,
        "subject": subject.to_string(),
        "lane": rule.lane,
        "over_seconds": rule.over().as_secs(),
        "raised_at": now,
        "seen": found.value,
    });
    if let Some(object) = data.as_object_mut() {
        object.extend(subject.route.iter().map(|route| ("route".to_owned(), json!(route))));
        object.extend(subject.customer.iter().map(|customer| ("customer".to_owned(), json!(customer))));
        if rule.kind == AlarmKind::FailureRatio {
            object.insert("percent".to_owned(), json!(rule.percent));
            object.insert("least".to_owned(), json!(rule.least));
        }
    }
    let raised = Raised {
        alarm: rule.name.to_string(),
        subject: subject.to_string(),
        raised_at: now,
        calm_since: None,
        data: data.clone(),
    };
    let event = event(&raised, kinds::ALARM_RAISED, data, now);
    AlarmChange::Raise(raised, event)
}

/// What becomes of one that is raised.
fn go_on(rule: &AlarmRule, found: Option<&Found>, raised: &Raised, now: Timestamp) -> Option<AlarmChange> {
    let is_calm = found.is_none_or(|found| found.calm);
    match raised.calm_since {
        None if is_calm => Some(AlarmChange::Calm(raised.clone(), Some(now))),
        Some(_) if !is_calm => Some(AlarmChange::Calm(raised.clone(), None)),
        Some(since) if now.since(since) >= rule.calm() => Some(clear(raised, found, now)),
        _ => None,
    }
}

fn clear(raised: &Raised, found: Option<&Found>, now: Timestamp) -> AlarmChange {
    let mut data = raised.data.clone();
    if let Some(object) = data.as_object_mut() {
        object.insert("cleared_at".to_owned(), json!(now));
        object.insert("seen".to_owned(), found.map_or(Value::Null, |found| found.value.clone()));
    }
    AlarmChange::Clear(raised.clone(), event(raised, kinds::ALARM_CLEARED, data, now))
}

/// The same id for the same change of the same alarm, whoever saw it.
fn event(raised: &Raised, kind: EventKind, data: Value, now: Timestamp) -> Event {
    let word = if kind == kinds::ALARM_RAISED { "raised" } else { "cleared" };
    let subject = format!("alarm/{}", raised.alarm);
    let id = format!("alarm_{}_{}_{}_{word}", raised.alarm, raised.subject, raised.raised_at.as_millis());
    Event::uncounted(id, &subject, kind, now, data)
}

#[cfg(test)]
mod tests;
