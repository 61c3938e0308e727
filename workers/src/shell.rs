//! The shell of every loop: an actor that owns the loop's task, and begins it anew when it panics or stands still.
//!
//! An actix supervisor does not survive a panic, so the loop runs as a task of the engines' runtime, where a panic ends the
//! task alone; the shell, on its arbiter, learns of it and replaces it. What the loop had in hand comes back: packs by their
//! receipts (kept outside the loop), rows by the table of what is held.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use futures_util::future::BoxFuture;
use naru_shared::{domain::kinds, metrics};
use serde_json::json;
use tokio::task::{AbortHandle, JoinError};
use tokio_util::sync::CancellationToken;

use crate::herald::{Herald, Sign};

/// How often a shell looks at its loop.
const LOOK: Duration = Duration::from_secs(1);

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A loop that lived this long begins with the first pause again.
const HEALTHY: Duration = Duration::from_secs(60);

/// A loop's sign of life: stamped by the loop, read by its shell.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    since: Instant,
    stamp: Arc<AtomicU64>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), stamp: Arc::new(AtomicU64::new(0)) }
    }

    /// Says that the loop moves.
    pub(crate) fn mark(&self) {
        let millis = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.stamp.store(millis, Ordering::Relaxed);
    }

    fn silent_for(&self) -> Duration {
        self.since.elapsed().saturating_sub(Duration::from_millis(self.stamp.load(Ordering::Relaxed)))
    }
}

/// What a shell runs.
pub(crate) struct Routine {
    /// Which actor it is, for metrics and logs.
    pub(crate) name: &'static str,
    /// Of which route and lane, for logs.
    pub(crate) of: String,
    /// The loop; it returns when `stop` is cancelled, and may be begun again after a panic.
    pub(crate) run: Box<dyn Fn(Progress) -> BoxFuture<'static, ()> + Send>,
    /// Called every second, whatever the loop does.
    pub(crate) watch: Box<dyn Fn() + Send>,
    /// How long the loop may be without a sign of life.
    pub(crate) stuck: Duration,
    /// Ends the loop.
    pub(crate) stop: CancellationToken,
}

/// See the module.
pub(crate) struct Shell {
    routine: Routine,
    runtime: tokio::runtime::Handle,
    herald: Arc<Herald>,
    life: u64,
    begun: Instant,
    pause: Duration,
    task: Option<(AbortHandle, Progress)>,
}

impl Shell {
    pub(crate) fn new(routine: Routine, runtime: tokio::runtime::Handle, herald: Arc<Herald>) -> Self {
        Self { routine, runtime, herald, life: 0, begun: Instant::now(), pause: FIRST_PAUSE, task: None }
    }

    fn begin(&mut self, ctx: &mut Context<Self>) {
        if self.routine.stop.is_cancelled() {
            ctx.stop();
            return;
        }
        self.life += 1;
        self.begun = Instant::now();
        let life = self.life;
        let progress = Progress::new();
        let task = self.runtime.spawn((self.routine.run)(progress.clone()));
        self.task = Some((task.abort_handle(), progress));
        ctx.spawn(task.into_actor(self).map(move |result, shell, ctx| shell.ended(life, result, ctx)));
    }

    fn ended(&mut self, life: u64, result: Result<(), JoinError>, ctx: &mut Context<Self>) {
        if life != self.life || self.task.is_none() {
            return; // A former life that was replaced.
        }
        if self.routine.stop.is_cancelled() {
            ctx.stop();
            return;
        }
        let why = if result.is_err_and(|error| error.is_panic()) { "panicked" } else { "ended" };
        self.replace(why, ctx);
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        (self.routine.watch)();
        let stuck = self.task.as_ref().is_some_and(|(_, p)| p.silent_for() > self.routine.stuck);
        if stuck {
            self.replace("stood still", ctx);
        }
    }

    fn replace(&mut self, why: &'static str, ctx: &mut Context<Self>) {
        if let Some((task, _)) = self.task.take() {
            task.abort();
        }
        metrics::WORKER_RESTARTS.of(&[("actor", self.routine.name)]).increment(1);
        if self.begun.elapsed() > HEALTHY {
            self.pause = FIRST_PAUSE;
        }
        let pause_ms = self.pause.as_millis();
        tracing::error!(actor = self.routine.name, of = %self.routine.of, why, pause_ms, "an actor is replaced");
        self.herald.tell(Sign {
            kind: kinds::REPLACED,
            subject: format!("worker/{}", self.routine.name),
            data: json!({ "actor": self.routine.name, "of": self.routine.of, "why": why }),
        });
        ctx.run_later(self.pause, Self::begin);
        self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

impl Actor for Shell {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.begin(ctx);
        ctx.run_interval(LOOK, Self::look);
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if let Some((task, _)) = self.task.take() {
            task.abort();
        }
    }
}
