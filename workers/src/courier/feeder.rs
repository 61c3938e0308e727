//! Takes what waits in the ledger, as much as there are free permits for.

use std::{sync::Arc, time::Duration};

use naru_shared::{
    ledger::{LedgerError, PassedOver, Shares, TakeRequest, Taken},
    pace::Pace,
};

use super::{Desk, Pass, Permit, share::Standing, start};
use crate::{
    crew::Crew,
    patience::{self, Backoff, rest},
    shell::Progress,
};

/// While nothing comes, the ledger is asked ever less often, up to so many times `poll`: what this process records rings, so
/// only what others left is found so late.
const SELDOM: u32 = 4;

/// The shortest wait for a turn of the route's rate: those that come together are taken together.
const LEAST: Duration = Duration::from_millis(20);

/// Feeds a desk until the crew stops.
pub(super) async fn run(crew: Arc<Crew>, desk: Arc<Desk>, progress: Progress) {
    tokio::select! {
        () = crew.stop.cancelled() => return,
        () = crew.incarnations.alive() => {}
    }
    let poll = crew.config.poll();
    let mut backoff = Backoff::default();
    let mut pace = Pace::new(crew.deps.ledger.capabilities().pace);
    while !crew.stop.is_cancelled() {
        progress.mark();
        // Permits that come back meanwhile are filled by the same take; when most are free they wait no longer.
        if !desk.is_half_free() {
            pace.ready().await;
        }
        let permits = match room(&crew, &desk) {
            Room::Free(permits) => permits,
            Room::Full => {
                if desk.backlog.is_known() {
                    desk.load.is_full();
                }
                desk.permits.returned(poll).await;
                continue;
            }
            Room::Closed(wait) => {
                rest(wait.min(poll), &crew.stop).await;
                continue;
            }
        };
        let round = Round::begin(&crew, &desk, permits.len());
        pace.begin(permits.len());
        match feed(&crew, &desk, &round, permits).await {
            Ok(true) => backoff.reset(),
            Ok(false) => {
                backoff.reset();
                idle(&crew, &desk, &round, &progress).await;
            }
            Err(error) => {
                // It may have taken effect all the same.
                crew.suspect();
                if backoff.is_news() {
                    tracing::warn!(route = %desk.name, %error, "nothing can be taken from the ledger");
                }
                backoff.pause(&crew.stop).await;
            }
        }
    }
}

/// What one look at the ledger goes by.
struct Round {
    /// The registry's version, read before what follows from it.
    seen: u64,
    passed_over: PassedOver,
    shares: Shares,
}

impl Round {
    /// Who has its share of the couriers is passed over, unless more are free than are kept for others.
    fn begin(crew: &Crew, desk: &Desk, permits: usize) -> Self {
        let (seen, mut passed_over) = (crew.deps.registry.version(), crew.passed_over());
        let Standing { shares, full } = desk.standing(permits);
        let behind = shares.beyond == 0 && !full.is_empty();
        if behind {
            Arc::make_mut(&mut passed_over).extend(full);
        }
        desk.leave_behind(behind);
        Self { seen, passed_over, shares }
    }
}

/// Returns when there may be something to take: the ledger has something ready, something was left to wait, or customers
/// changed, of whom one may have been resumed.
async fn idle(crew: &Crew, desk: &Desk, round: &Round, progress: &Progress) {
    let mut ready = false;
    let seldom = (crew.config.poll() * SELDOM).min(crew.config.stuck() / 4);
    let mut wait = crew.config.poll().min(seldom);
    while !ready && !desk.backlog.is_known() {
        progress.mark();
        tokio::select! {
            () = crew.stop.cancelled() => return,
            () = crew.deps.registry.changed(round.seen) => return,
            now = crew.deps.ledger.await_ready(&desk.name, &round.passed_over, wait) => ready = now,
            // Whoever was left behind may go on.
            () = desk.permits.returned(wait), if desk.is_behind() => return,
        }
        wait = (wait * 2).min(seldom);
    }
}

enum Room {
    Free(Vec<Permit>),
    Full,
    Closed(Duration),
}

fn room(crew: &Crew, desk: &Desk) -> Room {
    let poll = crew.config.poll();
    if !desk.plan().is_open() || !crew.is_trusted() {
        desk.load.ease();
        return Room::Closed(poll.min(Duration::from_millis(250)));
    }
    let max = match desk.breaker.pass() {
        Pass::Free => crew.config.take_group,
        // The one probe is whatever is under way.
        Pass::Probe if desk.table.len() == 0 => 1,
        Pass::Probe => return Room::Full,
        Pass::Wait(span) => {
            desk.load.ease();
            return Room::Closed(span);
        }
    };
    let paced = desk.paced_for();
    if !paced.is_zero() {
        if desk.backlog.is_known() {
            desk.load.is_full();
        }
        return Room::Closed(paced.max(LEAST));
    }
    let permits: Vec<Permit> = std::iter::from_fn(|| desk.permit()).take(max).collect();
    if permits.is_empty() { Room::Full } else { Room::Free(permits) }
}

/// Takes and starts; whether there may be more at once.
async fn feed(
    crew: &Arc<Crew>,
    desk: &Arc<Desk>,
    round: &Round,
    permits: Vec<Permit>,
) -> Result<bool, LedgerError> {
    let marks = desk.backlog.marks();
    let in_transit = crew.transit.begin();
    let taken = take(crew, desk, round, permits.len()).await?;
    if taken.more {
        desk.backlog.is_left();
    } else {
        desk.backlog.clear(marks);
        if !desk.is_behind() {
            desk.load.ease();
        }
    }
    let found = taken.work.len();
    start(crew, desk, taken.work.into_iter().zip(permits).collect());
    drop(in_transit);
    Ok(taken.more || found > 0)
}

async fn take(crew: &Crew, desk: &Desk, round: &Round, max: usize) -> Result<Taken, LedgerError> {
    let request = TakeRequest {
        route: desk.name.clone(),
        incarnation: crew.incarnations.current(),
        max,
        now: crew.now(),
        emit: crew.emit(),
        weights: crew.weights(),
        passed_over: Arc::clone(&round.passed_over),
        shares: round.shares.clone(),
        quiet: crew.deps.registry.quiet(),
    };
    let taken = patience::ledger(crew.deps.ledger.take(request)).await?;
    if taken.expired > 0 {
        crew.count_expired(desk.name.as_str(), taken.expired);
    }
    Ok(taken)
}
