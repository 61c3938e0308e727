//! Who used how much CPU: Naru's processes and the engines', each with all below it.

use std::collections::BTreeMap;

use super::{
    super::{cpu, stage::per_1000},
    site::{Parts, Site},
};

/// Nanoseconds of CPU by name, from one moment to another.
#[derive(Debug, Clone, Default)]
pub(super) struct Spent(BTreeMap<String, u64>);

/// The counters at a moment.
pub(super) struct Counters(BTreeMap<String, u64>);

impl Counters {
    /// Of the engines and these processes.
    pub(super) fn read(site: &Site, parts: &Parts) -> Self {
        let own = parts.pids.iter().map(|(name, pid)| (name.clone(), cpu::nanos_of(*pid)));
        let engines = [
            ("PostgreSQL", site.deployment.postgres.pid()),
            (site.deployment.carrier.name(), site.deployment.carrier.pid()),
            ("Redis", site.deployment.redis.pid()),
        ];
        let engines = engines.map(|(name, pid)| (name.to_owned(), pid.map_or(0, cpu::nanos_of_tree)));
        Self(own.chain(engines).collect())
    }

    /// What was used since.
    pub(super) fn until(&self, later: &Self) -> Spent {
        let used = |name: &String, now: u64| now.saturating_sub(self.0.get(name).copied().unwrap_or(0));
        Spent(later.0.iter().map(|(name, now)| (name.clone(), used(name, *now))).collect())
    }
}

impl Spent {
    /// CPU seconds for 1,000 of so many messages, all together.
    pub(super) fn per_1000(&self, messages: u64) -> f64 {
        per_1000(self.0.values().sum(), messages)
    }

    /// The same by process.
    pub(super) fn list(&self, messages: u64) -> String {
        let one = |(name, nanos): (&String, &u64)| format!("{name} {:.3}", per_1000(*nanos, messages));
        self.0.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}
