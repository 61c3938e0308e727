//! Recovers what dead workers held: rows that are `sending` in the name of an incarnation that was not heard for a lease.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use naru_shared::{
    domain::{Facts, IncarnationId, OnUncertain, Outcome, next_state},
    ledger::{LedgerError, Settled, Settlement, Work},
    metrics,
};

use crate::{crew::Crew, outcome, patience, shell::Progress};

/// Rows settled together.
const ROWS: usize = 256;

/// Looks in a lease, and the shortest and the longest pause between them.
const LOOKS_IN_LEASE: u32 = 10;
const PACE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3));

/// How long each incarnation has been silent, by this process's monotonic clock, counting only time between two answers of the
/// ledger.
pub(super) struct Watch {
    lease: Duration,
    last: Option<Instant>,
    heard: HashMap<IncarnationId, (i64, Duration)>,
}

impl Watch {
    pub(super) fn new(lease: Duration) -> Self {
        Self { lease, last: None, heard: HashMap::new() }
    }

    /// How often to look.
    pub(super) fn pace(&self) -> Duration {
        (self.lease / LOOKS_IN_LEASE).clamp(PACE.0, PACE.1)
    }

    /// The ledger did not answer: the time until it does counts for nobody.
    fn unanswered(&mut self) {
        self.last = None;
    }

    /// The ledger answered: the incarnations that have been silent for a lease.
    fn answered(&mut self, beats: &[(IncarnationId, i64)], now: Instant) -> Vec<IncarnationId> {
        // No more silence is believed between two looks: a process that was itself stopped has seen nothing meanwhile.
        let believed = self.pace() * 2;
        let passed =
            self.last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last)).min(believed);
        self.last = Some(now);
        let before = std::mem::take(&mut self.heard);
        for (incarnation, beat) in beats {
            let silence = match before.get(incarnation) {
                Some((last, silence)) if last == beat => *silence + passed,
                _ => Duration::ZERO,
            };
            self.heard.insert(*incarnation, (*beat, silence));
        }
        let silent = self.heard.iter().filter(|(_, (_, silence))| *silence >= self.lease);
        silent.map(|(incarnation, _)| *incarnation).collect()
    }
}

/// Buries the dead; whether there was anybody else, dead or alive.
pub(super) async fn recover(
    crew: &Arc<Crew>,
    watch: &mut Watch,
    progress: &Progress,
) -> Result<bool, LedgerError> {
    let beats = match patience::ledger(crew.deps.ledger.incarnations()).await {
        Ok(beats) => beats,
        Err(error) => {
            watch.unanswered();
            return Err(error);
        }
    };
    let silent = watch.answered(&beats, Instant::now());
    let own = crew.incarnations.all();
    let alive = beats.iter().filter(|(name, _)| !own.contains(name) && !silent.contains(name)).count();
    crew.share_with(if crew.deps.exclusive { 0 } else { alive });
    let mut others = false;
    for (incarnation, _) in beats {
        if own.contains(&incarnation) {
            continue;
        }
        others = true;
        if crew.deps.exclusive || silent.contains(&incarnation) {
            bury(crew, incarnation, progress).await?;
        }
    }
    Ok(others)
}

/// Settles what a dead incarnation held, and forgets it.
async fn bury(crew: &Arc<Crew>, incarnation: IncarnationId, progress: &Progress) -> Result<(), LedgerError> {
    loop {
        progress.mark();
        let lost = patience::ledger(crew.deps.ledger.lost(incarnation, ROWS)).await?;
        if lost.is_empty() {
            patience::ledger(crew.deps.ledger.bury(incarnation)).await?;
            return Ok(());
        }
        let mut batch = Vec::with_capacity(lost.len());
        for work in &lost {
            batch.push(uncertain(crew, work).await);
            metrics::RECOVERED.of(&[("route", work.route.as_str())]).increment(1);
        }
        tracing::warn!(
            rows = lost.len(),
            "rows of a dead worker are settled as uncertain, by the policy of their routes"
        );
        let settled = outcome::settle(crew, &batch).await?;
        outcome::count(&settled);
        if !settled.contains(&Some(Settled::Applied)) {
            return Ok(()); // Nothing moved: another is at it, or these rows cannot be stored. The next turn looks again.
        }
    }
}

async fn uncertain(crew: &Arc<Crew>, work: &Work) -> Settlement {
    let route = crew.deps.registry.route(&work.route).await.ok().flatten();
    let facts = Facts {
        attempt: work.tries(),
        now: crew.now(),
        life: work.life(),
        possible_duplicate: work.possible_duplicate,
        on_uncertain: route.as_ref().map_or(OnUncertain::Hold, |route| route.on_uncertain),
        idempotent: route.as_ref().is_some_and(|route| route.idempotent),
        max_attempts: route.as_ref().map_or(1, |route| route.max_attempts),
        jitter: fastrand::f64(),
        hold_back: Duration::ZERO,
        report_window: Duration::ZERO,
    };
    let outcome = Outcome::Uncertain { detail: "its worker ended during the attempt".to_owned() };
    Settlement { row: work.row, attempt: work.attempt, next: next_state(outcome, &facts) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(30);
    const TICK: Duration = Duration::from_secs(1);

    #[test]
    fn only_a_full_lease_of_silence_is_death() {
        let (alive, dead) = (IncarnationId::from_i64(1), IncarnationId::from_i64(2));
        let mut watch = Watch::new(LEASE);
        let start = Instant::now();
        for tick in 0..30 {
            assert_eq!(watch.answered(&[(alive, tick), (dead, 7)], start + TICK * tick as u32), []);
        }
        assert_eq!(watch.answered(&[(alive, 30), (dead, 7)], start + TICK * 30), [dead]);
        assert_eq!(watch.answered(&[(alive, 31), (dead, 8)], start + TICK * 31), [], "it beats again");
    }

    #[test]
    fn time_without_answers_counts_for_nobody() {
        let one = IncarnationId::from_i64(1);
        let mut watch = Watch::new(LEASE);
        let start = Instant::now();
        assert_eq!(watch.answered(&[(one, 1)], start), []);
        watch.unanswered();
        assert_eq!(watch.answered(&[(one, 1)], start + LEASE * 2), []);
        assert_eq!(
            watch.answered(&[(one, 1)], start + LEASE * 4),
            [],
            "a look that came late believes little"
        );
    }
}
