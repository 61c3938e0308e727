//! A route that is paused, sick or full gives way to the next: what waits there and certainly was not taken goes on.
//!
//! A message goes by the list of the route where it stands, and lists make no circle: it never comes back.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use naru_shared::{
    domain::Timestamp,
    ledger::{LedgerError, Reroute},
    metrics::REROUTED,
};

use super::{Desk, Pass};
use crate::{
    crew::Crew,
    patience::{self, rest, said},
    shell::{Progress, Routine},
};

/// A backend is sick once it takes nothing for so long.
const SICK: Duration = Duration::from_secs(5);

/// A route is full once it leaves something for so long; what waits longer than this goes on.
const FULL: Duration = Duration::from_secs(10);

/// How often it is looked, and how often where this process knows of nothing that waits.
const LOOK: Duration = Duration::from_secs(1);
const LOOK_IDLE: Duration = Duration::from_secs(5);

/// Rows in one transaction, and transactions in one turn.
const ROWS: usize = 250;
const ROUNDS: usize = 8;

/// Why a route gives way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Paused,
    Sick,
    Full,
}

impl Why {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Sick => "sick",
            Self::Full => "full",
        }
    }
}

/// The actor of detours.
pub(crate) fn routine(crew: &Arc<Crew>) -> Routine {
    let looking = Arc::clone(crew);
    Routine {
        name: "detour",
        of: String::new(),
        run: Box::new(move |progress| run(Arc::clone(&looking), progress).boxed()),
        watch: Box::new(|| ()),
        stuck: crew.config.stuck(),
        stop: crew.stop.clone(),
    }
}

async fn run(crew: Arc<Crew>, progress: Progress) {
    let mut looked: HashMap<_, Instant> = HashMap::new();
    while !crew.stop.is_cancelled() {
        for route in crew.routes() {
            progress.mark();
            let Some(desk) = crew.desk(&route) else { continue };
            let Some((why, to)) = way(&crew, &desk) else { continue };
            let fresh = looked.get(&route).is_some_and(|at| at.elapsed() < LOOK_IDLE);
            if fresh && !desk.backlog.is_known() {
                continue;
            }
            looked.insert(route, Instant::now());
            said("send messages by another route", give_way(&crew, &desk, why, &to, &progress).await);
        }
        rest(LOOK, &crew.stop).await;
    }
}

/// Whether a route gives way, and there is somewhere to go.
pub(crate) fn gives_way(crew: &Crew, desk: &Desk) -> bool {
    way(crew, desk).is_some()
}

/// Why a route gives way, and to which: the first in its list that takes messages.
fn way(crew: &Crew, desk: &Desk) -> Option<(Why, Arc<Desk>)> {
    let plan = desk.plan();
    if plan.route.fallback.is_empty() {
        return None;
    }
    let why = if plan.route.paused {
        Why::Paused
    } else if !plan.is_open() || desk.breaker.resting_for() >= SICK {
        Why::Sick
    } else if desk.load.full_for() >= FULL {
        Why::Full
    } else {
        return None;
    };
    let takes = |other: &Arc<Desk>| {
        let there = other.plan();
        there.is_open()
            && there.route.environment == plan.route.environment
            && other.name != desk.name
            && other.breaker.pass() == Pass::Free
            && other.load.full_for() < FULL
    };
    plan.route.fallback.iter().filter_map(|name| crew.desk(name)).find(takes).map(|to| (why, to))
}

/// Moves what waits: all of it, or, if the route is only full, what waits for long, and no more than the other has couriers for.
async fn give_way(
    crew: &Crew,
    desk: &Desk,
    why: Why,
    to: &Desk,
    progress: &Progress,
) -> Result<(), LedgerError> {
    let (rounds, accepted_by) = match why {
        Why::Full => (1, crew.now().minus(FULL)),
        Why::Paused | Why::Sick => (ROUNDS, Timestamp::MAX),
    };
    let mut moved = 0;
    for _ in 0..rounds {
        progress.mark();
        let max = if why == Why::Full { to.free().min(ROWS) } else { ROWS };
        if max == 0 || crew.stop.is_cancelled() {
            break;
        }
        let order = Reroute { from: desk.name.clone(), to: to.name.clone(), accepted_by, max };
        let gone = patience::ledger(crew.deps.ledger.reroute(order, crew.now())).await?;
        moved += gone;
        if gone > 0 {
            to.backlog.mark();
        }
        if gone < max {
            // What is left is in doubt, or in others' hands.
            if why != Why::Full {
                desk.backlog.clear(desk.backlog.marks());
            }
            break;
        }
    }
    if moved > 0 {
        let (from, to, why) = (desk.name.as_str(), to.name.as_str(), why.as_str());
        let count = u64::try_from(moved).unwrap_or(u64::MAX);
        REROUTED.of(&[("route", from), ("to", to), ("reason", why)]).increment(count);
        tracing::info!(from, to, why, messages = moved, "messages go by another route");
    }
    Ok(())
}
