//! The ledger in PostgreSQL, together with the outbox: many processes, one truth.
//!
//! Every call works in sets: it loads its rows with one statement, decides in memory by the book that all engines share, and
//! writes with one statement for each table. Locks are taken on messages in the order of their ids, then on usage by customer,
//! last; sweepers pass over what is locked. Commits are synchronous, or the server is refused.

mod act;
mod archive;
mod dead;
mod desk;
mod detour;
mod dossier;
mod erase;
mod find;
mod forget;
mod intake;
mod memory;
mod mends;
mod notices;
mod opt_outs;
mod quick;
mod reads;
mod recovery;
mod rounds;
mod rows;
mod settle;
mod statements;
mod stops;
mod take;
mod tally;
mod usage;
mod write;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use memory::Memory;
use settle::Outcomes;
use sqlx::Row as _;
pub use statements::{postgres_callback_statements, postgres_statements};
use tokio::runtime::Handle;

use super::{
    Capabilities, Forgotten, IntakeBatch, IntakeDone, Keep, Ledger, LedgerError, ParkedNotice, PassedOver,
    Reroute, RowRef, Settled, Settlement, SpokenOf, TakeRequest, Taken, Waiting, Woken, Work,
    book::{News, rung, wait_for_due},
};
use crate::{
    audit::{Chain, PostgresAudit, Scribe},
    domain::{Account, Clock, CustomerId, IncarnationId, Lane, Notice, RouteName, Timestamp},
    ports::Probe,
    postgres::{Database, Fitness, InvalidUrl, PgError, Pool, PostgresSettings},
    watch::Flow,
};

/// Changes of the backlog that are summed up when so many rows were read for each place.
const FOLD_ABOVE: i64 = 50;

/// The ledger and the outbox in one database. Clones share it.
#[derive(Clone)]
pub struct PostgresLedger {
    database: Database,
    memory: Arc<Memory>,
    clock: Arc<dyn Clock>,
    archive_after: Duration,
    scribe: Option<Scribe>,
}

/// How long after its end a message moves to the archive, unless something else is set.
const ARCHIVE_AFTER: Duration = Duration::from_secs(300);

/// A transaction costs round trips and a sync, however many rows it is about.
const PACE: Duration = Duration::from_millis(5);

impl PostgresLedger {
    /// Opens it, without waiting for the server: calls connect. `name` tells its pool from others in metrics and in the server's
    /// own lists; `runtime` is where connections live.
    ///
    /// # Errors
    /// If the URL is not valid.
    pub fn open(
        name: &str,
        settings: &PostgresSettings,
        runtime: &Handle,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InvalidUrl> {
        let pool = Pool::new(name, settings, runtime)?;
        let database = Database::new(pool, settings);
        let memory = Arc::new(Memory::new());
        Ok(Self { database, memory, clock, archive_after: ARCHIVE_AFTER, scribe: None })
    }

    /// The same, with every act of an operator recorded.
    #[must_use]
    pub fn recorded_by(self, scribe: Scribe) -> Self {
        Self { scribe: Some(scribe), ..self }
    }

    /// The record of operators' acts.
    #[must_use]
    pub fn audit(&self, scribe: Scribe) -> PostgresAudit {
        PostgresAudit::new(self.database.clone(), Chain::Ledger, scribe)
    }

    /// The same, with messages that move to the archive so long after their end.
    #[must_use]
    pub fn archiving_after(mut self, span: Duration) -> Self {
        self.archive_after = span;
        self
    }

    /// Another face of the same ledger, with a pool and a role of its own. What one writes wakes who waits on the other.
    ///
    /// # Errors
    /// If the URL is not valid.
    pub fn with_pool(&self, name: &str, settings: &PostgresSettings) -> Result<Self, InvalidUrl> {
        let pool = Pool::new(name, settings, self.database.pool().runtime())?;
        Ok(Self { database: Database::new(pool, settings), ..self.clone() })
    }

    /// Whether its server may be used, as readiness asks.
    pub(crate) fn fitness(&self, name: &'static str) -> Arc<dyn Probe> {
        Arc::new(Fitness::new(name, self.database.pool()))
    }

    pub(crate) const fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Rings after a commit of this process that wrote events.
    pub(crate) fn event_bell(&self) -> &tokio::sync::Notify {
        &self.memory.events
    }

    /// What commits of this process brought and ended since this was last asked, sorted.
    pub(crate) fn take_flow(&self) -> Vec<((RouteName, CustomerId), Flow)> {
        self.memory.flow.lock().take().sorted()
    }

    /// It could not be written down.
    pub(crate) fn put_flow_back(&self, flow: &[((RouteName, CustomerId), Flow)]) {
        self.memory.flow.lock().add(&flow.iter().cloned().collect());
    }

    /// Rings after a commit of this process that wrote callbacks.
    pub(crate) fn callback_bell(&self) -> &tokio::sync::Notify {
        &self.memory.callbacks
    }

    /// Tells the news of a commit.
    fn told<T>(&self, (value, news): (T, News)) -> T {
        self.memory.tell(&news);
        value
    }

    async fn is_ready(&self, route: &RouteName, passed_over: &PassedOver) -> Result<bool, PgError> {
        let asked = (route, passed_over);
        let ready = self
            .database
            .read("ready", &asked, |c, (route, passed_over)| Box::pin(take::is_ready(c, route, passed_over)));
        ready.await
    }
}

#[async_trait]
impl Ledger for PostgresLedger {
    fn capabilities(&self) -> Capabilities {
        Capabilities { forgets_together: Some(forget::LATE), pace: PACE }
    }

    async fn intake(&self, batch: IntakeBatch) -> Result<IntakeDone, LedgerError> {
        let call = (batch, self.now());
        let done = self
            .database
            .transact("intake", &call, |c, (batch, clock)| Box::pin(intake::intake(c, batch, *clock)));
        Ok(self.told(done.await?))
    }

    async fn take(&self, request: TakeRequest) -> Result<Taken, LedgerError> {
        let mut turns = self.memory.turns.lock().entry(request.route.clone()).or_default().clone();
        let taken = self.take_quickly(&request, &mut turns).await?;
        self.memory.turns.lock().insert(request.route, turns);
        Ok(taken)
    }

    async fn settle(
        &self,
        batch: Vec<Settlement>,
        now: Timestamp,
        emit: bool,
    ) -> Result<Vec<Settled>, LedgerError> {
        let outcomes = Outcomes { batch: &batch, now, emit, clock: self.now() };
        Ok(self.settle_all(&outcomes).await?)
    }

    async fn give_back(&self, rows: Vec<(RowRef, u32)>) -> Result<(), LedgerError> {
        Ok(self.give_rows_back(rows).await?)
    }

    async fn reroute(&self, order: Reroute, now: Timestamp) -> Result<usize, LedgerError> {
        let call = (order, now, self.now());
        let moved = self.database.transact("reroute", &call, |c, (order, now, clock)| {
            Box::pin(detour::reroute(c, order, *now, *clock))
        });
        Ok(self.told(moved.await?))
    }

    async fn ready(
        &self,
        route: &RouteName,
        lane: Lane,
        max: usize,
    ) -> Result<Vec<(Account, u64)>, LedgerError> {
        let call = (route, lane, max);
        let asked = self.database.read("count-ready", &call, |c, (route, lane, max)| {
            Box::pin(detour::ready(c, route, *lane, *max))
        });
        Ok(asked.await?)
    }

    async fn beat(&self, incarnation: IncarnationId) -> Result<(), LedgerError> {
        Ok(self.database.statement("beat", &incarnation, |c, id| Box::pin(recovery::beat(c, *id))).await?)
    }

    async fn incarnations(&self) -> Result<Vec<(IncarnationId, i64)>, LedgerError> {
        Ok(self.database.read("incarnations", &(), |c, ()| Box::pin(recovery::incarnations(c))).await?)
    }

    async fn lost(&self, incarnation: IncarnationId, max: usize) -> Result<Vec<Work>, LedgerError> {
        let call = (incarnation, max);
        Ok(self.database.read("lost", &call, |c, (id, max)| Box::pin(recovery::lost(c, *id, *max))).await?)
    }

    async fn bury(&self, incarnation: IncarnationId) -> Result<bool, LedgerError> {
        Ok(self.database.statement("bury", &incarnation, |c, id| Box::pin(recovery::bury(c, *id))).await?)
    }

    async fn wake(&self, now: Timestamp, max: usize, emit: bool) -> Result<Woken, LedgerError> {
        let call = (now, max, emit, self.now());
        let woken = self.database.transact("wake", &call, |c, (now, max, emit, clock)| {
            Box::pin(recovery::wake(c, *now, *max, *emit, *clock))
        });
        Ok(self.told(woken.await?))
    }

    async fn due_reports(
        &self,
        now: Timestamp,
        max: usize,
        lease: Duration,
    ) -> Result<Vec<Work>, LedgerError> {
        let call = (now, max, lease);
        let due = self.database.statement("due-reports", &call, |c, (now, max, lease)| {
            Box::pin(recovery::due_reports(c, *now, *max, *lease))
        });
        Ok(due.await?)
    }

    async fn spoken_of(
        &self,
        route: &RouteName,
        notices: &[Notice],
    ) -> Result<Vec<Option<SpokenOf>>, LedgerError> {
        let call = (route, notices);
        let found = self
            .database
            .read("spoken-of", &call, |c, (route, told)| Box::pin(notices::spoken_of(c, route, told)));
        Ok(found.await?)
    }

    async fn park(
        &self,
        notices: Vec<ParkedNotice>,
        now: Timestamp,
        most: u64,
    ) -> Result<Vec<bool>, LedgerError> {
        let call = (notices, now, most);
        let kept = self
            .database
            .transact("park", &call, |c, (told, now, most)| Box::pin(notices::park(c, told, *now, *most)));
        let kept = kept.await?;
        if let Some(due) = call.0.iter().map(|parked| parked.look_at(now).as_millis()).min() {
            self.memory.due.ring(due);
        }
        Ok(kept)
    }

    async fn parked(&self, now: Timestamp, max: usize) -> Result<Vec<ParkedNotice>, LedgerError> {
        let call = (now, max);
        let due =
            self.database.transact("parked", &call, |c, (now, max)| Box::pin(notices::parked(c, *now, *max)));
        Ok(due.await?)
    }

    async fn unpark(&self, notices: Vec<ParkedNotice>) -> Result<(), LedgerError> {
        let gone = self.database.statement("unpark", &notices, |c, told| Box::pin(notices::unpark(c, told)));
        Ok(gone.await?)
    }

    async fn await_due(&self, now: Timestamp, wait: Duration) -> bool {
        // If the server does not answer, the caller's own next call says so.
        let earliest = || async {
            let look = self.database.read("due", &(), |c, ()| Box::pin(recovery::earliest(c)));
            look.await.ok().flatten()
        };
        wait_for_due(&self.memory.due, now, wait, earliest).await
    }

    async fn await_ready(&self, route: &RouteName, passed_over: &PassedOver, wait: Duration) -> bool {
        let bell = self.memory.ready.listen(route);
        let mut notified = std::pin::pin!(bell.notified());
        notified.as_mut().enable();
        // If the server does not answer, the caller's own next call says so.
        matches!(self.is_ready(route, passed_over).await, Ok(true)) || rung(notified, wait).await
    }

    async fn waiting(&self) -> Result<Vec<Waiting>, LedgerError> {
        let (waiting, rows) = self.database.read("waiting", &(), |c, ()| Box::pin(waiting(c))).await?;
        if rows > FOLD_ABOVE.saturating_mul(i64::try_from(waiting.len() + 1).unwrap_or(i64::MAX)) {
            let fold = self.database.statement("fold", &(), |c, ()| {
                Box::pin(async move {
                    sqlx::query(recovery::FOLD).execute(c).await?;
                    Ok(())
                })
            });
            fold.await?;
        }
        Ok(waiting)
    }

    async fn forget(&self, now: Timestamp, keep: Keep, max: usize) -> Result<Forgotten, LedgerError> {
        self.let_go(now, keep, max).await
    }

    async fn restored_before(&self) -> Result<Option<Timestamp>, LedgerError> {
        let read = self.database.read("restored", &(), |c, ()| {
            Box::pin(async move {
                let row =
                    sqlx::query("SELECT value FROM meta WHERE name = 'restored_before'").fetch_optional(c);
                Ok(row.await?.map(|row| row.try_get::<i64, _>(0)).transpose()?)
            })
        });
        Ok(read.await?.map(Timestamp::from_millis))
    }
}

async fn waiting(connection: &mut sqlx::PgConnection) -> Result<(Vec<Waiting>, i64), PgError> {
    let rows = sqlx::query(recovery::WAITING).fetch_all(connection).await?;
    let mut read = 0;
    let mut waiting = Vec::with_capacity(rows.len());
    for row in &rows {
        let messages = u64::try_from(row.try_get::<i64, _>(4)?).unwrap_or(0);
        read += row.try_get::<i64, _>(5)?;
        if messages > 0 {
            waiting.push(Waiting {
                route: rows::parsed(row, 0)?,
                lane: rows::lane(row, 1)?,
                account: rows::account(row, 2)?,
                messages,
            });
        }
    }
    Ok((waiting, read))
}
