//! The rules there are, as of the registry's version: those of record, and the standard ones whose names no rule of record has.

use naru_shared::{
    catalog::{Entry, Kind},
    domain::AlarmRule,
};

use crate::crew::Crew;

/// Rules in all: each is held against everything that waits.
const RULES: usize = 1_000;

/// See the module.
#[derive(Default)]
pub(super) struct Rules(Option<(u64, Vec<AlarmRule>)>);

impl Rules {
    /// The rules in force; what was known before if the catalog does not answer, and nothing if there was nothing.
    pub(super) async fn current(&mut self, crew: &Crew) -> Option<&[AlarmRule]> {
        let version = crew.deps.registry.version();
        if self.0.as_ref().is_none_or(|(of, _)| *of != version) {
            match crew.deps.catalog.list(Kind::Alarm, "", "", RULES).await {
                Ok(entries) => self.0 = Some((version, in_force(entries))),
                Err(error) => tracing::debug!(%error, "the rules of alarms are read again"),
            }
        }
        self.0.as_ref().map(|(_, rules)| rules.as_slice())
    }
}

fn in_force(entries: Vec<Entry>) -> Vec<AlarmRule> {
    let of_record =
        entries.into_iter().filter_map(|e| if let Entry::Alarm(rule) = e { Some(rule) } else { None });
    let mut rules: Vec<AlarmRule> = of_record.collect();
    for rule in AlarmRule::standard() {
        if rules.iter().all(|other| other.name != rule.name) {
            rules.push(rule);
        }
    }
    rules
}
