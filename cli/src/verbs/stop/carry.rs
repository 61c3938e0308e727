//! How a rule is carried out, and how it ends: in small steps, each of which can be the last of this command.

use std::{collections::BTreeMap, time::Duration};

use naru_shared::{
    domain::IncarnationId,
    ledger::{Ledger, LedgerError, LedgerMends, StopEnd, StopRule},
    ports::DeskPorts,
};
use tokio::time::{Instant, sleep};

use crate::{desk::Desk, exit::Failure};

/// Messages of one step.
const STEP: usize = 1_000;

/// Between two looks at what is still under way.
const LOOK: Duration = Duration::from_millis(50);

/// Before a step that failed is taken again.
const AGAIN: Duration = Duration::from_millis(500);

/// How long changes that were under way are waited for; each of them is bounded, but others may share the server.
const PATIENCE: Duration = Duration::from_secs(60);

/// Stops what matches, and returns when every attempt that began before has ended or is lost.
pub(super) async fn out(desk: &Desk, rule: &StopRule, wait: u64) -> anyhow::Result<()> {
    let DeskPorts { mends, ledger, .. } = desk.ledger()?;
    let deadline = Instant::now() + Duration::from_secs(wait);
    settle(mends.as_ref()).await?;
    patiently(|| mends.note_flights(rule.number)).await?;
    sweep(desk, mends.as_ref(), rule.number).await?;
    patiently(|| mends.note_flights(rule.number)).await?;
    patiently(|| mends.stand(rule.number)).await?;
    let lease = Duration::from_millis(desk.config.workers.lease_ms);
    let mut pulse = Pulse::new(lease);
    let lost = loop {
        let flights = patiently(|| mends.flights(rule.number)).await?;
        pulse.feel(ledger.as_ref()).await?;
        let (lost, flying): (Vec<_>, Vec<_>) = flights.into_iter().partition(|(id, _)| pulse.is_dead(*id));
        if flying.is_empty() {
            break lost.iter().map(|(_, messages)| messages).sum();
        }
        if Instant::now() >= deadline {
            let flying: u64 = flying.iter().map(|(_, messages)| messages).sum();
            let told = format!(
                "rule {} is in force, but {flying} attempts that began before it are under way still: `naru stop resume {}` \
                 waits for them",
                rule.number, rule.number
            );
            return Err(Failure::Unavailable(told).into());
        }
        sleep(LOOK).await;
    };
    super::show::done(desk, rule.number, lost).await
}

/// Returns when every change that was under way has ended: what comes after knows what is in force now.
async fn settle(mends: &dyn LedgerMends) -> anyhow::Result<()> {
    let mark = patiently(|| mends.mark()).await?;
    let deadline = Instant::now() + PATIENCE;
    while !patiently(|| mends.is_past(mark)).await? {
        if Instant::now() >= deadline {
            let told = "a transaction on the server has been under way for more than a minute: the rule is in force, and it is not \
                        known whether everything knows it; run the same command again";
            return Err(Failure::Unavailable(told.to_owned()).into());
        }
        sleep(LOOK).await;
    }
    Ok(())
}

/// Stops what waits, until a walk from the beginning to the end finds nothing.
async fn sweep(desk: &Desk, mends: &dyn LedgerMends, number: i64) -> anyhow::Result<()> {
    loop {
        let (mut from, mut found) = (None, 0);
        loop {
            let swept = patiently(|| mends.sweep(number, from, STEP, desk.now())).await?;
            found += swept.found;
            from = swept.next;
            if from.is_none() {
                break;
            }
        }
        if found == 0 {
            return Ok(());
        }
    }
}

/// Ends a rule, and everything that it stopped goes the way that was decided.
pub(super) async fn end(desk: &Desk, number: i64, end: StopEnd) -> anyhow::Result<()> {
    let emit = desk.book()?.has_subscribers().await?;
    let mends = desk.hand().await?.mends;
    patiently(|| mends.stop_ends(number, end)).await?;
    settle(mends.as_ref()).await?;
    while patiently(|| mends.release(number, STEP, desk.now(), emit)).await? > 0 {}
    patiently(|| mends.stop_over(number, desk.now())).await
}

/// Takes a step, again for a while if the ledger does not answer or workers hold what it needs: each step may be the second of its kind.
pub(super) async fn patiently<T, F>(step: impl Fn() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Result<T, LedgerError>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        match step().await {
            Err(LedgerError::Unavailable(error)) if Instant::now() < deadline => {
                tracing::debug!(%error, "a step is taken again");
                sleep(AGAIN).await;
            }
            other => return Ok(other?),
        }
    }
}

/// Who lives, as far as beats tell: whoever does not beat for a whole lease is dead.
struct Pulse {
    lease: Duration,
    seen: BTreeMap<i64, (i64, Instant)>,
}

impl Pulse {
    const fn new(lease: Duration) -> Self {
        Self { lease, seen: BTreeMap::new() }
    }

    async fn feel(&mut self, ledger: &dyn Ledger) -> anyhow::Result<()> {
        let beats = patiently(|| ledger.incarnations()).await?;
        let now = Instant::now();
        for (id, beat) in beats {
            let known = self.seen.entry(id.as_i64()).or_insert((beat, now));
            if known.0 != beat {
                *known = (beat, now);
            }
        }
        Ok(())
    }

    fn is_dead(&self, id: IncarnationId) -> bool {
        self.seen.get(&id.as_i64()).is_some_and(|(_, since)| since.elapsed() > self.lease)
    }
}
