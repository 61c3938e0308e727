//! Couriers: the attempts of a route.
//!
//! A route has one [`Desk`]: its plan, its permits, and the table of rows that are held. Intake starts messages at it while
//! it has free permits and no backlog; the [`feeder`] takes what waits in the ledger. A row stays in the table, with its
//! permit, until its outcome has committed.

mod actor;
mod attachments;
pub(crate) mod attempt;
mod backlog;
mod breaker;
mod budget;
mod detour;
mod feeder;
mod held;
mod load;
mod pacer;
mod permits;
mod share;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

pub(crate) use actor::routine;
use arc_swap::ArcSwap;
pub use attachments::Attachment;
pub(crate) use attachments::Attachments;
use backlog::Backlog;
pub(crate) use breaker::Pass;
use breaker::{Breaker, Turn};
use budget::Budget;
pub(crate) use detour::{gives_way, routine as detour};
pub(crate) use held::Table;
use load::Load;
use metrics::{Counter, Gauge, Histogram};
use naru_shared::{
    domain::{CustomerId, OnUncertain, Outcome, Route, RouteName, kinds},
    ledger::Work,
};
use pacer::Pacer;
pub(crate) use permits::Permit;
use permits::Permits;
use serde_json::json;
use share::{Couriers, Held, Standing};

use crate::{
    backend::Backend,
    crew::Crew,
    herald::{Herald, Sign},
};

/// What a backend may take beyond the attempt's own time before it is given up.
const GRACE: Duration = Duration::from_secs(1);

/// How often it is looked whether it is known by now how many workers share a route's rate.
const UNKNOWN_PEERS: Duration = Duration::from_millis(100);

/// A route as it stands, and its backend, if its settings make one.
pub(crate) struct Plan {
    pub(crate) route: Arc<Route>,
    pub(crate) backend: Option<Arc<dyn Backend>>,
}

impl Plan {
    /// The hard bound of an attempt.
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_millis(u64::from(self.route.attempt_timeout_ms)) + GRACE
    }

    /// Whether reports come without being asked for.
    pub(crate) fn tells_by_itself(&self) -> bool {
        self.backend.as_ref().is_some_and(|backend| backend.reports().is_some())
    }

    /// Whether a report may be asked for.
    pub(crate) fn can_be_asked(&self) -> bool {
        self.backend.as_ref().is_some_and(|backend| backend.can_be_asked())
    }

    /// How long a report is waited for: as the route says, else the channel.
    pub(crate) fn report_window(&self, crew: &Crew, work: &Work) -> Duration {
        self.route
            .reports
            .window()
            .unwrap_or_else(|| crew.config.report_window(&work.message.content.channel))
    }

    /// Whether attempts may begin at all.
    pub(crate) fn is_open(&self) -> bool {
        !self.route.paused && self.backend.is_some()
    }
}

/// See the module.
pub(crate) struct Desk {
    pub(crate) name: RouteName,
    plan: ArcSwap<Plan>,
    pub(crate) permits: Arc<Permits>,
    pub(crate) table: Table,
    pub(crate) backlog: Backlog,
    pub(crate) breaker: Breaker,
    budget: Budget,
    pacer: Arc<Pacer>,
    peers: Arc<AtomicU32>,
    pub(crate) load: Load,
    held: Arc<Held>,
    /// Somebody was left to wait who has its share of the couriers.
    behind: AtomicBool,
    meters: Meters,
}

struct Meters {
    under_way: Gauge,
    resting: Gauge,
    seconds: Histogram,
    held_back: Counter,
    outcomes: [Counter; 6],
}

/// The outcomes of attempts, as labels.
const OUTCOMES: [&str; 6] = ["delivered", "sent", "not-taken", "failed", "uncertain", "lost"];

const fn index(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Delivered { .. } => 0,
        Outcome::Sent { .. } => 1,
        Outcome::NotTaken { .. } => 2,
        Outcome::Failed { .. } => 3,
        Outcome::Uncertain { .. } => 4,
        Outcome::Lost { .. } => 5,
    }
}

impl Meters {
    fn new(route: &str) -> Self {
        use naru_shared::metrics::{
            ATTEMPT_SECONDS, ATTEMPTS, ATTEMPTS_UNDER_WAY, RETRIES_HELD_BACK, ROUTE_RESTING,
        };
        Self {
            under_way: ATTEMPTS_UNDER_WAY.of(&[("route", route)]),
            resting: ROUTE_RESTING.of(&[("route", route)]),
            seconds: ATTEMPT_SECONDS.of(&[("route", route)]),
            held_back: RETRIES_HELD_BACK.of(&[("route", route)]),
            outcomes: OUTCOMES.map(|outcome| ATTEMPTS.of(&[("route", route), ("outcome", outcome)])),
        }
    }
}

impl Desk {
    /// `peers`: how many workers share the route's rate, this process among them; 0: not known yet.
    pub(crate) fn new(plan: Plan, breaker_failures: u32, peers: Arc<AtomicU32>) -> Self {
        let name = plan.route.name.clone();
        Self {
            meters: Meters::new(name.as_str()),
            name,
            plan: ArcSwap::from_pointee(plan),
            permits: Arc::default(),
            table: Table::default(),
            backlog: Backlog::default(),
            breaker: Breaker::new(breaker_failures),
            budget: Budget::default(),
            pacer: Arc::default(),
            peers,
            load: Load::default(),
            held: Arc::default(),
            behind: AtomicBool::new(false),
        }
    }

    pub(crate) fn plan(&self) -> Arc<Plan> {
        self.plan.load_full()
    }

    /// The route changed: the next attempt goes by the new plan.
    pub(crate) fn change(&self, plan: Plan) {
        self.plan.store(Arc::new(plan));
        self.permits.wake();
    }

    /// Whether at least as many permits are free as are out.
    pub(crate) fn is_half_free(&self) -> bool {
        self.permits.out() <= self.limit() / 2
    }

    fn limit(&self) -> usize {
        usize::try_from(self.plan.load().route.concurrency).unwrap_or(usize::MAX)
    }

    /// How the couriers are shared out, now that so many more are to be filled.
    pub(crate) fn standing(&self, permits: usize) -> Standing {
        self.held.standing(self.couriers(self.permits.out().saturating_sub(permits)), permits)
    }

    fn couriers(&self, out: usize) -> Couriers {
        Couriers { all: self.limit(), out, longest: self.plan.load().limit() }
    }

    /// Whether somebody is left to wait who has its share of the couriers.
    pub(crate) fn leave_behind(&self, behind: bool) {
        self.behind.store(behind, Ordering::Release);
    }

    pub(crate) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Acquire)
    }

    /// Attempts that begin in a second over all workers, as far as this one can tell: it is as full as they are.
    pub(crate) fn per_second(&self) -> Option<f64> {
        let peers = self.peers.load(Ordering::Relaxed);
        self.load.per_second().filter(|_| peers > 0).map(|rate| rate * f64::from(peers))
    }

    /// How many more attempts could be under way in this process.
    pub(crate) fn free(&self) -> usize {
        self.limit().saturating_sub(self.permits.out())
    }

    /// Takes a permit, if one is free, and the attempt's turn is soon where the route's rate is capped.
    pub(crate) fn permit(&self) -> Option<Permit> {
        let plan = self.plan.load();
        let limit = usize::try_from(plan.route.concurrency).unwrap_or(usize::MAX);
        let Some(rate) = plan.route.pacing.per_second else { return Permit::take(&self.permits, limit) };
        let promise = self.pacer.promise(self.gap(rate.get())?, Instant::now())?;
        Permit::take(&self.permits, limit).map(|permit| permit.with(promise))
    }

    /// What lies between two attempts of this process: workers share a route's rate by halves, thirds and so on. None while
    /// it is not known how many they are.
    fn gap(&self, per_second: u32) -> Option<Duration> {
        let peers = self.peers.load(Ordering::Relaxed);
        (peers > 0).then(|| Duration::from_secs(u64::from(peers)) / per_second)
    }

    /// How long no attempt may be taken because of the route's rate.
    fn paced_for(&self) -> Duration {
        let Some(rate) = self.plan.load().route.pacing.per_second else { return Duration::ZERO };
        let gap = self.gap(rate.get());
        gap.map_or(UNKNOWN_PEERS, |gap| self.pacer.opens_in(gap, Instant::now()))
    }

    /// Returns when an attempt has its turn: at once where the route's rate is not capped.
    async fn turn(&self, key: held::Key) {
        let Some(rate) = self.plan.load().route.pacing.per_second else { return };
        if let (Some(promise), Some(gap)) = (self.table.promise(key), self.gap(rate.get())) {
            let at = promise.turn(gap, Instant::now());
            tokio::time::sleep_until(at.into()).await;
        }
    }

    /// How much later than its own time the next attempt is: what exceeds the route's retry budget waits.
    fn held_back(&self, outcome: &Outcome) -> Duration {
        let route = &self.plan.load().route;
        let again = match outcome {
            Outcome::NotTaken { .. } => true,
            Outcome::Uncertain { .. } => route.idempotent || route.on_uncertain == OnUncertain::Retry,
            _ => false,
        };
        let wait = if again { self.budget.retry() } else { Duration::ZERO };
        if !wait.is_zero() {
            self.meters.held_back.increment(1);
        }
        wait
    }

    /// Takes a permit for a message that has not waited, if attempts go on and nothing waits before it, or only little for which
    /// as many permits are left: else a stream of messages would for ever begin behind the few that once had to wait. Whoever has
    /// its share of the couriers waits its turn if anything waits.
    pub(crate) fn permit_at_once(&self, customer: &CustomerId) -> Option<Permit> {
        let waits = self.backlog.is_known();
        let first = !waits || (!self.backlog.is_long() && self.is_half_free());
        if !first || self.breaker.pass() != Pass::Free || !self.plan.load().is_open() {
            return None;
        }
        let permit = self.permit()?;
        let couriers = self.couriers(self.permits.out());
        let begins = self.held.begin_at_once(customer, couriers, waits || self.is_behind());
        begins.then(|| permit.of(&self.held, customer))
    }

    /// A permit that was taken before it was known for whom.
    fn given_to(&self, permit: Permit, customer: &CustomerId) -> Permit {
        if permit.is_owned() {
            return permit;
        }
        self.held.begin(customer, self.limit());
        permit.of(&self.held, customer)
    }

    /// Counts an attempt that ended before anything was said to the backend: it tells nothing of the backend.
    fn count_unsent(&self, outcome: &Outcome) {
        self.meters.outcomes[index(outcome)].increment(1);
    }

    fn count(&self, herald: &Herald, outcome: &Outcome, took: Duration) {
        self.meters.outcomes[index(outcome)].increment(1);
        self.meters.seconds.record(took);
        self.held.took(took);
        let well = match outcome {
            Outcome::Delivered { .. }
            | Outcome::Sent { .. }
            | Outcome::Failed { .. }
            | Outcome::Lost { .. } => true,
            Outcome::NotTaken { .. } | Outcome::Uncertain { .. } => false,
        };
        let route = self.name.as_str();
        let tell = |kind| {
            herald.tell(Sign { kind, subject: format!("route/{route}"), data: json!({ "route": route }) });
        };
        let asked = if let Outcome::NotTaken { retry_after, .. } = outcome { *retry_after } else { None };
        match self.breaker.count(well, asked, took) {
            Some(Turn::Rests { pause, anew }) => {
                let pause_ms = pause.as_millis();
                tracing::warn!(route, pause_ms, "attempts pause: the backend does not take messages");
                if anew {
                    tell(kinds::RESTING);
                }
            }
            Some(Turn::Recovers) => {
                tracing::info!(route, "attempts go on: the backend takes messages again");
                tell(kinds::RECOVERED);
            }
            None => {}
        }
    }

    /// Shows how the desk stands.
    pub(crate) fn gauge(&self) {
        #[expect(clippy::cast_precision_loss, reason = "a count of attempts is far below 2^52")]
        self.meters.under_way.set(self.table.len() as f64);
        self.meters.resting.set(if self.breaker.pass() == Pass::Free { 0.0 } else { 1.0 });
    }
}

/// Begins the attempts of rows that are `sending` in this process's name; rows whose attempt must not begin now go back.
pub(crate) fn start(crew: &Arc<Crew>, desk: &Arc<Desk>, work: Vec<(Work, Permit)>) {
    if work.is_empty() {
        return;
    }
    let goes = !crew.stop.is_cancelled() && desk.plan().is_open() && crew.is_trusted();
    let mut back = Vec::new();
    if goes {
        desk.load.begin(work.len());
    }
    for (work, permit) in work {
        let permit = desk.given_to(permit, &work.account.customer);
        if goes {
            let task = attempt::run(Arc::clone(crew), Arc::clone(desk), work.clone());
            desk.table.hold(work, permit);
            drop(crew.deps.runtime.spawn(task));
        } else {
            back.push((work.row, work.attempt));
            desk.table.hold_idle(work, permit);
        }
    }
    if !back.is_empty() {
        desk.backlog.mark();
        crew.deps.runtime.spawn(attempt::give_back(Arc::clone(crew), Arc::clone(desk), back));
    }
    desk.gauge();
}
