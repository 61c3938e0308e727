//! The sweeper: what time does to rows. One loop, each task in its own file; a task that fails is tried again soon.
//!
//! Between its turns it sleeps until the earliest moment at which a row is due, so that a process at rest does next to
//! nothing and what is due is seen at once.

mod blobs;
mod denials;
mod early;
mod forget;
mod lost;
mod own;
mod reports;
mod wake;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
pub(crate) use own::give_back_unheld;

use crate::{
    crew::Crew,
    patience::{rest, said},
    shell::{Progress, Routine},
};

/// The least pause between two turns: what becomes due meanwhile shares the next one.
const PACE: Duration = Duration::from_millis(250);

/// The pause after a turn in which a task failed.
const AGAIN: Duration = Duration::from_secs(1);

/// How often this process looks for rows in its own name that nobody holds, suspicion or not.
const OWN: Duration = Duration::from_secs(30);

/// How often it looks while there is a suspicion.
const OWN_SUSPECTED: Duration = Duration::from_secs(1);

/// As [`lost::Watch::pace`], where there can be no others and the last look found nothing: only former lives left rows.
const OTHERS_EXCLUDED: Duration = Duration::from_secs(30);

/// How often it looks for what was kept long enough.
const FORGET: Duration = Duration::from_secs(60);

/// How often it looks for blobs whose time is over: they are kept for weeks, and an hour more harms nobody.
const BLOBS: Duration = Duration::from_secs(3_600);

/// How often it looks for counts of denials that are old, or too many.
const DENIALS: Duration = Duration::from_secs(3_600);

/// As [`FORGET`], while there is more of it: some 2,000 messages a second, over a hundred million a day.
const FORGET_MORE: Duration = PACE;

/// The actor of the sweeper.
pub(crate) fn routine(crew: &Arc<Crew>) -> Routine {
    let sweeping = Arc::clone(crew);
    Routine {
        name: "sweeper",
        of: String::new(),
        run: Box::new(move |progress| run(Arc::clone(&sweeping), progress).boxed()),
        watch: Box::new(|| ()),
        stuck: crew.config.stuck(),
        stop: crew.end.clone(),
    }
}

/// When a task had its turn last.
#[derive(Default)]
struct Turn(Option<Instant>);

impl Turn {
    /// How long until its next turn, if it has one so often.
    fn due_in(&self, every: Duration) -> Duration {
        self.0.map_or(Duration::ZERO, |last| every.saturating_sub(last.elapsed()))
    }

    /// Takes the turn if it is due.
    fn take(&mut self, every: Duration) -> bool {
        let due = self.due_in(every).is_zero();
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

/// What the loop keeps between its turns.
struct Sweep {
    crew: Arc<Crew>,
    /// A row may be due: one is, or it is not known.
    due: bool,
    others: Turn,
    /// Nobody else was there at the last look.
    alone: bool,
    own: Turn,
    forget: Turn,
    /// The last look left something to forget.
    more: bool,
    denials: Turn,
    blobs: Turn,
    /// The last step left more folders to look through.
    more_blobs: bool,
    watch: lost::Watch,
    orphans: own::Orphans,
}

async fn run(crew: Arc<Crew>, progress: Progress) {
    // Whether events are wanted, and what a route does with uncertainty, is known only of a complete registry.
    while !crew.deps.registry.is_complete() && !crew.end.is_cancelled() {
        progress.mark();
        rest(PACE, &crew.end).await;
    }
    let watch = lost::Watch::new(crew.config.lease());
    let (others, own, forget, blobs) = (Turn::default(), Turn::default(), Turn::default(), Turn::default());
    let orphans = own::Orphans::default();
    let mut sweep = Sweep {
        crew,
        due: true,
        others,
        alone: false,
        own,
        forget,
        more: false,
        denials: Turn::default(),
        blobs,
        more_blobs: false,
        watch,
        orphans,
    };
    while !sweep.crew.end.is_cancelled() {
        progress.mark();
        let well = sweep.turn(&progress).await;
        sweep.due = sweep.pause(well).await || !well;
    }
}

impl Sweep {
    /// Does what is due; whether everything could be done.
    async fn turn(&mut self, progress: &Progress) -> bool {
        let crew = &self.crew;
        let mut well = true;
        if self.due {
            well &= said("wake what is due", wake::wake(crew).await);
            well &= said("ask for reports", reports::ask(crew, progress).await);
            well &= said("look at early reports", early::look(crew, progress).await);
        }
        if self.others.take(self.look_for_others()) {
            let found = lost::recover(&self.crew, &mut self.watch, progress).await;
            self.alone = matches!(found, Ok(false));
            well &= said("recover lost rows", found);
        }
        if self.own.take(self.look_after_own()) {
            self.crew.take_suspicion();
            well &= said("look after own rows", own::look_after(&self.crew, &mut self.orphans).await);
        }
        if self.forget.take(self.look_for_the_old()) {
            let more = forget::forget(&self.crew, progress).await;
            self.more = matches!(more, Ok(true));
            well &= said("forget what was kept long enough", more);
        }
        if self.denials.take(DENIALS) {
            well &= said("forget counts of denials", denials::forget(&self.crew, progress).await);
        }
        if self.blobs.take(self.look_for_old_blobs()) {
            progress.mark();
            self.more_blobs = blobs::expire(&self.crew).await;
        }
        well
    }

    const fn look_for_old_blobs(&self) -> Duration {
        if self.more_blobs { PACE } else { BLOBS }
    }

    fn look_for_others(&self) -> Duration {
        if self.crew.deps.exclusive && self.alone { OTHERS_EXCLUDED } else { self.watch.pace() }
    }

    const fn look_for_the_old(&self) -> Duration {
        if self.more { FORGET_MORE } else { FORGET }
    }

    fn look_after_own(&self) -> Duration {
        if self.crew.is_suspected() || self.orphans.are_suspected() { OWN_SUSPECTED } else { OWN }
    }

    /// Returns when a row or a task is due, at the latest after the longest pause; whether a row is.
    async fn pause(&self, well: bool) -> bool {
        let crew = &self.crew;
        // A bound of its own beside the settings': a loop that sleeps too long is taken for stuck.
        let longest = crew.config.sweep().min(crew.config.stuck() / 4);
        let least = if well { PACE } else { AGAIN };
        rest(least.min(longest), &crew.end).await;
        let tasks = self.others.due_in(self.look_for_others()).min(self.own.due_in(self.look_after_own()));
        let tasks = tasks.min(self.forget.due_in(self.look_for_the_old()));
        let tasks = tasks.min(self.blobs.due_in(self.look_for_old_blobs()));
        tokio::select! {
            () = crew.end.cancelled() => false,
            () = crew.suspicion() => false,
            due = crew.deps.ledger.await_due(crew.now(), longest.min(tasks)) => due,
        }
    }
}
