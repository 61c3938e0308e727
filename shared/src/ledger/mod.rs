//! The port `ledger`: the relational database of truth, where everything waits.
//!
//! Five faces of one engine, so that nobody holds more than it needs: [`Ledger`] for workers, [`LedgerReads`] for
//! ingress (a narrow role and a small pool), [`LedgerDesk`] for the operator, [`LedgerMends`] for what concerns many messages,
//! and [`OptOuts`]: the lists of those who want no messages.

mod acts;
mod book;
mod desk;
mod intake;
mod mend;
mod opt_outs;
mod postgres;
mod reads;
mod sqlite;
mod tally;
mod work;

pub use desk::{AttemptNote, Dossier, Found, LaneStatus, LedgerDesk, ReportRead, Resolution, Search, Unseen};
pub use intake::{Disposition, IntakeBatch, IntakeDone, IntakeEntry, IntakeVerdict, QuotaUse};
pub use mend::{
    Dead, DeadFilter, DeadPage, Erased, Erasure, LedgerMends, Redrive, Redriven, StopCounts, StopEnd,
    StopFilter, StopOrder, StopPhase, StopRule, Swept,
};
pub use opt_outs::{EndedOptOuts, OptOut, OptOutSearch, OptOuts};
pub use postgres::{PostgresLedger, postgres_callback_statements, postgres_statements};
pub use reads::{Cancelled, LedgerReads};
pub(crate) use sqlite::MIGRATIONS;
pub use sqlite::{RESTORED_BEFORE, SqliteLedger, mark_restored};
pub use tally::{TALLY_STEP_MS, Tally, TallyCell, TallyCursor, TallyPage, TallyRange};
pub use work::{
    Capabilities, Forgotten, Keep, Ledger, ParkedNotice, PassedOver, Quiet, Reroute, Settled, Settlement,
    Shares, SpokenOf, TakeRequest, Taken, Waiting, Weights, Woken, Work,
};

use crate::domain::MessageId;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// What the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The engine is away, or its disk is full. Whether the change took effect is not known: try the same call again.
    #[error("the ledger is not available")]
    Unavailable(#[source] Source),
    /// The data itself was refused (a data or constraint error) and nothing of the call changed: find the row by
    /// bisection.
    #[error("the ledger cannot digest what it was given")]
    Indigestible(#[source] Source),
}

/// A row of the ledger: the id, and the number by which the engine finds it fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowRef {
    /// The engine's own number.
    pub row: i64,
    /// The message.
    pub id: MessageId,
}
