//! The observer: tells ingress, and whoever watches, how much waits and how much is used. It changes nothing.

mod delay;
mod quota;
mod waiting;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;

use crate::{
    crew::Crew,
    patience::{rest, said},
    shell::{Progress, Routine},
};

/// How often ingress is told what waits and what is used; and while nothing waits and nothing comes.
const OBSERVE: Duration = Duration::from_secs(1);
const OBSERVE_IDLE: Duration = Duration::from_secs(5);

/// What intake sees of limits is told to ingress together, so often at the most: under load every transaction sees some.
const TELL: Duration = Duration::from_millis(200);

/// How often the queues are asked how much lies on them; and while nothing lies there and nothing comes.
const QUEUES: Duration = Duration::from_secs(5);
const QUEUES_IDLE: Duration = Duration::from_secs(15);

/// The actor of the observer.
pub(crate) fn routine(crew: &Arc<Crew>) -> Routine {
    let observing = Arc::clone(crew);
    Routine {
        name: "observer",
        of: String::new(),
        run: Box::new(move |progress| run(Arc::clone(&observing), progress).boxed()),
        watch: Box::new(|| ()),
        stuck: crew.config.stuck(),
        stop: crew.end.clone(),
    }
}

async fn run(crew: Arc<Crew>, progress: Progress) {
    let mut gauges = waiting::Gauges::default();
    let mut news = quota::News::default();
    let mut observed = Turn::default();
    let (mut asked, mut hooked) = (Turn::default(), Turn::default());
    // Where each question costs something, there are fewer.
    let least = crew.deps.queue.capabilities().look;
    let (queues, queues_idle) = (QUEUES.max(least), QUEUES_IDLE.max(least));
    while !crew.end.is_cancelled() {
        progress.mark();
        said("tell of limits that were set", news.tell(&crew).await);
        // A call that may bring rows, of intake or a courier, is a sign that something comes.
        let calls = crew.transit.latest();
        if observed.is_due(calls, OBSERVE, OBSERVE_IDLE) {
            let waiting = waiting::observe(&crew, &mut gauges).await;
            let busy = !matches!(waiting, Ok(false));
            let well = said("observe what waits", waiting);
            let well = said("observe what is used", quota::observe(&crew).await) && well;
            observed = Turn::taken(calls, busy || !well);
        }
        if hooked.is_due(calls, QUEUES, QUEUES_IDLE) {
            let waiting = waiting::observe_callbacks(&crew).await;
            let busy = !matches!(waiting, Ok(false));
            said("observe what waits for webhooks", waiting);
            hooked = Turn::taken(calls, busy);
        }
        if asked.is_due(calls, queues, queues_idle) {
            asked = Turn::taken(calls, waiting::observe_queues(&crew, &progress).await);
        }
        pause(&crew).await;
        quota::tell(&crew).await;
    }
}

/// Returns when intake saw something and others had a moment to see more, or when it is time to look.
async fn pause(crew: &Crew) {
    tokio::select! {
        () = rest(OBSERVE, &crew.end) => {}
        () = crew.seen() => rest(TELL, &crew.end).await,
    }
}

/// A look, and what there was to see.
#[derive(Default)]
struct Turn {
    at: Option<Instant>,
    calls: u64,
    busy: bool,
}

impl Turn {
    fn taken(calls: u64, busy: bool) -> Self {
        Self { at: Some(Instant::now()), calls, busy }
    }

    fn elapsed(&self) -> Duration {
        self.at.map_or(Duration::MAX, |at| at.elapsed())
    }

    /// Whether it is time for another: often while there is something, seldom while there is nothing.
    fn is_due(&self, calls: u64, often: Duration, seldom: Duration) -> bool {
        let elapsed = self.elapsed();
        elapsed >= seldom || (elapsed >= often && (self.busy || self.calls != calls))
    }
}
