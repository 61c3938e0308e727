//! The observer: tells ingress, and whoever watches, how much waits and how much is used. It changes nothing.

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

/// How often ingress is told what waits and what is used.
const OBSERVE: Duration = Duration::from_secs(1);

/// How often the queues are asked how much lies on them.
const QUEUES: Duration = Duration::from_secs(5);

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
    let mut asked: Option<Instant> = None;
    while !crew.end.is_cancelled() {
        progress.mark();
        said("observe what waits", waiting::observe(&crew, &mut gauges).await);
        said("observe what is used", quota::observe(&crew).await);
        if asked.is_none_or(|asked| asked.elapsed() >= QUEUES) {
            asked = Some(Instant::now());
            waiting::observe_queues(&crew, &progress).await;
        }
        rest(OBSERVE, &crew.end).await;
    }
}
