//! What a front looks at in the background: whether Redis still knows everything, who else there is, what waits.

use std::{sync::Arc, time::Duration};

use parking_lot::RwLock;
use redis::{RedisError, Script};
use tokio::{sync::Notify, time::sleep};

use super::{backlog::Backlog, names::Names, times::Times};
use crate::redis::{Link, LinkError};

/// How often a front that is asked looks, and one that is not.
const OFTEN: Duration = Duration::from_millis(400);
const SELDOM: Duration = Duration::from_secs(5);

/// How soon the first look is tried again.
const FIRST: Duration = Duration::from_millis(50);

/// A front that was not asked for so long looks seldom.
const QUIET: Duration = Duration::from_secs(10);

/// A front that was not seen for so long counts no more; longer than two of its seldom looks.
const COUNTS_US: u64 = 15_000_000;

/// What was leased is used only so long after the last look began. A Redis that was emptied grants nothing for as long,
/// so that by then nobody uses what it no longer knows of.
pub(super) const TRUSTED: Duration = Duration::from_secs(1);

/// How long a look may take: nobody waits for it.
const LOOK: Duration = Duration::from_millis(250);

/// What the last look saw.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sight {
    /// Since when Redis knows everything, in microseconds of its time; another number: it was emptied. 0: never seen.
    pub since: i64,
    /// Fronts like this one, itself among them. 0: never seen.
    pub fronts: u32,
    /// Until when what was leased may be used.
    trusted: Duration,
}

impl Sight {
    /// Whether what was leased may be used.
    pub(super) fn is_trusted(&self, now: Duration) -> bool {
        now < self.trusted
    }
}

#[derive(Default)]
struct Seen {
    sight: Sight,
    /// When somebody last asked the gate anything, about.
    asked: Option<Duration>,
}

/// The look of one process.
pub(super) struct Watch {
    link: Arc<Link>,
    script: Script,
    names: Names,
    times: Times,
    backlog: Arc<Backlog>,
    seen: RwLock<Seen>,
    asked: Notify,
}

impl Watch {
    pub(super) fn new(link: Arc<Link>, names: Names, times: Times, backlog: Arc<Backlog>) -> Self {
        let (seen, asked) = (RwLock::default(), Notify::new());
        Self { link, script: script(), names, times, backlog, seen, asked }
    }

    /// What the last look saw; and that somebody asks.
    pub(super) fn sight(&self) -> Sight {
        let now = self.times.now();
        let (sight, last) = {
            let seen = self.seen.read();
            (seen.sight, seen.asked)
        };
        let pause = last.map_or(Duration::MAX, |last| now.saturating_sub(last));
        if pause > OFTEN {
            self.seen.write().asked = Some(now);
            if pause > QUIET {
                self.asked.notify_one();
            }
        }
        sight
    }

    /// Looks for as long as it is polled. A process that asks nothing of the gate is no front: it looks once, so that a new
    /// Redis knows from the beginning since when it knows everything.
    pub(super) async fn run(&self) {
        while self.look(LOOK).await.is_err() {
            sleep(FIRST).await;
        }
        self.asked.notified().await;
        loop {
            if let Err(error) = self.look(LOOK).await {
                tracing::debug!(%error, "the gate's Redis could not be looked at");
            }
            let last = self.seen.read().asked.unwrap_or_default();
            if self.times.now().saturating_sub(last) > QUIET {
                tokio::select! {
                    () = sleep(SELDOM) => {}
                    () = self.asked.notified() => {}
                }
            } else {
                // With a new connection at once: until then nothing that is leased may be used.
                tokio::select! {
                    () = sleep(OFTEN) => {}
                    () = self.link.mended() => {}
                }
            }
        }
    }

    /// Looks once.
    pub(super) async fn look(&self, limit: Duration) -> Result<Sight, LinkError> {
        let began = self.times.now();
        let mut call = self.script.key(self.names.since());
        call.key(self.names.fronts()).key(self.names.stamp());
        let front = if self.seen.read().asked.is_some() { self.names.process() } else { "" };
        call.arg(self.times.for_script()).arg(front).arg(COUNTS_US);
        let (since, fronts, stamp): (i64, u32, String) =
            self.link.run(limit, |mut c| async move { call.invoke_async(&mut c).await }).await?;
        if self.backlog.is_news(&stamp) {
            let key = self.names.waiting();
            let text: Option<String> = self
                .link
                .run(limit, |mut c| async move { redis::cmd("GET").arg(key).query_async(&mut c).await })
                .await?;
            if let Some(text) = text {
                self.backlog.read(stamp, &text, self.times.now());
            }
        }
        let sight = Sight { since, fronts, trusted: began.saturating_add(TRUSTED) };
        self.seen.write().sight = sight;
        Ok(sight)
    }
}

pub(super) fn script() -> Script {
    Script::new(include_str!("watch.lua"))
}

/// An answer of a script that is none of its answers.
pub(super) fn strange(what: &'static str) -> LinkError {
    LinkError::Failed(RedisError::from((redis::ErrorKind::UnexpectedReturnType, what)))
}
