//! The ledger in one SQLite file, `ledger.db`, together with the outbox.
//!
//! Everything is one writer's work, so "exact" needs no locks: each call is a job, a group of jobs is a commit, and
//! what is kept in memory beside the file changes after the commit it tells of. An operator's command may open the
//! same file from another process; it never takes and never counts.

mod backlog;
mod change;
mod dead;
mod desk;
mod dossier;
mod due;
mod erase;
mod find;
mod forget;
mod intake;
mod memory;
mod mends;
mod notices;
mod opt_outs;
mod reads;
mod recovery;
mod restored;
mod rows;
mod settle;
mod stops;
mod take;
mod tally;
mod usage;

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use change::Change;
use memory::Memory;
pub use restored::mark_restored;
use rusqlite::OptionalExtension;

use super::{
    Capabilities, Forgotten, IntakeBatch, IntakeDone, Keep, Ledger, LedgerError, ParkedNotice, PassedOver,
    Reroute, RowRef, Settled, Settlement, SpokenOf, TakeRequest, Taken, Waiting, Woken, Work,
    book::{FlowByPlace, News, rung, wait_for_due},
};
use crate::{
    audit::{self, Act, Chain, Scribe, SqliteAudit},
    domain::{Account, Clock, IncarnationId, Lane, Notice, RouteName, SystemClock, Timestamp},
    sqlite::{Db, DbError},
};

pub(crate) const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    // Units of messages that are forgotten: used - credited = what is reserved or captured, and these.
    "ALTER TABLE usage ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0",
    include_str!("callbacks.sql"),
    // Of events that are put by themselves: whoever puts one again has no second one waiting.
    "ALTER TABLE outbox ADD COLUMN event_id TEXT;
     CREATE UNIQUE INDEX outbox_event ON outbox (event_id) WHERE event_id IS NOT NULL",
    include_str!("stops.sql"),
    include_str!("seeing.sql"),
    include_str!("trade.sql"),
    include_str!("notices.sql"),
    include_str!("earlier.sql"),
    crate::audit::sqlite::TABLE,
    crate::denials::TABLE,
];

/// Between commits under load: intake and outcomes gather meanwhile, and each commit serves them all.
const PACE: Duration = Duration::from_millis(2);

/// The row of table `meta` that holds when the latest restored copy was made, in UTC milliseconds.
pub const RESTORED_BEFORE: &str = "restored_before";

/// The ledger and the outbox in one file. Clones share it.
#[derive(Clone)]
pub struct SqliteLedger {
    db: Db,
    memory: Arc<Memory>,
    clock: Arc<dyn Clock>,
    scribe: Option<Scribe>,
}

impl SqliteLedger {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// If it cannot be opened, or was made by a newer program.
    pub fn open(path: &Path) -> Result<Self, DbError> {
        Self::open_with_clock(path, Arc::new(SystemClock))
    }

    /// As [`SqliteLedger::open`], with the clock by which leases of reports and events are counted.
    ///
    /// # Errors
    /// As [`SqliteLedger::open`].
    pub fn open_with_clock(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, DbError> {
        Ok(Self {
            db: Db::open(path, MIGRATIONS, PACE)?,
            memory: Arc::new(Memory::new()),
            clock,
            scribe: None,
        })
    }

    /// The same, with every act of an operator recorded.
    #[must_use]
    pub fn recorded_by(self, scribe: Scribe) -> Self {
        Self { scribe: Some(scribe), ..self }
    }

    /// The record of operators' acts.
    #[must_use]
    pub fn audit(&self, scribe: Scribe) -> SqliteAudit {
        SqliteAudit::new(self.db.clone(), Chain::Ledger, scribe)
    }

    pub(crate) const fn db(&self) -> &Db {
        &self.db
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Rings after a commit that wrote events.
    pub(crate) fn event_bell(&self) -> &tokio::sync::Notify {
        &self.memory.events
    }

    /// What commits brought and ended since this was last asked: by place, and rows of which it is to be looked up.
    pub(crate) fn take_flow(&self) -> (FlowByPlace, Vec<i64>) {
        let flows = self.memory.flow.lock().take();
        (flows.sorted().into_iter().collect(), flows.delivered().clone())
    }

    /// It could not be written down.
    pub(crate) fn put_flow_back(&self, flow: &FlowByPlace, delivered: &[i64]) {
        self.memory.flow.lock().add_unread(flow, delivered);
    }

    /// Rings after a commit that wrote callbacks.
    pub(crate) fn callback_bell(&self) -> &tokio::sync::Notify {
        &self.memory.callbacks
    }

    /// Runs a change in one transaction and tells its news once it is durable.
    async fn change<T, F>(&self, work: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Change<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.act(work, |_done| None).await
    }

    /// The same of an operator's act, which is recorded with it.
    async fn act<T, F, A>(&self, work: F, act: A) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Change<'_>) -> rusqlite::Result<T> + Send + 'static,
        A: FnOnce(&T) -> Option<Act> + Send + 'static,
    {
        let (clock, memory) = (Arc::clone(&self.clock), Arc::clone(&self.memory));
        let (heard, scribe) = (Arc::clone(&self.memory), self.scribe.clone());
        let job = move |connection: &rusqlite::Connection| {
            let mut change = Change::new(connection, clock.now(), heard.reports.listened());
            let value = work(&mut change)?;
            let news = change.close()?;
            if let Some(scribe) = scribe
                && let Some(act) = act(&value)
            {
                audit::sqlite::append(connection, Chain::Ledger, &scribe, &scribe.actor, vec![act])?;
            }
            Ok((value, news))
        };
        let tell = move |(value, news): (T, News)| {
            memory.tell(&news);
            value
        };
        Ok(self.db.write_then(job, tell).await?)
    }
}

impl From<DbError> for LedgerError {
    fn from(error: DbError) -> Self {
        if error.is_data() { Self::Indigestible(Box::new(error)) } else { Self::Unavailable(Box::new(error)) }
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    fn capabilities(&self) -> Capabilities {
        Capabilities { forgets_together: None, pace: Duration::ZERO }
    }

    async fn intake(&self, batch: IntakeBatch) -> Result<IntakeDone, LedgerError> {
        self.change(move |change| intake::intake(change, &batch)).await
    }

    async fn take(&self, request: TakeRequest) -> Result<Taken, LedgerError> {
        let memory = Arc::clone(&self.memory);
        self.change(move |change| take::take(change, &request, &memory)).await
    }

    async fn settle(
        &self,
        batch: Vec<Settlement>,
        now: Timestamp,
        emit: bool,
    ) -> Result<Vec<Settled>, LedgerError> {
        self.change(move |change| settle::settle(change, &batch, now, emit)).await
    }

    async fn give_back(&self, rows: Vec<(RowRef, u32)>) -> Result<(), LedgerError> {
        self.change(move |change| recovery::give_back(change, &rows)).await
    }

    async fn reroute(&self, order: Reroute, now: Timestamp) -> Result<usize, LedgerError> {
        self.change(move |change| take::reroute(change, &order, now)).await
    }

    async fn ready(
        &self,
        route: &RouteName,
        lane: Lane,
        max: usize,
    ) -> Result<Vec<(Account, u64)>, LedgerError> {
        let route = route.clone();
        Ok(self.db.read(move |c| take::ready(c, route.as_str(), lane, max)).await?)
    }

    async fn beat(&self, incarnation: IncarnationId) -> Result<(), LedgerError> {
        self.change(move |change| recovery::beat(change.connection, incarnation)).await
    }

    async fn incarnations(&self) -> Result<Vec<(IncarnationId, i64)>, LedgerError> {
        Ok(self.db.read(recovery::incarnations).await?)
    }

    async fn lost(&self, incarnation: IncarnationId, max: usize) -> Result<Vec<Work>, LedgerError> {
        Ok(self.db.read(move |c| recovery::lost(c, incarnation, max)).await?)
    }

    async fn bury(&self, incarnation: IncarnationId) -> Result<bool, LedgerError> {
        self.change(move |change| recovery::bury(change.connection, incarnation)).await
    }

    async fn wake(&self, now: Timestamp, max: usize, emit: bool) -> Result<Woken, LedgerError> {
        self.change(move |change| {
            backlog::take_drift(change)?;
            recovery::wake(change, now, max, emit)
        })
        .await
    }

    async fn due_reports(
        &self,
        now: Timestamp,
        max: usize,
        lease: Duration,
    ) -> Result<Vec<Work>, LedgerError> {
        self.change(move |change| recovery::due_reports(change, now, max, lease)).await
    }

    async fn spoken_of(
        &self,
        route: &RouteName,
        notices: &[Notice],
    ) -> Result<Vec<Option<SpokenOf>>, LedgerError> {
        let (route, notices) = (route.clone(), notices.to_vec());
        Ok(self.db.read(move |c| notices::spoken_of(c, &route, &notices)).await?)
    }

    async fn park(
        &self,
        notices: Vec<ParkedNotice>,
        now: Timestamp,
        most: u64,
    ) -> Result<Vec<bool>, LedgerError> {
        self.change(move |change| notices::park(change, &notices, now, most)).await
    }

    async fn parked(&self, now: Timestamp, max: usize) -> Result<Vec<ParkedNotice>, LedgerError> {
        self.change(move |change| notices::parked(change, now, max)).await
    }

    async fn unpark(&self, notices: Vec<ParkedNotice>) -> Result<(), LedgerError> {
        self.change(move |change| notices::unpark(change, &notices)).await
    }

    async fn await_due(&self, now: Timestamp, wait: Duration) -> bool {
        // If the file does not answer, the caller's own next call says so.
        let earliest = || async { self.db.read(due::earliest).await.ok().flatten() };
        wait_for_due(&self.memory.due, now, wait, earliest).await
    }

    async fn await_ready(&self, route: &RouteName, passed_over: &PassedOver, wait: Duration) -> bool {
        let bell = self.memory.ready.listen(route);
        let mut notified = std::pin::pin!(bell.notified());
        notified.as_mut().enable();
        let (name, passed_over) = (route.clone(), Arc::clone(passed_over));
        // If the file does not answer, the caller's own next call says so.
        let ready = self.db.read(move |c| take::is_ready(c, name.as_str(), &passed_over)).await;
        matches!(ready, Ok(true)) || rung(notified, wait).await
    }

    async fn waiting(&self) -> Result<Vec<Waiting>, LedgerError> {
        if let Some(waiting) = self.memory.waiting() {
            return Ok(waiting);
        }
        let memory = Arc::clone(&self.memory);
        self.db.write_then(backlog::count, move |counted| memory.count_anew(counted)).await?;
        Ok(self.memory.waiting().unwrap_or_default())
    }

    async fn forget(&self, now: Timestamp, keep: Keep, max: usize) -> Result<Forgotten, LedgerError> {
        let walks = *self.memory.walks.lock();
        let (forgotten, walks) =
            self.change(move |change| forget::forget(change, walks, now, keep, max)).await?;
        *self.memory.walks.lock() = walks;
        Ok(forgotten)
    }

    async fn restored_before(&self) -> Result<Option<Timestamp>, LedgerError> {
        let read = |c: &rusqlite::Connection| {
            c.query_row("SELECT value FROM meta WHERE name = ?1", [RESTORED_BEFORE], |row| row.get(0))
                .optional()
        };
        Ok(self.db.read(read).await?.map(Timestamp::from_millis))
    }
}

#[cfg(test)]
mod tests;
