//! Tells operators what is no message's: an envelope was set aside, a route rests, a loop was replaced.
//!
//! Whoever sees it never waits, and nobody who causes it can make it many: of each kind and thing few events are written a
//! minute, and one at the minute's end stands for all others (`count`). What is written is the outbox's, and published under one
//! id; what a process had not written when it died is gone.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use naru_shared::{
    domain::{Clock, Event, EventKind},
    ledger::LedgerError,
    metrics,
    outbox::Outbox,
    registry::Registry,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::{
    crew::Crew,
    patience::{self, Backoff},
    shell::{Progress, Routine},
};

/// Events of one kind about one thing that are told one by one, in a minute.
const PER_MINUTE: u32 = 5;

const MINUTE: Duration = Duration::from_secs(60);

/// Things that are counted each by itself: routes, lanes and loops are as many as operators made. All further ones are counted
/// together, by kind.
const THINGS: usize = 512;

/// Events that wait for the outbox: more come only while it is away for long.
const WAITING: usize = 512;

/// What was seen: a kind of event, what it is about, and the words.
#[derive(Debug, Clone)]
pub(crate) struct Sign {
    pub(crate) kind: EventKind,
    /// For instance `route/carrier-a`.
    pub(crate) subject: String,
    /// An object; `count` is added to it.
    pub(crate) data: Value,
}

/// The minute of one kind about one thing.
struct Minute {
    begun: Instant,
    told: u32,
    /// The last that was not told, and how many it stands for.
    untold: Option<(Sign, u64)>,
}

#[derive(Default)]
struct Seen {
    minutes: BTreeMap<(&'static str, String), Minute>,
    ready: Vec<Event>,
}

/// See the module.
pub(crate) struct Herald {
    seen: Mutex<Seen>,
    /// One writes at a time: what was written is forgotten from the front.
    writing: tokio::sync::Mutex<()>,
    bell: Notify,
    clock: Arc<dyn Clock>,
    registry: Arc<dyn Registry>,
    outbox: Arc<dyn Outbox>,
}

impl Herald {
    pub(crate) fn new(clock: Arc<dyn Clock>, registry: Arc<dyn Registry>, outbox: Arc<dyn Outbox>) -> Self {
        let writing = tokio::sync::Mutex::default();
        Self { seen: Mutex::default(), writing, bell: Notify::new(), clock, registry, outbox }
    }

    /// Something was seen. Nothing is kept of it if nobody listens.
    pub(crate) fn tell(&self, sign: Sign) {
        if self.registry.has_subscribers() {
            self.tell_at(sign, Instant::now());
            self.bell.notify_one();
        }
    }

    fn tell_at(&self, sign: Sign, now: Instant) {
        let mut seen = self.seen.lock();
        let room = seen.ready.len() < WAITING;
        let mut thing = (sign.kind.name, sign.subject.clone());
        if seen.minutes.len() >= THINGS && !seen.minutes.contains_key(&thing) {
            thing.1.clear();
        }
        let new = || Minute { begun: now, told: 0, untold: None };
        let minute = seen.minutes.entry(thing).or_insert_with(new);
        if minute.untold.is_none() && now.duration_since(minute.begun) >= MINUTE {
            (minute.begun, minute.told) = (now, 0);
        }
        if room && minute.told < PER_MINUTE && minute.untold.is_none() {
            minute.told += 1;
            let event = self.event(sign, 1);
            seen.ready.push(event);
        } else {
            let before = minute.untold.as_ref().map_or(0, |(_, count)| *count);
            minute.untold = Some((sign, before + 1));
        }
    }

    /// What is over is summed up. The moment of the next, if any waits for it.
    fn sum_up(&self, now: Instant) -> Option<Instant> {
        let mut seen = self.seen.lock();
        let Seen { minutes, ready } = &mut *seen;
        minutes.retain(|_, minute| minute.untold.is_some() || now.duration_since(minute.begun) < MINUTE);
        for minute in minutes.values_mut() {
            if now.duration_since(minute.begun) >= MINUTE
                && ready.len() < WAITING
                && let Some((sign, count)) = minute.untold.take()
            {
                (minute.begun, minute.told) = (now, 1);
                ready.push(self.event(sign, count));
            }
        }
        minutes.values().filter(|minute| minute.untold.is_some()).map(|minute| minute.begun + MINUTE).min()
    }

    fn event(&self, sign: Sign, count: u64) -> Event {
        let Sign { kind, subject, mut data } = sign;
        if let Some(object) = data.as_object_mut() {
            object.insert("count".to_owned(), json!(count));
        }
        let id = format!("sign_{:032x}", fastrand::u128(..));
        Event::uncounted(id, &subject, kind, self.clock.now(), data)
    }

    /// Writes what waits, tried again with the same ids until the outbox has it.
    async fn write(&self) -> Result<(), LedgerError> {
        let _alone = self.writing.lock().await;
        let waiting = self.seen.lock().ready.clone();
        if waiting.is_empty() {
            return Ok(());
        }
        patience::ledger(self.outbox.put(waiting.clone())).await?;
        self.seen.lock().ready.drain(..waiting.len());
        for event in &waiting {
            metrics::SIGNS.of(&[("kind", &event.kind)]).increment(1);
        }
        Ok(())
    }
}

/// The actor of the herald.
pub(crate) fn routine(crew: &Arc<Crew>) -> Routine {
    let telling = Arc::clone(crew);
    Routine {
        name: "herald",
        of: String::new(),
        run: Box::new(move |progress| run(Arc::clone(&telling), progress).boxed()),
        watch: Box::new(|| ()),
        stuck: crew.config.stuck(),
        stop: crew.end.clone(),
    }
}

async fn run(crew: Arc<Crew>, progress: Progress) {
    let (herald, mut backoff) = (&crew.herald, Backoff::default());
    // Well below the time after which a loop without a sign of life is replaced.
    let idle = crew.config.stuck() / 4;
    while !crew.end.is_cancelled() {
        progress.mark();
        let next = herald.sum_up(Instant::now());
        if let Err(error) = herald.write().await {
            if backoff.is_news() {
                tracing::warn!(%error, "events of operators wait for the ledger");
            }
            backoff.pause(&crew.end).await;
            continue;
        }
        backoff.reset();
        let until = next.map_or(idle, |at| at.saturating_duration_since(Instant::now()).min(idle));
        tokio::select! {
            () = crew.end.cancelled() => {}
            () = herald.bell.notified() => {}
            () = tokio::time::sleep(until) => {}
        }
    }
}

/// Writes what is left at the end, those that were to be summed up included.
pub(crate) async fn flush(crew: &Crew) {
    crew.herald.sum_up(Instant::now() + MINUTE);
    if let Err(error) = crew.herald.write().await {
        tracing::warn!(%error, "events of operators are lost with this process");
    }
}

#[cfg(test)]
mod tests;
