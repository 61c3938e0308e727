//! What a process keeps beside the database: who waits for news, and whose turn it is. Nothing of it is truth.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::rows::account;
use crate::{
    domain::{Account, Clock, RouteName},
    ledger::book::{Bells, DueBell, Flows, News, RouteTurns, sandbox},
    postgres::Database,
};

/// How often other processes' reports are looked for while somebody waits for one.
const REPORTS: Duration = Duration::from_millis(250);

/// Shared by the clones of a ledger.
pub(super) struct Memory {
    pub(super) ready: Bells<RouteName>,
    pub(super) reports: Bells<Account>,
    pub(super) events: Notify,
    pub(super) callbacks: Notify,
    pub(super) due: DueBell,
    pub(super) turns: Mutex<HashMap<RouteName, RouteTurns>>,
    pub(super) flow: Mutex<Flows>,
    polling: AtomicBool,
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
            flow: Mutex::default(),
            polling: AtomicBool::new(false),
        }
    }

    /// Tells what a commit of this process changed.
    pub(super) fn tell(&self, news: &News) {
        self.flow.lock().add(&news.flow);
        self.ready.ring(news.ready.iter());
        self.reports.ring(news.reports.iter());
        if let Some(due) = news.due {
            self.due.ring(due);
        }
        if news.events {
            self.events.notify_waiters();
        }
    }
}

/// Of these accounts, the ones that have a report to be handed out.
pub(super) const LISTENING: &str = "SELECT a.customer, a.sandbox FROM unnest($1::text[], $2::boolean[]) AS a (customer, sandbox) \
     WHERE EXISTS (SELECT 1 FROM unread u WHERE u.customer = a.customer AND u.sandbox = a.sandbox AND u.free_at <= $3)";

/// Looks for reports that other processes wrote, for all who wait, in one question; ends when nobody waits any more.
pub(super) fn poll_for_reports(memory: &Arc<Memory>, database: &Database, clock: &Arc<dyn Clock>) {
    if memory.polling.swap(true, Ordering::AcqRel) {
        return;
    }
    let (memory, database, clock) = (Arc::downgrade(memory), database.clone(), Arc::clone(clock));
    let runtime = database.pool().runtime().clone();
    runtime.spawn(async move {
        loop {
            tokio::time::sleep(REPORTS).await;
            if !look(&memory, &database, &clock).await {
                return;
            }
        }
    });
}

/// One look; `false` when nobody listens.
async fn look(memory: &Weak<Memory>, database: &Database, clock: &Arc<dyn Clock>) -> bool {
    let Some(memory) = memory.upgrade() else { return false };
    let mut accounts = memory.reports.names();
    if accounts.is_empty() {
        memory.polling.store(false, Ordering::Release);
        // Somebody may have begun to listen just now, and found this still running.
        accounts = memory.reports.names();
        if accounts.is_empty() || memory.polling.swap(true, Ordering::AcqRel) {
            return false;
        }
    }
    let asked = (accounts, clock.now());
    let found = database
        .read("listen", &asked, |connection, (accounts, now)| {
            Box::pin(async move {
                let rows = sqlx::query(LISTENING)
                    .bind(accounts.iter().map(|account| account.customer.as_str()).collect::<Vec<_>>())
                    .bind(accounts.iter().map(|account| sandbox(account.environment)).collect::<Vec<_>>())
                    .bind(now.as_millis())
                    .fetch_all(connection)
                    .await?;
                rows.iter().map(|row| account(row, 0)).collect::<Result<Vec<Account>, _>>()
            })
        })
        .await;
    match found {
        Ok(accounts) => memory.reports.ring(accounts.iter()),
        // Whoever waits is told at its own next call; the pool's pauses bound how often this asks.
        Err(error) => tracing::debug!(%error, "reports of other processes were not looked for"),
    }
    true
}
