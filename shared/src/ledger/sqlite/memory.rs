//! What is kept in memory beside the file: who waits for news, how much waits, whose turn it is.
//!
//! Nothing here is truth. It changes after the commit it tells of, and is counted anew when the file is opened.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::forget::Walks;
use crate::{
    domain::{Account, RouteName},
    ledger::{
        Waiting,
        book::{Bells, DueBell, Flows, News, Place, RouteTurns},
    },
};

/// Shared by the clones of a ledger.
pub(super) struct Memory {
    pub(super) ready: Bells<RouteName>,
    pub(super) reports: Bells<Account>,
    pub(super) events: Notify,
    pub(super) callbacks: Notify,
    pub(super) due: DueBell,
    pub(super) turns: Mutex<HashMap<RouteName, RouteTurns>>,
    pub(super) walks: Mutex<Walks>,
    pub(super) flow: Mutex<Flows>,
    /// `None` until somebody asks: an operator's command never needs it.
    waiting: Mutex<Option<HashMap<Place, i64>>>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            ready: Bells::new(),
            reports: Bells::new(),
            events: Notify::new(),
            callbacks: Notify::new(),
            due: DueBell::new(),
            turns: Mutex::new(HashMap::new()),
            walks: Mutex::default(),
            flow: Mutex::default(),
            waiting: Mutex::new(None),
        }
    }

    /// Tells what a commit changed. Runs on the writer's thread, in the order of the commits.
    pub(super) fn tell(&self, news: &News) {
        if let Some(waiting) = self.waiting.lock().as_mut() {
            for (place, change) in &news.waiting {
                add(waiting, place, *change);
            }
        }
        self.flow.lock().add_unread(&news.flow, &news.delivered);
        self.ready.ring(news.ready.iter());
        self.reports.ring(news.reports.iter());
        if news.any_report {
            // Nobody listened when the change began: whoever began since is woken, and looks.
            self.reports.ring_all();
        }
        if let Some(due) = news.due {
            self.due.ring(due);
        }
        if news.events {
            self.events.notify_waiters();
        }
    }

    /// Counts from the file. Runs on the writer's thread after the commit that counted.
    pub(super) fn count_anew(&self, counted: HashMap<Place, i64>) {
        *self.waiting.lock() = Some(counted);
    }

    /// What waits; `None` if it was never counted.
    pub(super) fn waiting(&self) -> Option<Vec<Waiting>> {
        let waiting = self.waiting.lock();
        let list = waiting.as_ref()?.iter().map(|((route, lane, account), messages)| Waiting {
            route: route.clone(),
            lane: *lane,
            account: account.clone(),
            messages: u64::try_from(*messages).unwrap_or(0),
        });
        Some(list.collect())
    }
}

fn add(waiting: &mut HashMap<Place, i64>, place: &Place, change: i64) {
    if let Some(count) = waiting.get_mut(place) {
        *count += change;
        if *count == 0 {
            waiting.remove(place);
        }
    } else if change != 0 {
        waiting.insert(place.clone(), change);
    }
}
