//! Follows the registry's routes: each has a desk, a courier and an intake for each lane, within a second.

use std::{sync::Arc, time::Duration};

use actix::{Actor, Addr};
use actix_rt::ArbiterHandle;
use futures_util::FutureExt;
use naru_shared::{
    domain::{Lane, Route},
    queue::QueueName,
};
use parking_lot::Mutex;

use crate::{
    collector,
    courier::{self, Desk, Plan},
    crew::Crew,
    herald::Herald,
    intake,
    patience::rest,
    shell::{Progress, Routine, Shell},
};

/// How often the routes are read even if no change was announced.
const LOOK: Duration = Duration::from_secs(1);

/// Where shells live, and the shells there are.
pub(crate) struct Quarters {
    arbiter: ArbiterHandle,
    runtime: tokio::runtime::Handle,
    herald: Arc<Herald>,
    shells: Mutex<Vec<Addr<Shell>>>,
}

impl Quarters {
    pub(crate) fn new(arbiter: ArbiterHandle, runtime: tokio::runtime::Handle, herald: Arc<Herald>) -> Self {
        Self { arbiter, runtime, herald, shells: Mutex::default() }
    }

    /// Starts a shell.
    pub(crate) fn house(&self, routine: Routine) {
        let (runtime, herald) = (self.runtime.clone(), Arc::clone(&self.herald));
        let shell = Shell::start_in_arbiter(&self.arbiter, move |_ctx| Shell::new(routine, runtime, herald));
        self.shells.lock().push(shell);
    }

    /// Whether every shell has ended.
    pub(crate) fn is_empty(&self) -> bool {
        self.shells.lock().iter().all(|shell| !shell.connected())
    }
}

/// The actor of the roster.
pub(crate) fn routine(crew: &Arc<Crew>, quarters: &Arc<Quarters>) -> Routine {
    let (following, housing) = (Arc::clone(crew), Arc::clone(quarters));
    Routine {
        name: "roster",
        of: String::new(),
        run: Box::new(move |progress| run(Arc::clone(&following), Arc::clone(&housing), progress).boxed()),
        watch: Box::new(|| ()),
        stuck: crew.config.stuck(),
        stop: crew.stop.clone(),
    }
}

async fn run(crew: Arc<Crew>, quarters: Arc<Quarters>, progress: Progress) {
    while !crew.stop.is_cancelled() {
        progress.mark();
        let seen = crew.deps.registry.version();
        match crew.deps.registry.routes().await {
            Ok(routes) => routes.into_iter().for_each(|route| follow(&crew, &quarters, route)),
            Err(error) => tracing::debug!(%error, "the routes are not known yet"),
        }
        tokio::select! {
            () = crew.deps.registry.changed(seen) => {}
            () = rest(LOOK, &crew.stop) => {}
        }
    }
}

fn follow(crew: &Arc<Crew>, quarters: &Quarters, route: Arc<Route>) {
    if let Some(desk) = crew.desk(&route.name) {
        let plan = desk.plan();
        if plan.route.version != route.version || *plan.route != *route {
            desk.change(renew(crew, &plan, route));
        } else if plan.backend.as_ref().is_none_or(|backend| backend.is_stale()) {
            mend(crew, &desk, &plan);
        }
        return;
    }
    let plan = Plan { backend: build(crew, &route), route };
    let desk = Arc::new(Desk::new(plan, crew.config.breaker_failures, Arc::clone(&crew.peers)));
    crew.add_desk(Arc::clone(&desk));
    quarters.house(courier::routine(crew, &desk));
    if desk.plan().route.backend.reports_by_itself() {
        quarters.house(collector::routine(crew, &desk));
    }
    for lane in Lane::ALL {
        quarters.house(intake::routine(crew, QueueName { route: desk.name.clone(), lane }));
    }
}

/// The changed plan; the backend, and its connections, are kept where nothing that concerns it has changed.
fn renew(crew: &Crew, plan: &Plan, route: Arc<Route>) -> Plan {
    let old = &plan.route;
    let same = old.backend == route.backend
        && old.concurrency == route.concurrency
        && old.attempt_timeout_ms == route.attempt_timeout_ms;
    let backend = if same { plan.backend.clone() } else { None };
    Plan { backend: backend.or_else(|| build(crew, &route)), route }
}

/// A file that a backend is made of has changed, or may be there by now. What still works is kept until something better can be made.
fn mend(crew: &Crew, desk: &Desk, plan: &Plan) {
    match crew.deps.backends.build(&plan.route) {
        Ok(backend) => {
            tracing::info!(route = %desk.name, "the route's backend was made anew: its files have changed");
            desk.change(Plan { backend: Some(backend), route: Arc::clone(&plan.route) });
        }
        Err(error) if plan.backend.is_some() => {
            tracing::error!(route = %desk.name, %error, "the route's files have changed and make no backend: it goes on as it was");
        }
        Err(_) => {}
    }
}

fn build(crew: &Crew, route: &Route) -> Option<Arc<dyn crate::backend::Backend>> {
    match crew.deps.backends.build(route) {
        Ok(backend) => Some(backend),
        Err(error) => {
            tracing::error!(route = %route.name, %error, "the route has no backend: its messages wait");
            None
        }
    }
}
